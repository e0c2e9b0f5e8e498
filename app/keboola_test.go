package app_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"aida/syncer/keboola/keboolatest"

	"github.com/rogpeppe/go-internal/testscript"
)

// stacks are the Keboola stacks of scripts, by work folder.
var stacks = map[string]*keboolatest.Server{}

// scriptT lets a stack end with its script.
type scriptT struct{ *testscript.TestScript }

func (scriptT) Helper()                             {}
func (t scriptT) Fatal(args ...any)                 { t.Fatalf("%s", fmt.Sprint(args...)) }
func (t scriptT) Errorf(format string, args ...any) { t.Fatalf(format, args...) }
func (t scriptT) Cleanup(f func())                  { t.Defer(f) }

// keboolaCommand runs a Keboola stack and changes it:
//
//	keboola start aws|gcp|azure     aida reaches it under its real address, through a proxy
//	keboola put TABLE FILE          a CSV file; its header says name:TYPE, the first column is the key, unless it is "-"
//	keboola import TABLE FILE       rows that are new or changed
//	keboola delete TABLE KEY...
//	keboola drop TABLE
//	keboola fail CALL STATUS TIMES  the next calls of this name are answered with this status
//	keboola stall CALL              the next call of this name stops in the middle
//	keboola wait CALL N             until there were so many
//	keboola calls CALL N            since the last look there were so many
//	keboola expire                  all credentials
func keboolaCommand(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: keboola start|put|import|delete|drop|fail|stall|wait|calls|expire")
	}
	work := ts.Getenv("WORK")
	if args[0] == "start" {
		s := keboolatest.New(scriptT{ts}, keboolatest.Options{Cloud: keboolatest.Cloud(args[1]), SliceRows: 50})
		stacks[work] = s
		ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), s.CA(), 0o600))
		for k, v := range map[string]string{"HTTPS_PROXY": s.Proxy(), "NO_PROXY": "", "SSL_CERT_FILE": ts.MkAbs("ca.pem"), "KEBOOLA_STACK_URL": s.URL(),
			"KEBOOLA_STORAGE_TOKEN": s.Token().Reveal(), "TOKEN": s.Token().Reveal()} {
			ts.Setenv(k, v)
		}
		return
	}
	s := stacks[work]
	number := func(i int) int {
		n, err := strconv.Atoi(args[i])
		ts.Check(err)
		return n
	}
	switch args[0] {
	case "put":
		s.Put(tableIn(ts, args[1], args[2]))
	case "import":
		_, rows := tableIn(ts, args[1], args[2])
		s.Import(args[1], rows...)
	case "delete":
		s.Delete(args[1], args[2:]...)
	case "drop":
		s.Drop(args[1])
	case "fail":
		s.Inject(keboolatest.Fault{Call: args[1], Status: number(2), Times: number(3)})
	case "stall":
		s.Inject(keboolatest.Fault{Call: args[1], Stall: 30})
	case "expire":
		s.Inject(keboolatest.Fault{Call: "slice", Hook: s.ExpireCredentials})
	case "wait":
		for range 400 {
			if len(s.Calls(args[1])) >= number(2) {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		ts.Fatalf("there were %d calls of %s: %v", len(s.Calls(args[1])), args[1], s.Calls(""))
	case "calls":
		seen := "seen " + work + args[1]
		before := callsSeen[seen]
		callsSeen[seen] = len(s.Calls(args[1]))
		if got := callsSeen[seen] - before; got != number(2) {
			ts.Fatalf("there were %d calls of %s, want %s: %v", got, args[1], args[2], s.Calls(""))
		}
	default:
		ts.Fatalf("keboola %s is not known", args[0])
	}
}

var callsSeen = map[string]int{}

func tableIn(ts *testscript.TestScript, id, file string) (keboolatest.Table, []keboolatest.Row) {
	records, err := csv.NewReader(strings.NewReader(ts.ReadFile(file))).ReadAll()
	ts.Check(err)
	t := keboolatest.Table{ID: id, Description: "Rows of " + id}
	for _, cell := range records[0] {
		name, base, typed := strings.Cut(cell, ":")
		c := keboolatest.Column{Name: strings.TrimPrefix(name, "-")}
		if typed {
			c.Notes = append(keboolatest.BaseType("keboola.ex-db-mysql", base), keboolatest.Note{Key: "KBC.description", Value: "the " + c.Name, Provider: "user"})
		}
		t.Columns = append(t.Columns, c)
	}
	if !strings.HasPrefix(records[0][0], "-") {
		t.PrimaryKey = []string{t.Columns[0].Name}
	}
	var rows []keboolatest.Row
	for _, r := range records[1:] {
		rows = append(rows, keboolatest.Row{Cells: keboolatest.Cells(r...)})
	}
	return t, rows
}
