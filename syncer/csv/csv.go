// Package csv is the connector for CSV text: files, folders and globs under one root, or http(s) URLs, plain or as .gz or
// .zst, in UTF-8, UTF-16 or Windows-1252. It finds, decodes and watches the bytes; package columnar parses them.
//
//	src, err := csv.New(csv.Options{Root: "/srv/drop"})
package csv

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/source"
)

// Options are the connector's defaults; a table's own csv keys win over Format.
type Options struct {
	Root     string             // folder that paths are relative to and cannot leave
	Format   datadoc.CSVOptions // delimiter, quote, encoding, ... for tables that do not say
	OnBadRow string             // fail (default) or quarantine
	Client   *http.Client       // nil = a client with time-outs
	Pause    time.Duration      // before the second attempt of a download, twice as long before each further one; 0 = 1 s
	Stall    time.Duration      // how long a download may stand still; 0 = 2 min
}

// Source reads CSV.
type Source struct{ o Options }

// New checks the options. The root is opened at each fetch, so that a drive that is mounted later is found.
func New(o Options) (*Source, error) {
	if o.Root == "" {
		o.Root = "."
	}
	if o.Client == nil {
		o.Client = newClient()
	}
	o.Pause, o.Stall = cmp.Or(o.Pause, time.Second), cmp.Or(o.Stall, 2*time.Minute)
	return &Source{o: o}, nil
}

// Name is "csv".
func (s *Source) Name() string { return "csv" }

// Fetch finds the table's files and tells whether any of them changed: by size, modification and status-change time for
// files, by content for URLs.
func (s *Source) Fetch(ctx context.Context, r source.Request) (*source.Result, error) {
	f := merge(r.Table.CSV, s.o.Format)
	dialect, enc, err := dialect(f)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", r.Table.FullName(), err)
	}
	onBad := cmp.Or(r.Table.OnBadRow, s.o.OnBadRow, string(columnar.Fail))
	reading, err := digest(f, onBad, r.Table.Columns)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", r.Table.FullName(), err)
	}
	known := parseFingerprint(r.Known)
	if known.reading != reading {
		known = fingerprint{}
	}
	path := cmp.Or(f.Path, r.Table.ID)
	var in *inputs
	if isURL(path) {
		in, err = s.download(ctx, path, known.remote, r)
	} else {
		in, err = s.find(path)
	}
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", r.Table.FullName(), err)
	}
	now := fingerprint{reading: reading, state: stateDigest(in.state), remote: in.remote}
	if in.same || now.state == known.state {
		return &source.Result{Fingerprint: r.Known, DataTime: in.modified, Size: in.size}, in.Close()
	}
	res := &source.Result{Fingerprint: now.String(), DataTime: in.modified, Size: in.size}
	declared, only, err := columns(r.Table.Columns)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("table %s: %w", r.Table.FullName(), err), in.Close())
	}
	d := &data{inputs: in}
	d.csv = columnar.CSV{
		Table: r.Table.FullName(), Dialect: dialect, Declared: declared, Known: r.Types, Only: only,
		OnBadRow:   columnar.BadRowPolicy(onBad),
		Quarantine: func() (io.WriteCloser, error) { return os.Create(filepath.Join(r.Scratch, source.QuarantineFile)) },
	}
	for _, f := range in.files {
		d.csv.Inputs = append(d.csv.Inputs, columnar.Input{Name: f.name, Consumed: f.read.Load,
			Open: func(context.Context) (io.ReadCloser, error) { return f.text(enc) }})
	}
	res.Data = d
	return res, nil
}

// data is the CSV text of one table.
type data struct {
	*inputs
	csv columnar.CSV
}

func (d *data) WriteParquet(ctx context.Context, w columnar.Sink, o columnar.Options) (*columnar.Result, error) {
	return d.csv.WriteParquet(ctx, w, o)
}

