package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"aida/config"
	"aida/syncer/bigquery"
	"aida/syncer/datadoc"

	"github.com/spf13/pflag"
)

// bigQueryPlace stands before the project in the answer to where the tables are.
const bigQueryPlace = "bigquery:"

func bigQueryFlags(f *pflag.FlagSet, a *answers) {
	f.Func("bigquery", "Google Cloud project that pays for BigQuery, instead of a folder", func(project string) error {
		a.Source = bigQueryPlace + project
		return nil
	})
	f.StringVar(&a.Endpoint, "bigquery-endpoint", "", "other address of BigQuery, as for Private Service Connect")
}

// setUpBigQuery lists the project's tables with the default credentials of this machine.
func (c *cli) setUpBigQuery(ctx context.Context, project, endpoint string) (*sourceSetup, error) {
	src, err := bigquery.New(bigquery.Options{Project: project, Endpoint: endpoint, StorageEndpoint: endpoint})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	tables, err := src.Discover(ctx)
	if err != nil {
		return nil, err
	}
	c.say("The BigQuery project %s has %d tables and views.", project, len(tables))
	yaml := "  type: bigquery\n  bigquery:\n    project: " + strconv.Quote(project) + "\n    # credentials_file: /etc/aida/key.json   # key of a service account; without it, Google's default credentials\n"
	if endpoint != "" {
		yaml += fmt.Sprintf("    endpoint: %s\n    storage_endpoint: %s\n", strconv.Quote(endpoint), strconv.Quote(endpoint))
	}
	return &sourceSetup{yaml: yaml, tables: proposeBigQuery(tables),
		note: "Look through names, keys and strategies; give large tables incremental_column, or query_mode: remote. Tables that nobody needs can go.",
		none: "The project has no table with a primary key"}, nil
}

func bigQuerySource(cfg *config.Config, log *slog.Logger) (*bigquery.Source, error) {
	b := cfg.DataSource.BigQuery
	return bigquery.New(bigquery.Options{Project: b.Project, Location: b.Location, CredentialsFile: b.CredentialsFile, MaxBytes: int64(b.MaxBytes),
		Endpoint: b.Endpoint, StorageEndpoint: b.StorageEndpoint, Log: log})
}

// proposeBigQuery describes tables as the project does, each data set a folder.
func proposeBigQuery(tables []bigquery.Table) (out []proposal) {
	plain := func(s string) string { return strings.Trim(unsafe.ReplaceAllString(strings.ToLower(s), "_"), "_") }
	seen := map[string]bool{}
	for _, t := range tables {
		folder, name := cmp.Or(plain(t.Dataset), "data"), cmp.Or(plain(t.ID[strings.LastIndexByte(t.ID, '.')+1:]), "table")
		for n, base := 2, name; seen[folder+"."+name]; n++ {
			name = base + "_" + strconv.Itoa(n)
		}
		seen[folder+"."+name] = true
		p := proposal{Bucket: t.Dataset, Rows: t.Rows, Table: datadoc.Table{ID: t.ID, Folder: folder, Name: name, PrimaryKey: t.PrimaryKey,
			Description: cmp.Or(t.Description, strings.ToLower(strings.ReplaceAll(cmp.Or(t.Type, "TABLE"), "_", " "))+" "+t.ID)}}
		for _, col := range t.Columns {
			p.Columns = append(p.Columns, datadoc.Column{Name: col.Name, Description: col.Description})
		}
		out = append(out, p)
	}
	return out
}
