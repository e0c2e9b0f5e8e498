package rsync

import (
	"context"
	"io/fs"
	"path"
	"strings"
)

// maxLooks is how many names the patterns of a command line may make the server look at.
const maxLooks = 4_000_000

// expand gives the names that a pattern stands for, as a shell would: sorted, and those that begin with a dot only when the
// pattern does. It counts in looks the names that it looked at.
func expand(ctx context.Context, src Source, pattern string, looks *int) ([]string, error) {
	look := func() error {
		if *looks++; *looks > maxLooks {
			return errTooMany
		}
		return ctx.Err()
	}
	lead := ""
	if strings.HasPrefix(pattern, "/") {
		lead = "/"
	}
	names := []string{""}
	parts := strings.Split(strings.Trim(pattern, "/"), "/")
	for i, part := range parts {
		wild, plain := plainPart(part)
		var g *glob
		if wild {
			g = compileGlob(part)
		}
		var next []string
		for _, dir := range names {
			if err := look(); err != nil {
				return nil, err
			}
			if !wild {
				at := path.Join(dir, plain)
				if _, err := src.Lstat(cleanRel(at)); err == nil {
					if plain == "." || plain == ".." { // kept as it was written, for what it means to names
						at = strings.TrimPrefix(dir+"/"+plain, "/")
					}
					next = append(next, at)
				}
				continue
			}
			list, err := src.ReadDir(cleanRel("./" + dir))
			if err != nil {
				continue
			}
			for _, e := range list {
				if err := look(); err != nil {
					return nil, err
				}
				name := e.Name()
				if (name[0] != '.' || part[0] == '.') && g.match(name) && (i == len(parts)-1 || e.IsDir() || e.Mode()&fs.ModeSymlink != 0) {
					next = append(next, path.Join(dir, name))
				}
			}
			if len(next) > 100_000 {
				return nil, errTooMany
			}
		}
		names = next
	}
	tail := ""
	if strings.HasSuffix(pattern, "/") && len(pattern) > 1 {
		tail = "/"
	}
	for i := range names {
		names[i] = lead + names[i] + tail
	}
	return names, nil
}

// plainPart tells whether a part of a pattern has wildcards, and what it is without its escapes.
func plainPart(part string) (wild bool, plain string) {
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c == '\\' && i+1 < len(part):
			i++
			b.WriteByte(part[i])
		case c == '*' || c == '?' || c == '[':
			return true, ""
		default:
			b.WriteByte(c)
		}
	}
	return false, b.String()
}
