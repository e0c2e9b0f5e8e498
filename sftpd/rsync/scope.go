package rsync

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// scope is what a filter is in one folder: with the merge files of it and of the folders above.
type scope struct {
	f      *filter
	merges []*rule // of the filter, and those that merge files brought
	lists  map[*rule]*ruleList
	rules  int // of all merge files
	text   int // bytes that these have
}

// ruleList is what a merge rule stands for in a folder: the file of the folder, then those of the folders above.
type ruleList struct {
	own []*rule
	up  *ruleList
}

// verdict of a filter on a name.
type verdict int

const (
	neutral verdict = iota
	included
	excluded
)

// top is the scope above the transfer's root.
func (f *filter) top() *scope { return &scope{f: f, merges: f.merges} }

// enter gives the scope of a folder: dir is its path in the transfer, from is where src has it.
func (sc *scope) enter(src Source, dir, from string) *scope {
	if len(sc.merges) == 0 {
		return sc
	}
	in := &scope{f: sc.f, merges: sc.merges[:len(sc.merges):len(sc.merges)], lists: make(map[*rule]*ruleList, len(sc.merges)), rules: sc.rules, text: sc.text}
	for i := 0; i < len(in.merges); i++ {
		m := in.merges[i]
		up := sc.lists[m]
		if m.noInherit {
			up = nil
		}
		list := &ruleList{up: up}
		in.read(src, m, m.pattern, dir, from, list, 0)
		if len(list.own) == 0 {
			list = list.up
		}
		in.lists[m] = list
	}
	return in
}

// maxMergeDepth is how deep merge files may name each other.
const maxMergeDepth = 5

// read adds the rules of a merge file to a list; without the file there are none.
func (sc *scope) read(src Source, m *rule, name, dir, from string, list *ruleList, depth int) {
	file, size, err := src.Open(cleanRel(path.Join(from, name)))
	shown := path.Join(dir, name)
	if err != nil {
		if m.once {
			sc.f.complain("%q, which a merge file names, cannot be read: %s", shown, reason(err))
		}
		return
	}
	defer file.Close()
	if sc.text += int(min(size, maxRuleBytes)); size > maxMergeFile || sc.text > maxRuleBytes || depth > maxMergeDepth {
		sc.f.complain("the rules in %q, with those of the folders above, are too many", shown)
		return
	}
	text, err := io.ReadAll(io.NewSectionReader(file, 0, size))
	if err != nil {
		sc.f.complain("the rules in %q cannot be read: %s", shown, reason(err))
		return
	}
	for _, line := range strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' || m.wordSplit && (r == ' ' || r == '\t') }) {
		if !m.wordSplit && (line[0] == '#' || line[0] == ';') {
			continue
		}
		if m.cvs && line == "!" {
			*list = ruleList{}
			continue
		}
		r, clear, err := parseRule(line, max(sc.f.proto, 29), m.only)
		switch {
		case err != nil:
			sc.f.complain("%s, in %q", err, shown)
			return
		case clear:
			*list = ruleList{}
		case sc.rules >= maxRules:
			sc.f.complain("the rules in %q, with those of the folders above, are too many", shown)
			return
		default:
			sc.rules += 1 + strings.Count(r.pattern, "*")/2
			sc.take(src, m, r, dir, from, list, depth)
		}
	}
}

// take adds a rule of a merge file to a list.
func (sc *scope) take(src Source, m, r *rule, dir, from string, list *ruleList, depth int) {
	r.sender, r.receiver, r.perish = r.sender || m.sender, r.receiver || m.receiver, r.perish || m.perish
	switch {
	case r.merge && r.once:
		sc.read(src, r, r.pattern, dir, from, list, depth+1)
		return
	case r.merge && len(sc.merges) >= maxMerges:
		sc.f.complain("there are more than %d merge files for each folder", maxMerges)
		return
	case r.merge:
		sc.merges = append(sc.merges, r)
	case r.anchored && dir != "" && dir != ".":
		slash := ""
		if r.dirOnly {
			slash = "/"
		}
		r.setPattern("/" + dir + "/" + r.pattern + slash)
	}
	if r.merge && r.excludeSelf {
		own := &rule{}
		own.setPattern(path.Base(r.pattern))
		list.own = append(list.own, own)
	}
	list.own = append(list.own, r)
}

// complain tells the client of rules that cannot be kept to, after which nothing must be deleted.
func (f *filter) complain(format string, args ...any) {
	if f.bad != nil {
		f.bad(fmt.Sprintf(format, args...))
	}
}

// check asks the rules of one side; the first that fits decides. With perishable unset, perishable rules are passed over.
func (sc *scope) check(name string, dir, perishable bool) verdict {
	return sc.walk(sc.f.rules, name, dir, perishable)
}

func (sc *scope) walk(rules []*rule, name string, dir, perishable bool) verdict {
	for _, r := range rules {
		if r.merge {
			for list := sc.lists[r]; list != nil; list = list.up {
				if v := sc.walk(list.own, name, dir, perishable); v != neutral {
					return v
				}
			}
			continue
		}
		if r.sender != r.receiver && r.sender != sc.f.sender || r.perish && !perishable || !r.matches(name, dir, sc.f.root) {
			continue
		}
		if r.include {
			return included
		}
		return excluded
	}
	return neutral
}
