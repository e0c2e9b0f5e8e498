// Package script runs people's notification scripts (user/notifications/*.py) on a schedule and on demand, in a sandbox, and
// raises an alert when one says so. It keeps the contract of what a script prints and its cool-down. It knows no channel by
// which alerts travel, and opens no lake file: the author's view of the data is laid out by whoever is handed in as Tree.
//
//	s := script.New(script.Options{Box: box, Store: st, Homes: "data/home", Tree: trees, ...})
//	err := s.Run(ctx)
package script

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"aida/services/script/sandbox"
	"aida/store"

	"golang.org/x/sync/errgroup"
)

// Tree lays out what a person may read, as files in a folder.
type Tree interface {
	Lay(ctx context.Context, u store.User) (dir string, release func(), err error)
}

// Box runs a program that nobody vouches for.
type Box interface {
	Run(ctx context.Context, j sandbox.Job) (*sandbox.Result, error)
}

// Options is what a Service works with. Zero values mean the defaults that stand beside them.
type Options struct {
	Box         Box    // nil = scripts do not run
	Off         string // why not, a sentence
	Store       *store.Store
	Tree        Tree
	Homes       string // folder of the home folders
	Pictures    string // folder of the alerts' pictures
	Interpreter string // /usr/bin/python3
	Limits      sandbox.Limits
	Next        func(time.Time) time.Time // when the next round begins; nil = every 5 minutes
	Parallel    int                       // scripts at a time; 2
	Log         *slog.Logger
	Now         func() time.Time
}

// Service runs scripts.
type Service struct {
	o        Options
	decoding sync.Mutex

	mu   sync.Mutex
	busy map[string]bool // person/script: a script never runs twice at a time
}

