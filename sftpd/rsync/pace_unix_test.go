//go:build unix

package rsync

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestWritesKeepToTheBandwidthLimit(t *testing.T) {
	for _, perSecond := range []int64{1, 1024, 100 << 10, 10 << 20} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			w := newWriter(&out)
			w.pace = newPace(t.Context(), perSecond)
			w.start()
			start := time.Now()
			size := int(max(perSecond, leastRate)) * 4
			for range 4 {
				w.bytes(make([]byte, size/4))
				w.message(msgInfo, []byte("counts too"))
			}
			if err := w.flush(); err != nil || out.Len() < size {
				t.Fatalf("%d of %d bytes: %v", out.Len(), size, err)
			}
			took, want := time.Since(start).Seconds(), float64(out.Len())/float64(max(perSecond, leastRate))
			if took > want || took < want-1.01 { // the first piece goes at once
				t.Errorf("%d bytes at %d a second took %.2f s", out.Len(), perSecond, took)
			}
		})
	}
}

// A machine that is busy makes a transfer slower, never faster: there is only a least time.
func TestAPullIsHeldBackByTheServer(t *testing.T) {
	remote, local := t.TempDir(), t.TempDir()
	write(t, filepath.Join(remote, "f.bin"), noise(5, 300_000), 0o644, theTime)
	_, ours := remoteShells(t, remote)
	start := time.Now()
	if _, errs, code := client(t, local, ours, "-a", "--bwlimit=200", "h:f.bin", "."); code != 0 {
		t.Fatal(code, errs)
	}
	if took := time.Since(start); took < 1300*time.Millisecond {
		t.Errorf("300,000 bytes at 200 KiB/s took %v", took)
	}
	if got, err := os.ReadFile(filepath.Join(local, "f.bin")); err != nil || !bytes.Equal(got, noise(5, 300_000)) {
		t.Error("the file is not right", err)
	}
}
