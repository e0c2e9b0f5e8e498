package bigquery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	storage "cloud.google.com/go/bigquery/storage/apiv1"
	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// client is the connection to both of BigQuery's services.
type client struct {
	o       Options
	rest    *bq.Service
	storage *storage.BigQueryReadClient

	location string // of jobs
}

// connect makes the connection once.
func (s *Source) connect(ctx context.Context) (*client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.o.Project == "" {
		return nil, errors.New("no project pays for BigQuery: set data_source.bigquery.project in instance.yaml, or BIGQUERY_PROJECT")
	}
	if s.rest == nil {
		lasting := context.WithoutCancel(ctx) // tokens are renewed with it, long after this fetch
		auth, err := credentials(s.o.CredentialsFile)
		if err != nil {
			return nil, err
		}
		rest, err := bq.NewService(lasting, options(auth, s.o.Endpoint, false)...)
		if err != nil {
			return nil, fmt.Errorf("BigQuery: %w", err)
		}
		read, err := storage.NewBigQueryReadClient(lasting, options(auth, s.o.StorageEndpoint, true)...)
		if err != nil {
			return nil, fmt.Errorf("BigQuery Storage Read API: %w", err)
		}
		read.CallOptions = &storage.BigQueryReadCallOptions{} // this package repeats requests itself
		s.rest, s.storage = rest, read
	}
	return &client{o: s.o, rest: s.rest, storage: s.storage, location: s.o.Location}, nil
}

func options(auth []option.ClientOption, endpoint string, overGRPC bool) []option.ClientOption {
	out := []option.ClientOption{option.WithUserAgent("aida")}
	host, plain := strings.CutPrefix(endpoint, "http://")
	switch {
	case plain && overGRPC:
		return append(out, option.WithEndpoint(strings.TrimSuffix(host, "/")), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	case plain:
		return append(out, option.WithEndpoint(restBase(endpoint)), option.WithoutAuthentication())
	case endpoint != "" && overGRPC:
		out = append(out, option.WithEndpoint(strings.TrimSuffix(strings.TrimPrefix(endpoint, "https://"), "/")))
	case endpoint != "":
		out = append(out, option.WithEndpoint(restBase(endpoint)))
	}
	return append(out, auth...)
}

func restBase(endpoint string) string {
	return strings.TrimSuffix(strings.TrimSuffix(endpoint, "/"), "/bigquery/v2") + "/bigquery/v2/"
}

// credentials reads the key of a service account. Other kinds of credential files can make a client talk to any address
// that they name, so they are taken from the environment alone, as the default credentials.
func credentials(file string) ([]option.ClientOption, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("data_source.bigquery.credentials_file: %w", err)
	}
	var key struct{ Type string }
	if err := json.Unmarshal(text, &key); err != nil {
		return nil, fmt.Errorf("data_source.bigquery.credentials_file: %s is not a JSON key file: download a JSON key of the service account", file)
	}
	if key.Type != "service_account" {
		return nil, fmt.Errorf("data_source.bigquery.credentials_file: %s is of the type %q: download a JSON key of a service account, or use GOOGLE_APPLICATION_CREDENTIALS", file, key.Type)
	}
	return []option.ClientOption{option.WithAuthCredentialsJSON(option.ServiceAccount, text)}, nil
}

// checkEndpoints refuses what would send tables or tokens over a network in clear text.
func checkEndpoints(o Options) error {
	for key, v := range map[string]string{"endpoint": o.Endpoint, "storage_endpoint": o.StorageEndpoint} {
		if v == "" || key == "storage_endpoint" && !strings.Contains(v, "://") {
			continue
		}
		u, err := url.Parse(v)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("data_source.bigquery.%s: %q is not a URL: write it as https://bigquery.example.com/", key, v)
		}
		if u.Scheme == "http" && !loopback(u.Hostname()) {
			return fmt.Errorf("data_source.bigquery.%s: %q is not encrypted: use https://, as http:// is for a server on this machine alone", key, v)
		}
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && net.IP(ip.AsSlice()).IsLoopback()
}

// table reads a table's metadata.
func (c *client) table(ctx context.Context, r reference) (*bq.Table, error) {
	var out *bq.Table
	err := c.repeat(ctx, func() (err error) {
		out, err = c.rest.Tables.Get(r.project, r.dataset, r.table).Context(ctx).Do()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("BigQuery table %s: %w", r, err)
	}
	return out, nil
}

// affordable refuses a read that is estimated larger than max_bytes.
func (c *client) affordable(what string, bytes int64) error {
	if c.o.MaxBytes > 0 && bytes > c.o.MaxBytes {
		return fmt.Errorf("%s %s, and data_source.bigquery.max_bytes allows %s: choose fewer columns, set row_filter or max_history_days, or raise it",
			what, size(bytes), size(c.o.MaxBytes))
	}
	return nil
}

func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v, i := float64(n), 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
