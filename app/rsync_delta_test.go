package app_test

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"aida/syncer/columnar/columnartest"
)

// TestAPullAfterASyncCostsTheRowGroupsThatChanged changes one row in a hundred, the newest ones, as sources do, and pulls once
// more with a stock rsync: what comes over the wire is about the row groups that are new, not the table.
func TestAPullAfterASyncCostsTheRowGroupsThatChanged(t *testing.T) {
	const rows = 600_000
	first, then := ordersText(rows, rows, 0), ordersText(rows, rows+rows/500, 1)
	for _, table := range []struct{ name, lake, strategy string }{
		{"one file", "", "sync_strategy: incremental"},
		{"a folder of parts", "lake: {part_rows: 100000}\n", "sync_strategy: incremental"},
		{"a folder of months", "", "sync_strategy: partitioned, partition_by: created_at"},
	} {
		t.Run(table.name, func(t *testing.T) {
			c := &company{t: t, dir: t.TempDir()}
			c.write("config/instance.yaml", "instance: {name: Test}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: in}}\n"+table.lake)
			c.write("config/data_description.md", "```yaml\ntables:\n  - {id: s.orders, name: orders, description: Orders, primary_key: id, "+table.strategy+", folder: s, csv: {path: orders.csv}}\n```\n")
			c.write("in/orders.csv", first)
			c.run("sync", "--no-profile")
			l := c.serve()
			l.analyst("ana")
			local := filepath.Join(c.dir, "laptop")
			cold := c.rsync(l, local)
			before := rowGroups(t, local)
			c.write("in/orders.csv", then)
			c.run("sync", "--no-profile")
			moved := c.rsync(l, local)
			after := rowGroups(t, local)
			changed, whole := int64(0), int64(0)
			for sum, size := range after {
				if whole += size; before[sum] == 0 {
					changed += size
				}
			}
			t.Logf("%s: %d bytes at first, %d after the change, both ways; %d of %d bytes of row groups are new", table.name, cold, moved, changed, whole)
			if limit := changed + changed/20 + whole/100 + 32<<10; moved > limit {
				t.Errorf("%d bytes went over the wire for %d new ones of %d, at most %d were expected", moved, changed, whole, limit)
			}
			if changed*3 > whole {
				t.Errorf("%d of %d bytes are new, of one row in a hundred", changed, whole)
			}
		})
	}
}

// ordersText makes a CSV of orders, a minute apart. The version is that of the last eight in a thousand.
func ordersText(base, rows, version int) string {
	var b strings.Builder
	b.WriteString("id,created_at,customer,amount,status,note\n")
	for i := range rows {
		v := 0
		if i >= base-base/125 {
			v = version
		}
		h := fnv.New64a()
		fmt.Fprint(h, i, v)
		x := h.Sum64()
		fmt.Fprintf(&b, "%d,%s,%d,%d.%02d,%s,n%x\n", i, time.Unix(1.7e9+int64(i)*60, 0).UTC().Format(time.DateTime), x%40_000, x>>16%1000, x>>30%100, []string{"new", "paid", "sent", "done"}[x>>40%4], x)
	}
	return b.String()
}

var wireBytes = regexp.MustCompile(`(?m)^Total bytes (?:sent|received): ([\d,]+)$`)

// rsync pulls the tables with the installed client, and gives the bytes that it sent and received.
func (c *company) rsync(l *listening, to string) (n int64) {
	c.t.Helper()
	host, port, _ := strings.Cut(l.SSH, ":")
	shell := fmt.Sprintf("ssh -p %s -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes", port, filepath.Join(c.dir, "ana.key"))
	cmd := exec.Command("rsync", "-a", "--stats", "-e", shell, "ana@"+host+":server/parquet/", to)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("rsync: %v\n%s", err, out)
	}
	for _, m := range wireBytes.FindAllSubmatch(out, -1) {
		v, err := strconv.ParseInt(strings.ReplaceAll(string(m[1]), ",", ""), 10, 64)
		if err != nil {
			c.t.Fatal(err)
		}
		n += v
	}
	return n
}

// rowGroups gives the sizes of all row groups below a folder by their digest, footers too.
func rowGroups(t *testing.T, folder string) map[[32]byte]int64 {
	t.Helper()
	out := map[[32]byte]int64{}
	err := filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		at := 0
		for _, end := range append(columnartest.RowGroupEnds(t, data), len(data)) {
			out[sha256.Sum256(data[at:end])] = int64(end - at)
			at = end
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
