package rsync

import (
	"io"
	"path"
	"strings"
)

// scope is what a filter is in one folder: with the merge files of it and of the folders above.
type scope struct {
	f     *filter
	lists [][]*rule // by slot of the merge rules
}

// verdict of a filter on a name.
type verdict int

const (
	neutral verdict = iota
	included
	excluded
)

// top is the scope above the transfer's root.
func (f *filter) top() *scope { return &scope{f: f, lists: make([][]*rule, len(f.merges))} }

// enter gives the scope of a folder: dir is its path in the transfer, from is where src has it.
func (sc *scope) enter(src Source, dir, from string) *scope {
	if len(sc.f.merges) == 0 {
		return sc
	}
	in := &scope{f: sc.f, lists: make([][]*rule, len(sc.lists))}
	for i, m := range sc.f.merges {
		own := readMerge(src, path.Join(from, m.pattern), m, dir, sc.f)
		switch {
		case m.noInherit:
			in.lists[i] = own
		default:
			in.lists[i] = append(own, sc.lists[i]...)
			if n := len(in.lists[i]); n > maxRules {
				in.lists[i] = in.lists[i][:maxRules]
			}
		}
	}
	return in
}

// readMerge reads the rules of a merge file; without the file there are none. A line that cannot be read is left out, as the
// file may be meant for another program.
func readMerge(src Source, name string, m *rule, dir string, f *filter) (out []*rule) {
	file, size, err := src.Open(cleanRel(name))
	if err != nil {
		return nil
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, 0, min(size, maxMergeFile)))
	if err != nil {
		return nil
	}
	lines := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' || m.wordSplit && (r == ' ' || r == '\t') })
	for _, line := range lines {
		if line == "" || !m.wordSplit && (line[0] == '#' || line[0] == ';') {
			continue
		}
		only := m.only
		if m.cvs && line == "!" {
			out = nil
			continue
		}
		if only == 0 && m.wordSplit {
			line = strings.Replace(line, "_", " ", 1)
		}
		r, clear, err := parseRule(line, max(f.proto, 29), only)
		if err != nil || len(out) >= maxRules || r != nil && r.merge {
			continue
		}
		if clear {
			out = nil
			continue
		}
		r.sender, r.receiver, r.perish = r.sender || m.sender, r.receiver || m.receiver, r.perish || m.perish
		if r.anchored && dir != "" && dir != "." {
			slash := ""
			if r.dirOnly {
				slash = "/"
			}
			r.setPattern("/" + dir + "/" + r.pattern + slash)
		}
		out = append(out, r)
	}
	return out
}

// check asks the rules of one side; the first that fits decides. With perishable unset, perishable rules are passed over.
func (sc *scope) check(name string, dir, perishable bool) verdict {
	return sc.walk(sc.f.rules, name, dir, perishable)
}

func (sc *scope) walk(rules []*rule, name string, dir, perishable bool) verdict {
	for _, r := range rules {
		if r.merge {
			if v := sc.walk(sc.lists[r.slot], name, dir, perishable); v != neutral {
				return v
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
