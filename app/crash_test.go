package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aida/store"
	"aida/syncer/lake"

	"golang.org/x/crypto/ssh"
)

func TestASyncThatIsKilledLeavesOneWholeGeneration(t *testing.T) {
	kills, random := torture(t, 15, 1000), seeded(t)
	c := newCompany(t)
	c.run("sync")
	c.version(1)
	begun := time.Now()
	c.run("sync")
	usual := time.Since(begun) // how long a sync takes; the machine's load moves it
	s, l := c.look()
	newest := func() *store.Snapshot {
		snap, err := s.Newest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				pin, err := s.Pin(ctx)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				whole(ctx, t, l, pin.Snapshot, len(c.tables))
				pin.Release()
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	defer readers.Wait()
	defer cancel()

	last, published, finished := newest().Generation, 0, 0
	version := whole(t.Context(), t, l, newest(), len(c.tables))
	for i := range kills {
		c.version(i + 2)
		cmd := c.aida(t.Context(), "sync")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(random.Int64N(int64(usual)))
		if i%2 == 1 { // around the publish, which comes last
			wait = usual*3/5 + wait*3/5
		}
		time.Sleep(wait)
		_ = cmd.Process.Kill()
		ended := cmd.Wait() == nil
		snap := newest()
		got := whole(t.Context(), t, l, snap, len(c.tables))
		switch {
		case snap.Generation == last && got != version, snap.Generation > last && got != strconv.Itoa(i+2), snap.Generation < last, snap.Generation > last+1:
			t.Fatalf("kill %d: generation %d of version %s, before it %d of %s", i, snap.Generation, got, last, version)
		case ended:
			finished++
			usual = usual * 4 / 5
		case snap.Generation > last:
			published++
		case wait > usual*4/5:
			usual = usual * 5 / 4
		}
		last, version = snap.Generation, got
		if i%5 == 4 {
			server := c.serve()
			if left := c.debris(s); len(left) > 0 {
				t.Errorf("kill %d: the start left %v", i, left)
			}
			server.stop(syscall.SIGTERM)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("of %d kills %d came after the publish and %d after the end", kills, published, finished)
	c.run("sync")
	if got := whole(t.Context(), t, l, newest(), len(c.tables)); got != strconv.Itoa(kills+1) {
		t.Errorf("after the last sync the version is %s", got)
	}
	runs, err := s.Runs(t.Context(), kills+3)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if r.Outcome == store.Running || r.FinishedAt.IsZero() {
			t.Errorf("run %d is told as %s", r.ID, r.Outcome)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestReadersSeeOneGenerationWhileSyncsGoOn(t *testing.T) {
	const readers = 20
	c := newCompany(t)
	c.run("sync")
	server := c.serve()
	var people []*ssh.ClientConfig
	for i := range 4 {
		people = append(people, server.analyst(fmt.Sprintf("reader%d", i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	var mu sync.Mutex
	pulls, seen := 0, map[string]bool{}
	for i := range readers {
		wait.Go(func() {
			for ctx.Err() == nil {
				version, err := pull(t, server.SSH, people[i%len(people)])
				if err != nil {
					t.Errorf("reader %d: %v", i, err)
					return
				}
				mu.Lock()
				pulls++
				seen[version] = true
				mu.Unlock()
			}
		})
	}
	rounds := torture(t, 8, 200)
	for v := range rounds {
		c.version(v + 1)
		c.run("sync")
	}
	time.Sleep(time.Second) // every reader has begun once more
	cancel()
	wait.Wait()
	t.Logf("%d pulls by %d readers during %d syncs saw %d versions", pulls, readers, rounds, len(seen))
	if pulls < readers || len(seen) < 2 {
		t.Errorf("%d pulls saw %d versions: nothing was tried", pulls, len(seen))
	}
	server.stop(syscall.SIGTERM)
}

func TestAServerThatIsKilledWhileItSyncs(t *testing.T) {
	kills, random := torture(t, 4, 100), seeded(t)
	c := newCompany(t)
	c.write("config/instance.yaml", "instance: {name: Test}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: in}}\nschedule: {default: every 1s}\n")
	c.run("sync")
	s, l := c.look()
	for i := range kills {
		server := c.serve()
		if left := c.debris(s); len(left) > 0 && i > 0 && !onlyScratch(left) { // a scheduled run may have begun
			t.Errorf("kill %d: the start left %v", i, left)
		}
		c.version(i + 1)
		time.Sleep(time.Second + time.Duration(random.Int64N(int64(500*time.Millisecond))))
		server.stop(syscall.SIGKILL)
		snap, err := s.Newest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		whole(t.Context(), t, l, snap, len(c.tables))
	}
	c.write("config/instance.yaml", "instance: {name: Test}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: in}}\n")
	server := c.serve()
	if left := c.debris(s); len(left) > 0 {
		t.Errorf("the last start left %v", left)
	}
	who := server.analyst("eva")
	if _, err := pull(t, server.SSH, who); err != nil {
		t.Error(err)
	}
	c.run("sync")
	if v, err := pull(t, server.SSH, who); err != nil || v != strconv.Itoa(kills) {
		t.Errorf("a pull after the last sync sees version %s, %v", v, err)
	}
	server.stop(syscall.SIGTERM)
}

func onlyScratch(left []string) bool {
	return !slices.ContainsFunc(left, func(p string) bool { return !strings.HasPrefix(p, "scratch/") })
}

func TestADemoThatIsKilledGoesOn(t *testing.T) {
	c := &company{t: t, dir: t.TempDir()}
	random := seeded(t)
	for range torture(t, 4, 50) {
		cmd := c.aida(t.Context(), "demo", "--size", "xs", "--json", "--ssh", "127.0.0.1:0", "--http", "127.0.0.1:0")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	server := c.serve("demo", "--size", "xs")
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(c.dir, "data", "demo", "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := lake.Open(lake.Options{Data: filepath.Join(c.dir, "data", "demo"), Store: s})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	snap, err := s.Newest(t.Context())
	if err != nil || len(snap.Files) != 9 {
		t.Fatalf("%d files, %v", len(snap.Files), err)
	}
	if bad := l.Verify(t.Context(), snap.Files); len(bad) > 0 {
		t.Error(bad)
	}
	if _, err := os.Stat(filepath.Join(c.dir, server.Key)); err != nil && !filepath.IsAbs(server.Key) {
		t.Error(err)
	}
	server.stop(syscall.SIGTERM)
}
