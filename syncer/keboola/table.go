package keboola

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// detail is the answer to GET tables/{id}, as far as it matters here.
type detail struct {
	ID             string         `json:"id"`
	Name           string         `json:"name"`
	DisplayName    string         `json:"displayName"`
	Created        instant        `json:"created"`
	LastImport     instant        `json:"lastImportDate"`
	LastChange     instant        `json:"lastChangeDate"`
	Rows           *int64         `json:"rowsCount"`     // null for aliases
	Bytes          *int64         `json:"dataSizeBytes"` // null for aliases
	IsAlias        bool           `json:"isAlias"`
	PrimaryKey     []string       `json:"primaryKey"`
	Columns        []string       `json:"columns"` // in order
	Metadata       metadataList   `json:"metadata"`
	ColumnMetadata columnMetadata `json:"columnMetadata"`
	Definition     definition     `json:"definition"` // of tables with native types
	Bucket         struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		DisplayName string `json:"displayName"`
		Description string `json:"description"`
		Backend     string `json:"backend"`
	} `json:"bucket"`
	SourceTable struct { // of an alias
		ID             string         `json:"id"`
		ColumnMetadata columnMetadata `json:"columnMetadata"`
		Definition     definition     `json:"definition"`
	} `json:"sourceTable"`
}

type definition struct {
	Columns []struct {
		Name       string `json:"name"`
		Basetype   string `json:"basetype"`
		Definition struct {
			Type   string `json:"type"`
			Length text   `json:"length"`
		} `json:"definition"`
	} `json:"columns"`
}

// metadatum is one remark on a table or a column, by one provider: a person ("user"), a component, or the storage itself.
type metadatum struct {
	Key       string  `json:"key"`
	Value     text    `json:"value"`
	Provider  string  `json:"provider"`
	Timestamp instant `json:"timestamp"`
}

type metadataList []metadatum

// columnMetadata has remarks by column. PHP writes an empty map as an empty list.
type columnMetadata map[string]metadataList

func (m *columnMetadata) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); bytes.Equal(b, []byte("null")) || bytes.HasPrefix(b, []byte("[")) {
		*m = nil
		return nil
	}
	var plain map[string]metadataList
	if err := json.Unmarshal(b, &plain); err != nil {
		return err
	}
	*m = plain
	return nil
}

// UnmarshalJSON also reads the old form, a map such as {"type": "INTEGER"}.
func (l *metadataList) UnmarshalJSON(b []byte) error {
	*l = nil
	switch b = bytes.TrimSpace(b); {
	case bytes.Equal(b, []byte("null")):
		return nil
	case bytes.HasPrefix(b, []byte("{")):
		var old map[string]text
		if err := json.Unmarshal(b, &old); err != nil {
			return err
		}
		for key, name := range map[string]string{"type": "KBC.datatype.type", "basetype": "KBC.datatype.basetype", "description": "KBC.description"} {
			if v := old[key]; v != "" {
				*l = append(*l, metadatum{Key: name, Value: v})
			}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]metadatum)(l))
}

// id is an identifier that is a number in one answer and a text in another.
type id string

func (v *id) UnmarshalJSON(b []byte) error { return (*text)(v).UnmarshalJSON(b) }

// text is a value that may be a text, a number, a boolean or null.
type text string

func (v *text) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case bytes.Equal(b, []byte("null")):
		*v = ""
	case bytes.HasPrefix(b, []byte(`"`)):
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*v = text(s)
	case bytes.HasPrefix(b, []byte("{")), bytes.HasPrefix(b, []byte("[")):
		*v = ""
	default:
		*v = text(b)
	}
	return nil
}

// instant is a time such as 2015-11-03T10:58:32+0100, or none.
type instant struct{ time.Time }

func (t *instant) UnmarshalJSON(b []byte) error {
	var s text
	if err := s.UnmarshalJSON(b); err != nil {
		return err
	}
	t.Time = time.Time{}
	if s == "" {
		return nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05-0700", time.RFC3339Nano} {
		if v, err := time.Parse(layout, string(s)); err == nil {
			t.Time = v.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is not a time", string(s))
}

// changed is when the table changed last; the zero time when the API does not say.
func (d *detail) changed() time.Time {
	if d.LastImport.After(d.LastChange.Time) {
		return d.LastImport.Time
	}
	return d.LastChange.Time
}

// tableIDs are stage, bucket and table with dots between.
var tableIDs = regexp.MustCompile(`^[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+){2,}$`)

// table asks for a table's detail.
func (s *Source) table(ctx context.Context, tableID string) (*detail, error) {
	if !tableIDs.MatchString(tableID) {
		return nil, fmt.Errorf("the id %q is not one of a Keboola table: write it as in.c-bucket.table", tableID)
	}
	var d detail
	err := s.get(ctx, "tables/"+tableID, nil, &d)
	switch {
	case is(err, http.StatusNotFound):
		return nil, fmt.Errorf("there is no table %s in the project, or the token does not see it: check the id, `aida table discover --dry-run` lists what there is", tableID)
	case err != nil:
		return nil, err
	case len(d.Columns) == 0:
		return nil, fmt.Errorf("table %s has no columns", tableID)
	}
	return &d, nil
}

// tables lists all tables with columns and remarks, at once or, where the stack cannot, bucket by bucket.
func (s *Source) tables(ctx context.Context) ([]detail, error) {
	include := url.Values{"include": {"columns,buckets,metadata,columnMetadata"}}
	var all []detail
	err := s.get(ctx, "tables", include, &all)
	if err == nil || ctx.Err() != nil || is(err, http.StatusUnauthorized) || is(err, http.StatusForbidden) {
		return all, err
	}
	var buckets []struct {
		ID string `json:"id"`
	}
	if err := s.get(ctx, "buckets", nil, &buckets); err != nil {
		return nil, err
	}
	all = nil
	for _, b := range buckets {
		var some []detail
		if err := s.get(ctx, "buckets/"+b.ID+"/tables", include, &some); err != nil {
			return nil, fmt.Errorf("bucket %s: %w", b.ID, err)
		}
		for i := range some {
			if some[i].Bucket.ID == "" {
				some[i].Bucket.ID = b.ID
			}
		}
		all = append(all, some...)
	}
	return all, nil
}
