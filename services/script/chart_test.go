//go:build linux

package script_test

import (
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/services/script/sandbox"
)

// The reference's metric report: a bar chart by matplotlib, with the distribution's own package of it, as a PNG in the folder for
// temporary files, named by the author.
const metricReport = `
import json, os, tempfile
from datetime import date, timedelta
from pathlib import Path

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

files = sorted((Path.home() / "server" / "parquet").rglob("*.parquet"))
days, counts = [date.today() - timedelta(days=6 - i) for i in range(7)], [12, 15, 11, 18, 16, 14, 21]
figure, axes = plt.subplots(figsize=(10, 6))
axes.bar([d.strftime("%a %d") for d in days], counts, color=["#4a90d9"] * 6 + ["#e74c3c"])
axes.set_title("Orders, 7 days")
path = os.path.join(tempfile.gettempdir(), f"notify_{os.environ['USER']}_metric_{date.today():%Y%m%d}.png")
figure.savefig(path, dpi=150, bbox_inches="tight")
print(json.dumps({"notify": True, "title": "Weekly report", "message": f"*Today*: {counts[-1]}, {len(files)} file", "image_path": path, "cooldown": "1d"}))
`

func TestTheChartOfTheReferenceIsDrawnByMatplotlib(t *testing.T) {
	if err := exec.Command("/usr/bin/python3", "-c", "import matplotlib").Run(); err != nil {
		t.Skip("matplotlib is missing: install python3-matplotlib")
	}
	p := newPlace(t)
	p.open(sandbox.Limits{Wall: 10 * time.Minute}) // of memory, as much as there is by default; matplotlib looks at all fonts of the machine first
	p.script("metric_report.py", metricReport)
	p.s.Round(t.Context())
	a := p.last()
	if a.Title != "Weekly report" || a.Message != "*Today*: 21, 1 file" || !strings.HasSuffix(a.Image, ".png") {
		t.Fatalf("%+v", a)
	}
	f, err := os.Open(filepath.Join(p.dir, "images", a.Image))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c, err := png.DecodeConfig(f); err != nil || c.Width < 1000 || c.Height < 600 {
		t.Errorf("%+v, %v", c, err)
	}
}
