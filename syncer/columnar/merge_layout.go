package columnar

// A row group below both of these is small: it is joined with its neighbours when its file is written anew.
const (
	smallGroupRows  = maxRowGroupRows / 4
	smallGroupBytes = 2 << 20
)

// Pack makes row groups of pieces, in their order: pieces that are large enough stay alone, so that their bytes can be
// taken over, small ones are joined until a row group is full, and rows in memory are cut where one is full.
func Pack(pieces []Piece) (groups [][]Piece) {
	var open []Piece
	var rows int
	var bytes int64
	flush := func() {
		if rows > 0 {
			groups = append(groups, open)
		}
		open, rows, bytes = nil, 0, 0
	}
	add := func(p Piece, r int, b int64) {
		if rows > 0 && (rows+r > maxRowGroupRows || bytes+b > maxRowGroupBytes/2) {
			flush()
		}
		open, rows, bytes = append(open, p), rows+r, bytes+b
	}
	for _, p := range pieces {
		r, b := p.rows(), p.bytes()
		switch {
		case r == 0:
		case p.File != nil && (r >= smallGroupRows || b >= smallGroupBytes):
			flush()
			groups = append(groups, []Piece{p})
		case p.File != nil:
			add(p, r, b)
		default:
			each := max(1, min(maxRowGroupRows, int(maxRowGroupBytes/2*int64(r)/max(b, 1))))
			for at := 0; at < r; {
				n := min(each, r-at)
				if left := each - rows; rows > 0 && left > 0 && left < n {
					n = left // fill up the row group that is open
				}
				add(Piece{Rows: p.Rows, Pick: p.Pick[at : at+n]}, n, b*int64(n)/int64(r))
				at += n
			}
		}
	}
	flush()
	return groups
}

// bytes is about the memory that a piece's values take.
func (p *Piece) bytes() int64 {
	if p.File != nil {
		return p.File.meta().RowGroups[p.Group].TotalByteSize
	}
	if p.Rows.n == 0 {
		return 0
	}
	return p.Rows.held * int64(len(p.Pick)) / int64(p.Rows.n)
}

// CountRows is the number of rows of some pieces.
func CountRows(pieces []Piece) (n int64) {
	for i := range pieces {
		n += int64(pieces[i].rows())
	}
	return n
}

// Divide deals row groups out to files of at most limit rows each, in order. A row group that is larger is cut.
func Divide(groups [][]Piece, limit int64) (files [][][]Piece) {
	var file [][]Piece
	var rows int64
	for _, g := range groups {
		for _, part := range cutGroup(g, int(limit)) {
			n := CountRows(part)
			if rows > 0 && rows+n > limit {
				files, file, rows = append(files, file), nil, 0
			}
			file, rows = append(file, part), rows+n
		}
	}
	if rows > 0 {
		files = append(files, file)
	}
	return files
}

func cutGroup(g []Piece, limit int) (parts [][]Piece) {
	if CountRows(g) <= int64(limit) {
		return [][]Piece{g}
	}
	for _, p := range g {
		for from := 0; from < p.span(); from += limit {
			parts = append(parts, []Piece{p.cut(from, min(from+limit, p.span()))})
		}
	}
	return parts
}

func (p *Piece) span() int {
	if p.File == nil {
		return len(p.Pick)
	}
	return int(p.File.GroupRows(p.Group))
}

// cut gives the rows from to to of a piece alone, counted before its edits.
func (p *Piece) cut(from, to int) Piece {
	if p.File == nil {
		return Piece{Rows: p.Rows, Pick: p.Pick[from:to]}
	}
	out := Piece{File: p.File, Group: p.Group}
	for row := range from {
		out.Edits = append(out.Edits, Edit{int32(row), -1})
	}
	for _, e := range p.Edits {
		if int(e.Row) >= from && int(e.Row) < to {
			out.Edits = append(out.Edits, e)
		}
	}
	for row := to; row < p.span(); row++ {
		out.Edits = append(out.Edits, Edit{int32(row), -1})
	}
	return out
}