// New makes a Service.
func New(o Options) *Service {
	o.Interpreter = cmp.Or(o.Interpreter, "/usr/bin/python3")
	o.Parallel = cmp.Or(o.Parallel, 2)
	if o.Next == nil {
		o.Next = func(t time.Time) time.Time { return t.Truncate(5 * time.Minute).Add(5 * time.Minute) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Box == nil {
		o.Off = cmp.Or(o.Off, "scripts are switched off here: an admin switches them on with scripts.enabled in instance.yaml")
	}
	return &Service{o: o, busy: map[string]bool{}}
}

// Off says why no script runs here; empty = they do.
func (s *Service) Off() string { return s.o.Off }

// maxScripts is how many scripts of a person run; those behind it in the alphabet do not.
const maxScripts = 50

// nameRule is what a script may be called: a plain file name that is no option of the interpreter.
var nameRule = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_. -]{0,95}\.py$`)

// names lists a person's scripts. Links are none, as a script is a file of the author's own.
func (s *Service) names(user string) ([]string, error) {
	home, err := os.OpenRoot(filepath.Join(s.o.Homes, user))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer home.Close()
	f, err := home.Open(filepath.Join("user", "notifications"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list {
		if e.Type().IsRegular() && nameRule.MatchString(e.Name()) {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out[:min(len(out), maxScripts)], nil
}

// List gives a person's scripts, with what is known of their runs.
func (s *Service) List(ctx context.Context, u store.User) ([]store.Script, error) {
	names, err := s.names(u.Name)
	if err != nil {
		return nil, fmt.Errorf("scripts of %s: %w", u.Name, err)
	}
	known, err := s.o.Store.Scripts(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	out := make([]store.Script, 0, len(names))
	for _, name := range names {
		x := store.Script{UserID: u.ID, Name: name}
		if i := slices.IndexFunc(known, func(k store.Script) bool { return k.Name == name }); i >= 0 {
			x = known[i]
		}
		out = append(out, x)
	}
	for _, k := range known {
		if !slices.Contains(names, k.Name) {
			if err := s.o.Store.ForgetScript(ctx, u.ID, k.Name); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// Run runs everybody's scripts, round after round, until ctx is done. A round that takes longer than the pause between two
// delays the next one.
func (s *Service) Run(ctx context.Context) error {
	if s.o.Box == nil {
		return nil
	}
	for {
		now := s.o.Now()
		timer := time.NewTimer(max(s.o.Next(now).Sub(now), time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		s.Round(ctx)
	}
}

// due is a script whose turn it is.
type due struct {
	user   store.User
	script store.Script
}

// Round runs every script once whose cool-down is over. The first scripts of all people come before the second ones of any, and
// those that have waited longest come first, so that nobody's scripts hold up everybody's.
func (s *Service) Round(ctx context.Context) {
	users, err := s.o.Store.Users(ctx)
	if err != nil {
		s.fail(ctx, "scripts cannot be listed", "error", err)
		return
	}
	var turns [maxScripts][]due
	for _, u := range users {
		if !u.SuspendedAt.IsZero() {
			continue
		}
		list, err := s.List(ctx, u)
		if err != nil {
			s.fail(ctx, "a person's scripts cannot be listed", "user", u.Name, "error", err)
			continue
		}
		slices.SortStableFunc(list, func(a, b store.Script) int { return a.RanAt.Compare(b.RanAt) })
		turn := 0
		for _, x := range list {
			if !x.MutedUntil().After(s.o.Now()) {
				turns[turn] = append(turns[turn], due{u, x})
				turn++
			}
		}
	}
	group := new(errgroup.Group)
	group.SetLimit(s.o.Parallel)
	for _, turn := range turns {
		slices.SortStableFunc(turn, func(a, b due) int { return a.script.RanAt.Compare(b.script.RanAt) })
		for _, d := range turn {
			if ctx.Err() != nil {
				break
			}
			group.Go(func() error { s.scheduled(ctx, d); return nil })
		}
	}
	_ = group.Wait() // none of them fails
}

func (s *Service) fail(ctx context.Context, what string, args ...any) {
	if ctx.Err() == nil {
		s.o.Log.Error(what, args...)
	}
}

// take marks a script as running; false when it runs already.
func (s *Service) take(user, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := user + "/" + name
	if s.busy[key] {
		return false
	}
	s.busy[key] = true
	return true
}

func (s *Service) release(user, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, user+"/"+name)
}

// source names a script as the origin of alerts.
func source(user, name string) string { return "script:" + user + "/" + name }

func stem(name string) string { return strings.TrimSuffix(name, ".py") }

// scheduled runs a script, tells what it says, and tells its author when it fails and when it works again.
func (s *Service) scheduled(ctx context.Context, d due) {
	if !s.take(d.user.Name, d.script.Name) {
		return
	}
	defer s.release(d.user.Name, d.script.Name)
	x := d.script
	before := x.Error
	x.RanAt = s.o.Now()
	out, picture, err := s.execute(ctx, d.user, x.Name)
	if ctx.Err() != nil {
		return // it was not its fault, and it comes again
	}
	if errors.Is(err, errSilent) {
		err = nil
	}
	x.Took, x.Error = s.o.Now().Sub(x.RanAt), ""
	switch {
	case err != nil:
		x.Error = s.sentence(d.user, x.Name, err)
	case out.Notify:
		a, err := s.o.Store.RaiseAlert(ctx, s.alert(d.user, x.Name, out, picture, "told", out.Cooldown))
		if err != nil {
			s.fail(ctx, "a script's alert cannot be written", "user", d.user.Name, "script", x.Name, "error", err)
			return
		}
		if a == nil { // sent before a crash, and not noted here
			_ = s.dropPicture(picture)
		}
		x.SentAt, x.Cooldown = x.RanAt, out.Cooldown
	}
	if err := s.tellAuthor(ctx, d.user, x, before); err != nil {
		s.fail(ctx, "a script's author cannot be told", "user", d.user.Name, "script", x.Name, "error", err)
	}
	if err := s.o.Store.NoteScript(ctx, x); err != nil {
		s.fail(ctx, "a script's run cannot be noted", "user", d.user.Name, "script", x.Name, "error", err)
	}
}

func (s *Service) alert(u store.User, name string, out said, picture, dedupe string, cooldown time.Duration) store.Raise {
	return store.Raise{Source: source(u.Name, name), Dedupe: dedupe, Severity: store.Info, Title: cmp.Or(out.Title, stem(name)), Message: out.Message, Image: picture,
		Script: stem(name), To: store.Audience{User: u.Name}, Event: true, Cooldown: cooldown}
}

// again is how often an author is told of a script that goes on to fail.
const again = 24 * time.Hour

func (s *Service) tellAuthor(ctx context.Context, u store.User, x store.Script, before string) error {
	r := store.Raise{Source: source(u.Name, x.Name), Dedupe: "failed", Severity: store.Warning, Script: stem(x.Name), Link: "/alerts", To: store.Audience{User: u.Name}, Cooldown: again,
		Title: "Your script " + x.Name + " fails", Message: x.Error}
	if x.Error == "" {
		if before == "" {
			return nil
		}
		r.Recovered, r.Title, r.Message = true, "Your script "+x.Name+" works", ""
	}
	_, err := s.o.Store.RaiseAlert(ctx, r)
	return err
}

// Now runs a script on demand, whatever its cool-down, which it leaves as it is. told says whether it had something to tell: that
// comes by the outbox, like every alert. The error is a sentence for the author.
func (s *Service) Now(ctx context.Context, u store.User, name string) (told bool, err error) {
	if s.o.Box == nil {
		return false, &store.Error{Code: store.Conflict, Message: s.o.Off}
	}
	list, err := s.List(ctx, u)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(list, func(x store.Script) bool { return x.Name == name })
	if i < 0 {
		return false, &store.Error{Code: store.NotFound, Message: "there is no script of that name", Hint: "put it into user/notifications/ and sync"}
	}
	if !s.take(u.Name, name) {
		return false, &store.Error{Code: store.Conflict, Message: "the script runs already", Hint: "wait until it is done"}
	}
	defer s.release(u.Name, name)
	x := list[i]
	x.RanAt = s.o.Now()
	out, picture, err := s.execute(ctx, u, name)
	x.Took, x.Error = s.o.Now().Sub(x.RanAt), ""
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		x.Error = s.sentence(u, name, err)
		return false, errors.Join(&store.Error{Code: store.Invalid, Message: x.Error}, s.o.Store.NoteScript(ctx, x))
	}
	if out.Notify {
		if _, err := s.o.Store.RaiseAlert(ctx, s.alert(u, name, out, picture, "asked", 0)); err != nil {
			return false, err
		}
	}
	return out.Notify, errors.Join(s.tellAuthor(ctx, u, x, list[i].Error), s.o.Store.NoteScript(ctx, x))
}
