package rsync

import (
	"context"
	"fmt"
	"io"
)

// digest gives the sum of a file for --checksum, of the tree's own knowledge if it has any.
func (s *session) digest(e *entry) ([]byte, error) {
	if h, ok := s.Source.(Hasher); ok {
		if sum, ok := h.Hash(s.ctx, e.where(), s.listSum.name); ok && len(sum) == s.listSum.size {
			return sum, nil
		}
	}
	return digestOf(s.ctx, s.Source, e.where(), s.listSum)
}

// Digest reads a file and gives its digest by an algorithm of Hasher. It ends with its context.
func Digest(ctx context.Context, src Source, name, algorithm string) ([]byte, error) {
	a := findAlgorithm(algorithm)
	if a == nil {
		return nil, fmt.Errorf("checksum %q is not known", algorithm)
	}
	return digestOf(ctx, src, name, a)
}

func digestOf(ctx context.Context, src Source, name string, a *algorithm) ([]byte, error) {
	none := make([]byte, a.size)
	f, size, err := src.Open(name)
	if err != nil {
		return none, err
	}
	defer f.Close()
	h := a.newHash(0)
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, while{ctx, io.NewSectionReader(f, 0, size)}, make([]byte, 256<<10))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return none, err
	}
	return h.Sum(nil), nil
}

// while is a reader that ends with a context.
type while struct {
	ctx context.Context
	io.Reader
}

func (r while) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
