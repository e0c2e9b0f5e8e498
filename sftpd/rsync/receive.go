package rsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// receiver takes what one client pushes. Two goroutines share it: the generator looks at each entry of the list and asks for
// what is needed, and the other stores what comes.
type receiver struct {
	*session
	list    []*entry
	byIndex []*entry
	byName  map[string]*entry
	root    string // destination in the sink
	single  string // name of the only file, where the destination is not a folder
	created bool   // the destination was made
	absent  bool   // the destination is not there, in a dry run
	sc      *scope

	deleted   [5]int32          // files, folders, links, devices, specials
	skipped   int               // deletions over the limit
	leaders   map[uint64]*entry // of hard links, by group
	groups    map[uint64][]*entry
	warned    bool
	way       []inFolder
	later     []func() // deletions for the end
	dirBroken string   // folder that could not be made, with what is below

	mu     sync.Mutex
	wanted map[int32]*wanted
	redo   []int32
	moves  [][2]string // of --delay-updates, from and to
	answer chan struct{}
}

// wanted is a file that was asked for.
type wanted struct {
	head    sumHead
	basis   string // name of the basis in the sink; empty without
	kind    byte
	again   bool // for the second time, after a wrong digest
	partial bool // basis is a file of the partial dir
	append  bool
}

// receiveFiles is a push: the list comes in, then what the generator asks for.
func (s *session) receiveFiles() error {
	s.filter = &filter{proto: s.proto}
	if s.o.prune || s.o.delete != deleteNever && (!s.o.deleteExcluded || s.proto >= 29) {
		var err error
		if s.filter, err = s.readFilter(); err != nil {
			return err
		}
	}
	s.asked.Store(true)
	join := func() {}
	if s.o.filesFrom != "" && s.o.filesFrom != "-" {
		var err error
		if join, err = s.forwardNames(); err != nil {
			return err
		}
	}
	byIndex, list, err := s.readList()
	join()
	if err != nil {
		return err
	}
	x := &receiver{session: s, list: list, byIndex: byIndex, byName: make(map[string]*entry, len(list)), sc: s.filter.top(), wanted: map[int32]*wanted{}, answer: make(chan struct{}, 16)}
	if s.o.prune {
		x.pruneEmpty()
	}
	for _, e := range list {
		if !e.skip {
			x.byName[e.name] = e
		}
	}
	if s.o.delete == deleteDefault {
		if s.o.delete = deleteDuring; s.proto < 30 {
			s.o.delete = deleteBefore
		}
	}
	if err := x.destination(); err != nil {
		return err
	}
	if s.o.backupDir != "" && escapes(path.Join(x.root, s.o.backupDir)) {
		return &refusal{fmt.Sprintf("option --backup-dir: %q leads out of the tree", clip(s.o.backupDir)), ExitSyntax}
	}
	s.r.src.before = s.w.flushFree
	s.lost = x.notComing
	g, ctx := errgroup.WithContext(s.ctx)
	var failed sync.Once
	var late *time.Timer
	half := func(f func() error) {
		g.Go(func() error {
			err := f()
			if err != nil {
				// The other half may wait for a client that does not read, or that waits for an answer itself.
				failed.Do(func() { late = time.AfterFunc(drainLimit, func() { s.conn.Close() }) })
			}
			return err
		})
	}
	half(func() error {
		err := x.guard(func() error { return x.generate(ctx) })
		if err != nil && ctx.Err() == nil {
			s.say(ExitFileIO, err.Error())
		}
		return err
	})
	half(func() error {
		err := x.guard(x.receive)
		if err != nil {
			x.abandon()
		}
		return err
	})
	err = g.Wait()
	failed.Do(func() {})
	if late != nil {
		late.Stop()
	}
	return err
}

// notComing takes note of a file that was asked for and does not come.
func (x *receiver) notComing(ndx int32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.wanted, ndx)
}

// guard keeps a fault from ending more than the session.
func (x *receiver) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	return f()
}

// pruneEmpty takes folders out of the list that have nothing but folders in them. Those that a rule excludes stay.
func (x *receiver) pruneEmpty() {
	keep := map[string]bool{".": true}
	for _, e := range x.list {
		if e.skip || e.isDir() && x.scopeOf(path.Dir(e.name)).check(e.name, true, true) != excluded {
			continue
		}
		for p := e.name; !keep[p]; p = path.Dir(p) {
			keep[p] = true
		}
	}
	for _, e := range x.list {
		if e.isDir() && !keep[e.name] {
			e.skip = true
		}
	}
}

// place is where an entry goes in the sink.
func (x *receiver) place(e *entry) string {
	if x.single != "" {
		return path.Join(x.root, x.single)
	}
	return path.Join(x.root, e.name)
}

