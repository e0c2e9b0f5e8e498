package datadoc

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
)

// The blocks are those that a regular expression finds, which says it in a line and takes a hundred times as long.
func TestBlocksAreThoseOfTheExpression(t *testing.T) {
	block, opening := regexp.MustCompile("(?ms)^```yaml[ \t]*\r?\n(.*?)^[ \t]*```"), regexp.MustCompile("(?m)^```yaml[ \t]*\r?$")
	parts := []string{"```yaml", "```yaml ", "```yaml\t \r", "```yaml x", " ```yaml", "```", "  ```", "\t```\r", "````", "text", "", "\r", "```yam", "- a: b"}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := ""
		for range rnd.IntN(12) {
			text += parts[rnd.IntN(len(parts))] + "\n"
		}
		if rnd.IntN(2) == 0 {
			text += parts[rnd.IntN(len(parts))]
		}
		var want []fenced
		for _, m := range block.FindAllStringSubmatchIndex(text, -1) {
			want = append(want, fenced{m[0], m[2], m[3], m[1]})
		}
		open := -1
		for _, at := range opening.FindAllStringIndex(text, -1) {
			if !slices.ContainsFunc(want, func(b fenced) bool { return b.first <= at[0] && at[0] < b.last }) {
				open = at[0]
			}
		}
		if got, without := fencedIn([]byte(text)); !slices.Equal(got, want) || without != open {
			t.Fatalf("%q: blocks %v and one without an end at %d, want %v and %d", text, got, without, want, open)
		}
	}
}
