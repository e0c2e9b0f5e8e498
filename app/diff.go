package app

import (
	"strconv"
	"strings"

	"aida/portal"
)

// diffAround is how many lines that stay are shown around those that change.
const diffAround = 3

// diffLines compares two texts line by line. The texts differ in few places, so what they begin and end with alike is left
// out first and the rest is small.
func diffLines(before, after string) (out []portal.DiffLine) {
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		from++
	}
	toA, toB := len(a), len(b)
	for toA > from && toB > from && a[toA-1] == b[toB-1] {
		toA, toB = toA-1, toB-1
	}
	if from == toA && from == toB {
		return nil
	}
	var all []portal.DiffLine
	add := func(mark string, n int, text string) {
		all = append(all, portal.DiffLine{Mark: mark, Before: strconv.Itoa(n), Text: strings.TrimRight(text, "\r\n")})
	}
	for i := max(0, from-diffAround); i < from; i++ {
		add(" ", i+1, a[i])
	}
	i, j := from, from
	same := common(a[from:toA], b[from:toB])
	for _, s := range append(same, [2]int{toA - from, toB - from}) {
		for ; i < from+s[0]; i++ {
			add("-", i+1, a[i])
		}
		for ; j < from+s[1]; j++ {
			add("+", j+1, b[j])
		}
		if i < toA && j < toB {
			add(" ", i+1, a[i])
			i, j = i+1, j+1
		}
	}
	for i := toA; i < min(len(a), toA+diffAround); i++ {
		if a[i] != "" {
			add(" ", i+1, a[i])
		}
	}
	return folded(all)
}

// maxCompared bounds the table of the comparison; beyond it all lines in between count as changed.
const maxCompared = 4 << 20

// common gives the longest sequence of lines that both have, as pairs of places.
func common(a, b []string) (out [][2]int) {
	if len(a)*len(b) > maxCompared {
		return nil
	}
	long := make([][]int32, len(a)+1)
	for i := range long {
		long[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				long[i][j] = long[i+1][j+1] + 1
			} else {
				long[i][j] = max(long[i+1][j], long[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case long[i+1][j] >= long[i][j+1]:
			i++
		default:
			j++
		}
	}
	return out
}

// folded leaves out the middle of long stretches that stay.
func folded(all []portal.DiffLine) (out []portal.DiffLine) {
	for i := 0; i < len(all); {
		n := i
		for n < len(all) && all[n].Mark == " " {
			n++
		}
		if n-i > 2*diffAround+1 {
			out = append(out, all[i:i+diffAround]...)
			out = append(out, portal.DiffLine{Mark: "…"})
			out = append(out, all[n-diffAround:n]...)
		} else {
			out = append(out, all[i:n]...)
		}
		if i = n; i < len(all) {
			out = append(out, all[i])
			i++
		}
	}
	return out
}
