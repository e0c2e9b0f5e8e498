package rule

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aida/store"
)

const low = `sql: SELECT COALESCE(sum(amount), 0) AS revenue FROM orders
when: value < 100
title: Revenue is {{.value}}
recovery: It is {{.value}} again.
schedule: every 1h
cooldown: 3h
`

func TestARuleFiresRepeatsAndRecoversOnce(t *testing.T) {
	p := newPlace(t)
	p.write("eva", "low.yaml", low)
	_, stop := p.run()
	defer stop()
	p.wait("eva", "fired Revenue is 0")
	for range 2 { // within the cool-down
		p.pass(time.Hour)
		p.ran("eva", "low", store.RuleHolds)
	}
	p.wait("eva", "fired Revenue is 0")
	p.pass(time.Hour)
	p.wait("eva", "fired Revenue is 0", "repeated Revenue is 0")
	p.exec("INSERT INTO orders VALUES (1, 500)")
	p.pass(time.Hour)
	p.wait("eva", "fired Revenue is 0", "repeated Revenue is 0", "recovered Revenue is 500")
	p.pass(time.Hour)
	p.ran("eva", "low", store.RuleClear)
	p.exec("DELETE FROM orders")
	p.pass(time.Hour)
	p.wait("eva", "fired Revenue is 0", "repeated Revenue is 0", "recovered Revenue is 500", "fired Revenue is 0")
}

func TestARestartNeitherForgetsNorRepeats(t *testing.T) {
	p := newPlace(t)
	p.write("eva", "low.yaml", low)
	_, stop := p.run()
	p.wait("eva", "fired Revenue is 0")
	stop()
	p.pass(30 * time.Hour) // many runs were missed: one makes up for them
	p.exec("INSERT INTO orders VALUES (1, 500)")
	before := p.runs.Load()
	_, stop = p.run()
	defer stop()
	p.wait("eva", "fired Revenue is 0", "recovered Revenue is 500")
	time.Sleep(50 * time.Millisecond)
	if n := p.runs.Load() - before; n != 1 {
		t.Errorf("%d runs", n)
	}
}

// A process that dies during a run leaves it undone: the next one does it, and nobody is told twice.
func TestARunThatIsCutOffIsDoneAgain(t *testing.T) {
	p := newPlace(t)
	p.write("eva", "low.yaml", low)
	in, out := make(chan bool), make(chan bool)
	p.gate = func(string) { in <- true; <-out }
	_, stop := p.run()
	<-in
	go func() { time.Sleep(20 * time.Millisecond); out <- true }()
	stop() // waits for the run, whose outcome is thrown away
	if got := p.inbox("eva"); len(got) > 1 {
		t.Errorf("%v", got)
	}
	p.gate = nil
	_, stop = p.run()
	defer stop()
	p.wait("eva", "fired Revenue is 0")
	time.Sleep(50 * time.Millisecond)
	p.wait("eva", "fired Revenue is 0")
}

func TestABrokenRuleTellsItsAuthorOnceAndWhenItWorksAgain(t *testing.T) {
	p := newPlace(t)
	p.write("eva", "low.yaml", strings.Replace(low, "when:", "wenn:", 1))
	_, stop := p.run()
	p.wait("eva", "fired Your rule low is broken")
	p.write("eva", "low.yaml", strings.Replace(low, "FROM orders", "FROM ordres", 1)) // broken in another way
	p.ran("eva", "low", store.RuleFailed)
	stop()
	_, stop = p.run()
	defer stop()
	p.pass(2 * time.Hour)
	if run := p.ran("eva", "low", store.RuleFailed); !strings.Contains(run.Problem, "ordres") {
		t.Errorf("%+v", run)
	}
	p.wait("eva", "fired Your rule low is broken")
	p.write("eva", "low.yaml", low)
	p.wait("eva", "fired Your rule low is broken", "recovered Your rule low works again", "fired Revenue is 0")
}

