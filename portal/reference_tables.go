package portal

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strconv"

	"aida/portal/route"
	"aida/store"
)

// The registry of tables under its older addresses, with the fields that it had there.
func (p *Portal) referenceTableRoutes() []route.Route {
	if p.o.Tables == nil {
		return nil
	}
	id := map[string]string{"id": "The id that the source has for the table."}
	body := registryBody{ID: "sales.refunds", declarationKeys: declarationKeys{PrimaryKey: oneOrMore{"id"}}}
	return []route.Route{
		{Pattern: "GET /api/admin/discover-tables", Who: route.AdminCaller, Handle: p.discoverTables, Doc: reference("What tables the source has", route.Doc{Answer: discoveredAnswer{}, Fails: []int{500}})},
		{Pattern: "GET /api/admin/registry", Who: route.AdminCaller, Handle: p.registry, Doc: reference("What is declared of each table", route.Doc{Answer: registryAnswer{}, Fails: []int{400}})},
		{Pattern: "POST /api/admin/register-table", Who: route.AdminCaller, Handle: p.registerTable, Doc: reference("Declare a table", route.Doc{Body: body, Answer: versionAnswer{}, Fails: []int{409}})},
		{Pattern: "PUT /api/admin/registry/{id}", Who: route.AdminCaller, Handle: p.updateRegistry, Doc: reference("Change what is declared of a table", route.Doc{Path: id, Body: registryBody{}, Answer: versionAnswer{}, Fails: []int{409}})},
		{Pattern: "DELETE /api/admin/registry/{id}", Who: route.AdminCaller, Handle: p.unregister, Doc: reference("Take a table out of the description", route.Doc{Path: id, Query: []route.Param{{Name: "version", Type: "integer", Text: "The version that you read; it may also be sent as JSON."}}, Answer: versionAnswer{}, Fails: []int{409}})},
	}
}

type (
	discoveredAnswer struct {
		OK      bool               `json:"ok"`
		Total   int                `json:"total"`
		Buckets []discoveredBucket `json:"buckets"`
	}
	discoveredBucket struct {
		ID     string            `json:"bucket_id"`
		Name   string            `json:"bucket_name"`
		Tables []discoveredTable `json:"tables"`
	}
	discoveredTable struct {
		ID         string   `json:"id"`
		Name       string   `json:"name"`
		Rows       *int64   `json:"row_count,omitempty"`
		PrimaryKey []string `json:"primary_key"`
		Registered bool     `json:"is_registered"`
	}
	registryAnswer struct {
		OK      bool              `json:"ok"`
		Version int64             `json:"version"`
		Folders map[string]string `json:"folder_mapping"`
		Tables  []declaration     `json:"tables"`
	}
	registryBody struct {
		ID      string `json:"id,omitempty"`
		Name    string `json:"name,omitempty"`
		Folder  string `json:"folder,omitempty"`
		Version int64  `json:"version,omitempty"` // that was read; 0 = whatever is there now
		declarationKeys
	}
	registryVersion struct {
		Version int64 `json:"version"`
	}
	versionAnswer struct {
		OK      bool  `json:"ok"`
		Version int64 `json:"version"`
	}
)

// versionNumber stands for a state of the description as a number, of 48 bits so that every JSON reader keeps it whole.
func versionNumber(seen string) int64 {
	h := sha256.Sum256([]byte(seen))
	return int64(binary.BigEndian.Uint64(h[:8]) >> 16)
}

// seenAs is the state of the description that a version stands for, when that is the one of now.
func seenAs(version int64, now string) string {
	if version == 0 || version == versionNumber(now) {
		return now
	}
	return "another one"
}

func (p *Portal) discoverTables(w http.ResponseWriter, r *http.Request) error {
	found, err := p.o.Tables.Discover(r.Context())
	if err != nil {
		if store.CodeOf(err) == "" {
			return err
		}
		return &route.Problem{Status: http.StatusInternalServerError, Title: "The source could not be asked", Text: problemOf(err).Text}
	}
	out := discoveredAnswer{OK: true, Total: len(found), Buckets: []discoveredBucket{}}
	for _, c := range found {
		if n := len(out.Buckets); n == 0 || out.Buckets[n-1].ID != c.Bucket {
			out.Buckets = append(out.Buckets, discoveredBucket{ID: c.Bucket, Name: c.Bucket})
		}
		b := &out.Buckets[len(out.Buckets)-1]
		b.Tables = append(b.Tables, discoveredTable{c.ID, c.Name, rowsOf(c), append([]string{}, c.PrimaryKey...), c.Described})
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) registry(w http.ResponseWriter, r *http.Request) error {
	all, err := p.o.Tables.All(r.Context())
	if err != nil {
		return err
	}
	out := registryAnswer{OK: true, Version: versionNumber(all.Seen), Folders: map[string]string{}, Tables: []declaration{}}
	for bucket, folder := range all.Folders {
		out.Folders[bucket] = folder
	}
	for _, d := range all.Tables {
		out.Tables = append(out.Tables, declarationJSON(d))
	}
	return p.JSON(w, http.StatusOK, out)
}

// register answers a change as the registry did: 409 says that somebody else was faster, 400 everything else.
func (p *Portal) register(w http.ResponseWriter, r *http.Request, c Change, err error) error {
	var out changeAnswer
	if err == nil {
		out, err = p.declare(r, c, false)
	} else if store.CodeOf(err) == store.Conflict {
		err = invalid(err)
	}
	if err != nil {
		if b := problemOf(err); b.Status == http.StatusNotFound {
			err = invalid(err)
		}
		return err
	}
	return p.JSON(w, http.StatusOK, versionAnswer{true, versionNumber(out.Version)})
}

func invalid(err error) error {
	b := problemOf(err)
	return &route.Problem{Status: http.StatusBadRequest, Title: b.Title, Text: b.Text}
}

func (p *Portal) registerTable(w http.ResponseWriter, r *http.Request) error {
	var b registryBody
	if err := readLoose(r, &b); err != nil {
		return err
	}
	c, err := p.newTable(r, newDeclaration{ID: b.ID, Name: b.Name, Folder: b.Folder, declarationKeys: b.declarationKeys})
	c.Seen = seenAs(b.Version, c.Seen)
	return p.register(w, r, c, err)
}

func (p *Portal) updateRegistry(w http.ResponseWriter, r *http.Request) error {
	var b registryBody
	if err := readLoose(r, &b); err != nil {
		return err
	}
	d, err := p.declaredTable(r, r.PathValue("id"))
	if err == nil && b.ID != "" && b.ID != d.ID {
		err = &store.Error{Code: store.Invalid, Message: "the id of a table cannot be changed", Hint: "take the table out, and register the other one"}
	}
	c := Change{Declaration: b.on(d.Declaration), Seen: seenAs(b.Version, d.Seen)}
	if b.Name != d.Name {
		c.NewName = b.Name
	}
	if b.Folder != d.Folder {
		c.NewFolder = b.Folder
	}
	return p.register(w, r, c, err)
}

func (p *Portal) unregister(w http.ResponseWriter, r *http.Request) error {
	var b registryVersion
	if text := r.URL.Query().Get("version"); text != "" {
		var err error
		if b.Version, err = strconv.ParseInt(text, 10, 64); err != nil {
			return badQuery("version", "It is a number.")
		}
	} else if r.ContentLength != 0 {
		if err := readLoose(r, &b); err != nil {
			return err
		}
	}
	d, err := p.declaredTable(r, r.PathValue("id"))
	return p.register(w, r, Change{Declaration: d.Declaration, Gone: true, Seen: seenAs(b.Version, d.Seen)}, err)
}
