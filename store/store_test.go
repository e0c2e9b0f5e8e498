package store_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/store"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "data", "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, code store.Code, words string) {
	t.Helper()
	if store.CodeOf(err) != code || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v (code %q), want code %q and the words %q", err, store.CodeOf(err), code, words)
	}
}

// newKey makes a real key pair with OpenSSH and gives the public line.
func newKey(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", append([]string{"-q", "-N", "", "-C", "lap top", "-f", path}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	text, err := os.ReadFile(path + ".pub")
	ok(t, err)
	return string(text)
}

func TestADatabaseIsReadableByItsOwnerAlone(t *testing.T) {
	s := open(t)
	info, err := os.Stat(s.Path())
	ok(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode().Perm())
	}
	ok(t, s.Check(context.Background()))
}

func TestAFileThatIsNoDatabaseIsRefusedAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aida.db")
	ok(t, os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600))
	if _, err := store.Open(context.Background(), store.Options{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	text, err := os.ReadFile(path)
	ok(t, err)
	if !strings.HasPrefix(string(text), "not a database") {
		t.Error("the file was changed")
	}
}

func TestUserNames(t *testing.T) {
	for name, good := range map[string]bool{
		"eva": true, "jan.novak": true, "a1": true, "a": false, "Eva": false, "root": false, "deploy": false, "1eva": false,
		"eva novak": false, "../eva": false, "": false, strings.Repeat("a", 32): true, strings.Repeat("a", 33): false, "eva\n": false,
	} {
		if err := store.CheckUserName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestEMailsAreOnePersonInAnyCase(t *testing.T) {
	s, ctx := open(t), context.Background()
	must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "eva", Email: " Eva@Example.COM "}))
	_, err := s.AddUser(ctx, "test", store.NewUser{Name: "eva2", Email: "eva@example.com"})
	refused(t, err, store.Conflict, "belongs to user eva")
	_, err = s.AddUser(ctx, "test", store.NewUser{Name: "eva"})
	refused(t, err, store.Conflict, "exists already")
	u := must[store.User](t)(s.UserByEmail(ctx, "EVA@example.com"))
	if u.Name != "eva" || u.Email != "eva@example.com" || u.Role != store.Analyst {
		t.Errorf("got %+v", u)
	}
	_, err = s.AddUser(ctx, "test", store.NewUser{Name: "bob", Email: "not an address"})
	refused(t, err, store.Invalid, "not valid")
}

func TestKeysThatAreAcceptedAndRefused(t *testing.T) {
	good := newKey(t, "-t", "ed25519")
	for name, text := range map[string]string{
		"ed25519": good, "ecdsa": newKey(t, "-t", "ecdsa"), "rsa 3072": newKey(t, "-t", "rsa", "-b", "3072"),
		"broken by pasting": strings.Replace(good, "AAAAC3", "AAAA\n  C3", 1),
	} {
		k, err := store.ParsePublicKey(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !strings.HasPrefix(k.Fingerprint, "SHA256:") || !strings.Contains(k.Comment, "lap top") {
			t.Errorf("%s: got %+v", name, k)
		}
	}
	for name, c := range map[string]struct{ text, words string }{
		"rsa 2048":      {newKey(t, "-t", "rsa", "-b", "2048"), "2048 bits"},
		"options":       {`command="sh" ` + good, "base64"},
		"cut":           {good[:40], "whole line"},
		"empty":         {"  ", "not an SSH public key"},
		"another type":  {strings.Replace(good, "ssh-ed25519", "ssh-rsa", 1), "known type"},
		"a private key": {"-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n", "private key"},
	} {
		_, err := store.ParsePublicKey(c.text)
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: the error repeats the secret", name)
		}
	}
}

