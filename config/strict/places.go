package strict

import (
	"github.com/goccy/go-yaml/ast"
)

// Places gives the line of each key in a document, by its dotted path; items of lists are not named.
func Places(src Source) map[string]int {
	out := map[string]int{}
	d := &Decoder{src: src}
	n, err := d.parse()
	if err != nil || n == nil {
		return out
	}
	var walk func(path string, n ast.Node, depth int)
	walk = func(path string, n ast.Node, depth int) {
		for _, pair := range pairs(n) {
			if depth > maxDepth {
				return
			}
			at := join(path, text(pair.Key))
			out[at] = d.at(pair.Key, "").Line
			if pair.Value != nil && isMap(pair.Value) {
				walk(at, pair.Value, depth+1)
			}
		}
	}
	walk("", n, 0)
	return out
}
