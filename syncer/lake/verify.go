package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"aida/store"
)

// Verify reads files whole and tells which do not have the bytes that the manifest says.
func (l *Lake) Verify(ctx context.Context, files []store.File) (bad []error) {
	for _, f := range files {
		if ctx.Err() != nil {
			return append(bad, ctx.Err())
		}
		if err := l.verify(f); err != nil {
			bad = append(bad, err)
		}
	}
	return bad
}

func (l *Lake) verify(f store.File) error {
	file, err := l.Open(f)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, io.NewSectionReader(file, 0, f.Size))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("lake file %s: %w", f.Logical, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.Hash {
		return fmt.Errorf("lake file %s: its bytes have SHA-256 %s, the manifest says %s: run `aida sync --full`", f.Logical, got[:16], f.Hash[:16])
	}
	return nil
}
