package csv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
)

// inputs are the files of one table, in the order in which their rows are read.
type inputs struct {
	files    []file
	state    []string // one line a file, different when the file is
	size     int64
	modified time.Time
	root     *os.Root // nil for a spooled download
	spooled  string
	remote   validators // of a download
	same     bool       // the server says that nothing changed
}

// file is one compressed or plain CSV file.
type file struct {
	name string // as people know it
	open func() (io.ReadCloser, error)
	read *atomic.Int64 // bytes read of it since it was opened last
}

func (in *inputs) Close() error {
	var err error
	if in.root != nil {
		err = in.root.Close()
	}
	if in.spooled != "" {
		err = errors.Join(err, os.Remove(in.spooled))
	}
	return err
}

// find resolves a file, a folder (all CSV files in it) or a glob under the root. No match is an error: a table whose
// files are missing is not an empty table.
func (s *Source) find(pattern string) (*inputs, error) {
	root, err := os.OpenRoot(s.o.Root)
	if err != nil {
		return nil, fmt.Errorf("csv: root folder: %w: check data_source.csv.root", err)
	}
	in := &inputs{root: root}
	if err := in.list(pattern, s.o.Root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return in, nil
}

func (in *inputs) list(pattern, rootName string) error {
	rel := filepath.ToSlash(pattern)
	if filepath.IsAbs(pattern) {
		abs, err := filepath.Abs(rootName)
		if err != nil {
			return fmt.Errorf("csv: %w", err)
		}
		if rel, err = filepath.Rel(abs, pattern); err != nil {
			return fmt.Errorf("csv: path %s: %w", pattern, err)
		}
		rel = filepath.ToSlash(rel)
	}
	rel = path.Clean(rel)
	if rel == ".." || strings.HasPrefix(rel, "../") {
		return fmt.Errorf("csv: path %s leaves the root folder %s: move the files there, or change data_source.csv.root", pattern, rootName)
	}
	names, err := in.match(rel)
	if err != nil {
		return fmt.Errorf("csv: path %s: %w", pattern, err)
	}
	if len(names) == 0 {
		return fmt.Errorf("csv: no file matches %s in %s: check the path, or wait for the file", pattern, rootName)
	}
	slices.SortFunc(names, natural)
	for _, name := range names {
		info, err := in.root.Stat(filepath.FromSlash(name))
		if err != nil {
			return fmt.Errorf("csv: %w", err)
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("csv: %s is not a regular file", name)
		}
		in.files = append(in.files, file{name: name, read: new(atomic.Int64), open: func() (io.ReadCloser, error) { return in.root.Open(filepath.FromSlash(name)) }})
		in.state = append(in.state, stateOf(name, info))
		in.size += info.Size()
		if info.ModTime().After(in.modified) {
			in.modified = info.ModTime().UTC()
		}
	}
	return nil
}

func (in *inputs) match(rel string) ([]string, error) {
	info, err := in.root.Stat(filepath.FromSlash(rel))
	switch {
	case err == nil && info.IsDir():
		entries, err := fs.ReadDir(in.root.FS(), rel)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, e := range entries {
			if !e.IsDir() && isCSV(e.Name()) {
				names = append(names, path.Join(rel, e.Name()))
			}
		}
		return names, nil
	case err == nil:
		return []string{rel}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case !strings.ContainsAny(rel, "*?[{"):
		return nil, nil
	}
	names, err := doublestar.Glob(in.root.FS(), rel, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
	return slices.DeleteFunc(names, unfinished), err
}

// isCSV tells whether a folder's file is meant as data. A file that is still being written has another name.
func isCSV(name string) bool {
	lower := strings.ToLower(name)
	lower = strings.TrimSuffix(strings.TrimSuffix(lower, ".gz"), ".zst")
	return !unfinished(name) && (strings.HasSuffix(lower, ".csv") || strings.HasSuffix(lower, ".tsv") || strings.HasSuffix(lower, ".txt"))
}

func unfinished(name string) bool {
	base := strings.ToLower(path.Base(name))
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "~") || strings.HasSuffix(base, ".part") || strings.HasSuffix(base, ".tmp") || strings.HasSuffix(base, ".crdownload")
}

// natural orders names with numbers by value: part-2 before part-10.
func natural(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			if na != nb {
				return na - nb
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digits(s string) int {
	n := strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsDigit(r) })
	if n < 0 {
		return len(s)
	}
	return n
}

// Settled fails when a file changed while it was read: its rows may be of two states.
func (in *inputs) Settled(context.Context) error {
	if in.root == nil {
		return nil
	}
	for i, f := range in.files {
		info, err := in.root.Stat(filepath.FromSlash(f.name))
		if err != nil {
			return fmt.Errorf("csv: %s went away while it was read: %w", f.name, err)
		}
		if stateOf(f.name, info) != in.state[i] {
			return fmt.Errorf("csv: %s changed while it was read: run the sync again when its writer is done, or let the writer rename a finished file into place", f.name)
		}
	}
	return nil
}
