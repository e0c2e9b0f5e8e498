package csv

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"aida/syncer/datadoc"
)

// Found is a file, or a set of files that go together, that looks like a table.
type Found struct {
	Format     datadoc.CSVOptions // Path, and what differs from the defaults: delimiter, encoding, decimal
	Columns    []string           // the header
	PrimaryKey []string           // columns whose values tell all rows apart that were looked at; nil = none do
	Files      int
}

// Skipped is a file that no table was made of.
type Skipped struct{ File, Reason string }

// looked is how much of a file is looked at, after it is inflated and decoded.
const looked = 256 << 10

// Discover looks at the CSV files of the root and of the folders in it, plain and packed. Files of one folder that have the same
// header and differ by digits at the end of their names are one table.
func (s *Source) Discover() (found []Found, skipped []Skipped, err error) {
	dir, err := os.OpenRoot(s.o.Root)
	if err != nil {
		return nil, nil, fmt.Errorf("csv: root folder: %w: check data_source.csv.root", err)
	}
	defer dir.Close()
	sets := map[string]int{} // folder, stem and header -> index of found
	names, skipped, err := candidates(dir.FS())
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		f, err := look(dir, name, s.o.Format)
		if err != nil {
			skipped = append(skipped, Skipped{name, strings.TrimPrefix(err.Error(), "csv: "+name+": ")})
			continue
		}
		stem, ext := cutExtension(name)
		if m := numbered.FindStringSubmatch(stem); m != nil {
			key := strings.Join(append([]string{m[1], ext, f.Format.Delimiter, f.Format.Encoding, f.Format.Decimal}, f.Columns...), "\x00")
			if i, ok := sets[key]; ok {
				found[i].Format.Path, found[i].PrimaryKey = m[1]+anyNumber+ext, common(found[i].PrimaryKey, f.PrimaryKey)
				found[i].Files++
				continue
			}
			sets[key] = len(found)
		}
		found = append(found, f)
	}
	return found, skipped, nil
}

// anyNumber is the pattern that stands for the number of such a name, and what follows it.
const anyNumber = "[0-9]*"

// numbered are names of one file of several: orders_2026_01, orders-17, part00003.
var numbered = regexp.MustCompile(`^(.*[^\d_./-][_.-]?)\d[\d_.-]*$`)

// Look tells how a file, or the first of the files that a pattern matches, stands for rows.
func (s *Source) Look(name string) (Found, error) {
	dir, err := os.OpenRoot(s.o.Root)
	if err != nil {
		return Found{}, fmt.Errorf("csv: root folder: %w: check data_source.csv.root", err)
	}
	defer dir.Close()
	in := &inputs{root: dir}
	if err := in.list(name, s.o.Root); err != nil {
		return Found{}, err
	}
	f, err := look(dir, in.files[0].name, s.o.Format)
	f.Format.Path, f.Files = name, len(in.files)
	return f, err
}

// candidates are the names of CSV files down to one folder, those of the root first. A folder that cannot be read is told.
func candidates(dir fs.FS) (names []string, skipped []Skipped, err error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, nil, fmt.Errorf("csv: root folder: %w", err)
	}
	take := func(folder string, entries []fs.DirEntry) {
		for _, e := range entries {
			name := path.Join(folder, e.Name())
			if !isCSV(name) {
				continue
			}
			switch info, err := fs.Stat(dir, name); { // which follows links within the root
			case err != nil:
				skipped = append(skipped, Skipped{name, err.Error()})
			case info.Mode().IsRegular():
				names = append(names, name)
			}
		}
	}
	take(".", entries)
	for _, e := range entries {
		if info, err := fs.Stat(dir, e.Name()); err != nil || !info.IsDir() || unfinished(e.Name()) {
			continue // what is named as a table's file was told already
		}
		inner, err := fs.ReadDir(dir, e.Name())
		if err != nil {
			skipped = append(skipped, Skipped{e.Name(), err.Error()})
			continue
		}
		take(e.Name(), inner)
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Or(strings.Count(a, "/")-strings.Count(b, "/"), natural(a, b))
	})
	return names, skipped, nil
}

// cutExtension splits orders.csv.gz behind orders.
func cutExtension(name string) (stem, ext string) {
	stem = name
	for _, e := range []string{".gz", ".zst", ".csv", ".tsv", ".txt"} {
		if n := len(stem) - len(e); n > 0 && strings.EqualFold(stem[n:], e) {
			stem = stem[:n]
		}
	}
	return stem, name[len(stem):]
}

