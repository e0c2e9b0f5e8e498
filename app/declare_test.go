package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/portal"
	"aida/portal/auth"
	"aida/store"
)

// A program of an admin adds a table, changes and removes it, as the pages do: with the same file, refusals and audit log.
func TestAProgramDeclaresTables(t *testing.T) {
	a := startAida(t, "demo", "--size", "xs")
	file := filepath.Join(a.Dir, "data", "config", "data_description.md")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "data", "sample", "stores.csv"), []byte("store_id,city\n1,Brno\n2,Praha\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(a.Dir, "data", "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ada, err := s.UserByName(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	secret := auth.NewSecret()
	if _, err := s.AddToken(t.Context(), "test", secret, store.Token{Kind: store.APIToken, UserID: ada.ID, Name: "t", Scopes: []string{"read", "admin"}, ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	type reply struct {
		ID, Version, Error string
		Saved              bool
		Diff               []struct{ Mark, Text string }
		Tables             []struct {
			ID, Table    string
			Declared     bool
			ChunkDays    int                  `json:"initial_load_chunk_days"`
			ForeignKeys  []portal.ForeignKey  `json:"foreign_keys"`
			WhereFilters []portal.WhereFilter `json:"where_filters"`
		}
	}
	call := func(method, path, body string, status int) (out reply) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, a.HTTP+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+secret)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status {
			t.Fatalf("%s %s: %s %s %v", method, path, res.Status, text, err)
		}
		_ = json.Unmarshal(text, &out) // of another shape where a table is answered
		return out
	}
	is := func(want []byte) {
		t.Helper()
		if now, err := os.ReadFile(file); err != nil || string(now) != string(want) {
			t.Fatalf("the file is not as expected: %v\n%s", err, now)
		}
	}
	all := call("GET", "/api/v1/declarations", "", http.StatusOK)
	if len(all.Tables) < 3 || all.Version == "" {
		t.Fatalf("%+v", all)
	}
	id := ""
	for _, c := range call("GET", "/api/v1/discover?q=stores", "", http.StatusOK).Tables {
		if !c.Declared {
			id = c.ID
		}
	}
	add := `{"id": "` + id + `", "folder": "shops", "primary_key": ["store_id"], "columns": [{"name": "store_id", "description": "Number of the store"}], "version": "` + all.Version + `"}`
	if out := call("POST", "/api/v1/declarations?dry_run=true", add, http.StatusOK); out.Saved || out.Version != all.Version || len(out.Diff) == 0 {
		t.Errorf("%+v", out)
	}
	is(before)
	call("POST", "/api/v1/declarations", strings.Replace(add, "shops", `shops\n    csv: {path: ../aida.db}`, 1), http.StatusBadRequest)
	is(before)
	added := call("POST", "/api/v1/declarations", add, http.StatusOK)
	if !added.Saved || added.Version == all.Version {
		t.Errorf("%+v", added)
	}
	call("POST", "/api/v1/declarations", add, http.StatusConflict)
	if table, err := s.TableByName(t.Context(), "shops.stores"); err != nil || table.SourceID != id || len(table.Definition.Columns) != 1 {
		t.Fatalf("%+v %v", table, err)
	}
	if err := s.SubscribeTables(t.Context(), "test", "ada", false, map[string]bool{"stores": true, "orders": true}); err != nil {
		t.Fatal(err)
	}
	// A change on what was read before is refused, here and under the older address; a wrong one is told in a sentence.
	call("PATCH", "/api/v1/declarations/shops.stores", `{"schedule": "every 6h", "version": "`+all.Version+`"}`, http.StatusConflict)
	call("PUT", "/api/admin/registry/"+id, `{"schedule": "every 6h", "version": 1}`, http.StatusConflict)
	call("PATCH", "/api/v1/declarations/shops.stores", `{"schedule": "now and then"}`, http.StatusBadRequest)
	edited := call("PATCH", "/api/v1/declarations/shops.stores", `{"schedule": "every 6h", "columns": [{"name": "city", "sensitive": true}], "version": "`+added.Version+`"}`, http.StatusOK)
	if table, err := s.TableByName(t.Context(), "shops.stores"); err != nil || !hides(table, "city") || edited.Version == added.Version {
		t.Errorf("%+v %+v %v", edited, table, err)
	}
	call("PUT", "/api/admin/registry/"+id, `{"schedule": "every 6h"}`, http.StatusOK) // it says so already
	if now := call("GET", "/api/v1/declarations/shops.stores", "", http.StatusOK); now.Version != edited.Version {
		t.Errorf("nothing changed, and the version did: %+v", now)
	}
	// What the older address could write: keys of other tables, filters, another name. Each is taken out, or back, again.
	call("PUT", "/api/admin/registry/"+id, `{"foreign_keys": [{"column": "city", "references": "nothing"}]}`, http.StatusBadRequest)
	call("PUT", "/api/admin/registry/"+id, `{"name": "outlets", "folder": "places", "initial_load_chunk_days": 14, "foreign_keys": [{"column": "city", "references": "cities.name", "description": "Where: \"here\""}], "where_filters": [{"column": "city", "operator": "ne", "values": ["{{today}}", "x y"]}]}`, http.StatusOK)
	for _, d := range call("GET", "/api/admin/registry", "", http.StatusOK).Tables {
		if d.ID == id && (d.Table != "places.outlets" || d.ChunkDays != 14 || len(d.ForeignKeys) != 1 || d.ForeignKeys[0].Description != `Where: "here"` || len(d.WhereFilters) != 1 || !slices.Equal(d.WhereFilters[0].Values, []string{"{{today}}", "x y"})) {
			t.Errorf("%+v", d)
		}
	}
	if table, err := s.TableByName(t.Context(), "places.outlets"); err != nil || table.SourceID != id {
		t.Errorf("%+v %v", table, err)
	}
	call("PUT", "/api/admin/registry/"+id, `{"name": "stores", "folder": "shops", "initial_load_chunk_days": 0, "foreign_keys": [], "where_filters": []}`, http.StatusOK)
	if now := call("GET", "/api/v1/declarations/shops.stores", "", http.StatusOK); now.Version != edited.Version {
		t.Errorf("the file is another one: %+v", now)
	}
	call("DELETE", "/api/v1/declarations/shops.stores?version="+added.Version, "", http.StatusConflict)
	call("DELETE", "/api/v1/declarations/shops.stores?version="+edited.Version, "", http.StatusOK)
	is(before)
	if table, err := s.TableByName(t.Context(), "shops.stores"); err == nil {
		t.Errorf("it is still described: %+v", table)
	}
	if c, err := s.Subscription(t.Context(), "ada"); err != nil || !c.Tables["orders"] || len(c.Tables) != 1 {
		t.Errorf("%+v %v", c, err)
	}
	// One that stands among others.
	call("DELETE", "/api/admin/registry/"+all.Tables[0].ID, "", http.StatusOK)
	if now := call("GET", "/api/v1/declarations", "", http.StatusOK); len(now.Tables) != len(all.Tables)-1 {
		t.Errorf("%+v", now)
	}
	for action, n := range map[string]int{"table.register": 1, "table.edit": 3, "table.remove": 2} {
		if log, err := s.SearchAudit(t.Context(), action, 0, 5); err != nil || len(log) != n || log[0].Actor != "ada" || log[0].Detail == "" {
			t.Errorf("%s: %+v %v", action, log, err)
		}
	}
}
