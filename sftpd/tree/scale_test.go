package tree_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/sftpd/tree"
	"aida/store"
)

// manyFiles is a table in n partitions of 1,000 to a folder.
func manyFiles(n int) []store.File {
	var out []store.File
	for i := range n {
		out = append(out, lakeFile(fmt.Sprintf("sales/orders/%03d/%06d.parquet", i/1000, i)))
	}
	return out
}

// A connection costs neither time nor memory in proportion to the number of files: the first one of a generation and
// access builds what all others share. The bounds are far from what is seen, and far from what a copy each would cost.
func TestAHundredThousandFilesCostAConnectionNothing(t *testing.T) {
	const files, connections = 100_000, 50
	w := newWorld(t, manyFiles(files)...)
	start := time.Now()
	first := w.open(t)
	t.Logf("first tree %v", time.Since(start))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var took []time.Duration
	var open []*tree.Tree
	for range connections {
		start := time.Now()
		open = append(open, w.open(t))
		took = append(took, time.Since(start))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	slices.Sort(took)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / connections
	t.Logf("one more tree: %v (median), %d KiB", took[connections/2], each>>10)
	if each > 100<<10 {
		t.Errorf("one more tree takes %d KiB", each>>10)
	}
	start = time.Now()
	for _, x := range open {
		for i := range 10 {
			list, err := x.ReadDir(fmt.Sprintf("/server/parquet/sales/orders/%03d", i))
			ok(t, err)
			if len(list) != 1000 {
				t.Fatalf("%d files", len(list))
			}
		}
	}
	t.Logf("500 listings of 1,000 files: %v", time.Since(start))
	start = time.Now()
	info, err := first.Stat("/server/metadata/manifest.json", true)
	ok(t, err)
	t.Logf("manifest of %d MiB written: %v", info.Size()>>20, time.Since(start))
	start = time.Now()
	for _, x := range open {
		list, err := x.ReadDir("/server/metadata")
		ok(t, err)
		for _, i := range list {
			if i.Name() == "manifest.json" && i.Size() != info.Size() {
				t.Errorf("the manifest has %d bytes here, %d there", i.Size(), info.Size())
			}
		}
	}
	t.Logf("50 more listings of it: %v", time.Since(start))
	if got := strings.Count(content(first, "/server/metadata/manifest.json"), `"sha256"`); got != files {
		t.Errorf("the manifest names %d files", got)
	}
	runtime.KeepAlive(open)
}
