package sftpd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"aida/sftpd"
	"aida/sftpd/tree"
	"aida/store"
)

// A pull that finds nothing new costs the list: not one file of the lake is opened. With --checksum each is opened once in
// the life of the server.
func TestAPullWithoutNewsOpensNoLakeFile(t *testing.T) {
	var opened atomic.Int32
	h := newHouse(t, func(o *sftpd.Options) {
		lake := o.Lake
		o.Lake = func(f store.File) (tree.File, error) { opened.Add(1); return lake(f) }
	})
	const files = 40
	table := map[string]string{"hr/payroll.parquet": "secret wages"}
	for i := range files {
		table[fmt.Sprintf("sales/orders/%03d.parquet", i)] = fmt.Sprintf("orders of %d", i)
	}
	h.publish(table)
	dir := h.client()
	pull := func(options string) int32 {
		t.Helper()
		opened.Store(0)
		out, code := stock(t, dir, "", "rsync", "-e", "ssh -F ssh_config", options, "aida:server/parquet/", "got/")
		if code != 0 {
			t.Fatalf("rsync %s: code %d\n%s", options, code, out)
		}
		if strings.TrimSpace(out) != "" && opened.Load() != files {
			t.Errorf("rsync %s has news: %s", options, out)
		}
		return opened.Load()
	}
	for _, x := range []struct {
		options string
		opens   int32
	}{{"-ai", files}, {"-ai", 0}, {"-ain", 0}, {"-aiz", 0}, {"-aic", files}, {"-aic", 0}} {
		if n := pull(x.options); n != x.opens {
			t.Errorf("rsync %s opened %d lake files, want %d", x.options, n, x.opens)
		}
	}
	if list, err := os.ReadDir(filepath.Join(dir, "got", "sales", "orders")); err != nil || len(list) != files {
		t.Errorf("%d files came: %v", len(list), err)
	}
}
