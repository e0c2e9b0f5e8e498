package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"aida/assets"
	"aida/config"
	"aida/sftpd"
	"aida/sftpd/tree"
	"aida/store"
	"aida/syncer"
	"aida/syncer/csv"
	"aida/syncer/datadoc"
	"aida/syncer/keboola"
	"aida/syncer/lake"
	"aida/syncer/source"

	"github.com/gofrs/flock"
)

// program is the appliance: its rooms, opened and wired. main and the tests build the same one.
type program struct {
	cfg      *config.Config
	doc      *datadoc.Doc
	log      *slog.Logger
	store    *store.Store
	lake     *lake.Lake
	sync     *syncer.Syncer
	from     map[string]source.Source
	declared *declarations
	live     *liveRuns    // told how runs go on; set while serving
	lock     *flock.Flock // held while serving: one server per data folder, and only it sweeps

	tokenAsked time.Time // when sources were last asked for the end of their tokens
}

// openProgram opens everything that a command on a configured appliance needs.
func openProgram(ctx context.Context, cfg *config.Config, doc *datadoc.Doc, log *slog.Logger) (*program, error) {
	p := &program{cfg: cfg, doc: doc, log: log}
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	var err error
	p.store, err = store.Open(ctx, store.Options{Path: filepath.Join(cfg.DataDir, "aida.db"), PinMax: time.Duration(cfg.Lake.PinMax)})
	if err != nil {
		return nil, err
	}
	p.lake, err = lake.Open(lake.Options{Data: cfg.DataDir, Store: p.store, Keep: time.Duration(cfg.Lake.Keep), KeepCount: cfg.Lake.KeepGenerations, Log: log})
	if err != nil {
		return nil, errors.Join(err, p.store.Close())
	}
	if p.from, err = connectors(cfg, log); err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.sync = syncer.New(syncer.Options{Data: cfg.DataDir, Store: p.store, Lake: p.lake, Sources: p.from,
		Default: defaultSource(cfg), Tables: doc.Tables, Datasets: datasetsOf(cfg), Workers: cfg.Sync.Workers, Parallel: cmp.Or(cfg.Sync.Parallel, 2), PartRows: cfg.Lake.PartRows, Timing: timingOf(cfg), Log: log, Profiler: p.profiler(), Alerts: outbox{p.store},
		Watch: func(run int64, tables int) syncer.Progress {
			if p.live == nil { // nobody is served
				return nil
			}
			return p.live.watch(run, tables)
		}})
	p.declared = newDeclarations(p)
	return p, nil
}

