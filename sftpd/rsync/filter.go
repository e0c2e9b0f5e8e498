package rsync

import (
	"fmt"
	"path"
	"strings"
)

// rule is one line of a filter: what it matches is left out, let in, or read for more rules.
type rule struct {
	include  bool
	merge    bool // of each folder, a file of the name in pattern has more rules
	negate   bool
	absolute bool // matches against the path from the root of the tree
	dirOnly  bool
	sender   bool // rule of the sending side
	receiver bool // rule of the receiving side
	xattr    bool
	perish   bool // does not keep a folder from being deleted with what is in it

	pattern  string
	anchored bool
	slashes  int
	deep     bool // has **
	deepHead bool // begins with **
	tripled  bool // ends with ***
	wild     *glob

	noInherit, wordSplit, excludeSelf, cvs bool // of a merge rule
	only                                   byte // + or -: all lines of the merge file are that
	once                                   bool // not of each folder: of the one whose merge file names it
}

// filter is the ordered list of rules of one side.
type filter struct {
	rules  []*rule
	merges []*rule // those with merge
	sender bool    // whose side the rules are used on
	proto  int
	root   string // of the tree, where absolute rules begin
	stars  int    // of all patterns
	bad    func(text string)
}

// Limits of what a client, or a merge file, may send.
const (
	maxRule      = 4096
	maxRules     = 10_000
	maxMerges    = 32
	maxStars     = 20_000
	maxRuleBytes = 1 << 20
	maxMergeFile = 256 << 10
)

// readFilter reads the rules that the client sends.
func (s *session) readFilter() (*filter, error) {
	f := &filter{sender: s.o.sender, proto: s.proto}
	f.bad = func(text string) {
		s.ioError.Or(ioGeneral)
		s.xferError("rsync: [%s] %s", s.role(), text)
	}
	total := 0
	for {
		n := s.r.int()
		if s.r.err != nil {
			return nil, s.r.err
		}
		if n == 0 {
			break
		}
		text := s.r.text(int(n), maxRule)
		if s.r.err != nil {
			return nil, s.r.err
		}
		if total += int(n); total > maxRuleBytes {
			return nil, protocolError("the filter is too long")
		}
		if err := f.add(text); err != nil {
			return nil, err
		}
	}
	if s.o.cvsExclude && (f.sender || s.proto < 29) {
		if err := f.addCVS(); err != nil {
			return nil, err
		}
	}
	s.asked.Store(true)
	return f, nil
}

// addCVS appends what --cvs-exclude stands for.
func (f *filter) addCVS() error {
	f.addRule(&rule{merge: true, cvs: true, noInherit: true, wordSplit: true, only: '-', pattern: ".cvsignore"})
	if !f.sender {
		return nil
	}
	for _, p := range strings.Fields(cvsNames) {
		r := &rule{perish: f.proto >= 30}
		r.setPattern(p)
		f.addRule(r)
	}
	return nil
}

// cvsNames are what CVS ignores by itself.
const cvsNames = "RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* *$ *.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/"

// add appends one rule as it stands on the wire.
func (f *filter) add(text string) error {
	r, clear, err := parseRule(text, f.proto, 0)
	if err != nil {
		return err
	}
	if clear {
		f.rules, f.merges = nil, nil
		return nil
	}
	if len(f.rules) >= maxRules {
		return &refusal{fmt.Sprintf("the filter has more than %d rules", maxRules), ExitSyntax}
	}
	if r.once {
		return &refusal{fmt.Sprintf("filter rule %q names a file of this side: give it to your own rsync", clip(text)), ExitSyntax}
	}
	if r.merge && len(f.merges) >= maxMerges {
		return &refusal{fmt.Sprintf("there are more than %d merge files for each folder", maxMerges), ExitSyntax}
	}
	if f.stars += strings.Count(r.pattern, "*"); f.stars > maxStars {
		return &refusal{"the patterns of the filter have too many stars", ExitSyntax}
	}
	f.addRule(r)
	return nil
}

func (f *filter) addRule(r *rule) {
	if r.merge {
		f.merges = append(f.merges, r)
		if r.excludeSelf {
			own := &rule{}
			own.setPattern(path.Base(r.pattern))
			f.rules = append(f.rules, own)
		}
	}
	f.rules = append(f.rules, r)
}

