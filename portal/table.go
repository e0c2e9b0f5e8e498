package portal

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"aida/store"
)

type tableView struct {
	homeTable
	Private  bool
	Files    []store.File
	Columns  []columnView
	Profile  *store.Profile // nil = there is none yet
	Sample   sampleView
	Relates  []relationView
	Map      *relationMap   // of Relates; nil = there are none
	Metrics  []store.Metric // that read it
	History  []store.TableGeneration
	Runs     []store.RunTable // newest first
	SSH      SSH
	Me       string
	DuckDB   string
	Download string
	Watched  bool // the person is told of new versions
}

type columnView struct {
	Name, Type, Description string
	Key, Sensitive          bool
	Profile                 *store.ColumnProfile
	Top                     string // the most frequent value
	Bars                    []bar
}

// bar is one bin of a histogram, or one frequent value, with its share of the largest.
type bar struct {
	Label string
	Count int64
	Share float64 // 0 to 100
}

type sampleView struct {
	Columns []sampleColumn
	Rows    [][]cell
}

type sampleColumn struct {
	Name   string
	Number bool
}

type cell struct {
	Text         string
	Null, Number bool
}

type relationView struct {
	store.RelatedTable
	Path string // of the other table
}

func (p *Portal) table(w http.ResponseWriter, r *http.Request) error {
	t, a, err := p.readable(r)
	if err != nil {
		return err
	}
	v, err := p.tableViewOf(r, t, a)
	if err != nil {
		return err
	}
	pg := page{Title: t.FullName(), Lede: t.Definition.Description, Crumbs: []crumb{{"Catalog", "/catalog"}}, Data: v}
	if p.o.Tables != nil && visitorFrom(r).User.Role == store.Admin {
		pg.Action = &action{Name: "Edit this table", Path: adminTablePath(t)}
	}
	return p.render(w, r, http.StatusOK, "table", pg)
}

type schemaChange struct {
	Text  string
	RunID int64
	At    time.Time
}

// SchemaChanges are what the runs that are kept did to the columns, newest first.
func (v *tableView) SchemaChanges() []schemaChange {
	var out []schemaChange
	for _, run := range v.Runs {
		for _, change := range run.Schema {
			out = append(out, schemaChange{change.String(), run.RunID, run.StartedAt})
		}
	}
	return out
}

// watchTable switches being told of new versions of a table on or off.
func (p *Portal) watchTable(w http.ResponseWriter, r *http.Request) error {
	t, _, err := p.readable(r)
	if err != nil {
		return err
	}
	on := r.PostFormValue("on") == "true"
	if err := p.store.WatchTable(r.Context(), visitorFrom(r).User.ID, t.ID, on); err != nil {
		return err
	}
	if on {
		return p.done(w, r, tablePath(t), "You are told of new versions of %s, once an hour at most.", t.FullName())
	}
	return p.done(w, r, tablePath(t), "You are no longer told of new versions of %s.", t.FullName())
}

// apiWatch is the same for programs.
func (p *Portal) apiWatch(on bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		t, _, err := p.readable(r)
		if err != nil {
			return err
		}
		if err := p.store.WatchTable(r.Context(), visitorFrom(r).User.ID, t.ID, on); err != nil {
			return err
		}
		return p.JSON(w, http.StatusOK, watchAnswer{t.FullName(), on})
	}
}

// metricsReading are the metrics, of those that an access shows, which read a table.
func (p *Portal) metricsReading(ctx context.Context, a *store.Access, t store.Table) (out []store.Metric, err error) {
	list, err := p.store.Metrics(ctx, a)
	for _, m := range list {
		if slices.ContainsFunc(m.Reads, func(x store.Table) bool { return x.ID == t.ID }) {
			out = append(out, m)
		}
	}
	return out, err
}

const (
	historyShown = 20
	runsShown    = 30
)

