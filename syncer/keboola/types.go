package keboola

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aida/config/strict"
	"aida/syncer/columnar"
	"aida/syncer/datadoc"
)

// The keys under which Keboola and its components keep what they know of a column. See
// https://help.keboola.com/storage/tables/data-types/.
const (
	keyBasetype    = "KBC.datatype.basetype"
	keyType        = "KBC.datatype.type"
	keyLength      = "KBC.datatype.length"
	keyDescription = "KBC.description"
)

// trusted are the providers whose remarks are taken before those of others. The table's own definition, which native
// types come from, goes between the first and the rest.
var trusted = []string{"user", "ai-metadata-enrichment", "keboola.snowflake-transformation"}

// columnsOf decides which columns of a table are read, in which order, and their types.
func (d *detail) columnsOf(t datadoc.Table, known []columnar.Column, only []string) ([]columnar.Column, error) {
	var chosen []string
	for _, c := range t.Columns {
		if c.Plain {
			chosen = append(chosen, c.Name)
		}
		if !slices.Contains(d.Columns, c.Name) {
			return nil, d.missing(c.Name, "described")
		}
	}
	switch {
	case only != nil:
		chosen = only
	case chosen == nil:
		chosen = d.Columns
	}
	var out []columnar.Column
	for _, name := range chosen {
		if !slices.Contains(d.Columns, name) {
			return nil, d.missing(name, "asked for")
		}
		c, err := d.column(name, t.Columns, known)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// column gives a column the type that data_description.md declares, else the one that it is known by in Keboola, else
// the one that it has in the lake, else string.
func (d *detail) column(name string, described []datadoc.Column, known []columnar.Column) (columnar.Column, error) {
	c := columnar.Column{Name: name, Type: columnar.Type{Kind: columnar.String}}
	for _, k := range known {
		if k.Name == name && k.Type.Kind != columnar.Unknown {
			c.Type = k.Type
		}
	}
	if t, ok := d.typeOf(name); ok {
		c.Type = t
	}
	for _, x := range described {
		if x.Name != name {
			continue
		}
		c.Format = x.Format
		if x.Type != "" {
			t, err := columnar.ParseType(x.Type)
			if err != nil {
				return c, fmt.Errorf("column %s: %w", name, err)
			}
			c.Type = t
		}
	}
	return c, nil
}

func (d *detail) missing(name, why string) error {
	hint := "it has " + strings.Join(d.Columns[:min(len(d.Columns), 20)], ", ")
	if near := strict.Nearest(name, d.Columns); near != "" {
		hint = fmt.Sprintf("did you mean %q", near)
	}
	return fmt.Errorf("column %s is %s but table %s does not have it: %s", name, why, d.ID, hint)
}

// typeOf is what Keboola knows of a column's type: a person's word, the native type, a component's word, the newest first.
func (d *detail) typeOf(column string) (columnar.Type, bool) {
	notes := d.notes(column)
	if t, ok := typeIn(notes, "user"); ok {
		return t, true
	}
	for _, def := range []definition{d.Definition, d.SourceTable.Definition} {
		for _, c := range def.Columns {
			if c.Name == column {
				return storedType(cmp.Or(c.Basetype, c.Definition.Type), c.Definition.Type, string(c.Definition.Length), d.nativeLength(c.Definition.Type)), true
			}
		}
	}
	for _, provider := range providers(notes) {
		if t, ok := typeIn(notes, provider); ok {
			return t, true
		}
	}
	return columnar.Type{}, false
}

// nativeLength is the length of a native number that was declared without one.
func (d *detail) nativeLength(native string) string {
	switch strings.ToUpper(native) {
	case "NUMBER", "DECIMAL", "NUMERIC":
		if d.Bucket.Backend == "bigquery" {
			return "38,9"
		}
		if d.Bucket.Backend == "snowflake" {
			return "38,0"
		}
	}
	return ""
}

func (d *detail) notes(column string) metadataList {
	if notes := d.ColumnMetadata[column]; len(notes) > 0 {
		return notes
	}
	return d.SourceTable.ColumnMetadata[column]
}

func typeIn(notes metadataList, provider string) (columnar.Type, bool) {
	base, native := notes.value(provider, keyBasetype), notes.value(provider, keyType)
	if base == "" && native == "" {
		return columnar.Type{}, false
	}
	return storedType(cmp.Or(base, native), native, notes.value(provider, keyLength), ""), true
}

// describe is the description that Keboola has of a table or column.
func (l metadataList) describe() string {
	for _, provider := range providers(l) {
		if v := l.value(provider, keyDescription); v != "" {
			return v
		}
	}
	return ""
}

// value is the newest remark of a provider under a key.
func (l metadataList) value(provider, key string) string {
	var found metadatum
	for _, m := range l {
		if m.Provider == provider && m.Key == key && (found.Value == "" || m.Timestamp.After(found.Timestamp.Time)) {
			found = m
		}
	}
	return strings.TrimSpace(string(found.Value))
}

// providers are all that have made a remark: the trusted ones in their order, then the others, the newest remark first.
func providers(l metadataList) []string {
	newest := slices.Clone(l)
	slices.SortStableFunc(newest, func(a, b metadatum) int {
		return cmp.Or(b.Timestamp.Compare(a.Timestamp.Time), cmp.Compare(a.Provider, b.Provider))
	})
	out := slices.Clone(trusted)
	for _, m := range newest {
		if !slices.Contains(out, m.Provider) {
			out = append(out, m.Provider)
		}
	}
	return out
}

// storedType turns a base type, the native type behind it and its length into what the lake stores. Names that are not
// known are text. A number without a length is a double, as its scale is not known.
func storedType(base, native, length, otherwise string) columnar.Type {
	base, native = strings.ToUpper(base), strings.ToUpper(native)
	switch base {
	case "INTEGER", "BIGINT", "INT", "INT64", "SMALLINT", "TINYINT", "BYTEINT":
		return columnar.Type{Kind: columnar.Int64}
	case "NUMERIC", "DECIMAL", "NUMBER", "BIGNUMERIC":
		return numberType(cmp.Or(length, otherwise))
	case "FLOAT", "DOUBLE", "REAL", "FLOAT64", "DOUBLE PRECISION":
		return columnar.Type{Kind: columnar.Float64}
	case "BOOLEAN", "BOOL":
		return columnar.Type{Kind: columnar.Bool}
	case "DATE":
		return columnar.Type{Kind: columnar.Date}
	case "TIMESTAMP_TZ", "TIMESTAMP_LTZ", "TIMESTAMPTZ":
		return columnar.Type{Kind: columnar.Timestamp, Zoned: true}
	case "TIMESTAMP", "TIMESTAMP_NTZ", "DATETIME":
		zoned := native == "TIMESTAMP_TZ" || native == "TIMESTAMP_LTZ" || native == "TIMESTAMPTZ"
		return columnar.Type{Kind: columnar.Timestamp, Zoned: zoned}
	}
	return columnar.Type{Kind: columnar.String}
}

// numberType reads a length such as "12,2". Whole numbers of up to 18 digits are integers, and so is NUMBER(38,0), which
// is what Snowflake makes of every INT; a value that does not fit is told of, never changed.
func numberType(length string) columnar.Type {
	p, s, _ := strings.Cut(strings.ReplaceAll(length, " ", ""), ",")
	precision, err := strconv.Atoi(p)
	scale := 0
	if s != "" && err == nil {
		scale, err = strconv.Atoi(s)
	}
	switch {
	case err != nil || precision < 1 || precision > 38 || scale < 0 || scale > precision:
		return columnar.Type{Kind: columnar.Float64}
	case scale == 0 && (precision <= 18 || precision == 38):
		return columnar.Type{Kind: columnar.Int64}
	}
	return columnar.Type{Kind: columnar.Decimal, Precision: precision, Scale: scale}
}
