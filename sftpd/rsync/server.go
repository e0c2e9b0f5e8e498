// Package rsync serves the rsync protocol, versions 27 to 32, to stock clients: rsync 2.6.9 and newer, and openrsync. It is
// the far end of `rsync -e ssh HOST:src/ dst/` and of the way back, over any two streams of bytes. It reads from a Source,
// writes to a Sink, and knows neither SSH nor disks; Dir makes both of an *os.Root.
//
//	srv := &rsync.Server{Source: tree, Sink: home, Log: log}
//	code := srv.Serve(ctx, "rsync --server --sender -logDtpre.iLsfxCIvu . src/", session, session.Stderr())
//
// It never starts a program, never follows what a client sends out of the tree, and bounds what a client may make it keep.
// The protocol has no other description than the source of rsync (https://github.com/RsyncProject/rsync).
package rsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"sync/atomic"
	"time"
)

// Exit codes, as in errcode.h of rsync. A client shows the larger of its own and the server's.
const (
	ExitOK          = 0
	ExitSyntax      = 1
	ExitProtocol    = 2
	ExitFileSelect  = 3
	ExitUnsupported = 4
	ExitFileIO      = 11
	ExitStream      = 12
	ExitMalloc      = 22
	ExitPartial     = 23
	ExitVanished    = 24
	ExitDelLimit    = 25
	ExitTimeout     = 30
	ExitNotFound    = 127
)

// Source is a tree that clients pull from; several goroutines use it at once. Names have slashes and no leading one, "." is the
// root. Lists come sorted by name.
type Source interface {
	Lstat(name string) (fs.FileInfo, error)
	Stat(name string) (fs.FileInfo, error) // follows symbolic links, within the tree
	ReadDir(name string) ([]fs.FileInfo, error)
	Readlink(name string) (string, error)
	Open(name string) (f File, size int64, err error)
}

// File is an open file of a Source.
type File interface {
	io.ReaderAt
	io.Closer
}

// SmallReader is a Source with a short way to read a whole file into the beginning of buf. It gives how long the file is, or
// false for one that has to be opened, be it that it is longer than buf, or is not there.
type SmallReader interface {
	ReadSmall(name string, buf []byte) (n int, ok bool)
}

// Hasher is a Source that knows digests of files without reading them. Client and server then agree on one of these for
// --checksum where they can.
type Hasher interface {
	// Hash gives the digest by an algorithm (xxh128, md5, ...), or false when it is not known. It ends with its context.
	Hash(ctx context.Context, name, algorithm string) ([]byte, bool)
	// Hashes names the algorithms, best first.
	Hashes() []string
}

// Sink is a tree that clients push to.
type Sink interface {
	Source
	// Create opens a file for reading and writing, with os.O_CREATE, os.O_EXCL and os.O_TRUNC.
	Create(name string, flags int) (Writable, error)
	Mkdir(name string) error
	Remove(name string, dir bool) error
	Rename(from, to string) error // replaces what is there
	Symlink(target, name string) error
	Link(old, name string) error
	SetMode(name string, mode fs.FileMode) error
	SetTime(name string, mtime time.Time) error
	// Mode is what SetMode makes of a client's permissions.
	Mode(mode fs.FileMode, dir bool) fs.FileMode
}

// LinkTimer is a Sink that can set the time of a symbolic link itself.
type LinkTimer interface {
	SetLinkTime(name string, mtime time.Time) error
}

// TempDirs is a Sink with folders in which only certain names may stand: TempDir says where the unfinished files of a folder go,
// from where they can be renamed into it.
type TempDirs interface {
	TempDir(dir string) string
}

// Writable is an open file of a Sink.
type Writable interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	io.Closer
}

