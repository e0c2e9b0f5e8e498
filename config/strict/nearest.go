package strict

import (
	"fmt"
	"sort"
	"strings"
)

func suggestion(key string, fields map[string][]int) string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	sort.Strings(names)
	if near := Nearest(key, names); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ": known here are " + strings.Join(names, ", ")
}

// Nearest gives the name that is most like word, or "" when none is.
func Nearest(word string, names []string) string {
	near, best := "", len(word)/2+1
	for _, name := range names {
		if d := distance(word, name); d < best {
			near, best = name, d
		}
	}
	return near
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
