package notify

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/store"
)

func TestPicturesGoWithTheirAlertsAndWithinTheirRoom(t *testing.T) {
	s, dir := open(t), t.TempDir()
	addUser(t, s, "eva", "")
	n := newNotify(t, Options{Store: s, Pictures: dir, PictureRoom: 250})
	now := time.Now()
	for name, age := range map[string]time.Duration{"first.png": 3 * time.Hour, "second.png": 2 * time.Hour, "third.png": time.Minute, "stray.png": 2 * time.Hour, "writing.png": time.Second} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(strings.Repeat("x", 100)), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"first.png", "second.png", "third.png"} {
		if err := n.Raise(t.Context(), store.Raise{Source: "test", Dedupe: name, Title: name, Image: name, To: store.Audience{User: "eva"}}); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (out []string) {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			out = append(out, e.Name())
		}
		return out
	}
	if err := n.prunePictures(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	// stray.png belonged to nobody; of the rest, 400 bytes, the oldest two had to go. A file that was just written has its alert still to come.
	if got := left(); !slices.Equal(got, []string{"third.png", "writing.png"}) {
		t.Errorf("%v", got)
	}
	used, err := s.Pictures(t.Context())
	if err != nil || len(used) != 1 || !used["third.png"] {
		t.Errorf("%v, %v", used, err)
	}
	if _, err := s.PruneAlerts(t.Context(), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := n.prunePictures(t.Context(), now.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := left(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
