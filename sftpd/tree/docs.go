package tree

import (
	"encoding/json"
	"fmt"
	"math"
	"path"
	"strings"
	"time"

	"aida/store"

	"github.com/goccy/go-yaml"
)

// view renders the documents that one user gets. Only tables of the user's access come into them.
type view struct {
	access   *store.Access
	snapshot *store.Snapshot
	files    []*store.File
}

// described is a table with its files.
type described struct {
	store.Table
	files []*store.File
	rows  int64
	size  int64
}

func (v *view) tables() []described {
	byTable := map[int64][]*store.File{}
	for _, f := range v.files {
		byTable[f.TableID] = append(byTable[f.TableID], f)
	}
	var out []described
	for _, t := range v.access.Tables {
		d := described{Table: t, files: byTable[t.ID]}
		for _, f := range d.files {
			d.rows, d.size = d.rows+f.Rows, d.size+f.Size
		}
		out = append(out, d)
	}
	return out
}

// foreignKeys leaves out keys of tables that the user does not see.
func (v *view) foreignKeys(t store.Table) (out []store.ForeignKey) {
	for _, k := range t.Definition.ForeignKeys {
		name, _, _ := strings.Cut(k.References, ".")
		for _, other := range v.access.Tables {
			if other.Name == name {
				out = append(out, k)
				break
			}
		}
	}
	return out
}

func render(v any) string {
	text, err := yaml.MarshalWithOptions(v, yaml.IndentSequence(true))
	if err != nil {
		return fmt.Sprintf("# could not be written: %v\n", err)
	}
	return string(text)
}

// schema is schema.yml: for each table its place, size, columns with types, and keys.
func (v *view) schema() string {
	tables := yaml.MapSlice{}
	for _, t := range v.tables() {
		if len(t.files) == 0 {
			continue
		}
		docs := map[string]store.ColumnDoc{}
		for _, c := range t.Definition.Columns {
			docs[c.Name] = c
		}
		var columns []yaml.MapSlice
		for _, c := range t.files[0].Schema {
			col := yaml.MapSlice{{Key: "name", Value: c.Name}, {Key: "type", Value: c.Type}}
			if d := docs[c.Name]; d.Description != "" {
				col = append(col, yaml.MapItem{Key: "description", Value: d.Description})
			}
			columns = append(columns, col)
		}
		item := yaml.MapSlice{
			{Key: "table_id", Value: t.SourceID}, {Key: "description", Value: t.Definition.Description}, {Key: "path", Value: "server/parquet/" + v.where(t)}, {Key: "rows", Value: t.rows},
			{Key: "size_bytes", Value: t.size}, {Key: "primary_key", Value: t.Definition.PrimaryKey}, {Key: "sync_strategy", Value: t.Definition.SyncStrategy}, {Key: "columns", Value: columns},
		}
		if t.Definition.PartitionBy != "" && t.Definition.SyncStrategy != "full_refresh" {
			item = append(item, yaml.MapItem{Key: "partitioned_by", Value: t.Definition.PartitionBy})
		}
		if keys := v.foreignKeys(t.Table); len(keys) > 0 {
			item = append(item, yaml.MapItem{Key: "foreign_keys", Value: keysOf(keys)})
		}
		tables = append(tables, yaml.MapItem{Key: v.viewName(t.Table), Value: item})
	}
	meta := yaml.MapSlice{{Key: "_schema_version", Value: 2}, {Key: "generated_at", Value: v.snapshot.CreatedAt.UTC().Format(time.RFC3339)}, {Key: "generator", Value: "aida"}}
	return "# Tables that you can read, with their columns. Made anew with each generation.\n" +
		render(yaml.MapSlice{{Key: "_metadata", Value: meta}, {Key: "tables", Value: tables}})
}

func keysOf(keys []store.ForeignKey) (out []yaml.MapSlice) {
	for _, k := range keys {
		m := yaml.MapSlice{{Key: "column", Value: k.Column}, {Key: "references", Value: k.References}}
		if k.Description != "" {
			m = append(m, yaml.MapItem{Key: "description", Value: k.Description})
		}
		out = append(out, m)
	}
	return out
}

// description is data_description.md, written anew from what the user may know.
func (v *view) description() string {
	var tables []yaml.MapSlice
	for _, t := range v.access.Tables {
		item := yaml.MapSlice{
			{Key: "id", Value: t.SourceID}, {Key: "name", Value: t.Name}, {Key: "description", Value: t.Definition.Description},
			{Key: "primary_key", Value: strings.Join(t.Definition.PrimaryKey, ", ")}, {Key: "sync_strategy", Value: t.Definition.SyncStrategy},
		}
		if t.Definition.PartitionBy != "" {
			item = append(item, yaml.MapItem{Key: "partition_by", Value: t.Definition.PartitionBy},
				yaml.MapItem{Key: "partition_granularity", Value: t.Definition.PartitionGranularity})
		}
		item = append(item, yaml.MapItem{Key: "folder", Value: t.Folder})
		if t.Definition.QueryMode != "" && t.Definition.QueryMode != "local" {
			item = append(item, yaml.MapItem{Key: "query_mode", Value: t.Definition.QueryMode})
		}
		if t.Dataset != t.Folder {
			item = append(item, yaml.MapItem{Key: "dataset", Value: t.Dataset})
		}
		if keys := v.foreignKeys(t); len(keys) > 0 {
			item = append(item, yaml.MapItem{Key: "foreign_keys", Value: keysOf(keys)})
		}
		tables = append(tables, item)
	}
	return "# Tables\n\nThe tables that you can read. Columns and types are in schema.yml.\n\n```yaml\n" +
		render(yaml.MapSlice{{Key: "tables", Value: tables}}) + "```\n" + v.howToQuery()
}

