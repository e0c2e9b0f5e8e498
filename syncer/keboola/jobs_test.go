package keboola_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"aida/syncer/columnar"
	"aida/syncer/columnar/columnartest"
	"aida/syncer/keboola"
	"aida/syncer/keboola/keboolatest"
	"aida/syncer/source"
)

// noted is where jobs are noted.
type noted map[string]string

func (n noted) Begun(_ context.Context, key string) (string, error) { return n[key], nil }
func (n noted) Note(_ context.Context, key, job string) error {
	if delete(n, key); job != "" {
		n[key] = job
	}
	return nil
}

// cutShort reads a table until its export job is waited for.
func cutShort(t *testing.T, stack *keboolatest.Server, src *keboola.Source, r source.Request) {
	t.Helper()
	r.Table, r.Scratch = described(orders), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res, err := src.Fetch(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Data.Close()
	polled := len(stack.Calls("job"))
	go func() {
		for len(stack.Calls("job")) == polled && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := res.Data.WriteParquet(ctx, &columnartest.Memory{}, columnar.Options{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not cut short: %v", err)
	}
	stack.FinishJobs(2)
}

// unfinished is more looks at a job than a run takes before it is cut short.
const unfinished = 1 << 20

func TestAnExportThatARunLeftUnderWayIsTakenUp(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{Polls: unfinished})
	stack.Put(plain(), numbered(3, "x"))
	src, jobs := open(t, stack, keboola.Options{}), noted{}
	cutShort(t, stack, src, source.Request{Jobs: jobs})
	if len(jobs) != 1 {
		t.Fatalf("noted: %v", jobs)
	}
	if got := read(t, src, source.Request{Jobs: jobs}); len(got.Rows) != 3 {
		t.Errorf("%d rows", len(got.Rows))
	}
	if n := len(stack.Calls("export")); n != 1 {
		t.Errorf("%d exports were begun", n)
	}
	if len(jobs) != 0 {
		t.Errorf("still noted: %v", jobs)
	}
}

func TestAnExportOfAnotherStateOrThatIsGoneIsBegunAnew(t *testing.T) {
	for name, change := range map[string]func(stack *keboolatest.Server){
		"the table changed": func(stack *keboolatest.Server) { stack.Import(orders, numbered(4, "y")...) },
		"the file is gone": func(stack *keboolatest.Server) {
			stack.Inject(keboolatest.Fault{Call: "file", Status: 404, Body: `{"error":"gone"}`})
		},
		"the job is gone": (*keboolatest.Server).DropJobs, // for good: a look that the run before had under way may still come
	} {
		t.Run(name, func(t *testing.T) {
			stack := keboolatest.New(t, keboolatest.Options{Polls: unfinished})
			stack.Put(plain(), numbered(3, "x"))
			src, jobs := open(t, stack, keboola.Options{}), noted{}
			cutShort(t, stack, src, source.Request{Jobs: jobs})
			change(stack)
			want := 3
			if name == "the table changed" {
				want = 4
			}
			if got := read(t, src, source.Request{Jobs: jobs}); len(got.Rows) != want {
				t.Errorf("%d rows, want %d", len(got.Rows), want)
			}
			if n := len(stack.Calls("export")); n != 2 {
				t.Errorf("%d exports were begun", n)
			}
		})
	}
}
