package keboola_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"aida/config"
	"aida/syncer/columnar"
	"aida/syncer/columnar/columnartest"
	"aida/syncer/keboola"
	"aida/syncer/keboola/keboolatest"
	"aida/syncer/source"
)

func TestTroubleOnTheWayIsOvercome(t *testing.T) {
	for name, faults := range map[string][]keboolatest.Fault{
		"too many requests":             {{Call: "table", Status: 429, Times: 3}, {Call: "export", Status: 429, RetryAfter: "0"}, {Call: "job", Status: 429}},
		"server errors":                 {{Call: "verify", Status: 500}, {Call: "job", Status: 502, Times: 5}, {Call: "file", Status: 503, Body: `{"status":"maintenance","reason":"moving"}`}},
		"server errors of the cloud":    {{Call: "manifest", Status: 503, Times: 2}, {Call: "slice", Status: 500, Times: 4}, {Call: "slice", Status: 429}},
		"connections that break":        {{Call: "table", Drop: true}, {Call: "export", Drop: true}, {Call: "job", Drop: true}, {Call: "manifest", Drop: true}, {Call: "slice", Drop: true, Times: 3}},
		"slices that break off":         {{Call: "slice", Cut: 20, Times: 12}},
		"a manifest that breaks off":    {{Call: "manifest", Cut: 10, Times: 3}},
		"a cloud that forgets parts":    {{Call: "slice", Cut: 30}, {Call: "slice", NoRanges: true}},
		"a slice that stands still":     {{Call: "slice", Stall: 25, Times: 2}},
		"an object that is another now": {{Call: "slice", Cut: 30}, {Call: "slice", Status: 412}},
	} {
		for _, cloud := range keboolatest.Clouds {
			t.Run(fmt.Sprintf("%s, %s", name, cloud), func(t *testing.T) {
				stack := keboolatest.New(t, keboolatest.Options{Cloud: cloud, SliceRows: 40})
				stack.Put(plain(), numbered(200, "x"))
				for _, f := range faults {
					stack.Inject(f)
				}
				src := open(t, stack, keboola.Options{Stall: 300 * time.Millisecond})
				if got := read(t, src, source.Request{}); len(got.Rows) != 200 || got.Rows[199][0] != "200" {
					t.Errorf("%d rows", len(got.Rows))
				}
			})
		}
	}
}

func TestABrokenSliceGoesOnWhereItBroke(t *testing.T) {
	for _, cloud := range keboolatest.Clouds {
		stack := keboolatest.New(t, keboolatest.Options{Cloud: cloud, Unsliced: true})
		stack.Put(plain(), numbered(3000, "x"))
		for range 3 {
			stack.Inject(keboolatest.Fault{Call: "slice", Cut: 1000})
		}
		if got := read(t, open(t, stack, keboola.Options{}), source.Request{}); len(got.Rows) != 3000 {
			t.Errorf("%s: %d rows", cloud, len(got.Rows))
		}
		var ranges []string
		for _, c := range stack.Calls("slice") {
			_, r, _ := strings.Cut(c, "bytes=")
			ranges = append(ranges, r)
		}
		if got := strings.Join(ranges, " "); got != " 1000- 2000- 3000-" {
			t.Errorf("%s: asked for the ranges %q", cloud, got)
		}
	}
}