// Stem is the name of a path without folders, number and extensions: orders for crm/orders_[0-9]*.csv.gz.
func Stem(p string) string {
	stem, _ := cutExtension(path.Base(p))
	return strings.Trim(strings.ReplaceAll(stem, anyNumber, ""), "_.- ")
}

func look(dir *os.Root, name string, defaults datadoc.CSVOptions) (Found, error) {
	raw := file{name: name, open: func() (io.ReadCloser, error) { return dir.Open(name) }}
	head, whole, enc, err := raw.head()
	if err != nil {
		return Found{}, err
	}
	if len(strings.TrimSpace(head)) == 0 {
		return Found{}, errors.New("the file is empty")
	}
	if strings.ContainsRune(head, 0) {
		return Found{}, errors.New("this is not text")
	}
	f := Found{Format: datadoc.CSVOptions{Path: name}, Files: 1}
	delimiter, decimal := ",", "."
	rows := records(head, ',', whole)
	if len(rows) == 0 {
		return Found{}, errors.New("it has no header")
	}
	for _, other := range []rune{';', '\t', '|'} {
		if !strings.ContainsRune(strings.Join(rows[0], ""), other) {
			continue
		}
		if got := records(head, other, whole); even(got) && (len(got[0]) > len(rows[0]) || !even(rows)) {
			rows, delimiter = got, string(other)
		}
	}
	if f.Columns = rows[0]; defaults.Header != nil && !*defaults.Header {
		f.Columns = nil
		for i := range rows[0] {
			f.Columns = append(f.Columns, fmt.Sprintf("column_%d", i+1))
		}
		rows = append([][]string{f.Columns}, rows...)
	}
	if slices.Contains(f.Columns, "") {
		return Found{}, errors.New("its header has a column without a name")
	}
	if delimiter != "," && decimalComma(rows[1:]) {
		decimal = ","
	}
	if delimiter == "\t" {
		delimiter = "tab"
	}
	differs := func(v, usual, fallback string) string {
		if v == cmp.Or(usual, fallback) {
			return ""
		}
		return v
	}
	f.Format.Delimiter, f.Format.Decimal = differs(delimiter, defaults.Delimiter, ","), differs(decimal, defaults.Decimal, ".")
	if strings.IndexFunc(head, func(r rune) bool { return r > unicode.MaxASCII }) >= 0 || enc != "utf-8" { // ASCII is the same in all of them
		f.Format.Encoding = differs(enc, defaults.Encoding, "utf-8")
	}
	f.PrimaryKey = primaryKey(f.Columns, rows[1:], Stem(name))
	return f, nil
}

// head gives the begin of a file as text, whether that is the whole file, and its encoding.
func (f file) head() (text string, whole bool, encoding string, err error) {
	raw, err := f.open()
	if err != nil {
		return "", false, "", fmt.Errorf("csv: %w", err)
	}
	defer raw.Close()
	r, err := inflate(f.name, raw)
	if err != nil {
		return "", false, "", fmt.Errorf("csv: %s: %w", f.name, err)
	}
	b, err := io.ReadAll(io.LimitReader(r, looked+1))
	if err != nil {
		return "", false, "", fmt.Errorf("csv: %s: %w", f.name, err)
	}
	whole = len(b) <= looked
	b = b[:min(len(b), looked)]
	kind := utf8Text
	encoding = "utf-8"
	switch {
	case zeros(b, 1) > len(b)/8 && zeros(b, 0) == 0:
		kind, encoding = utf16LE, "utf-16le"
	case zeros(b, 0) > len(b)/8 && zeros(b, 1) == 0:
		kind, encoding = utf16BE, "utf-16be"
	case !validUTF8(b, whole):
		kind, encoding = windows1252, "windows-1252"
	}
	marked := len(b) > 1 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff)
	if marked {
		kind, encoding = utf8Text, "utf-8" // the connector goes by the mark too
		b = b[:len(b)&^1]
	}
	t, err := decode(f.name, io.NopCloser(strings.NewReader(string(b))), kind)
	if err != nil {
		return "", false, "", err
	}
	out, err := io.ReadAll(t)
	if err != nil && whole {
		return "", false, "", err
	}
	return string(out), whole, encoding, nil
}

// zeros counts zero bytes at even (0) or odd (1) places: text in UTF-16 has them at every other place.
func zeros(b []byte, at int) (n int) {
	for i := at; i < len(b); i += 2 {
		if b[i] == 0 {
			n++
		}
	}
	return n
}

