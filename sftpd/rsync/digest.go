package rsync

import (
	"fmt"
	"io"
)

// digest gives the sum of a file for --checksum, of the tree's own knowledge if it has any.
func (s *session) digest(e *entry) ([]byte, error) {
	if h, ok := s.Source.(Hasher); ok {
		if sum, ok := h.Hash(e.where(), s.listSum.name); ok && len(sum) == s.listSum.size {
			return sum, nil
		}
	}
	return digestOf(s.Source, e.where(), s.listSum)
}

// Digest reads a file and gives its digest by an algorithm of Hasher.
func Digest(src Source, name, algorithm string) ([]byte, error) {
	a := findAlgorithm(algorithm)
	if a == nil {
		return nil, fmt.Errorf("checksum %q is not known", algorithm)
	}
	return digestOf(src, name, a)
}

func digestOf(src Source, name string, a *algorithm) ([]byte, error) {
	none := make([]byte, a.size)
	f, size, err := src.Open(name)
	if err != nil {
		return none, err
	}
	defer f.Close()
	h := a.newHash(0)
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(f, 0, size), make([]byte, 256<<10))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return none, err
	}
	return h.Sum(nil), nil
}