func TestTheServersPauseIsKept(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	stack.Put(plain(), numbered(3, "x"))
	src := open(t, stack, keboola.Options{})
	stack.Inject(keboolatest.Fault{Call: "table", Status: 503, RetryAfter: "1"})
	began := time.Now()
	if _, err := src.Fetch(t.Context(), source.Request{Table: described(orders), Scratch: t.TempDir()}); err != nil || time.Since(began) < time.Second {
		t.Errorf("it came back after %s (%v), asked for was 1 s", time.Since(began), err)
	}
	stack.Inject(keboolatest.Fault{Call: "table", Status: 503, RetryAfter: "86400", Body: `{"status":"maintenance","reason":"The project is moved"}`})
	_, err := src.Fetch(t.Context(), source.Request{Table: described(orders), Scratch: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "The project is moved") || !strings.Contains(err.Error(), "24h0m0s") {
		t.Errorf("error %v", err)
	}
}

func TestExpiredCredentialsAreFetchedAnew(t *testing.T) {
	for _, cloud := range keboolatest.Clouds {
		stack := keboolatest.New(t, keboolatest.Options{Cloud: cloud, SliceRows: 10})
		stack.Put(plain(), numbered(300, "x"))
		stack.Inject(keboolatest.Fault{Call: "manifest", Hook: stack.ExpireCredentials})
		stack.Inject(keboolatest.Fault{Call: "slice", Skip: 7, Hook: stack.ExpireCredentials})
		stack.Inject(keboolatest.Fault{Call: "slice", Skip: 20, Hook: stack.ExpireCredentials})
		if got := read(t, open(t, stack, keboola.Options{Downloads: 3}), source.Request{}); len(got.Rows) != 300 {
			t.Errorf("%s: %d rows", cloud, len(got.Rows))
		}
		if n := len(stack.Calls("file")); n != 4 {
			t.Errorf("%s: credentials were fetched %d times, want once and then for each time that they expired", cloud, n)
		}
	}
}

func TestCredentialsThatNeverWorkAreTold(t *testing.T) {
	for _, cloud := range keboolatest.Clouds {
		stack := keboolatest.New(t, keboolatest.Options{Cloud: cloud})
		stack.Put(plain(), numbered(3, "x"))
		stack.Inject(keboolatest.Fault{Call: "slice", Hook: stack.ExpireCredentials, Times: -1})
		_, err := tryRead(t, open(t, stack, keboola.Options{}), source.Request{})
		if err == nil || !strings.Contains(err.Error(), "though the credentials are new") || !strings.Contains(err.Error(), "slice 1 of 1") {
			t.Errorf("%s: error %v", cloud, err)
		}
		hidden(t, stack, err)
	}
}

func TestTheTokenIsChecked(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{ProjectID: "4711", Project: "Riverbank"})
	stack.Put(plain(), numbered(3, "x"))
	p, err := open(t, stack, keboola.Options{ProjectID: "4711"}).Check(t.Context())
	if err != nil || p != (keboola.Project{ID: "4711", Name: "Riverbank"}) {
		t.Errorf("project %+v, %v", p, err)
	}
	_, err = open(t, stack, keboola.Options{ProjectID: "99"}).Fetch(t.Context(), source.Request{Table: described(orders)})
	if err == nil || !strings.Contains(err.Error(), "project 4711 (Riverbank), the configuration says 99") {
		t.Errorf("another project: %v", err)
	}
	wrong, err := keboola.New(keboola.Options{StackURL: "connection.keboola.com/admin/", Token: "4711-wrong-hush", Transport: stack.Transport(), Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Fetch(t.Context(), source.Request{Table: described(orders)})
	if err == nil || !strings.Contains(err.Error(), "KEBOOLA_STORAGE_TOKEN") || !strings.Contains(err.Error(), "Invalid access token") || strings.Contains(err.Error(), "hush") {
		t.Errorf("wrong token: %v", err)
	}
	if n := len(stack.Calls("verify")); n != 3 {
		t.Errorf("a refused token was tried %d times", n-2)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]keboola.Options{
		"stack_url (KEBOOLA_STACK_URL), data_source.keboola.storage_token": {},
		"only sent over https": {StackURL: "http://connection.keboola.com", Token: "x"},
		"is not an address":    {StackURL: "https://user:hush@connection.keboola.com", Token: "x"},
		"has blanks or odd":    {StackURL: "connection.keboola.com", Token: "hush me"},
	} {
		if _, err := keboola.New(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	text := fmt.Sprintf("%v %+v %#v", keboola.Options{Token: "hush"}, keboola.Options{Token: "hush"}, keboola.Options{Token: config.Secret("hush")})
	if strings.Contains(text, "hush") {
		t.Errorf("options print their token: %s", text)
	}
}

func TestNothingThatGivesAccessIsInErrors(t *testing.T) {
	for _, cloud := range keboolatest.Clouds {
		for _, call := range []string{"verify", "table", "export", "job", "file", "manifest", "slice"} {
			for kind, f := range map[string]keboolatest.Fault{
				"dropped": {Drop: true}, "cut off": {Cut: 3}, "nonsense": {Status: 200, Body: `{"id": `}, "a list": {Status: 200, Body: `["x"]`},
				"told back": {Status: 400, Body: `{"error": "TOKEN"}`}, "gone": {Status: 404, Body: "no"}, "elsewhere": {Status: 302, Body: "no"},
			} {
				stack := keboolatest.New(t, keboolatest.Options{Cloud: cloud})
				stack.Put(plain(), numbered(3, "x"))
				f.Call, f.Times = call, -1
				f.Body = strings.ReplaceAll(f.Body, "TOKEN", stack.Token().Reveal()+" https://a.example/b?X-Amz-Signature=1f&y=sig%3Dabc SharedAccessSignature=sv=1&sig=abc")
				stack.Inject(f)
				_, err := tryRead(t, open(t, stack, keboola.Options{}), source.Request{})
				if err == nil && kind != "cut off" && (call != "slice" || kind == "dropped" || kind == "gone") {
					t.Errorf("%s %s %s: no error", cloud, call, kind)
				}
				if err != nil {
					hidden(t, stack, err)
					if !strings.Contains(err.Error(), "table shop.orders") {
						t.Errorf("%s %s %s: the error does not name the table: %v", cloud, call, kind, err)
					}
				}
			}
		}
	}
}

func TestAFullDiskIsNoDownloadProblem(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	stack.Put(plain(), numbered(3, "x"))
	src := open(t, stack, keboola.Options{})
	scratch := t.TempDir()
	res, err := src.Fetch(t.Context(), source.Request{Table: described(orders), Scratch: scratch})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(scratch); err != nil {
		t.Fatal(err)
	}
	if _, err := res.Data.WriteParquet(t.Context(), &columnartest.Memory{}, columnar.Options{}); err == nil {
		t.Error("there was no folder to download to, and no error")
	}
	if n := len(stack.Calls("slice")); n != 0 {
		t.Errorf("%d slices were asked for", n)
	}
}

// idle counts how often its connections are closed.
type idle struct {
	http.RoundTripper
	closed int
}

func (i *idle) CloseIdleConnections() { i.closed++ }

func TestCloseEndsTheConnectionsThatAreKeptOpen(t *testing.T) {
	keep := &idle{RoundTripper: http.DefaultTransport}
	s, err := keboola.New(keboola.Options{StackURL: "https://connection.keboola.com", Token: "1-2", Transport: keep})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || keep.closed != 1 {
		t.Errorf("closed %d times, %v", keep.closed, err)
	}
}
