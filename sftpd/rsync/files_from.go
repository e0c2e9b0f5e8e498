package rsync

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// forwardNames sends the names in a file of this side to a client that pushes, which then lists them. Before protocol 31
// they go between two frames. The client's list comes at the same time: join waits until all names are sent.
func (s *session) forwardNames() (join func(), err error) {
	w := &walker{session: s, limit: s.maxFiles()}
	names, err := w.fileNames(s.Sink, false)
	if err != nil {
		return nil, err
	}
	text := []byte(strings.Join(append(names, "", ""), "\x00"))
	if len(names) == 0 {
		text = []byte{0, 0}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s.proto < 31 {
			s.w.unframed(text)
		} else {
			s.w.bytes(text)
			_ = s.w.flush()
		}
	}()
	return func() { <-done }, nil
}

// fromList lists the names of --files-from.
func (w *walker) fromList() error {
	base := "."
	if len(w.o.paths) > 0 {
		p := w.o.paths[0]
		base = p.text
		if p.tilde {
			base = strings.TrimPrefix(base, "~")
		}
		base = cleanRel("./" + strings.TrimLeft(base, "/"))
	}
	names, err := w.fileNames(w.Source, true)
	if err != nil {
		return err
	}
	relative := w.o.relative
	w.o.dirs = !w.o.recurse
	for _, name := range names {
		dir := strings.HasSuffix(name, "/")
		clean := path.Clean("/" + name)[1:] // never above the base
		w.o.relative = relative
		arg := base + "/./" + clean
		if !relative {
			arg = base + "/" + clean
		}
		if base == "." && !relative {
			arg = clean
		}
		if dir || clean == "" {
			arg += "/"
		}
		if err := w.root(arg); err != nil {
			return err
		}
	}
	return nil
}

// fileNames reads the names from the client, or from a file of a tree, where lines may be comments.
func (w *walker) fileNames(tree Source, comments bool) ([]string, error) {
	var out []string
	total := 0
	take := func(name string) error {
		if total += len(name); len(out) >= w.limit || total > 64<<20 {
			return errTooMany
		}
		out = append(out, name)
		return nil
	}
	if w.o.filesFrom == "-" {
		framed := w.r.mux
		if w.proto == 30 && w.r.left == 0 {
			w.r.mux = false // protocol 30 sends the names between two frames
		}
		for {
			name := w.r.zeroEnded(maxArg)
			if w.r.err != nil {
				return nil, w.r.err
			}
			if name == "" {
				w.r.mux = framed
				return out, nil
			}
			if err := take(name); err != nil {
				return nil, err
			}
		}
	}
	name := cleanRel(strings.TrimPrefix(w.o.filesFrom, "~/"))
	f, size, err := tree.Open(name)
	if err != nil {
		return nil, &refusal{fmt.Sprintf("failed to open files-from file %q: %s", clip(w.o.filesFrom), reason(err)), ExitFileIO}
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, min(size, 64<<20)))
	if err != nil {
		return nil, err
	}
	for line := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == 0 || !w.o.from0 && (r == '\n' || r == '\r') }) {
		if comments && !w.o.from0 && (line[0] == '#' || line[0] == ';') {
			continue
		}
		if err := take(line); err != nil {
			return nil, err
		}
	}
	return out, nil
}