// Server serves clients; it may be used by many at once. A nil Source or Sink serves one direction only.
type Server struct {
	Source Source
	Sink   Sink
	Log    *slog.Logger

	// Refuse, when set, is why a destination may not be pushed to, or nil; with deletes, what the client has not would go from it.
	Refuse func(name string, deletes bool) error

	MaxFiles  int           // in a list; 2 million when zero
	MaxPushed int           // in a list that a client pushes; MaxFiles when zero
	Budget    *Budget       // of memory, for this and other sessions; none when nil
	Handshake time.Duration // for a client to say what it wants; 30 s when zero
	seed      func() int32  // of the block sums; random when nil
	Idle      time.Duration // after which a silent client is cut off; never when zero, or by the client's --timeout
}

// Conn is the client's end of the protocol. Close makes a pending Read or Write return.
type Conn interface {
	io.ReadWriteCloser
}

// Serve runs one command line of a client, as ssh hands it over, and gives the exit code. What cannot be said through the
// protocol goes to stderr.
func (srv *Server) Serve(ctx context.Context, command string, conn Conn, stderr io.Writer) int {
	s := &session{Server: srv, ctx: ctx, r: newReader(conn), w: newWriter(conn), conn: conn, stderr: stderr, log: srv.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	defer s.giveBack()
	stop := s.watch(ctx)
	defer stop()
	code := s.run(command)
	if err := s.w.flush(); err != nil && code == ExitOK {
		code = ExitStream
	}
	return code
}

// session is one run of the protocol.
type session struct {
	*Server
	ctx    context.Context
	o      *options
	r      *reader
	w      *writer
	conn   io.Closer
	stderr io.Writer
	log    *slog.Logger

	proto       int
	compat      int32
	seed        int32
	sum         *algorithm // of blocks and transferred files
	listSum     *algorithm // of --checksum
	codec       string     // compression: none, zlib, zlibx, lz4 or zstd
	filter      *filter
	ioError     atomic.Int32
	partly      atomic.Bool // something was left out, and the client was told
	delLimit    atomic.Bool
	established atomic.Bool
	asked       atomic.Bool     // all that a client says at once has come: options, and the filter
	lost        func(ndx int32) // takes files that the sender cannot send
	timedOut    atomic.Bool
	held        atomic.Int64 // of the budget
	sumsHeld    int64        // of it, for the sums of a file
	looks       int          // at names, for the patterns of the command line
}

// Bits of an I/O error, as in the list of files.
const (
	ioGeneral  = 1
	ioVanished = 2
	ioDelLimit = 4
)

func (s *session) run(command string) int {
	words, err := split(command)
	if err != nil || len(words) == 0 {
		return s.complain(ExitSyntax, "the command cannot be read: %v", err)
	}
	s.o = parse(words[1:])
	if !s.o.server {
		return s.complain(ExitSyntax, "start rsync on your own machine: rsync -a HOST:path/ folder/")
	}
	if s.o.secluded {
		more, err := readSecluded(s.r)
		if err != nil {
			return s.end(err)
		}
		s.o.take(more)
	}
	if s.o.bwlimit > 0 {
		s.w.pace = newPace(s.ctx, s.o.bwlimit)
	}
	if err := s.shake(); err != nil {
		return s.end(err)
	}
	s.established.Store(true)
	if s.o.refusal == nil {
		s.refuseMissingSide()
	}
	if s.o.iconv && s.o.sender && s.proto < 29 {
		s.o.refuse(ExitUnsupported, "names are only converted from protocol 29 on: leave out --iconv")
	}
	switch {
	case s.o.refusal != nil:
		err = s.o.refusal
	case s.o.sender:
		err = s.sendFiles()
	default:
		err = s.receiveFiles()
	}
	return s.end(err)
}

func (s *session) refuseMissingSide() {
	switch {
	case s.o.sender && s.Source == nil:
		s.o.refuse(ExitUnsupported, "nothing can be pulled from here")
	case !s.o.sender && s.Sink == nil:
		s.o.refuse(ExitUnsupported, "nothing can be pushed to here")
	}
}

// complain says something outside the protocol.
func (s *session) complain(code int, format string, args ...any) int {
	late := time.AfterFunc(drainLimit, func() { s.conn.Close() })
	defer late.Stop()
	fmt.Fprintf(s.stderr, "rsync: "+format+"\n", args...)
	return code
}

// end turns how the session went into the exit code, and tells the client.
func (s *session) end(err error) int {
	if err == nil {
		return s.result()
	}
	late := time.AfterFunc(drainLimit, func() { s.conn.Close() })
	defer late.Stop()
	defer func() { _ = s.w.flush() }()
	var ref *refusal
	var exit clientExit
	switch {
	case s.timedOut.Load():
		return ExitTimeout
	case errors.As(err, &ref):
		s.tell(ref.code, ref.text)
		return ref.code
	case errors.As(err, &exit):
		if s.proto >= 31 {
			s.w.message(msgErrorExit, nil)
		}
		return int(exit)
	case errors.Is(err, errClosed):
		s.log.Debug("rsync: the client left", "error", err)
		return ExitStream
	case s.w.failed() != nil:
		return ExitStream
	}
	var pe protocolError
	code := ExitFileIO
	if errors.As(err, &pe) {
		code = ExitProtocol
	}
	s.log.Warn("rsync: session failed", "error", err)
	s.tell(code, err.Error())
	return code
}

// result is the exit code of a session that came to its end.
func (s *session) result() int {
	switch e := s.ioError.Load(); {
	case s.partly.Load() || e&ioGeneral != 0:
		return ExitPartial
	case e&ioVanished != 0:
		return ExitVanished
	case s.delLimit.Load() || e&ioDelLimit != 0:
		return ExitDelLimit
	}
	return ExitOK
}

// tell ends the session with one sentence. The client gets the time to read it, as it would else report a broken pipe instead.
func (s *session) tell(code int, text string) {
	if !s.established.Load() {
		s.complain(code, "%s", text)
		return
	}
	s.say(code, text)
	s.drain()
}

// say tells why the session ends.
func (s *session) say(code int, text string) {
	line := "rsync: [" + s.role() + "] " + text + "\n"
	if s.proto >= 30 {
		s.w.message(msgError, []byte(line))
	} else {
		s.w.message(msgErrorXfer, []byte(line))
	}
	if s.proto >= 31 {
		s.w.message(msgErrorExit, appendInt(nil, int32(code)))
	}
}

func (s *session) role() string {
	if s.o.sender {
		return "sender"
	}
	return "receiver"
}

// drainLimit is how long a client that was refused may go on talking, or not listen, and readTime what it gets to read why.
const (
	drainLimit = 5 * time.Second
	readTime   = 300 * time.Millisecond
)

// drain reads the client's bytes until it has ended by itself. One of protocol 30 and older, which was not told to, waits for
// the end of the server instead.
func (s *session) drain() {
	if s.proto < 31 {
		select {
		case <-time.After(readTime):
		case <-s.ctx.Done():
		}
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(s.r.src.in, 64<<20))
}

// Messages to the person at the client, which makes odd bytes of names visible by itself. An xfer error makes it end with
// code 23.

func (s *session) xferError(format string, args ...any) {
	s.partly.Store(true)
	s.w.message(msgErrorXfer, text(format, args...))
}

func (s *session) warn(format string, args ...any) {
	code := byte(msgWarning)
	if s.proto < 30 {
		code = msgInfo
	}
	s.w.message(code, text(format, args...))
}

func (s *session) info(format string, args ...any) { s.w.message(msgInfo, text(format, args...)) }

// text makes a line that any client takes.
func text(format string, args ...any) []byte {
	line := fmt.Sprintf(format, args...)
	if len(line) > 1000 {
		line = line[:1000] + "..."
	}
	return []byte(line + "\n")
}

// clientExit is a client that ended itself with a code.
type clientExit int

func (c clientExit) Error() string { return fmt.Sprintf("the client ended with code %d", int(c)) }

// cleanRel gives a name in the form that a Source takes.
func cleanRel(name string) string {
	for len(name) > 0 && name[0] == '/' {
		name = name[1:]
	}
	return path.Clean(name)
}