func TestARevokedTableEndsARuleWithASentenceAndNoData(t *testing.T) {
	p := newPlace(t)
	p.exec("CREATE TABLE pay (salary REAL)")
	p.exec("INSERT INTO pay VALUES (9000)")
	if err := p.store.Grant(t.Context(), "ada", "eva", false, "hr"); err != nil {
		t.Fatal(err)
	}
	p.write("eva", "pay.yaml", "sql: SELECT max(salary) FROM pay\nwhen: value > 5000\ntitle: \"{{.value}} is paid\"\nschedule: every 1h\ncooldown: 0s\n")
	_, stop := p.run()
	defer stop()
	p.wait("eva", "fired 9000 is paid")
	if err := p.store.Revoke(t.Context(), "ada", "eva", false, "hr"); err != nil {
		t.Fatal(err)
	}
	p.pass(time.Hour)
	p.wait("eva", "fired 9000 is paid", "fired Your rule pay is broken")
	run := p.ran("eva", "pay", store.RuleFailed)
	if run.Result != nil || !strings.Contains(run.Problem, "no such table: pay") {
		t.Errorf("%+v", run)
	}
}

func TestRulesOfWhoIsSuspendedRest(t *testing.T) {
	p := newPlace(t)
	p.write("eva", "low.yaml", low)
	if err := p.store.Suspend(t.Context(), "ada", "eva", true); err != nil {
		t.Fatal(err)
	}
	_, stop := p.run()
	defer stop()
	time.Sleep(100 * time.Millisecond)
	if n := p.runs.Load(); n != 0 {
		t.Errorf("%d runs", n)
	}
	if err := p.store.Suspend(t.Context(), "ada", "eva", false); err != nil {
		t.Fatal(err)
	}
	p.wait("eva", "fired Revenue is 0")
}

func TestAChangeIsComparedWithTheDataBefore(t *testing.T) {
	p := newPlace(t)
	p.exec("INSERT INTO orders VALUES (1, 100)")
	p.write("eva", "fall.yaml", "sql: SELECT sum(amount) FROM orders\nwhen: change < -20%\ntitle: Down by {{.change_percent}}\nschedule: every 1h\ncooldown: 0s\n")
	_, stop := p.run()
	defer stop()
	p.ran("eva", "fall", store.RuleUnknown)
	p.pass(time.Hour)
	p.ran("eva", "fall", store.RuleUnknown) // still the same data
	p.exec("UPDATE orders SET amount = 70")
	p.pass(time.Hour)
	p.wait("eva", "fired Down by -30")
	p.pass(time.Hour) // nothing new: it still holds
	p.wait("eva", "fired Down by -30", "repeated Down by -30")
	p.exec("UPDATE orders SET amount = 71")
	p.pass(time.Hour)
	p.wait("eva", "fired Down by -30", "repeated Down by -30", "recovered Down by 1.4285714285714286")
}

