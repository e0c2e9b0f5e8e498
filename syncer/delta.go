package syncer

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"aida/store"
	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/lake"
	"aida/syncer/source"
)

// delta is what a source gave: rows as a Parquet file in scratch, which is the table itself when it was asked for all rows.
type delta struct {
	doc     datadoc.Table
	staged  *lake.Staged
	file    lake.File
	reader  *columnar.Reader
	columns []columnar.Column
	result  *source.Result
	out     *columnar.Result

	lenient bool // cells that do not fit make their row go to the side file
	dir     string
	hold    int // rows that are looked at together
	side    *os.File
	refused int64
}

// fetchDelta asks the source and converts what it gives. It is nil when the source says that nothing changed.
func (u *run) fetchDelta(ctx context.Context, j job, req source.Request, row *store.RunTable, held int64) (d *delta, err error) {
	src, err := u.s.sourceOf(j.doc)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", row.Table, err)
	}
	for {
		res, err := src.Fetch(ctx, req)
		if err != nil {
			return nil, err
		}
		if res.Unchanged() {
			row.DataTime = res.DataTime
			return nil, nil
		}
		d, err := u.convert(ctx, j, res, req, row, held)
		if cerr := res.Data.Close(); cerr != nil && err == nil {
			err = fmt.Errorf("table %s: %w", row.Table, cerr)
		}
		if err == nil {
			return d, nil
		}
		var cell *columnar.CellError
		if !errors.As(err, &cell) || policyOf(j.doc, cell.Column) != evolve || !forget(&req, cell.Column) {
			return nil, err
		}
		u.s.o.Log.Info("a cell does not fit the type that its column has had, the type is looked for anew", "table", row.Table, "error", cell)
	}
}

// forget takes a column out of the types that a request names, unless the description declares it.
func forget(req *source.Request, column string) bool {
	for _, c := range req.Table.Columns {
		if c.Name == column && c.Type != "" {
			return false
		}
	}
	for i, t := range req.Types {
		if t.Name == column {
			req.Types = append(append([]columnar.Column(nil), req.Types[:i]...), req.Types[i+1:]...)
			return true
		}
	}
	return false
}

func (u *run) convert(ctx context.Context, j job, res *source.Result, req source.Request, row *store.RunTable, held int64) (*delta, error) {
	if err := u.room(res.Size, held); err != nil {
		return nil, fmt.Errorf("table %s: %w", row.Table, err)
	}
	if u.r.Progress != nil {
		u.r.Progress.Start(row.Table, res.Size)
	}
	if err := os.MkdirAll(req.Scratch, 0o750); err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	staged, err := u.scratch.Stage("")
	if err != nil {
		return nil, err
	}
	d := &delta{doc: j.doc, staged: staged, result: res, dir: req.Scratch, hold: u.s.o.HeldRows}
	d.out, err = res.Data.WriteParquet(ctx, staged, columnar.Options{Workers: u.s.o.Workers, Progress: func(bytes, rows int64) {
		if u.r.Progress != nil {
			u.r.Progress.Advance(row.Table, bytes, rows)
		}
	}})
	if err := errors.Join(err, staged.Park()); err != nil {
		return nil, errors.Join(err, staged.Discard())
	}
	if err := res.Data.Settled(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("table %s: %w", row.Table, err), staged.Discard())
	}
	d.columns = d.out.Schema.Columns
	row.DataTime = res.DataTime
	row.Warnings = append(row.Warnings, d.out.Warnings...)
	return d, nil
}

// open makes the rows readable until close.
func (d *delta) open() (err error) {
	if d.reader != nil {
		return nil
	}
	if d.file, err = d.staged.Open(); err != nil {
		return err
	}
	if d.reader, err = columnar.OpenReader(d.file, d.staged.Size()); err == nil {
		d.reader.Hold(d.hold)
	}
	return err
}

// close lets go of the rows and, unless it became a file of the table, of the file.
func (d *delta) close(discard bool) error {
	var err error
	if d.file != nil {
		err = d.file.Close()
		d.file, d.reader = nil, nil
	}
	if discard {
		err = errors.Join(err, d.staged.Discard())
	}
	if d.side != nil {
		err = errors.Join(err, d.side.Close())
		d.side = nil
	}
	return err
}

// refuse writes rows with cells that do not fit to the side file and tells which they are.
func (d *delta) refuse(rows *columnar.Rows, misfits []columnar.Misfit) (map[int32]bool, error) {
	if len(misfits) == 0 {
		return nil, nil
	}
	var err error
	if d.side == nil {
		name := filepath.Join(d.dir, source.QuarantineFile)
		if d.side, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640); err != nil {
			return nil, fmt.Errorf("quarantine: %w", err)
		}
		if info, err := d.side.Stat(); err == nil && info.Size() == 0 {
			if _, err := d.side.WriteString("file,line,column,reason,value,row\n"); err != nil {
				return nil, fmt.Errorf("quarantine: %w", err)
			}
		}
	}
	skip := map[int32]bool{}
	w := csv.NewWriter(d.side)
	for _, m := range misfits {
		if skip[m.Row] {
			continue
		}
		skip[m.Row] = true
		d.refused++
		var cells []string
		for c := range rows.Columns() {
			text, _ := rows.Text(int(m.Row), c)
			cells = append(cells, text)
		}
		var line strings.Builder
		one := csv.NewWriter(&line)
		_ = one.Write(cells)
		one.Flush()
		column, _ := columnNamed(rows.Columns(), m.Column)
		if err := w.Write([]string{d.doc.Source, strconv.Itoa(int(m.Row) + 1), m.Column, "is " + m.From.String() + ", not " + column.Type.String(), m.Value,
			strings.TrimSuffix(line.String(), "\n")}); err != nil {
			return nil, fmt.Errorf("quarantine: %w", err)
		}
	}
	w.Flush()
	return skip, w.Error()
}
