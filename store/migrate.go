package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"os"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate applies the numbered files of migrations/ that the database has not seen (PRAGMA user_version counts them),
// all in one transaction. A database that is newer than this binary is refused.
func (s *Store) migrate(ctx context.Context, schema fs.FS) error {
	files, err := fs.Glob(schema, "migrations/*.sql")
	if err != nil {
		return err
	}
	var version int
	if err := s.w.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fmt.Errorf("cannot be read as a database: %w", err)
	}
	if version > len(files) {
		return refuse(Invalid, "start the newer binary, or restore a backup", "it has schema version %d, this binary knows %d", version, len(files))
	}
	if version == len(files) {
		return nil
	}
	if version > 0 {
		if err := s.copyBefore(ctx, version); err != nil {
			return err
		}
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		for i := version; i < len(files); i++ {
			text, err := fs.ReadFile(schema, files[i])
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return fmt.Errorf("migration %s: %w", files[i], err)
			}
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, len(files)))
		return err
	})
}

// copyBefore takes a consistent copy of the database before its schema changes.
func (s *Store) copyBefore(ctx context.Context, version int) error {
	path := fmt.Sprintf("%s.before-%d", s.path, version+1)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("backup copy: %w", err)
	}
	if err := touchPrivate(path); err != nil {
		return fmt.Errorf("backup copy: %w", err)
	}
	if _, err := s.w.ExecContext(ctx, `VACUUM INTO ?`, path); err != nil {
		return fmt.Errorf("backup copy %s: %w", path, err)
	}
	return nil
}
