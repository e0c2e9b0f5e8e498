package app_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// rooms lists, for each room, what of our own it may import; DESIGN's arrows run down only.
var rooms = map[string][]string{
	"aida":     {"aida/app"},
	"app":      {"app", "portal", "sftpd", "syncer", "services", "store", "assets", "config"},
	"portal":   {"portal", "store", "config", "assets"},
	"sftpd":    {"sftpd", "store", "config", "assets"},
	"syncer":   {"syncer", "store", "config"},
	"services": {"services", "store", "config"},
	"store":    {"store", "config"},
	"assets":   {"assets"},
	"config":   {"config"},
	"testdata": {"testdata"},
}

func TestArrowsBetweenRoomsRunDownOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}: {{join .Imports " "}}`, "aida/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), ": ")
		from := room(pkg)
		allowed, known := rooms[from]
		if !known {
			t.Errorf("package %s is in no room: the top level is fixed", pkg)
		}
		for _, imp := range strings.Fields(imports) {
			if !strings.HasPrefix(imp, "aida/") || pkg == "aida" && imp == "aida/app" {
				continue
			}
			ok := false
			for _, a := range allowed {
				ok = ok || a == room(imp)
			}
			if !ok {
				t.Errorf("%s imports %s: %s may import %s", pkg, imp, from, strings.Join(allowed, ", "))
			}
		}
	}
}

func TestDuckDBAndCgoStayOutOfTheBinary(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "aida")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "duckdb") || strings.TrimSpace(line) == "runtime/cgo" {
			t.Errorf("the binary depends on %s", strings.TrimSpace(line))
		}
	}
}

func room(pkg string) string {
	if pkg == "aida" {
		return pkg
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(pkg, "aida/"), "/")
	return first
}