// howToQuery is about the tables that are queried where they are.
func (v *view) howToQuery() string {
	var b strings.Builder
	for _, t := range v.access.Tables {
		if t.Definition.HowToQuery != "" {
			b.WriteString("\n## " + t.FullName() + " at its source\n\n" + t.Definition.HowToQuery)
		}
	}
	return b.String()
}

// where is a table's place below parquet/: its file, or its folder of partitions.
func (v *view) where(t described) string {
	if single := t.Folder + "/" + t.Name + ".parquet"; len(t.files) == 1 && t.files[0].Logical == single {
		return single
	}
	return t.Folder + "/" + t.Name + "/"
}

// viewName is a table's name, with its folder in front where two tables of the user share a name.
func (v *view) viewName(t store.Table) string {
	for _, other := range v.access.Tables {
		if other.ID != t.ID && strings.EqualFold(other.Name, t.Name) {
			return t.Folder + "_" + t.Name
		}
	}
	return t.Name
}

// views is views.sql: a DuckDB view for each table, to be run in the folder above server/.
func (v *view) views() string {
	var b strings.Builder
	b.WriteString("-- DuckDB views over your tables. Run from the folder that holds server/: duckdb user/duckdb/analytics.duckdb < server/metadata/views.sql\n")
	for _, t := range v.tables() {
		if len(t.files) == 0 {
			continue
		}
		place := "server/parquet/" + v.where(t)
		from := literal(place)
		if strings.HasSuffix(place, "/") {
			from = literal(place+"*.parquet") + ", union_by_name = true"
		}
		fmt.Fprintf(&b, "CREATE OR REPLACE VIEW \"%s\" AS SELECT * FROM read_parquet(%s);\n", strings.ReplaceAll(v.viewName(t.Table), `"`, `""`), from)
	}
	return b.String()
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

type manifestTable struct {
	Name     string         `json:"name"`
	Folder   string         `json:"folder"`
	Dataset  string         `json:"dataset"`
	Rows     int64          `json:"rows"`
	Size     int64          `json:"size"`
	DataTime time.Time      `json:"data_time,omitzero"`
	SyncedAt time.Time      `json:"synced_at,omitzero"`
	Files    []manifestFile `json:"files"`
}

type manifestFile struct {
	Path    string    `json:"path"`
	Size    int64     `json:"size"`
	Rows    int64     `json:"rows"`
	SHA256  string    `json:"sha256"`
	ModTime time.Time `json:"mtime"`
}

// manifest is manifest.json: the generation, and of each file its size, rows and hash. Each table is one line, as with
// 100,000 files the text is long.
func (v *view) manifest() string {
	var b strings.Builder
	head, err := json.Marshal(struct {
		Generation int64     `json:"generation"`
		CreatedAt  time.Time `json:"created_at,omitzero"`
	}{v.snapshot.Generation, v.snapshot.CreatedAt})
	if err != nil {
		return "{}\n"
	}
	b.WriteString(strings.TrimSuffix(string(head), "}") + ",\"tables\":[")
	for i, t := range v.tables() {
		mt := manifestTable{Name: t.Name, Folder: t.Folder, Dataset: t.Dataset, Rows: t.rows, Size: t.size, DataTime: t.DataTime, SyncedAt: t.SyncedAt, Files: make([]manifestFile, 0, len(t.files))}
		for _, f := range t.files {
			mt.Files = append(mt.Files, manifestFile{path.Join("server/parquet", f.Logical), f.Size, f.Rows, f.Hash, f.ModTime})
		}
		line, err := json.Marshal(mt)
		if err != nil {
			return "{}\n"
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(line)
	}
	b.WriteString("\n]}\n")
	return b.String()
}

// syncState is sync_state.json, which the scripts of the reference read.
func (v *view) syncState() string {
	type state struct {
		Name       string    `json:"table_name"`
		LastSync   time.Time `json:"last_sync,omitzero"`
		Rows       int64     `json:"rows"`
		FileSizeMB float64   `json:"file_size_mb"`
		Strategy   string    `json:"strategy"`
		Columns    int       `json:"columns"`
	}
	m := struct {
		LastUpdated time.Time        `json:"last_updated,omitzero"`
		Tables      map[string]state `json:"tables"`
	}{v.snapshot.CreatedAt, map[string]state{}}
	for _, t := range v.tables() {
		s := state{Name: t.Name, LastSync: t.SyncedAt, Rows: t.rows, FileSizeMB: math.Round(float64(t.size)/(1<<20)*100) / 100, Strategy: t.Definition.SyncStrategy}
		if len(t.files) > 0 {
			s.Columns = len(t.files[0].Schema)
		}
		m.Tables[t.SourceID] = s
	}
	return indent(m)
}

func indent(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "{}\n"
	}
	return string(text) + "\n"
}
