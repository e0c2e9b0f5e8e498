package syncer_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aida/store"
	"aida/syncer"
	"aida/syncer/datadoc"
	"aida/syncer/lake"
	"aida/syncer/source"
)

// planned is a house with a fake clock: time goes on when all of it sleeps. The source notes when each table was asked for.
type planned struct {
	*house
	mu    sync.Mutex
	asked map[string][]time.Time
	do    func(ctx context.Context, table string) error
	now   int // tables being fetched
	most  int
}

func (p *planned) Name() string { return "odd" }

func (p *planned) Fetch(ctx context.Context, r source.Request) (*source.Result, error) {
	p.mu.Lock()
	p.asked[r.Table.Name] = append(p.asked[r.Table.Name], time.Now())
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	defer func() { p.mu.Lock(); p.now--; p.mu.Unlock() }()
	if p.do != nil {
		if err := p.do(ctx, r.Table.Name); err != nil {
			return nil, err
		}
	}
	return &source.Result{Fingerprint: "same", DataTime: time.Now()}, nil
}

func (p *planned) times(table string) (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.asked[table] {
		out = append(out, t.UTC().Format("02 15:04:05"))
	}
	return out
}

// startPlanned opens a house whose tables, "name: schedule", are synced by the scheduler until stop is called.
func startPlanned(t *testing.T, data string, timing syncer.Timing, tables ...string) (p *planned, stop func()) {
	p = &planned{house: &house{t: t, data: data}, asked: map[string][]time.Time{}}
	var err error
	if p.store, err = store.Open(context.Background(), store.Options{Path: filepath.Join(data, "aida.db")}); err != nil {
		t.Fatal(err)
	}
	if p.lake, err = lake.Open(lake.Options{Data: data, Store: p.store, Keep: time.Hour, KeepCount: 3}); err != nil {
		t.Fatal(err)
	}
	text := "```yaml\ntables:\n"
	for _, spec := range tables {
		name, schedule, _ := strings.Cut(spec, ": ")
		text += "  - {id: s." + name + ", name: " + name + ", description: D, folder: sales, primary_key: id, sync_strategy: full_refresh, schedule: '" + schedule + "'}\n"
	}
	doc, err := datadoc.Parse("d.md", []byte(text+"```\n"))
	if err != nil {
		t.Fatal(err)
	}
	p.sync = syncer.New(syncer.Options{Data: data, Store: p.store, Lake: p.lake, Tables: doc.Tables, Parallel: 2, Timing: timing, Default: "odd",
		Sources: map[string]source.Source{"odd": p}})
	if err := p.sync.Register(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := p.sync.Schedule(ctx); err != nil {
			t.Error(err)
		}
	})
	return p, func() {
		cancel()
		wait.Wait()
		p.lake.Close()
		p.store.Close()
	}
}

func TestTablesAreSyncedWhenTheyAreDue(t *testing.T) {
	data := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // the clock begins at 2000-01-01 00:00:00 UTC
		prague, err := time.LoadLocation("Europe/Prague")
		if err != nil {
			t.Fatal(err)
		}
		p, stop := startPlanned(t, data, syncer.Timing{Default: "30 6 * * *", Zone: prague}, "often: every 6h", "daily: ", "never: never")
		time.Sleep(25 * time.Hour)
		if got := p.times("often"); !slices.Equal(got, []string{"01 00:00:00", "01 06:00:00", "01 12:00:00", "01 18:00:00", "02 00:00:00"}) {
			t.Errorf("every 6h ran at %v", got)
		}
		if got := p.times("daily"); !slices.Equal(got, []string{"01 00:00:00", "01 05:30:00"}) {
			t.Errorf("6:30 in Prague ran at %v", got)
		}
		if got := p.times("never"); got != nil {
			t.Errorf("never ran at %v", got)
		}
		stop()
		time.Sleep(72 * time.Hour) // nothing runs; what was missed is made up for once
		p, stop = startPlanned(t, data, syncer.Timing{Default: "30 6 * * *", Zone: prague}, "often: every 6h", "daily: ", "never: never")
		time.Sleep(5 * time.Hour)
		if a, b := p.times("often"), p.times("daily"); !slices.Equal(a, []string{"05 01:00:00"}) || !slices.Equal(b, []string{"05 01:00:00", "05 05:30:00"}) {
			t.Errorf("after the downtime they ran at %v and %v", a, b)
		}
		stop()
	})
}