// validUTF8 allows a character to be cut where the looked-at part ends.
func validUTF8(b []byte, whole bool) bool {
	for range utf8.UTFMax - 1 {
		if r, size := utf8.DecodeLastRune(b); whole || r != utf8.RuneError || size != 1 {
			break
		}
		b = b[:len(b)-1]
	}
	return utf8.Valid(b)
}

// records reads what a delimiter makes of the text. A record that the end of the looked-at part cuts is left out.
func records(text string, delimiter rune, whole bool) (rows [][]string) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = delimiter, -1, true
	for {
		row, err := r.Read()
		if err != nil {
			break
		}
		rows = append(rows, row)
	}
	if !whole && len(rows) > 1 {
		rows = rows[:len(rows)-1]
	}
	return rows
}

// even tells whether nearly all rows have as many cells as the header, and more than one.
func even(rows [][]string) bool {
	n := 0
	for _, row := range rows {
		if len(row) == len(rows[0]) {
			n++
		}
	}
	return len(rows) > 0 && len(rows[0]) > 1 && 10*n >= 9*len(rows)
}

var (
	commaNumber = regexp.MustCompile(`^-?\d+,\d+$`)
	plainNumber = regexp.MustCompile(`^-?\d+$`)
	measure     = regexp.MustCompile(`^-?\d+[.,]\d+$`)
)

// decimalComma tells whether a column has numbers such as 1,50, and nothing that is none.
func decimalComma(rows [][]string) bool {
	if len(rows) == 0 {
		return false
	}
	for c := range rows[0] {
		commas, other := 0, 0
		for _, row := range rows {
			switch {
			case c >= len(row) || row[c] == "" || plainNumber.MatchString(row[c]):
			case commaNumber.MatchString(row[c]):
				commas++
			default:
				other++
			}
		}
		if commas > 0 && other == 0 {
			return true
		}
	}
	return false
}

// primaryKey is the column, or the two columns, whose values tell the rows apart: columns with names of keys first, then the first one.
func primaryKey(header []string, rows [][]string, table string) []string {
	var order []int
	for rank := range keyRanks {
		for c, name := range header {
			if keyRank(name, c, table) == rank && (len(rows) < 2 || filled(rows, c)) {
				order = append(order, c)
			}
		}
	}
	if len(rows) < 2 && len(order) > 0 { // nothing to go by but names
		return []string{header[order[0]]}
	}
	for _, c := range order {
		if distinct(rows, c) {
			return []string{header[c]}
		}
	}
	for i, a := range order {
		for _, b := range order[i+1:] {
			if distinct(rows, a, b) {
				return []string{header[min(a, b)], header[max(a, b)]}
			}
		}
	}
	return nil
}

// keyRanks is how many ranks keyRank knows.
const keyRanks = 4

// keyRank tells how much a column is named as a key is, 0 the most; keyRanks = it is none.
func keyRank(column string, at int, table string) int {
	name, table := strings.ToLower(column), strings.ToLower(table)
	switch single := strings.TrimSuffix(table, "s"); {
	case name == "id", name == table+"_id", name == single+"_id", name == table+"id", name == single+"id":
		return 0
	case name == "key", name == "uuid", name == "guid", name == "code":
		return 1
	case strings.HasSuffix(name, "_id"), strings.HasSuffix(column, "Id"), strings.HasSuffix(column, "ID"), strings.HasSuffix(name, "_key"):
		return 2
	case at == 0, name == "name", name == "email", name == "date", name == "day", name == "month":
		return 3
	}
	return keyRanks
}

// filled tells whether no cell of a column is empty or looks like a measure.
func filled(rows [][]string, c int) bool {
	for _, row := range rows {
		if c >= len(row) || row[c] == "" || measure.MatchString(row[c]) {
			return false
		}
	}
	return true
}

func distinct(rows [][]string, columns ...int) bool {
	seen := make(map[string]bool, len(rows))
	for _, row := range rows {
		var key strings.Builder
		for _, c := range columns {
			key.WriteString(row[c] + "\x00")
		}
		if seen[key.String()] {
			return false
		}
		seen[key.String()] = true
	}
	return true
}

// common is the key that two files of a table agree on.
func common(a, b []string) []string {
	if slices.Equal(a, b) {
		return a
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	if len(b) > 0 && !slices.ContainsFunc(b, func(c string) bool { return !slices.Contains(a, c) }) {
		return a // the wider one tells apart what the narrower one does
	}
	return nil
}
