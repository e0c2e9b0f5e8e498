package notify

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// strayAge is how old a picture is that no alert names before it counts as left by a crash.
const strayAge = time.Hour

// prunePictures removes pictures that no alert has any more, and while the others take too much room, the oldest.
func (n *Notify) prunePictures(ctx context.Context, now time.Time) error {
	if n.o.Pictures == "" {
		return nil
	}
	entries, err := os.ReadDir(n.o.Pictures)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	used, err := n.o.Store.Pictures(ctx)
	if err != nil {
		return err
	}
	var kept []fs.FileInfo
	var total int64
	for _, e := range entries {
		i, err := e.Info()
		if err != nil || !i.Mode().IsRegular() {
			continue
		}
		if !used[i.Name()] && now.Sub(i.ModTime()) > strayAge {
			if err := os.Remove(filepath.Join(n.o.Pictures, i.Name())); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, i)
		total += i.Size()
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, i := range kept {
		if total <= n.o.PictureRoom {
			break
		}
		if err := n.o.Store.DropPicture(ctx, i.Name()); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(n.o.Pictures, i.Name())); err != nil {
			return err
		}
		total -= i.Size()
	}
	return nil
}
