package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"aida/store"
	"aida/syncer"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

func syncCommand(c *cli) *cobra.Command {
	var full, dry, bare bool
	var since, until string
	cmd := &cobra.Command{
		Use: "sync [TABLE...]", Short: "Bring tables up to date now",
		Long:    "Reads the sources of all tables, or of those named (id, folder.name, or a name that is unique), and publishes what\nchanged as one generation. A table that fails leaves the others as they are; the exit code is then 3, or 1 when all failed.",
		Example: "  aida sync\n  aida sync sales.orders --full\n  aida sync --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withProgram(cmd.Context(), level(c), func(p *program) error {
				r := syncer.Request{Tables: args, Full: full, DryRun: dry, NoProfile: bare, Trigger: actor()}
				var err error
				if r.Since, err = moment("--since", since); err != nil {
					return err
				}
				if r.Until, err = moment("--until", until); err != nil {
					return err
				}
				if !r.Since.IsZero() && !r.Until.IsZero() && !r.Since.Before(r.Until) {
					return usage("--since must lie before --until")
				}
				return c.sync(cmd.Context(), p, r)
			})
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "fetch all rows, also of what looks unchanged")
	cmd.Flags().StringVar(&since, "since", "", "fetch again what changed at or after this time (YYYY-MM-DD or RFC 3339, UTC); later syncs go on from where they were")
	cmd.Flags().StringVar(&until, "until", "", "with --since: and before this time")
	cmd.Flags().BoolVar(&bare, "no-profile", false, "do not look at the values of what was published; the next sync without this flag does")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "tell what would be read, publish nothing")
	return cmd
}

// moment reads a time of the command line.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usage("%s %q is not a time: write it as 2026-03-01 or 2026-03-01T06:00:00Z", flag, text)
}

func (c *cli) sync(ctx context.Context, p *program, r syncer.Request) error {
	switch {
	case c.json || c.quiet:
	case terminal(c.out):
		bars := newBars(ctx, c.out)
		defer bars.wait()
		r.Progress = bars
	default:
		r.Progress = &lines{w: c.out}
	}
	report, err := p.sync.Sync(ctx, r)
	if b, ok := r.Progress.(*bars); ok {
		b.wait()
	}
	if err != nil {
		return err
	}
	if c.json {
		if err := c.printJSON(report); err != nil {
			return err
		}
	} else {
		c.summary(report)
	}
	skipped := slices.ContainsFunc(report.Tables, func(t store.RunTable) bool { return t.Outcome == store.Skipped })
	switch report.Outcome {
	case store.Done:
		if skipped {
			return &exitError{exitPartial, fmt.Errorf("some tables were left out, as another sync is at them: run the sync again")}
		}
	case store.Failed:
		return &exitError{exitFailed, fmt.Errorf("no table could be synced, the reasons are above")}
	case store.Partial:
		return &exitError{exitPartial, fmt.Errorf("some tables could not be synced, the reasons are above")}
	}
	return nil
}

func (c *cli) summary(r *syncer.Report) {
	count := map[store.Outcome]int{}
	for _, t := range r.Tables {
		count[t.Outcome]++
	}
	what := "nothing new to publish"
	if r.Published {
		what = fmt.Sprintf("published generation %d", r.Generation)
	}
	left := ""
	if n := count[store.Skipped]; n > 0 {
		left = fmt.Sprintf(", %d left out as another sync is at them", n)
	}
	if n := count[store.Remote]; n > 0 {
		left += fmt.Sprintf(", %d stay at their source", n)
	}
	if n := len(r.Paused); n > 0 {
		left += fmt.Sprintf(", %d paused", n)
	}
	c.say("%d changed, %d unchanged, %d failed%s: %s.", count[store.Changed], count[store.Unchanged], count[store.Failed], left, what)
}

// line says how a table fared.
func line(t store.RunTable) string {
	s := fmt.Sprintf("%s: %s, %d rows, %s, %s", t.Table, t.Outcome, t.Rows, sizeOf(t.Bytes), t.Duration.Round(time.Millisecond))
	if t.Outcome == store.Failed {
		s = fmt.Sprintf("%s: failed: %s", t.Table, t.Reason)
	} else if t.Reason != "" {
		s += " (" + t.Reason + ")"
	}
	for _, ch := range t.Schema {
		s += "\n  schema: " + ch.String()
	}
	for _, w := range t.Warnings {
		s += "\n  warning: " + w
	}
	return s
}

// lines is the progress for logs and pipes.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) Start(string, int64)          {}
func (l *lines) Advance(string, int64, int64) {}
func (l *lines) Done(t store.RunTable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.w, line(t))
}

// bars is the progress for a terminal: a bar per table while it is read, then its line.
type bars struct {
	p    *mpb.Progress
	once sync.Once
	mu   sync.Mutex
	by   map[string]*mpb.Bar
}

func newBars(ctx context.Context, w io.Writer) *bars {
	return &bars{p: mpb.NewWithContext(ctx, mpb.WithOutput(w), mpb.WithWidth(40)), by: map[string]*mpb.Bar{}}
}

func (b *bars) Start(table string, size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by[table] = b.p.AddBar(max(size, 0), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(table, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)))
}

func (b *bars) Advance(table string, bytes, _ int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bar := b.by[table]; bar != nil {
		bar.SetCurrent(bytes)
	}
}

func (b *bars) Done(t store.RunTable) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bar := b.by[t.Table]; bar != nil {
		bar.Abort(true)
	}
	fmt.Fprintln(b.p, line(t))
}

func (b *bars) wait() { b.once.Do(b.p.Wait) }