func merge(t, d datadoc.CSVOptions) datadoc.CSVOptions {
	t.Delimiter = cmp.Or(t.Delimiter, d.Delimiter)
	t.Quote = cmp.Or(t.Quote, d.Quote)
	t.Encoding = cmp.Or(t.Encoding, d.Encoding)
	t.Decimal = cmp.Or(t.Decimal, d.Decimal)
	t.DateFormat = cmp.Or(t.DateFormat, d.DateFormat)
	t.TimestampFormat = cmp.Or(t.TimestampFormat, d.TimestampFormat)
	if t.Header == nil {
		t.Header = d.Header
	}
	if t.NullValues == nil {
		t.NullValues = d.NullValues
	}
	return t
}

// dialect turns the words of data_description.md into what the parser takes.
func dialect(f datadoc.CSVOptions) (columnar.Dialect, encodingKind, error) {
	d := columnar.Dialect{Delimiter: ',', Quote: '"', Header: f.Header == nil || *f.Header, NullTokens: f.NullValues,
		DateFormat: f.DateFormat, TimestampFormat: f.TimestampFormat}
	var err error
	if d.Delimiter, err = oneByte("delimiter", f.Delimiter, ','); err != nil {
		return d, 0, err
	}
	if f.Quote == "none" {
		d.Quote = 0
	} else if d.Quote, err = oneByte("quote", f.Quote, '"'); err != nil {
		return d, 0, err
	}
	if d.Quote == d.Delimiter {
		return d, 0, fmt.Errorf("csv: delimiter and quote are both %q: give one of them another character", d.Quote)
	}
	switch f.Decimal {
	case "", ".":
	case ",":
		d.DecimalComma = true
	default:
		return d, 0, fmt.Errorf("csv: decimal %q: use \".\" or \",\"", f.Decimal)
	}
	enc, err := parseEncoding(f.Encoding)
	return d, enc, err
}

func oneByte(key, v string, fallback byte) (byte, error) {
	switch {
	case v == "":
		return fallback, nil
	case v == `\t`, v == "tab":
		return '\t', nil
	case len(v) == 1 && v[0] < 0x80 && v[0] != '\n' && v[0] != '\r':
		return v[0], nil
	}
	return 0, fmt.Errorf("csv: %s %q: use one ASCII character, or \"tab\"", key, v)
}

// columns splits the description's list: maps declare types, plain names choose and order the columns.
func columns(list []datadoc.Column) (declared []columnar.Column, only []string, err error) {
	for _, c := range list {
		if c.Plain {
			only = append(only, c.Name)
			continue
		}
		if c.Type == "" {
			continue
		}
		t, err := columnar.ParseType(c.Type)
		if err != nil {
			return nil, nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		declared = append(declared, columnar.Column{Name: c.Name, Type: t, Format: c.Format})
	}
	return declared, only, nil
}

// layoutVersion is part of every fingerprint; raising it makes each table convert anew, as the writer has changed.
const layoutVersion = 2

// fingerprint names one state of the source together with all that decides how it becomes Parquet.
type fingerprint struct {
	reading string     // how it is read
	state   string     // of the bytes
	remote  validators // what the server calls them
}

func (f fingerprint) String() string { return "csv:" + f.reading + ":" + f.state + f.remote.String() }

// parseFingerprint reads the text that String made; any other one is the zero fingerprint, which no source has.
func parseFingerprint(s string) (f fingerprint) {
	text, ok := strings.CutPrefix(s, "csv:")
	if !ok {
		return f
	}
	text, remote, _ := strings.Cut(text, "~")
	f.reading, f.state, ok = strings.Cut(text, ":")
	if !ok || f.state == "" {
		return fingerprint{}
	}
	f.remote = parseValidators(remote)
	return f
}

func stateDigest(state []string) string {
	sum := sha256.Sum256([]byte(strings.Join(state, "\n")))
	return hex.EncodeToString(sum[:16])
}

// digest names how a table is read.
func digest(f datadoc.CSVOptions, onBad string, cols []datadoc.Column) (string, error) {
	type column struct{ Name, Type, Format string }
	var list []column
	for _, c := range cols {
		list = append(list, column{c.Name, c.Type, c.Format})
	}
	text, err := json.Marshal([]any{layoutVersion, f, onBad, list})
	if err != nil {
		return "", fmt.Errorf("csv: fingerprint: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

func isURL(path string) bool {
	return strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://")
}