func TestAKeyBelongsToOnePersonAndSignsInThatPersonAlone(t *testing.T) {
	s, ctx := open(t), context.Background()
	key := newKey(t, "-t", "ed25519")
	must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "eva", Key: key}))
	_, err := s.AddUser(ctx, "test", store.NewUser{Name: "bob", Key: key})
	refused(t, err, store.Conflict, "connected to user eva")
	if _, err := s.UserByName(ctx, "bob"); store.CodeOf(err) != store.NotFound {
		t.Error("an account without its key was left behind")
	}
	must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "bob"}))
	k := must[*store.PublicKey](t)(store.ParsePublicKey(key))
	if u, _, err := s.Login(ctx, "eva", k.Fingerprint); err != nil || u.Name != "eva" {
		t.Errorf("got %v %v", u, err)
	}
	for _, name := range []string{"bob", "EVA", "", "nobody"} {
		if _, _, err := s.Login(ctx, name, k.Fingerprint); store.CodeOf(err) != store.Unauthorized {
			t.Errorf("%q signed in: %v", name, err)
		}
	}
	ok(t, s.Suspend(ctx, "test", "eva", true))
	if _, _, err := s.Login(ctx, "eva", k.Fingerprint); store.CodeOf(err) != store.Unauthorized {
		t.Errorf("a suspended user signed in: %v", err)
	}
	ok(t, s.Suspend(ctx, "test", "eva", false))
	must[store.Key](t)(s.RemoveKey(ctx, "test", "eva", k.Fingerprint[:15]))
	if _, _, err := s.Login(ctx, "eva", k.Fingerprint); store.CodeOf(err) != store.Unauthorized {
		t.Errorf("a removed key signed in: %v", err)
	}
	var actions []string
	for _, e := range must[[]store.AuditEntry](t)(s.Audit(ctx, 0, 100)) {
		actions = append(actions, e.Action+" "+e.Subject)
	}
	if got := strings.Join(actions, ", "); got != "key.remove eva, user.restore eva, user.suspend eva, user.add bob, key.add eva, user.add eva" {
		t.Errorf("audit: %s", got)
	}
}

var catalog = struct {
	datasets []store.Dataset
	tables   []store.Table
}{
	[]store.Dataset{
		{Name: "sales", Access: store.OpenAccess}, {Name: "hr", Access: store.RestrictedAccess}, {Name: "private", Access: store.PrivateAccess},
		{Name: "jira", Access: store.OpenAccess, Optional: true}, {Name: "jira_files", Access: store.OpenAccess, Optional: true, Requires: "jira"},
	},
	[]store.Table{
		{SourceID: "s.orders", Name: "orders", Folder: "sales", Dataset: "sales"}, {SourceID: "s.items", Name: "items", Folder: "sales", Dataset: "sales"},
		{SourceID: "h.pay", Name: "pay", Folder: "hr", Dataset: "hr"}, {SourceID: "p.board", Name: "board", Folder: "private", Dataset: "private"},
		{SourceID: "j.issues", Name: "issues", Folder: "jira", Dataset: "jira"}, {SourceID: "j.files", Name: "files", Folder: "jira", Dataset: "jira_files"},
	},
}

func sees(t *testing.T, s *store.Store, name string) string {
	t.Helper()
	u := must[store.User](t)(s.UserByName(context.Background(), name))
	a := must[*store.Access](t)(s.Access(context.Background(), u.ID))
	var names []string
	for _, table := range a.Tables {
		if !a.CanRead(table.ID) {
			t.Errorf("%s is listed but cannot be read", table.FullName())
		}
		names = append(names, table.Name)
	}
	return strings.Join(names, " ")
}

func TestWhoReadsWhat(t *testing.T) {
	s, ctx := open(t), context.Background()
	ok(t, s.SetCatalog(ctx, catalog.datasets, catalog.tables))
	for _, n := range []store.NewUser{{Name: "ann"}, {Name: "pat", Role: store.PrivateAnalyst}, {Name: "adm", Role: store.Admin}} {
		must[store.User](t)(s.AddUser(ctx, "test", n))
	}
	check := func(step, name, want string) {
		t.Helper()
		if got := sees(t, s, name); got != want {
			t.Errorf("%s: %s reads %q, want %q", step, name, got, want)
		}
	}
	check("at first", "ann", "items orders")
	check("at first", "pat", "board items orders")
	check("at first", "adm", "pay board items orders")

	ok(t, s.Grant(ctx, "test", "ann", false, "hr"))
	check("after a grant", "ann", "pay items orders")
	ok(t, s.Revoke(ctx, "test", "ann", false, "hr"))
	check("after it is taken back", "ann", "items orders")
	refused(t, s.Revoke(ctx, "test", "ann", false, "hr"), store.NotFound, "no grant")
	refused(t, s.Grant(ctx, "test", "ann", false, "nope"), store.NotFound, "does not exist")

	ok(t, s.AddGroup(ctx, "test", "finance"))
	ok(t, s.SetMember(ctx, "test", "finance", "ann", true))
	ok(t, s.Grant(ctx, "test", "finance", true, "private"))
	check("through a group", "ann", "board items orders")
	ok(t, s.SetMember(ctx, "test", "finance", "ann", false))
	check("out of the group", "ann", "items orders")

	refused(t, s.Subscribe(ctx, "test", "ann", map[string]bool{"jira_files": true}), store.Invalid, "jira_files requires jira")
	refused(t, s.Subscribe(ctx, "test", "ann", map[string]bool{"hr": true}), store.Invalid, "does not exist")
	ok(t, s.Subscribe(ctx, "test", "ann", map[string]bool{"jira_files": true, "jira": true}))
	check("opted in", "ann", "files issues items orders")
	refused(t, s.Subscribe(ctx, "test", "ann", map[string]bool{"jira": false}), store.Invalid, "requires jira")
	ok(t, s.SubscribeTables(ctx, "test", "ann", true, map[string]bool{"orders": true, "pay": true}))
	check("explicit choice", "ann", "orders")
	ok(t, s.Suspend(ctx, "test", "ann", true))
	check("suspended", "ann", "")
}

