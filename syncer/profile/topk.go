package profile

import (
	"cmp"
	"slices"
)

// counter finds the most frequent texts in bounded memory: after Misra and Gries, in the form of Agarwal et al.,
// "Mergeable Summaries" (2012): when too many are held, the count of the one in the middle is taken off all. A count is
// then too low by Lost at most; while Lost is 0 all counts are exact.
type counter struct {
	Limit int
	Items []counted
	Lost  int64 // most that a count may be too low by
	index map[uint64]int32
}

// counted is a text, by its hash, and how often it was seen.
type counted struct {
	Hash  uint64
	Text  string // at most maxText bytes of it
	Count int64
}

// maxText is how much of a text is kept to be shown.
const maxText = 200

func newCounter(limit int) *counter { return &counter{Limit: limit, index: map[uint64]int32{}} }

func (c *counter) add(hash uint64, text []byte, n int64) {
	if i, ok := c.index[hash]; ok {
		c.Items[i].Count += n
		return
	}
	c.insert(counted{hash, shown(text), n})
}

func (c *counter) insert(x counted) {
	if len(c.Items) == 2*c.Limit {
		c.shrink()
	}
	c.index[x.Hash] = int32(len(c.Items))
	c.Items = append(c.Items, x)
}

// merge takes in what was counted elsewhere.
func (c *counter) merge(o *counter) {
	if c.index == nil { // it was read back
		c.reindex()
	}
	for _, x := range o.Items {
		if i, ok := c.index[x.Hash]; ok {
			c.Items[i].Count += x.Count
		} else {
			c.insert(x)
		}
	}
	c.Lost += o.Lost
}

func (c *counter) shrink() {
	c.sort()
	off := c.Items[c.Limit].Count
	c.Lost += off
	keep := c.Items[:0]
	for _, x := range c.Items {
		if x.Count -= off; x.Count > 0 {
			keep = append(keep, x)
		}
	}
	c.Items = keep
	c.reindex()
}

func (c *counter) reindex() {
	c.index = make(map[uint64]int32, 2*c.Limit)
	for i, x := range c.Items {
		c.index[x.Hash] = int32(i)
	}
}

// sort puts the most frequent first, and equal ones in the order of their texts.
func (c *counter) sort() {
	slices.SortFunc(c.Items, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Hash, b.Hash))
	})
}

// shown clips a text at a character.
func shown(text []byte) string {
	if len(text) <= maxText {
		return string(text)
	}
	end := maxText
	for end > 0 && text[end]&0xC0 == 0x80 {
		end--
	}
	return string(text[:end]) + "…"
}
