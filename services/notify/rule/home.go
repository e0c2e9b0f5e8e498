package rule

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"
)

// folder is where rules are in a home.
const folder = "user/notifications"

// home is a person's folder of rules. All paths stay in it, whatever links an analyst made there.
type home struct{ root *os.Root }

// openHome opens the folder; fs.ErrNotExist when the person never uploaded anything.
func openHome(homes, user string) (*home, error) {
	base, err := os.OpenRoot(filepath.Join(homes, user))
	if err != nil {
		return nil, err
	}
	defer base.Close()
	info, err := base.Lstat("user")
	if err == nil && !info.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	root, err := base.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	return &home{root}, nil
}

func (h *home) close() { h.root.Close() }

// entry is one rule's file as the folder lists it.
type entry struct {
	name    string // without its ending
	file    string
	info    fs.FileInfo
	problem string // why it is not read
}

// same tells whether a file is as it was.
func (e entry) same(o entry) bool {
	return e.file == o.file && e.problem == o.problem && e.info.Size() == o.info.Size() && e.info.ModTime().Equal(o.info.ModTime()) && os.SameFile(e.info, o.info)
}

var nameLetters = regexp.MustCompile(`^[\pL\pN_][\pL\pN_.-]*$`)

// properName tells whether a rule can be called so. The length is counted apart: in the expression each of 64 places would
// hold all of Unicode's letters, in megabytes.
func properName(s string) bool { return utf8.RuneCountInString(s) <= 64 && nameLetters.MatchString(s) }

// maxEntries bounds how much of a folder is looked at.
const maxEntries = 1000

// list gives the rules' files by name. Hidden ones are uploads under way.
func (h *home) list() ([]entry, error) {
	dir, err := h.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.Sort(names)
	var out []entry
	for _, file := range names {
		name, ok := strings.CutSuffix(file, ".yaml")
		if !ok {
			name, ok = strings.CutSuffix(file, ".yml")
		}
		if !ok || strings.HasPrefix(file, ".") {
			continue
		}
		info, err := h.root.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		e := entry{name: strings.ToValidUTF8(name, "_"), file: file, info: info}
		switch {
		case !properName(name):
			e.problem = "a rule's file is named with letters, digits, dots, dashes and underscores, 64 at most"
		case !info.Mode().IsRegular():
			e.problem = "a rule is a regular file, not a link or a folder"
		case info.Size() > maxFile:
			e.problem = fmt.Sprintf("the file is longer than %d bytes", maxFile)
		case slices.ContainsFunc(out, func(o entry) bool { return o.name == name }):
			e.problem = "there is a rule of the same name that ends in .yaml: remove one of them"
			e.name = file
		case len(out) >= maxRules:
			e.problem = fmt.Sprintf("only %d rules of a person are read", maxRules)
		}
		out = append(out, e)
	}
	return out, nil
}

// read gives the text of a file that list told of; it never waits on what is no regular file.
func (h *home) read(e entry) (string, error) {
	f, err := h.root.OpenFile(e.file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || !os.SameFile(info, e.info) {
		return "", errChanged // put in its place since it was listed
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return string(b), err
}

var errChanged = errors.New("the file is being changed")

// write puts a rule's text in place, whole or not at all.
func (h *home) write(file, text string) error {
	temp := "." + file + ".new"
	_ = h.root.Remove(temp) // of an attempt that was cut off
	f, err := h.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = h.root.Rename(temp, file)
	}
	if err != nil {
		return errors.Join(err, h.root.Remove(temp))
	}
	return nil
}

// makeHome makes the folder of rules of a person who never connected.
func makeHome(homes, user string) (*home, error) {
	dir := filepath.Join(homes, user)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	base, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	if err := base.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	return openHome(homes, user)
}

// withHome runs fn on a person's folder; without one, there is no rule.
func (r *Runner) withHome(user string, fn func(h *home) error) error {
	h, err := openHome(r.o.Home, user)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rules of %s: %w", user, err)
	}
	defer h.close()
	return fn(h)
}

// find gives one rule's file.
func (h *home) find(name string) (entry, error) {
	list, err := h.list()
	if err != nil {
		return entry{}, err
	}
	i := slices.IndexFunc(list, func(e entry) bool { return e.name == name })
	if i < 0 {
		return entry{}, noRule(name)
	}
	return list[i], nil
}
