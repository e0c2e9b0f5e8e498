package sftpd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"aida/sftpd/tree"

	"github.com/gliderlabs/ssh"
)

// scp speaks the protocol of `scp -O`: a sender's lines C (file), D and E (folder), T (times), each answered with a zero
// byte. OpenSSH never wrote it down; its scp.c is the definition.
type scp struct {
	t              *tree.Tree
	r              *bufio.Reader
	w              io.Writer
	recursive, pre bool
	intoFolder     bool // the target must be a folder, as several files come
	failed         bool
}

func (s *Server) scp(sess ssh.Session, c *conn, args []string) int {
	t, err := s.treeOf(sess.Context(), c)
	if err != nil {
		return s.fail(sess, err)
	}
	x := &scp{t: t, r: bufio.NewReaderSize(sess, 64<<10), w: sess}
	var mode byte
	var paths []string
	for i, a := range args {
		if a == "--" {
			paths = append(paths, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(a, "-") || len(paths) > 0 {
			paths = append(paths, a)
			continue
		}
		for _, f := range a[1:] {
			switch f {
			case 'f', 't':
				mode = byte(f)
			case 'r':
				x.recursive = true
			case 'p':
				x.pre = true
			case 'd':
				x.intoFolder = true
			case 'v', 'q':
			default:
				fmt.Fprintf(sess.Stderr(), "aida: scp option -%c is not served\n", f)
				return 1
			}
		}
	}
	switch {
	case mode == 'f' && len(paths) > 0:
		err = x.source(paths)
		if err == nil {
			s.noteSync(sess.Context(), c)
		}
	case mode == 't' && len(paths) == 1:
		err = x.sink(paths[0])
	default:
		err = errors.New("use it through the scp program")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintf(sess, "\x01scp: %s\n", oneLine(err))
		return 1
	}
	if x.failed {
		return 1
	}
	return 0
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }

// complain tells the client of a file that is left out; the transfer goes on.
func (x *scp) complain(p string, err error) error {
	x.failed = true
	_, werr := fmt.Fprintf(x.w, "\x01scp: %s: %s\n", p, oneLine(err))
	return werr
}

func (x *scp) ack() error {
	b, err := x.r.ReadByte()
	if err != nil {
		return err
	}
	if b == 0 {
		return nil
	}
	line, _ := x.r.ReadString('\n')
	if b == 1 {
		x.failed = true
		return nil
	}
	return errors.New("the client said: " + strings.TrimSpace(line))
}

func (x *scp) say(format string, args ...any) error {
	if _, err := fmt.Fprintf(x.w, format, args...); err != nil {
		return err
	}
	return x.ack()
}

// source sends files; patterns are expanded here, as there is no shell to do it.
func (x *scp) source(patterns []string) error {
	if err := x.ack(); err != nil {
		return err
	}
	for _, pattern := range patterns {
		list, err := x.expand(pattern)
		if err == nil && len(list) == 0 {
			err = errors.New("no such file or folder")
		}
		if err != nil {
			if err := x.complain(pattern, err); err != nil {
				return err
			}
			continue
		}
		for _, p := range list {
			if err := x.send(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *scp) expand(pattern string) ([]string, error) {
	p := tree.Clean(pattern)
	if _, err := x.t.Stat(p, true); err == nil || !strings.ContainsAny(p, "*?[") {
		return []string{p}, nil // a file whose name has such characters comes before what it matches
	}
	list := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(p, "/"), "/") {
		var next []string
		for _, dir := range list {
			if !strings.ContainsAny(part, "*?[") {
				if _, err := x.t.Stat(path.Join(dir, part), true); err == nil {
					next = append(next, path.Join(dir, part))
				}
				continue
			}
			entries, err := x.t.ReadDir(dir)
			if err != nil {
				continue // a file among folders, as a shell would
			}
			for _, e := range entries {
				ok, err := path.Match(part, e.Name())
				if err != nil {
					return nil, err
				}
				if ok && (e.Name()[0] != '.' || part[0] == '.') {
					next = append(next, path.Join(dir, e.Name()))
				}
			}
		}
		list = next
	}
	return list, nil
}

func (x *scp) send(p string) error {
	info, err := x.t.Stat(p, true)
	if err != nil {
		return x.complain(p, err)
	}
	if strings.ContainsAny(path.Base(p), "\n\r") {
		return x.complain(strings.NewReplacer("\n", "?", "\r", "?").Replace(p), errors.New("a name with a line break cannot be sent by scp -O, use sftp"))
	}
	if info.IsDir() && !x.recursive {
		return x.complain(p, errors.New("is a folder, use -r"))
	}
	if x.pre {
		if err := x.say("T%d 0 %d 0\n", info.ModTime().Unix(), info.ModTime().Unix()); err != nil {
			return err
		}
	}
	if info.IsDir() {
		return x.sendDir(p)
	}
	f, size, err := x.t.Open(p)
	if err != nil {
		return x.complain(p, err)
	}
	defer f.Close()
	if err := x.say("C%04o %d %s\n", 0o644|info.Mode().Perm()&0o100, size, path.Base(p)); err != nil {
		return err
	}
	if n, err := io.Copy(x.w, io.NewSectionReader(f, 0, size)); err != nil || n != size {
		return errors.Join(fmt.Errorf("%s: only %d of %d bytes could be read", p, n, size), err)
	}
	return x.say("\x00")
}

func (x *scp) sendDir(p string) error {
	entries, err := x.t.ReadDir(p)
	if err != nil {
		return x.complain(p, err)
	}
	name := path.Base(p)
	if p == "/" {
		name = "."
	}
	if err := x.say("D%04o 0 %s\n", 0o755, name); err != nil {
		return err
	}
	for _, e := range entries {
		if err := x.send(path.Join(p, e.Name())); err != nil {
			return err
		}
	}
	return x.say("E\n")
}

// sink receives files into a folder, or one file to a name.
func (x *scp) sink(target string) error {
	target = tree.Clean(target)
	if info, err := x.t.Stat(target, true); x.intoFolder && (err != nil || !info.IsDir()) {
		return fmt.Errorf("%s: is not a folder", target)
	}
	if _, err := x.w.Write([]byte{0}); err != nil {
		return err
	}
	return x.receive(target, 0)
}

const maxScpDepth = 100

func (x *scp) receive(target string, depth int) error {
	if depth > maxScpDepth {
		return errors.New("the folders are nested too deep")
	}
	var times *time.Time
	for {
		line, err := x.line()
		if err != nil {
			if err == io.EOF && depth == 0 {
				return nil
			}
			return err
		}
		switch line[0] {
		case 'E':
			_, err := x.w.Write([]byte{0})
			return err
		case 'T':
			sec, err := strconv.ParseInt(strings.SplitN(line[1:], " ", 2)[0], 10, 64)
			if err != nil {
				return errors.New("a time cannot be read")
			}
			at := time.Unix(sec, 0)
			times = &at
			if _, err := x.w.Write([]byte{0}); err != nil {
				return err
			}
		case 'C', 'D':
			if err := x.item(target, line, times, depth); err != nil {
				return err
			}
			times = nil
		default:
			return errors.New("the client sent something that is not scp")
		}
	}
}

func (x *scp) line() (string, error) {
	var b strings.Builder
	for b.Len() < 8192 {
		ch, err := x.r.ReadByte()
		if err != nil {
			return "", err
		}
		if ch == '\n' {
			if b.Len() == 0 {
				return "", errors.New("the client sent something that is not scp")
			}
			return b.String(), nil
		}
		b.WriteByte(ch)
	}
	return "", errors.New("a line of the client is too long")
}

func (x *scp) item(target, line string, times *time.Time, depth int) error {
	parts := strings.SplitN(line[1:], " ", 3)
	if len(parts) != 3 || parts[2] == "" || parts[2] == "." || parts[2] == ".." || strings.ContainsAny(parts[2], "/\x00") {
		return errors.New("the client sent an impossible file name")
	}
	size, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || size < 0 {
		return errors.New("the client sent an impossible size")
	}
	mode, err := strconv.ParseUint(parts[0], 8, 32)
	if err != nil {
		return errors.New("the client sent an impossible mode")
	}
	p := target
	info, err := x.t.Stat(target, true)
	isDir := err == nil && info.IsDir()
	if isDir {
		p = path.Join(target, parts[2])
	}
	if line[0] == 'D' {
		if !x.recursive {
			return errors.New("a folder came without -r")
		}
		if info, err := x.t.Stat(p, true); err != nil || !info.IsDir() {
			if err := x.t.Mkdir(p); err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
		}
		if _, err := x.w.Write([]byte{0}); err != nil {
			return err
		}
		if err := x.receive(p, depth+1); err != nil {
			return err
		}
	} else if err := x.take(p, size, fs.FileMode(mode)); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	if times != nil {
		return x.t.Set(p, tree.Attributes{Mtime: times})
	}
	return nil
}

func (x *scp) take(p string, size int64, mode fs.FileMode) error {
	if err := x.fits(p, size); err != nil {
		return err
	}
	f, err := x.t.Create(p, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err := x.w.Write([]byte{0}); err != nil {
		return errors.Join(err, f.Close())
	}
	to := &patient{w: io.NewOffsetWriter(f, 0)}
	if _, err := io.CopyN(to, x.r, size); err != nil {
		return errors.Join(err, f.Close())
	}
	err = to.err
	if err == nil && mode&0o100 != 0 { // scripts stay executable; all else has the mode of new files
		err = f.Set(tree.Attributes{Mode: &mode})
	}
	if err := errors.Join(err, f.Close(), x.ack()); err != nil {
		return err
	}
	_, err = x.w.Write([]byte{0})
	return err
}

// fits refuses a file before it is sent, as the client reads no answer while it sends.
func (x *scp) fits(p string, size int64) error {
	_, free, _, _, err := x.t.Room()
	if err != nil {
		return err
	}
	if info, err := x.t.Stat(p, true); err == nil && !info.IsDir() {
		free += info.Size()
	}
	if size > free {
		return fmt.Errorf("quota: %d MiB are free, this has %d: remove files from user/", free>>20, size>>20)
	}
	return nil
}

// patient takes the rest of a file after a fault, so that the client comes to the point where it reads what went wrong.
type patient struct {
	w   io.Writer
	err error
}

func (p *patient) Write(b []byte) (int, error) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
	return len(b), nil
}
