package app

import (
	"context"
	"encoding/csv"
	"fmt"
	"strings"
	"time"

	"aida/store"
	"aida/syncer/query"

	"github.com/spf13/cobra"
)

func queryCommand(c *cli) *cobra.Command {
	var as string
	var rows int
	var asCSV bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "query SQL", Short: "Read-only SQL over the newest generation", Args: cobra.ExactArgs(1),
		Long: "Runs one SELECT in SQLite's dialect over the tables of the newest generation. A table goes by its name, or by folder.name\n" +
			"where names repeat. Dates and times are text as ISO 8601 writes it. --as shows what one person would see.",
		Example: "  aida query \"SELECT status, count(*) FROM orders GROUP BY 1\"\n  aida query --as eva --csv \"SELECT * FROM sales.orders LIMIT 10\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withProgram(cmd.Context(), level(c), func(p *program) error {
				res, err := p.query(cmd.Context(), as, args[0], rows, timeout)
				if err != nil {
					return err
				}
				return c.printResult(res, asCSV)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&as, "as", "", "with the eyes of this person")
	f.IntVar(&rows, "rows", 1000, "most rows of the result")
	f.BoolVar(&asCSV, "csv", false, "print CSV")
	f.DurationVar(&timeout, "timeout", time.Minute, "longest time that the query may take")
	return cmd
}

// query runs SQL on the newest generation, which is held meanwhile.
func (p *program) query(ctx context.Context, as, sql string, rows int, timeout time.Duration) (*query.Result, error) {
	engine, err := query.New(query.Options{Open: func(f store.File) (query.File, error) { return p.lake.Open(f) }, Timeout: timeout, MaxRows: rows})
	if err != nil {
		return nil, err
	}
	access, err := p.accessOf(ctx, as)
	if err != nil {
		return nil, err
	}
	pin, err := p.store.Pin(ctx)
	if err != nil {
		return nil, err
	}
	defer pin.Release()
	return engine.Query(ctx, query.Request{Snapshot: pin.Snapshot, Access: access, SQL: sql})
}

func (p *program) accessOf(ctx context.Context, name string) (*store.Access, error) {
	if name == "" {
		return p.store.FullAccess(ctx)
	}
	u, err := p.store.UserByName(ctx, name)
	if err != nil {
		return nil, err
	}
	return p.store.Access(ctx, u.ID)
}

func (c *cli) printResult(res *query.Result, asCSV bool) error {
	if c.json {
		return c.printJSON(res)
	}
	if asCSV {
		w := csv.NewWriter(c.out)
		if err := w.Write(res.Columns); err != nil {
			return err
		}
		for _, row := range res.Rows {
			line := make([]string, len(row))
			for i, v := range row {
				if v != nil {
					line[i] = fmt.Sprint(v)
				}
			}
			if err := w.Write(line); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	header := make([]string, len(res.Columns))
	for i, name := range res.Columns {
		header[i] = oneLine(name)
	}
	rows := make([][]string, len(res.Rows))
	for i, row := range res.Rows {
		for _, v := range row {
			text := "NULL"
			if v != nil {
				text = oneLine(fmt.Sprint(v))
			}
			rows[i] = append(rows[i], text)
		}
	}
	columnsOut(c.out, strings.Join(header, " | "), rows)
	if res.Truncated {
		fmt.Fprintf(c.err, "aida: only the first %d rows are shown: --rows shows more\n", len(res.Rows))
	}
	return nil
}

// oneLine keeps a value from breaking the table, and from writing to the terminal what is no text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
