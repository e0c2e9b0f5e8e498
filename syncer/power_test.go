package syncer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/store"
	"aida/syncer"
	"aida/syncer/lake"
)

// volatile is a disk that forgets at a power cut what was not synced: bytes of a file that fsync was not called for, and
// names in a folder that fsync was not called for. It follows what the lake says it does; what is neither lost for sure nor
// kept for sure goes by chance.
type volatile struct {
	r        *rand.Rand
	data     string
	scratch  map[string][]byte // what was synced of files in scratch
	now      map[string][]byte // lake files as a program sees them; nil = no byte was synced
	durable  map[string][]byte // lake files whose names are synced
	folders  map[string]bool   // folders of the lake whose names are synced
	ops, cut int
	image    string // the disk after the cut
	t        *testing.T
}

func (v *volatile) did(op lake.Op) {
	switch op.Did {
	case "sync":
		text, err := os.ReadFile(filepath.Join(v.data, op.Path))
		if err != nil {
			v.t.Error(err)
		}
		v.scratch[op.Path] = text
	case "move":
		v.now[op.To] = v.scratch[op.Path]
	case "remove":
		delete(v.now, op.Path)
	case "sync folder":
		for p := range v.durable {
			if _, there := v.now[p]; path.Dir(p) == op.Path && !there {
				delete(v.durable, p)
			}
		}
		for p, text := range v.now {
			if path.Dir(p) == op.Path {
				v.durable[p] = text
			}
			for dir := path.Dir(p); dir != "lake"; dir = path.Dir(dir) {
				if path.Dir(dir) == op.Path {
					v.folders[dir] = true
				}
			}
		}
	}
	if v.ops++; v.ops == v.cut {
		v.image = v.power(nil)
	}
}

// power cuts it, and gives the folder that the next start finds. wal is the database's log, nil = as it is.
func (v *volatile) power(wal []byte) string {
	image := v.t.TempDir()
	put := func(name string, text []byte) {
		name = filepath.Join(image, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o750), os.WriteFile(name, text, 0o640)); err != nil {
			v.t.Fatal(err)
		}
	}
	all := maps.Clone(v.durable)
	for p, text := range v.now {
		all[p] = text
	}
	for _, p := range slices.Sorted(maps.Keys(all)) {
		_, kept := v.durable[p]
		_, seen := v.now[p]
		for dir := path.Dir(p); dir != "lake"; dir = path.Dir(dir) {
			kept = kept && v.folders[dir]
		}
		if kept && seen || v.r.IntN(2) == 0 {
			text := all[p]
			if text == nil { // a name without the bytes
				text = make([]byte, v.r.IntN(3)*100)
			}
			put(p, text)
		}
	}
	for name := range v.scratch {
		if v.r.IntN(2) == 0 {
			put(name, []byte("half of a fi"))
		}
	}
	for _, name := range []string{"aida.db", "aida.db-wal"} {
		text, err := os.ReadFile(filepath.Join(v.data, name))
		if name == "aida.db-wal" && wal != nil {
			text, err = wal, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			v.t.Fatal(err)
		}
		put(name, text)
	}
	return image
}

func (v *volatile) wal() []byte {
	text, err := os.ReadFile(filepath.Join(v.data, "aida.db-wal"))
	if err != nil {
		v.t.Fatal(err)
	}
	return text
}

// TestAPowerCutLosesNothingThatWasCommitted cuts the power at a random step of each sync, and in the middle of the bytes that
// its commits write. The next start finds the old or the new state, whole; what was told as done is there, and the sync
// after it brings the rest. AIDA_TORTURE makes it 500 cuts.
func TestAPowerCutLosesNothingThatWasCommitted(t *testing.T) {
	cuts, seed := torture(t, 24, 500), seedOf(t)
	for _, keys := range []string{
		"primary_key: id, sync_strategy: incremental, delete_column: gone",
		"primary_key: id, sync_strategy: incremental, delete_column: gone, partition_by: kind, partition_granularity: value",
	} {
		r := rand.New(rand.NewPCG(seed, 3))
		m := newModel(t, keys, false, r)
		v := &volatile{r: r, data: m.h.data, scratch: map[string][]byte{}, now: map[string][]byte{}, durable: map[string][]byte{}, folders: map[string]bool{}, t: t}
		m.h.trace = v.did
		m.open()
		m.insert(300, false)
		usual, torn := 8, 0
		for i := range cuts / 2 {
			m.s.now = m.s.now.Add(time.Minute)
			before, _ := m.h.content()
			m.insert(1+r.IntN(80), false)
			m.remove(r.IntN(20))
			who := fmt.Sprintf("person%d", i)
			if _, err := m.h.store.AddUser(t.Context(), "test", store.NewUser{Name: who}); err != nil {
				t.Fatal(err)
			}
			v.ops, v.cut, v.image = 0, 1+r.IntN(usual), ""
			start := v.wal()
			m.h.okay(syncer.Request{})
			usual = max(v.ops, 1)
			after, _ := m.h.content()
			images := map[string]string{}
			if v.image != "" {
				images[fmt.Sprintf("at step %d of %d", v.cut, v.ops)] = v.image
			}
			if end := v.wal(); bytes.HasPrefix(end, start) && len(end) > len(start) { // no checkpoint came between
				at := len(start) + r.IntN(len(end)-len(start))
				wal := bytes.Clone(end[:at])
				if r.IntN(2) == 0 { // the blocks behind it hold something else
					wal = append(wal, bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(9000))...)
				}
				images[fmt.Sprintf("at byte %d of %d of the log", at-len(start), len(end)-len(start))] = v.power(wal)
				torn++
			}
			images["after the end"] = v.power(nil)
			for when, image := range images {
				m.cutAt(fmt.Sprintf("seed %d, cut %d, %s", seed, i, when), image, who, before, after, when == "after the end")
			}
			if t.Failed() {
				t.FailNow()
			}
		}
		if torn == 0 {
			t.Error("no commit was torn: nothing was tried")
		}
	}
}

// cutAt starts on what a power cut left.
func (m *model) cutAt(when, image, who string, before, after []string, done bool) {
	t := m.t
	t.Helper()
	next := &house{t: t, data: image, in: t.TempDir()}
	next.openSim(m.s, m.keys)
	got, _ := next.content() // which verifies every file
	if isNew, isOld := slices.Equal(got, after), slices.Equal(got, before); !isNew && (done || !isOld) {
		t.Errorf("%s: the table has %d rows and is neither what it was (%d) nor what it was to become (%d)", when, len(got), len(before), len(after))
	}
	users, err := next.store.Users(t.Context())
	if err != nil || !slices.ContainsFunc(users, func(u store.User) bool { return u.Name == who }) {
		t.Errorf("%s: %s was added and is gone, %v", when, who, err)
	}
	if err := next.store.Check(t.Context()); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	next.okay(syncer.Request{})
	if got, files := next.content(); !slices.Equal(got, after) {
		t.Errorf("%s: the next sync makes %d rows in %s, want %d", when, len(got), strings.Join(files, " "), len(after))
	}
	next.lake.Close()
	next.store.Close()
	if err := os.RemoveAll(image); err != nil {
		t.Error(err)
	}
}