// parseRule reads a rule. only is + or - where no prefix is wanted.
func parseRule(text string, proto int, only byte) (r *rule, clear bool, err error) {
	bad := func() (*rule, bool, error) {
		return nil, false, &refusal{fmt.Sprintf("filter rule %q cannot be read", clip(text)), ExitSyntax}
	}
	if strings.ContainsRune(text, 0) {
		return bad()
	}
	r = &rule{}
	rest := text
	switch {
	case only != 0:
		r.include = only == '+'
	case proto < 29:
		if text == "!" {
			return nil, true, nil
		}
		if strings.HasPrefix(text, "+ ") || strings.HasPrefix(text, "- ") {
			r.include, rest = text[0] == '+', text[2:]
		}
	default:
		if text == "" {
			return bad()
		}
		text = shortForm(text)
		switch text[0] {
		case '-', '+':
			r.include = text[0] == '+'
		case ':':
			r.merge = true
		case '.':
			r.merge, r.once = true, true
		case '!':
			return nil, true, nil
		case 'P':
			r.receiver = true
		case 'R':
			r.receiver, r.include = true, true
		case 'H':
			r.sender = true
		case 'S':
			r.sender, r.include = true, true
		default:
			return bad()
		}
		rest = text[1:]
		for ; rest != "" && rest[0] != ' ' && rest[0] != '_'; rest = rest[1:] {
			switch c := rest[0]; {
			case c == '/':
				r.absolute = true
			case c == '!' && !r.merge:
				r.negate = true
			case c == 's':
				r.sender = true
			case c == 'r':
				r.receiver = true
			case c == 'p':
				r.perish = true
			case c == 'x':
				r.xattr = true
			case c == ',':
			case c == 'C' && r.merge:
				r.cvs, r.noInherit, r.wordSplit, r.only = true, true, true, '-'
			case c == 'C':
			case r.merge && c == 'n':
				r.noInherit = true
			case r.merge && c == 'w':
				r.wordSplit = true
			case r.merge && c == 'e':
				r.excludeSelf = true
			case r.merge && (c == '-' || c == '+'):
				r.only = c
			default:
				return bad()
			}
		}
		if rest != "" {
			rest = rest[1:]
		}
		if r.merge && r.cvs && rest == "" {
			rest = ".cvsignore"
		}
	}
	if rest == "" {
		return bad()
	}
	if r.merge {
		r.pattern = rest
		return r, false, nil
	}
	r.setPattern(rest)
	return r, false, nil
}

// shortForm puts the letter of a rule in the place of its name, which people may write in merge files.
func shortForm(text string) string {
	end := strings.IndexAny(text, " \t_,")
	if end < 0 {
		end = len(text)
	}
	letter, ok := ruleNames[text[:end]]
	if !ok {
		return text
	}
	return letter + text[end:]
}

var ruleNames = map[string]string{"clear": "!", "dir-merge": ":", "exclude": "-", "hide": "H", "include": "+", "merge": ".", "protect": "P", "risk": "R", "show": "S"}

// setPattern works out how a pattern is matched.
func (r *rule) setPattern(p string) {
	r.tripled = strings.HasSuffix(p, "/***")
	if len(p) > 1 && strings.HasSuffix(p, "/") {
		r.dirOnly, p = true, p[:len(p)-1]
	}
	r.anchored = strings.HasPrefix(p, "/")
	r.slashes = strings.Count(p, "/")
	p = strings.TrimPrefix(p, "/")
	r.pattern = p
	if strings.ContainsAny(p, "*?[") {
		r.wild = compileGlob(p)
		r.deep = strings.Contains(p, "**")
		r.deepHead = strings.HasPrefix(p, "**") && !r.anchored
	}
}

// matches tells whether a rule fits a path, which has no slash at either end.
func (r *rule) matches(name string, dir bool, root string) bool {
	if r.xattr || name == "" {
		return false
	}
	if !dir && r.dirOnly {
		return r.negate
	}
	return r.fits(name, dir, root) != r.negate
}

func (r *rule) fits(name string, dir bool, root string) bool {
	parts := 0 // how many of the last parts of the path are looked at; 0 is all of it, -1 every tail
	switch {
	case r.slashes == 0 && !r.deep:
		name = path.Base(name)
	case r.absolute && root != "":
		name = root + "/" + name
	case r.deepHead:
		name = "/" + name // so that **/x is found at the top as well
	}
	if r.tripled && dir {
		name += "/"
	}
	switch {
	case r.anchored:
	case r.slashes > 0 && !r.deep:
		parts = r.slashes + 1
	case r.deep && !r.deepHead:
		parts = -1
	}
	if parts > 0 {
		at := len(name)
		for ; parts > 0 && at >= 0; parts-- {
			at = strings.LastIndexByte(name[:at], '/')
		}
		if parts > 0 {
			return false
		}
		return r.whole(name[at+1:])
	}
	if r.whole(name) {
		return true
	}
	for parts < 0 {
		var ok bool
		if _, name, ok = strings.Cut(name, "/"); !ok {
			break
		}
		if r.whole(name) {
			return true
		}
	}
	return false
}

func (r *rule) whole(name string) bool {
	if r.wild != nil {
		return r.wild.match(name)
	}
	return name == r.pattern
}
