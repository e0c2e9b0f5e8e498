package app

import (
	"context"

	"aida/portal"
	"aida/sftpd"
	"aida/sftpd/tree"
	"aida/store"
)

// files hands the tree that SSH serves to the portal.
type files struct{ ssh *sftpd.Server }

func (f files) Open(ctx context.Context, a *store.Access, generation int64) (portal.Tree, error) {
	t, err := f.ssh.Tree(ctx, a, generation)
	if err != nil {
		return nil, err
	}
	return openTree{t}, nil
}

type openTree struct{ *tree.Tree }

// Generation is the one that the tree shows.
func (t openTree) Generation() int64 { return t.Snapshot().Generation }

// Open opens a file for reading.
func (t openTree) Open(p string) (portal.TreeFile, int64, error) { return t.Tree.Open(p) }