func TestAFailedTableIsTriedAgainTheSameDay(t *testing.T) {
	data := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p, stop := startPlanned(t, data, syncer.Timing{}, "a: every 24h", "b: every 24h")
		p.do = func(_ context.Context, table string) error {
			if table == "a" && time.Now().Before(time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)) {
				return errors.New("away")
			}
			return nil
		}
		time.Sleep(23 * time.Hour)
		if got := p.times("a"); !slices.Equal(got, []string{"01 00:00:00", "01 00:05:00", "01 00:20:00", "01 01:05:00"}) {
			t.Errorf("the failing table was tried at %v", got)
		}
		if got := p.times("b"); len(got) != 1 {
			t.Errorf("the other one ran at %v", got)
		}
		stop()
	})
}

func TestASlowTableHoldsUpNoOtherAndNeverRunsTwiceAtATime(t *testing.T) {
	data := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p, stop := startPlanned(t, data, syncer.Timing{}, "slow: every 1h", "quick: every 10m", "third: every 10m")
		p.do = func(ctx context.Context, table string) error {
			wait := time.Duration(0)
			if table == "slow" {
				wait = 150 * time.Minute
			}
			select {
			case <-time.After(wait):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		time.Sleep(5*time.Hour + time.Minute)
		if got := p.times("slow"); !slices.Equal(got, []string{"01 00:00:00", "01 02:30:00", "01 05:00:00"}) {
			t.Errorf("the slow table ran at %v", got)
		}
		if got := len(p.times("quick")); got < 29 {
			t.Errorf("the quick table ran %d times in 5 hours", got)
		}
		if p.most > 2 {
			t.Errorf("%d tables were fetched at a time, 2 may", p.most)
		}
		stop() // while the slow table is being fetched
		p, stop = startPlanned(t, data, syncer.Timing{}, "slow: every 1h", "quick: every 10m", "third: every 10m")
		time.Sleep(time.Second)
		if got := p.times("slow"); len(got) != 1 {
			t.Errorf("the table that was cut short ran at %v after the start", got)
		}
		stop()
	})
}

func TestJitterIsTheSameEachTime(t *testing.T) {
	data := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p, stop := startPlanned(t, data, syncer.Timing{Jitter: 10 * time.Minute}, "a: 0 * * * *", "b: 0 * * * *")
		time.Sleep(4 * time.Hour)
		a := p.times("a")
		if !slices.Equal(a, p.times("b")) || len(a) < 4 || a[1][5:] != a[2][5:] || a[1][5:] == ":00:00" {
			t.Errorf("ran at %v and %v", a, p.times("b"))
		}
		stop()
	})
}

func TestSchedulesThatMakeNoSenseAreToldAtTheStart(t *testing.T) {
	for spec, words := range map[string]string{"every day": "every 6h", "* * *": "cron line", "every 5ms": "one second at least", "61 * * * *": "cron line"} {
		if _, err := syncer.ParseSchedule(spec, nil); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q gave %v", spec, err)
		}
		s := syncer.New(syncer.Options{Tables: []datadoc.Table{{ID: "s.a", Name: "a", Folder: "f", Schedule: spec, File: "d.md", Line: 7}}})
		if err := s.CheckSchedule(); err == nil || !strings.Contains(err.Error(), "d.md:7: table f.a: schedule: ") {
			t.Errorf("%q gave %v", spec, err)
		}
	}
}

func TestAPausedTableIsNotDueUntilItIsResumed(t *testing.T) {
	data := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p, stop := startPlanned(t, data, syncer.Timing{}, "a: every 6h", "b: every 6h")
		time.Sleep(time.Hour)
		pause := func(on bool) {
			if err := p.store.PauseTable(context.Background(), "test", "a", on); err != nil {
				t.Fatal(err)
			}
		}
		pause(true)
		time.Sleep(12 * time.Hour)
		if got := p.times("a"); len(got) != 1 {
			t.Errorf("the paused table ran at %v", got)
		}
		if got := p.times("b"); len(got) != 3 {
			t.Errorf("the other one ran at %v", got)
		}
		report, err := p.sync.Sync(context.Background(), syncer.Request{})
		if err != nil || !slices.Equal(report.Paused, []string{"sales.a"}) || len(report.Tables) != 1 {
			t.Errorf("a run over all tables: %+v %v", report, err)
		}
		if report, err := p.sync.Sync(context.Background(), syncer.Request{Tables: []string{"a"}}); err != nil || len(report.Tables) != 1 {
			t.Errorf("a run that names it: %+v %v", report, err)
		}
		pause(false)
		time.Sleep(7 * time.Hour)
		if got := p.times("a"); len(got) != 4 { // by name, at once as it was due meanwhile, and six hours later
			t.Errorf("the resumed table ran at %v", got)
		}
		stop()
	})
}