func (p *program) close() error {
	var err error
	for _, s := range p.from {
		if c, ok := s.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	err = errors.Join(err, p.lake.Close(), p.store.Close())
	if p.lock != nil {
		err = errors.Join(err, p.lock.Close())
	}
	return err
}

func csvSource(c config.CSV) (*csv.Source, error) {
	return csv.New(csv.Options{Root: c.Root, OnBadRow: c.OnBadRow, Format: datadoc.CSVOptions{
		Delimiter: c.Delimiter, Quote: c.Quote, Header: c.Header, Encoding: c.Encoding, NullValues: c.NullValues, Decimal: c.Decimal,
		DateFormat: c.DateFormat, TimestampFormat: c.TimestampFormat}})
}

// connectors is the one list of connectors.
func connectors(cfg *config.Config, log *slog.Logger) (map[string]source.Source, error) {
	files, err := csvSource(cfg.DataSource.CSV)
	if err != nil {
		return nil, err
	}
	warehouse, err := bigQuerySource(cfg, log)
	if err != nil {
		return nil, err
	}
	all := []source.Source{files, warehouse}
	if hasKeboola(cfg) {
		project, err := keboolaSource(cfg)
		if err != nil {
			return nil, err
		}
		all = append(all, project)
	}
	out := map[string]source.Source{}
	for _, s := range all {
		out[s.Name()] = s
	}
	return out, nil
}

// timingOf gives the schedules of instance.yaml; its time zone has been checked.
func timingOf(cfg *config.Config) syncer.Timing {
	zone, err := time.LoadLocation(cfg.Schedule.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return syncer.Timing{Default: cfg.Schedule.Default, Zone: zone, Jitter: time.Duration(cfg.Schedule.Jitter)}
}

// defaultSource is the connector of tables that name none. "local" is the reference's word for Keboola, which it also took
// without any word.
func defaultSource(cfg *config.Config) string {
	switch t := cfg.DataSource.Type; {
	case t == "local", t == "" && cfg.DataSource.Keboola.StorageToken != "":
		return "keboola"
	default:
		return cmp.Or(t, "csv")
	}
}

func hasKeboola(cfg *config.Config) bool {
	return defaultSource(cfg) == "keboola" || cfg.DataSource.Keboola.StorageToken != ""
}

func keboolaSource(cfg *config.Config) (*keboola.Source, error) {
	k := cfg.DataSource.Keboola
	return keboola.New(keboola.Options{StackURL: k.StackURL, Token: k.StorageToken, ProjectID: k.ProjectID})
}

// datasetsOf gives the data sets of instance.yaml as the store has them.
func datasetsOf(cfg *config.Config) (out []store.Dataset) {
	for name, d := range cfg.Datasets {
		access := store.Visibility(cmp.Or(d.Access, string(store.OpenAccess)))
		if d.Access == "" && name == "private" {
			access = store.PrivateAccess
		}
		out = append(out, store.Dataset{Name: name, Access: access, Optional: d.Optional == nil || *d.Optional, Requires: d.Requires,
			Label: d.Label, Description: d.Description, SizeHint: d.SizeHint})
	}
	slices.SortFunc(out, func(a, b store.Dataset) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (p *program) sshServer() (*sftpd.Server, error) {
	c := p.cfg
	return sftpd.New(sftpd.Options{
		Addr: c.Listen.SSH, HostKey: filepath.Join(c.DataDir, "ssh", "host_ed25519"), Home: filepath.Join(c.DataDir, "home"), Store: p.store,
		Lake: func(f store.File) (tree.File, error) { return p.lake.Open(f) }, Kit: assets.Kit(), Log: p.log,
		IdleTimeout: time.Duration(c.SSH.IdleTimeout), LoginTimeout: time.Duration(c.SSH.LoginTimeout), Drain: time.Duration(c.SSH.Drain),
		MaxPerUser: c.SSH.MaxPerUser, MaxPerAddress: c.SSH.MaxPerAddress, MaxConnections: c.SSH.MaxConnections,
		HomeQuota: int64(c.Quota.Home), HomeFiles: c.Quota.HomeFiles,
	})
}

// options are where the global flags point.
func (c *cli) options() config.Options {
	return config.Options{ConfigDir: c.configDir, DataDir: c.dataDir}
}

// dataFolder is where the data is; commands about people need no more.
func (c *cli) dataFolder() (string, error) { return config.DataDir(c.options()) }

// withStore runs fn on the store of an existing data folder.
func (c *cli) withStore(ctx context.Context, fn func(*store.Store) error) error {
	dir, err := c.dataFolder()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "aida.db")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if _, cfgErr := config.Load(c.options()); cfgErr != nil {
			return fmt.Errorf("there is no database in %s: give the data folder with --data, or begin with `aida init` or `aida demo`", dir)
		}
	}
	s, err := store.Open(ctx, store.Options{Path: path})
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

// withProgram runs fn on the configured appliance.
func (c *cli) withProgram(ctx context.Context, level slog.Level, fn func(*program) error) error {
	cfg, err := config.Load(c.options())
	if err != nil {
		return err
	}
	work, err := os.Getwd()
	if err != nil {
		return err
	}
	paths, err := datadoc.Find(cfg.Dir, work)
	if err != nil {
		return err
	}
	doc, err := datadoc.Load(paths)
	if err != nil {
		return err
	}
	p, err := openProgram(ctx, cfg, doc, c.logger(level))
	if err != nil {
		return err
	}
	return errors.Join(fn(p), p.close())
}