func TestEveryChangeOfAccessMovesItsVersion(t *testing.T) {
	s, ctx := open(t), context.Background()
	ok(t, s.SetCatalog(ctx, catalog.datasets, catalog.tables))
	last := must[int64](t)(s.AccessVersion(ctx))
	step := func(name string, want bool, err error) {
		t.Helper()
		ok(t, err)
		v := must[int64](t)(s.AccessVersion(ctx))
		if (v > last) != want {
			t.Errorf("%s: version %d after %d", name, v, last)
		}
		last = v
	}
	step("same catalog again", false, s.SetCatalog(ctx, catalog.datasets, catalog.tables))
	_, err := s.AddUser(ctx, "test", store.NewUser{Name: "ann", Key: newKey(t, "-t", "ed25519")})
	step("new user", true, err)
	step("grant", true, s.Grant(ctx, "test", "ann", false, "hr"))
	step("role", true, s.SetRole(ctx, "test", "ann", store.Admin))
	keys := must[[]store.Key](t)(s.Keys(ctx, "ann"))
	step("key used", false, s.KeyUsed(ctx, keys[0].ID, "127.0.0.1"))
	_, err = s.RemoveKey(ctx, "test", "ann", keys[0].Fingerprint)
	step("key removed", true, err)
	step("last sync", false, s.MarkSync(ctx, keys[0].UserID))
	step("table gone", true, s.SetCatalog(ctx, catalog.datasets, catalog.tables[1:]))
	step("removed user", true, s.RemoveUser(ctx, "test", "ann"))
}

func TestTwoTablesMaySwapTheirPlaces(t *testing.T) {
	s, ctx := open(t), context.Background()
	a := store.Table{SourceID: "a", Name: "one", Folder: "f", Dataset: "f"}
	b := store.Table{SourceID: "b", Name: "two", Folder: "f", Dataset: "f"}
	ok(t, s.SetCatalog(ctx, nil, []store.Table{a, b}))
	a.Name, b.Name = b.Name, a.Name
	ok(t, s.SetCatalog(ctx, nil, []store.Table{a, b}))
	got := must[store.Table](t)(s.TableByName(ctx, "f.one"))
	if got.SourceID != "b" || got.Removed {
		t.Errorf("got %+v", got)
	}
}

func file(logical, hash string) store.File {
	return store.File{Logical: logical, Physical: "x/" + hash, Size: int64(len(hash)), Rows: 1, Hash: hash, ModTime: time.Unix(1, 0), Schema: []store.Column{{Name: "id", Type: "int64"}}}
}