func TestARuleIsSwitchedOffAndRemoved(t *testing.T) {
	p := newPlace(t)
	eva, _ := p.store.UserByName(t.Context(), "eva")
	r, stop := p.run()
	defer stop()
	if err := r.Save(t.Context(), eva, "low", strings.ReplaceAll(low, "\n", "\r\n"), ""); err != nil {
		t.Fatal(err)
	}
	p.wait("eva", "fired Revenue is 0")
	have, err := r.Get(t.Context(), eva, "low")
	if err != nil || have.Text != low || have.State.Outcome != store.RuleHolds || have.Condition != "value < 100" {
		t.Fatalf("%+v %v", have, err)
	}
	if err := r.Save(t.Context(), eva, "low", low, ""); store.CodeOf(err) != store.Conflict {
		t.Errorf("a rule of the same name: %v", err)
	}
	if err := r.Save(t.Context(), eva, "low", low+"#\n", "old"); store.CodeOf(err) != store.Conflict {
		t.Errorf("what somebody else changed: %v", err)
	}
	if err := r.Save(t.Context(), eva, "../x", low, ""); store.CodeOf(err) != store.Invalid {
		t.Errorf("a path as name: %v", err)
	}
	if err := r.Save(t.Context(), eva, "bad", "sql: x", ""); store.CodeOf(err) != store.Invalid || !strings.Contains(err.Error(), "bad.yaml:1:1") {
		t.Errorf("no rule: %v", err)
	}
	if err := r.Switch(t.Context(), eva, "low", false); err != nil {
		t.Fatal(err)
	}
	if have, _ = r.Get(t.Context(), eva, "low"); have.Enabled || have.Text != low+"enabled: false\n" {
		t.Errorf("%+v", have)
	}
	for range 200 {
		if states, _ := p.store.RuleStates(t.Context(), eva.ID); len(states) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	n := p.runs.Load()
	p.pass(5 * time.Hour)
	time.Sleep(50 * time.Millisecond)
	if p.runs.Load() != n {
		t.Error("it ran although it is off")
	}
	if err := r.Switch(t.Context(), eva, "low", true); err != nil {
		t.Fatal(err)
	}
	p.wait("eva", "fired Revenue is 0", "fired Revenue is 0") // what it told before had ended with it
	if err := r.Remove(t.Context(), eva, "low"); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if runs, _ := p.store.RuleRuns(t.Context(), eva.ID, "low", 9); len(runs) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if runs, _ := p.store.RuleRuns(t.Context(), eva.ID, "low", 9); len(runs) != 0 {
		t.Errorf("%v", runs)
	}
	if _, err := r.Get(t.Context(), eva, "low"); store.CodeOf(err) != store.NotFound {
		t.Error(err)
	}
	log, err := p.store.SearchAudit(t.Context(), "rule.", 0, 10)
	if err != nil || len(log) != 4 || log[0].Action != "rule.remove" || log[0].Subject != "eva/low" {
		t.Errorf("%+v %v", log, err)
	}
}

func TestAGroupIsToldOnlyIfAnAdminAllowedIt(t *testing.T) {
	p := newPlace(t)
	p.user("tom")
	if err := errors.Join(p.store.AddGroup(t.Context(), "ada", "finance"), p.store.SetMember(t.Context(), "ada", "finance", "tom", true)); err != nil {
		t.Fatal(err)
	}
	p.write("eva", "low.yaml", low+"recipients: [self, group:finance]\n")
	_, stop := p.run()
	defer stop()
	p.wait("eva", "fired Your rule low is broken")
	if run := p.ran("eva", "low", store.RuleFailed); !strings.Contains(run.Problem, "ask an admin to allow it") {
		t.Errorf("%+v", run)
	}
	if err := p.store.AllowRuleGroup(t.Context(), "ada", "eva", "finance", true); err != nil {
		t.Fatal(err)
	}
	p.pass(time.Hour)
	p.wait("tom", "fired Revenue is 0")
	p.wait("eva", "fired Your rule low is broken", "recovered Your rule low works again", "fired Revenue is 0")
	log, err := p.store.SearchAudit(t.Context(), "rule.group.allow", 0, 10)
	if err != nil || len(log) != 1 || log[0].Subject != "eva" || log[0].Detail != "group finance" {
		t.Errorf("%+v %v", log, err)
	}
}

// Somebody with many slow rules holds up nobody else's.
func TestPeopleTakeTurns(t *testing.T) {
	p := newPlace(t)
	p.user("tom")
	for i := range 10 {
		p.write("eva", fmt.Sprintf("slow%d.yaml", i), strings.Replace(low, "SELECT", "SELECT /* slow */", 1))
	}
	var mu sync.Mutex
	slow, most := 0, 0
	p.gate = func(sql string) {
		if strings.Contains(sql, "slow") {
			mu.Lock()
			slow++
			most = max(most, slow)
			mu.Unlock()
			time.Sleep(50 * time.Millisecond)
			mu.Lock()
			slow--
			mu.Unlock()
		}
	}
	_, stop := p.run()
	defer stop()
	time.Sleep(100 * time.Millisecond)
	p.write("tom", "low.yaml", low)
	begin := time.Now()
	p.wait("tom", "fired Revenue is 0")
	if d := time.Since(begin); d > 400*time.Millisecond {
		t.Logf("tom waited %v", d)
	}
	if n := len(p.inbox("eva")); n > 9 {
		t.Errorf("tom was served behind %d of eva's", n)
	}
	if most > 1 {
		t.Errorf("%d of one person's rules ran at once", most)
	}
}

func TestAHomeCannotLeadElsewhereOrHoldTheReaderUp(t *testing.T) {
	p := newPlace(t)
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	if err := os.WriteFile(secret, []byte(low), 0o600); err != nil {
		t.Fatal(err)
	}
	p.write("eva", "big.yaml", strings.Repeat("#", maxFile+1))
	dir := filepath.Join(p.home, "eva", "user", "notifications")
	if err := errors.Join(os.Symlink(secret, filepath.Join(dir, "link.yaml")), os.Mkdir(filepath.Join(dir, "dir.yaml"), 0o750), fifo(filepath.Join(dir, "pipe.yaml"))); err != nil {
		t.Fatal(err)
	}
	p.write("eva", ".upload.yaml.Xy", low)
	p.write("eva", "notes.txt", low)
	r, stop := p.run()
	defer stop()
	p.wait("eva", "fired Your rule big is broken", "fired Your rule dir is broken", "fired Your rule link is broken", "fired Your rule pipe is broken")
	eva, _ := p.store.UserByName(t.Context(), "eva")
	list, err := r.List(t.Context(), eva)
	if err != nil || len(list) != 4 || len(list[0].Problems) == 0 || list[2].Text != "" {
		t.Errorf("%+v %v", list, err)
	}
	for i := range maxRules { // more than are read
		p.write("tom", fmt.Sprintf("r%02d.yaml", i), low)
	}
	p.user("tom")
	p.write("tom", "z.yaml", low)
	for range 500 {
		if len(p.inbox("tom")) == maxRules+1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := p.inbox("tom"); !strings.Contains(strings.Join(got, "\n"), "fired Your rule z is broken") || len(got) != maxRules+1 {
		t.Errorf("%d alerts: %v", len(got), got)
	}
}

func TestAPreviewTellsWhatWouldBeToldAndTellsNobody(t *testing.T) {
	p := newPlace(t)
	eva, _ := p.store.UserByName(t.Context(), "eva")
	r, stop := p.run()
	defer stop()
	v, err := r.Preview(t.Context(), eva, "low", low)
	if err != nil || v.Outcome != store.RuleHolds || v.Title != "Revenue is 0" || v.Count != 1 || v.Rows[0][0] != "0" || v.Recipient != "user eva" {
		t.Errorf("%+v %v", v, err)
	}
	v, err = r.Preview(t.Context(), eva, "low", low+"after: hr.pay\n")
	if err != nil || !strings.Contains(strings.Join(v.Problems, ""), "no table hr.pay that you may read") {
		t.Errorf("%+v %v", v, err)
	}
	if v, err = r.Preview(t.Context(), eva, "low", "sql: x"); err != nil || len(v.Problems) == 0 || v.Outcome != "" {
		t.Errorf("%+v %v", v, err)
	}
	p.fault = errors.New("/srv/lake/x: input/output error")
	if v, err = r.Preview(t.Context(), eva, "low", low); err != nil || v.Outcome != store.RuleFailed || strings.Contains(v.Why, "/srv") {
		t.Errorf("%+v %v", v, err)
	}
	if got := p.inbox("eva"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// Anybody may write a rule: one that the program itself stumbles over ends neither it nor the rules of others.
func TestAFileThatMakesTheProgramFailEndsItselfAlone(t *testing.T) {
	var log strings.Builder
	r := &Runner{o: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	rule, problems := r.guarded("eva", "x.yaml", func() (*Rule, []error) { panic("a fault") })
	if got := sentences(problems); rule != nil || got != "x.yaml:1:1: an internal error happened while this was read: tell an admin" {
		t.Errorf("%v, %q", rule, got)
	}
	for _, want := range []string{"user=eva", "file=x.yaml", "a fault", "goroutine"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q: %s", want, log.String())
		}
	}

	p := newPlace(t)
	p.write("eva", "empty.yaml", "{}")
	p.write("eva", "low.yaml", low)
	_, stop := p.run()
	defer stop()
	p.wait("eva", "fired Your rule empty is broken", "fired Revenue is 0")
}
