package datadoc

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Edit says what shall be different in the description of one table. Keys that are not named stay.
type Edit struct {
	ID      string
	Keys    []KeyEdit
	Columns []ColumnEdit
}

// KeyEdit gives a key a value; none takes the key out.
type KeyEdit struct {
	Key     string
	Values  []string  // several only for primary_key
	Foreign []Foreign // of foreign_keys
	Filters []Filter  // of where_filters
}

// text is the value as a file has it.
func (k KeyEdit) text() string {
	var items []string
	for _, f := range k.Foreign {
		item := "{column: " + encodeScalar("", f.Column) + ", references: " + encodeScalar("", f.References)
		if f.Description != "" {
			item += ", description: " + encodeScalar("", f.Description)
		}
		items = append(items, item+"}")
	}
	for _, f := range k.Filters {
		var values []string
		for _, v := range f.Values {
			values = append(values, strconv.Quote(v))
		}
		items = append(items, "{column: "+encodeScalar("", f.Column)+", operator: "+encodeScalar("", f.Operator)+", values: ["+strings.Join(values, ", ")+"]}")
	}
	if len(items) > 0 {
		return "[" + strings.Join(items, ", ") + "]"
	}
	return encodeAll(k.Values)
}

// ColumnEdit says what is declared of a column. Empty texts, and a mark that is off, take the key out.
type ColumnEdit struct {
	Name        string
	Type        string
	Description string
	Sensitive   bool
}

// editable are the keys that Apply sets, in the order in which a description has them.
var editable = []string{"id", "name", "folder", "description", "primary_key", "sync_strategy", "incremental_column", "incremental_window_days", "initial_load_chunk_days", "partition_by",
	"partition_granularity", "foreign_keys", "where_filters", "dataset", "schedule", "on_bad_row", "schema"}

// Written gives the tables of a text as they are written: no folder is looked up, no default filled in, nothing checked.
func Written(name string, text []byte) []Table {
	doc := &Doc{FolderMapping: map[string]string{}}
	doc.read(name, text)
	return doc.Tables
}

// Apply changes what a text says of a table and leaves every other byte as it is. What came of it is read again: when
// anything else than what was asked for would differ, the text is refused, and the file has to be edited by hand.
func Apply(name string, text []byte, e Edit) ([]byte, error) {
	return guarded(name, text, e.ID, func(text []byte) ([]byte, error) { return apply(name, text, e) })
}