func TestGenerationsRecordOnlyWhatChanged(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := must[*store.Store](t)(store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "a.db"), PinMax: 1000 * time.Hour, Now: func() time.Time { return now }}))
	defer s.Close()
	ctx := context.Background()
	ok(t, s.SetCatalog(ctx, catalog.datasets, catalog.tables))
	orders := must[store.Table](t)(s.TableByName(ctx, "orders"))
	items := must[store.Table](t)(s.TableByName(ctx, "items"))
	publish := func(changes ...store.Change) (int64, bool) {
		t.Helper()
		now = now.Add(time.Hour)
		g, changed, err := s.Publish(ctx, 0, "", changes)
		ok(t, err)
		return g, changed
	}
	g1, changed := publish(store.Change{TableID: orders.ID, Files: []store.File{file("sales/orders.parquet", "aa")}}, store.Change{TableID: items.ID, Files: []store.File{file("sales/items.parquet", "bb")}})
	if !changed {
		t.Fatal("nothing published")
	}
	if g, changed := publish(store.Change{TableID: orders.ID, Files: []store.File{file("sales/orders.parquet", "aa")}}); changed || g != g1 {
		t.Errorf("unchanged files made generation %d", g)
	}
	pin := must[*store.Pin](t)(s.Pin(ctx))
	g2, _ := publish(store.Change{TableID: orders.ID, Files: []store.File{file("sales/orders.parquet", "cc")}})
	if f, _ := pin.Find("sales/orders.parquet"); f.Hash != "aa" {
		t.Errorf("a pinned reader sees %s", f.Hash)
	}
	newest := must[*store.Snapshot](t)(s.Newest(ctx))
	if f, _ := newest.Find("sales/orders.parquet"); f.Hash != "cc" || newest.Generation != g2 || len(newest.Files) != 2 {
		t.Errorf("newest is %+v", newest)
	}
	list := must[[]store.Generation](t)(s.Generations(ctx, 10))
	if len(list) != 2 || list[0].Added != 1 || list[0].Dropped != 1 {
		t.Errorf("generations %+v", list)
	}

	now = now.Add(100 * time.Hour)
	if dead := must[[]string](t)(s.Sweep(ctx, 1, time.Hour)); len(dead) != 0 {
		t.Errorf("swept %v under a pinned reader", dead)
	}
	pin.Release()
	g3, err := s.Rollback(ctx, "test", g1)
	ok(t, err)
	if f, _ := must[*store.Snapshot](t)(s.Newest(ctx)).Find("sales/orders.parquet"); f.Hash != "aa" {
		t.Errorf("rolled back to %s", f.Hash)
	}
	if o := must[store.Table](t)(s.TableByName(ctx, "orders")); o.Fingerprint != "" {
		t.Error("the next sync would not look at the source")
	}
	now = now.Add(100 * time.Hour)
	dead := must[[]string](t)(s.Sweep(ctx, 1, time.Hour))
	if len(dead) != 1 || dead[0] != "x/cc" {
		t.Errorf("swept %v, want x/cc alone: x/aa is in generation %d again", dead, g3)
	}
	_, err = s.Rollback(ctx, "test", g2)
	refused(t, err, store.Invalid, "swept")
	ok(t, s.SetCatalog(ctx, catalog.datasets, catalog.tables[1:]))
	if _, changed := publish(); !changed {
		t.Error("the removed table stayed")
	}
	if snap := must[*store.Snapshot](t)(s.Newest(ctx)); len(snap.Files) != 1 {
		t.Errorf("newest has %d files", len(snap.Files))
	}
	ok(t, s.Check(ctx))
}

func TestSweepKeepsWhatWasNewestWithinItsAge(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := must[*store.Store](t)(store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Now: func() time.Time { return now }}))
	defer s.Close()
	ctx := context.Background()
	ok(t, s.SetCatalog(ctx, catalog.datasets, catalog.tables))
	orders := must[store.Table](t)(s.TableByName(ctx, "orders"))
	for _, h := range []string{"a", "b", "c"} {
		_, _, err := s.Publish(ctx, 0, "", []store.Change{{TableID: orders.ID, Files: []store.File{file("sales/orders.parquet", h)}}})
		ok(t, err)
		now = now.Add(10 * time.Hour)
	}
	// b left 10 h ago, a left 20 h ago: a reader of 15 h ago saw b, and a went before.
	dead := must[[]string](t)(s.Sweep(ctx, 1, 15*time.Hour))
	if strings.Join(dead, " ") != "x/a" {
		t.Errorf("swept %v", dead)
	}
	if dead := must[[]string](t)(s.Sweep(ctx, 2, time.Nanosecond)); len(dead) != 0 {
		t.Errorf("swept %v of the last two generations", dead)
	}
}

func TestRunsAddUpFromTheirTables(t *testing.T) {
	s, ctx := open(t), context.Background()
	ok(t, s.SetCatalog(ctx, catalog.datasets, catalog.tables))
	tables := must[[]store.Table](t)(s.Tables(ctx))
	for _, c := range []struct {
		outcomes []store.Outcome
		want     store.Outcome
	}{
		{[]store.Outcome{store.Changed, store.Unchanged}, store.Done}, {[]store.Outcome{store.Changed, store.Failed}, store.Partial},
		{[]store.Outcome{store.Failed}, store.Failed},
	} {
		run := must[int64](t)(s.StartRun(ctx, "test", "me"))
		var rows []store.RunTable
		for i, o := range c.outcomes {
			rows = append(rows, store.RunTable{RunID: run, TableID: tables[i].ID, Outcome: o, Warnings: []string{"w"}})
		}
		if got := must[store.Outcome](t)(s.FinishRun(ctx, run, rows, false)); got != c.want {
			t.Errorf("%v make %s, want %s", c.outcomes, got, c.want)
		}
	}
	must[int64](t)(s.StartRun(ctx, "killed", "gone"))
	ok(t, s.InterruptRuns(ctx, func(owner string) bool { return owner != "gone" }))
	if runs := must[[]store.Run](t)(s.Runs(ctx, 1)); runs[0].Outcome != store.Interrupted {
		t.Errorf("got %+v", runs[0])
	}
	if last := must[map[int64]store.RunTable](t)(s.LastRuns(ctx)); last[tables[0].ID].Outcome != store.Failed {
		t.Errorf("got %+v", last)
	}
}