func (p *Portal) tableViewOf(r *http.Request, t store.Table, a *store.Access) (*tableView, error) {
	ctx := r.Context()
	v := &tableView{homeTable: homeTable{Table: t, State: "good", Why: "good"}, Me: visitorFrom(r).User.Name, SSH: p.o.SSH()}
	for _, d := range a.Datasets {
		v.Private = v.Private || d.Name == t.Dataset && d.Access != store.OpenAccess
	}
	var err error
	if v.Watched, err = p.store.WatchesTable(ctx, visitorFrom(r).User.ID, t.ID); err != nil {
		return nil, err
	}
	if v.Files, err = p.store.TableFiles(ctx, t.ID); err != nil {
		return nil, err
	}
	for _, f := range v.Files {
		v.Rows, v.Bytes = v.Rows+f.Rows, v.Bytes+f.Size
	}
	if v.Profile, err = p.store.Profile(ctx, a, t.ID); err != nil && store.CodeOf(err) != store.NotFound {
		return nil, err
	}
	if v.History, err = p.store.TableHistory(ctx, t.ID, historyShown); err != nil {
		return nil, err
	}
	if v.Runs, err = p.store.TableRuns(ctx, t.ID, runsShown); err != nil {
		return nil, err
	}
	switch {
	case t.Definition.QueryMode == "remote":
		v.Why = "stays at its source"
	case t.SyncedAt.IsZero():
		v.State, v.Why = "unknown", "no data yet"
	case len(v.Runs) > 0 && v.Runs[0].Outcome == store.Failed:
		v.State, v.Why = "late", "last sync failed"
	case !t.PausedAt.IsZero():
		v.State, v.Why = "unknown", "paused"
	}
	v.Columns = columnsOf(t, v.Files, v.Profile)
	v.Sample = sampleOf(v.Profile, v.Columns)
	v.Relates = relationsOf(v.Profile, a)
	v.Map = mapOf(t.Name, v.Relates)
	if v.Metrics, err = p.metricsReading(ctx, a, t); err != nil {
		return nil, err
	}
	from := "server/parquet/" + t.Folder + "/" + t.Name + ".parquet"
	if len(v.Files) > 0 && v.Files[0].Logical != t.Folder+"/"+t.Name+".parquet" {
		from = "server/parquet/" + t.Folder + "/" + t.Name + "/*.parquet"
	}
	v.DuckDB = "SELECT * FROM read_parquet('" + strings.ReplaceAll(from, "'", "''") + "') LIMIT 100;"
	if len(v.Files) > 0 {
		v.Download = v.Files[0].Logical
	}
	return v, nil
}

// columnsOf joins what is known of each column: its type from the newest files, its description, its profile.
func columnsOf(t store.Table, files []store.File, profile *store.Profile) (out []columnView) {
	if len(files) == 0 {
		return nil
	}
	docs := map[string]store.ColumnDoc{}
	for _, d := range t.Definition.Columns {
		docs[d.Name] = d
	}
	for _, c := range files[0].Schema {
		v := columnView{Name: c.Name, Type: c.Type, Description: docs[c.Name].Description, Sensitive: docs[c.Name].Sensitive, Key: slices.Contains(t.Definition.PrimaryKey, c.Name)}
		if profile != nil {
			for i := range profile.Columns {
				if profile.Columns[i].Name == c.Name {
					v.Profile = &profile.Columns[i]
					v.Top, v.Bars = barsOf(v.Profile)
				}
			}
		}
		out = append(out, v)
	}
	return out
}

// barsOf gives the distribution of a column in bars, and its most frequent value.
func barsOf(c *store.ColumnProfile) (top string, out []bar) {
	add := func(label string, n int64) { out = append(out, bar{Label: label, Count: n}) }
	histogram := func(h *store.Histogram) {
		if h != nil {
			for i := range h.Bins {
				add(h.Bins[i], h.Counts[i])
			}
		}
	}
	switch {
	case c.Numbers != nil:
		histogram(c.Numbers.Histogram)
	case c.Dates != nil:
		histogram(c.Dates.Histogram)
	case c.Booleans != nil:
		add("true", c.Booleans.True)
		add("false", c.Booleans.False)
	case c.Texts != nil && len(c.Texts.TopValues) > 0 && c.Texts.TopValues[0].Count > 1: // among values that are all different none stands out
		for _, t := range c.Texts.TopValues {
			add(t.Value, t.Count)
		}
		top = c.Texts.TopValues[0].Value
	}
	largest := int64(1)
	for _, b := range out {
		largest = max(largest, b.Count)
	}
	for i := range out {
		out[i].Share = 100 * float64(out[i].Count) / float64(largest)
	}
	return top, out
}

const cellShown = 50

func sampleOf(profile *store.Profile, columns []columnView) (v sampleView) {
	if profile == nil {
		return v
	}
	for _, c := range columns {
		v.Columns = append(v.Columns, sampleColumn{c.Name, c.Profile != nil && c.Profile.Numbers != nil})
	}
	for _, row := range profile.SampleRows {
		var cells []cell
		for _, c := range v.Columns {
			text, ok := row[c.Name].(string)
			if runes := []rune(text); len(runes) > cellShown {
				text = string(runes[:cellShown]) + "…"
			}
			cells = append(cells, cell{text, !ok, c.Number})
		}
		v.Rows = append(v.Rows, cells)
	}
	return v
}

// relationsOf leads to the other tables of a table's joins, as far as the person reads them.
func relationsOf(profile *store.Profile, a *store.Access) (out []relationView) {
	if profile == nil {
		return nil
	}
	for _, rel := range profile.RelatedTables {
		for _, t := range a.Tables {
			if t.SourceID == rel.SourceID {
				out = append(out, relationView{rel, tablePath(t)})
				break
			}
		}
	}
	return out
}