// Remove takes a table out of a text. Every other byte stays, also comments between tables; a block that describes nothing
// else goes as a whole. As with Apply, the text is refused when anything else would differ.
func Remove(name string, text []byte, id string) ([]byte, error) {
	return guarded(name, text, id, func(text []byte) ([]byte, error) {
		want := Written(name, text)
		i := slices.IndexFunc(want, func(t Table) bool { return t.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("%s does not describe table %s", name, id)
		}
		want = slices.Delete(want, i, i+1)
		out := cutTable(text, id)
		if after := Written(name, out); len(after) != len(want) || len(want) > 0 && !reflect.DeepEqual(withoutPlace(after), withoutPlace(want)) {
			return nil, byHand(name, id)
		}
		return out, nil
	})
}

// guarded changes a text in Unix lines, whatever lines it has.
func guarded(name string, text []byte, id string, change func([]byte) ([]byte, error)) (out []byte, err error) {
	defer func() { // a parser fault on odd input must not end the program
		if p := recover(); p != nil {
			out, err = nil, byHand(name, id)
		}
	}()
	if n := bytes.Count(text, []byte("\r\n")); n > 0 {
		if n != bytes.Count(text, []byte("\n")) {
			return nil, fmt.Errorf("%s mixes line ends of Windows and Unix: save it with one kind of them first", name)
		}
		out, err := change(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
		return bytes.ReplaceAll(out, []byte("\n"), []byte("\r\n")), err
	}
	return change(text)
}

func byHand(name, id string) error {
	return fmt.Errorf("%s is written in a way that cannot be changed from here without touching more than table %s: edit the file by hand", name, id)
}

func apply(name string, text []byte, e Edit) ([]byte, error) {
	before := Written(name, text)
	i := slices.IndexFunc(before, func(t Table) bool { return t.ID == e.ID })
	if i < 0 {
		return nil, fmt.Errorf("%s does not describe table %s", name, e.ID)
	}
	want := cloneTables(before)
	out := bytes.Clone(text)
	for _, k := range e.Keys {
		if err := setField(&want[i], k); err != nil {
			return nil, err
		}
		if !reflect.DeepEqual(fieldOf(before[i], k.Key), fieldOf(want[i], k.Key)) {
			out = editTable(out, e.ID, func(m mapping) []byte { return m.set(k.Key, k.text(), editable) })
		}
	}
	for _, c := range e.Columns {
		j := slices.IndexFunc(want[i].Columns, func(o Column) bool { return o.Name == c.Name })
		if j < 0 {
			if c.Type == "" && c.Description == "" && !c.Sensitive {
				continue
			}
			want[i].Columns = append(want[i].Columns, Column{Name: c.Name})
			j = len(want[i].Columns) - 1
			out = editTable(out, e.ID, func(m mapping) []byte { return m.addColumn(c) })
		} else if o := want[i].Columns[j]; o.Plain {
			if c.Type != "" || c.Description != "" || c.Sensitive {
				return nil, fmt.Errorf("table %s: its columns are a list of names, which chooses columns: write them as maps in %s to declare types", e.ID, name)
			}
			continue
		} else {
			for _, k := range []struct{ key, old, new string }{{"type", o.Type, c.Type}, {"description", o.Description, c.Description}, {"sensitive", yes(o.Sensitive), yes(c.Sensitive)}} {
				if k.old != k.new {
					out = editTable(out, e.ID, func(m mapping) []byte {
						return m.column(c.Name, func(m mapping) []byte {
							return m.set(k.key, encodeScalar(k.key, k.new), []string{"name", "type", "format", "description", "sensitive"})
						})
					})
				}
			}
		}
		o := &want[i].Columns[j]
		o.Type, o.Description, o.Sensitive = c.Type, c.Description, c.Sensitive
	}
	after := Written(name, out)
	if _, err := Parse(name, out); err != nil && len(after) != len(want) {
		return nil, err
	}
	if !reflect.DeepEqual(withoutPlace(after), withoutPlace(want)) {
		return nil, byHand(name, e.ID)
	}
	return out, nil
}

func yes(v bool) string {
	if v {
		return "true"
	}
	return ""
}

func cloneTables(in []Table) []Table {
	out := slices.Clone(in)
	for i := range out {
		out[i].Columns = slices.Clone(out[i].Columns)
	}
	return out
}

// withoutPlace makes lists that differ only in where things stand equal.
func withoutPlace(in []Table) []Table {
	out := slices.Clone(in)
	for i := range out {
		out[i].Line, out[i].Col = 0, 0
		if len(out[i].Columns) == 0 {
			out[i].Columns = nil
		}
	}
	return out
}

// field finds the field of a key.
func field(t *Table, key string) reflect.Value {
	v := reflect.ValueOf(t).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func fieldOf(t Table, key string) any { return field(&t, key).Interface() }

func setField(t *Table, k KeyEdit) error {
	f := field(t, k.Key)
	if !slices.Contains(editable, k.Key) || k.Key == "id" || !f.IsValid() {
		return fmt.Errorf("key %s cannot be changed from here", k.Key)
	}
	value := strings.Join(k.Values, ", ")
	switch k.Key {
	case "foreign_keys":
		f.Set(reflect.ValueOf(append([]Foreign(nil), k.Foreign...)))
		return nil
	case "where_filters":
		f.Set(reflect.ValueOf(append([]Filter(nil), k.Filters...)))
		return nil
	}
	switch f.Kind() {
	case reflect.Slice:
		f.Set(reflect.ValueOf(Words(slices.Clone(k.Values))))
	case reflect.Int:
		n := 0
		if value != "" {
			var err error
			if n, err = strconv.Atoi(value); err != nil {
				return fmt.Errorf("%s: %q is not a whole number", k.Key, value)
			}
		}
		f.SetInt(int64(n))
	default:
		f.SetString(value)
	}
	return nil
}

// editTable finds the block and the entry of a table, and puts in place what fn makes of the block.
func editTable(text []byte, id string, fn func(mapping) []byte) []byte {
	mark := 0
	if bytes.HasPrefix(text, []byte("\uFEFF")) {
		mark = len("\uFEFF")
	}
	blocks, _ := fencedIn(text[mark:])
	for _, b := range blocks {
		from, to := mark+b.from, mark+b.to
		block := text[from:to]
		entry := findTable(block, id)
		if entry == nil {
			continue
		}
		if changed := fn(mapping{block, entry}); changed != nil {
			return slices.Concat(text[:from], changed, text[to:])
		}
		return text
	}
	return text
}

// plain are texts that YAML reads as themselves without quotes.
func plain(s string) bool {
	switch strings.ToLower(s) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "y", "n", "~":
		return false
	}
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && r != '_' && (i == 0 || !(r >= '0' && r <= '9') && r != '.') {
			return false
		}
	}
	return true
}

func encodeScalar(key, s string) string {
	switch {
	case s == "":
		return ""
	case key == "sensitive" || key == "incremental_window_days" || plain(s):
		return s
	}
	return strconv.Quote(s)
}

func encodeAll(values []string) string {
	switch len(values) {
	case 0:
		return ""
	case 1:
		if _, err := strconv.Atoi(values[0]); err == nil {
			return values[0]
		}
		return encodeScalar("", values[0])
	}
	var out []string
	for _, v := range values {
		out = append(out, encodeScalar("", v))
	}
	return "[" + strings.Join(out, ", ") + "]"
}