// destination works out what the one argument means: a folder to put things in, which may have to be made, or the name of a
// single file.
func (x *receiver) destination() error {
	w := x.o.paths[0]
	arg := w.text
	if w.tilde && (arg == "~" || strings.HasPrefix(arg, "~/")) {
		arg = strings.TrimPrefix(arg[1:], "/")
	}
	if arg == "" {
		arg = "."
	}
	if len(arg) > maxArg || escapes(arg) {
		return &refusal{fmt.Sprintf("destination %q is outside of the tree", clip(arg)), ExitFileSelect}
	}
	slash := strings.HasSuffix(arg, "/") && arg != "/"
	at := cleanRel(arg)
	if x.Refuse != nil {
		if err := x.Refuse(at, x.o.delete != deleteNever); err != nil {
			return &refusal{fmt.Sprintf("%q cannot be written to: %s", clip(at), rootCause(err)), ExitFileIO}
		}
	}
	many := len(x.list) > 1
	info, err := x.Sink.Stat(at)
	if errors.Is(err, fs.ErrNotExist) && x.o.mkpath && !x.o.dryRun {
		dir := at
		if !many && !slash {
			dir = path.Dir(at)
		}
		n, err := x.makePath(dir)
		if err != nil {
			return &refusal{fmt.Sprintf("mkdir %q failed: %s", clip(dir), reason(err)), ExitFileIO}
		}
		if n > 0 && (x.o.verbose > 0 || x.o.itemize > 0) {
			ies := "ies"
			if n == 1 {
				ies = "y"
			}
			x.info("created %d director%s for %s", n, ies, dir)
		}
		info, _ = x.Sink.Stat(at)
	}
	switch {
	case info != nil && info.IsDir():
		x.root = at
		return nil
	case info != nil && many:
		return &refusal{"ERROR: destination must be a directory when copying more than 1 file", ExitFileSelect}
	case info != nil && len(x.list) == 1 && x.list[0].isDir():
		return &refusal{"ERROR: cannot overwrite non-directory with a directory", ExitFileSelect}
	case info != nil && slash:
		return &refusal{"ERROR: destination path is not a directory", ExitSyntax}
	case info == nil && err != nil && !errors.Is(err, fs.ErrNotExist):
		return &refusal{fmt.Sprintf("ERROR: cannot stat destination %q: %s", clip(arg), reason(err)), ExitFileSelect}
	case info == nil && (many || slash):
		x.root = at
		if x.o.dryRun {
			x.absent = true
		} else if err := x.Sink.Mkdir(at); err != nil {
			return &refusal{fmt.Sprintf("mkdir %q failed: %s", clip(at), reason(err)), ExitFileIO}
		}
		x.created = true
		if x.o.verbose > 0 || x.o.itemize > 0 {
			x.info("created directory %s", strings.TrimSuffix(arg, "/"))
		}
		return nil
	}
	x.root, x.single = path.Dir(at), path.Base(at)
	if parent, err := x.Sink.Stat(x.root); err != nil || !parent.IsDir() {
		if err == nil {
			err = errors.New("Not a directory (20)") //lint:ignore ST1005 the words of an operating system
		}
		return &refusal{fmt.Sprintf("change_dir#3 %q failed: %s", clip(x.root), reason(err)), ExitFileSelect}
	}
	return nil
}

// makePath makes a folder with those above it, and counts them.
func (x *receiver) makePath(dir string) (n int, err error) {
	if dir == "." {
		return 0, nil
	}
	info, err := x.Sink.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return 0, nil
	case err == nil:
		return 0, fs.ErrExist
	case !errors.Is(err, fs.ErrNotExist):
		return 0, err
	}
	if n, err = x.makePath(path.Dir(dir)); err != nil {
		return n, err
	}
	if err := x.Sink.Mkdir(dir); err != nil {
		return n, err
	}
	return n + 1, nil
}

// await waits until the sender has answered a phase: then all it was asked for in it is stored.
func (x *receiver) await(ctx context.Context) error {
	if err := x.w.flush(); err != nil {
		return err
	}
	select {
	case <-x.answer:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// receive reads the sender's answers to their end.
func (x *receiver) receive() error {
	last := 3
	switch {
	case x.proto < 29:
		last = 2
	case x.proto >= 31:
		last = 4
	}
	tokens := newTokenReader(x.session)
	defer tokens.close()
	st := &storer{receiver: x, tokens: tokens, buf: make([]byte, 0, writeSize)}
	for phase := 0; phase < last; {
		ndx := x.r.index()
		if x.r.err != nil {
			return x.r.err
		}
		switch {
		case ndx == ndxDone:
			phase++
			x.answer <- struct{}{}
			continue
		case ndx == ndxDelStats && x.proto >= 31:
			for range 5 {
				x.r.varint()
			}
			continue
		case ndx < 0 || int(ndx) >= len(x.list):
			return protocolError(fmt.Sprintf("index %d is not in the list of %d", ndx, len(x.list)))
		}
		it := x.readItem(ndx)
		if x.r.err != nil {
			return x.r.err
		}
		if it.flags&itemTransfer == 0 || x.o.dryRun {
			continue
		}
		x.mu.Lock()
		w := x.wanted[ndx]
		delete(x.wanted, ndx)
		x.mu.Unlock()
		if w == nil {
			return protocolError(fmt.Sprintf("file %d comes, which was not asked for", ndx))
		}
		if head := x.readHead(); x.r.err != nil {
			return x.r.err
		} else if head != w.head {
			return protocolError("the sums of another file came back")
		}
		if err := st.store(ndx, x.byIndex[ndx], w); err != nil {
			return err
		}
	}
	return nil
}

// notSent is the sender's word that a file does not come.
func (s *session) notSent(ndx int32) error {
	if s.lost != nil {
		s.lost(ndx)
	}
	return nil
}

// abandon wakes a generator whose client is gone: its writes fail.
func (x *receiver) abandon() {
	if errors.Is(x.r.err, errClosed) {
		x.conn.Close()
	}
}
