package portal

import (
	"fmt"
	"slices"

	"aida/store"
)

// relationMap is a picture of a table's joins: at the left the tables that refer to it, at the right those that it refers to.
type relationMap struct {
	Width, Height int
	Text          string // what is on it, in words
	Nodes         []relationNode
	Lines         []relationLine
	Left          int // tables that are not on it
}

type relationNode struct {
	X, Y, W    int
	Name, Join string
	Self       bool
}

// Inner is the width of the box within its line.
func (n relationNode) Inner() int { return n.W - 1 }

type relationLine struct {
	Path   string // of an SVG path
	X, Y   int    // the arrow's tip
	Dashed bool   // suggested by names only
}

// Sizes of the map, in units of its view box. Letters of names are letterWidth wide.
const (
	mapWidth, mapRow, mapBox = 760, 60, 44
	mapSide, mapSelf         = 240, 180
	letterWidth              = 8
	maxOnMap                 = 8 // a side
)

// mapOf draws the relations, nil when there are none.
func mapOf(name string, relations []relationView) *relationMap {
	var from, to []relationView
	for _, r := range relations {
		if r.Direction == "belongs_to" {
			to = append(to, r)
		} else {
			from = append(from, r)
		}
	}
	if len(from)+len(to) == 0 {
		return nil
	}
	m := &relationMap{Width: mapWidth, Text: fmt.Sprintf("%s refers to %s; %s", name, plural(len(to), "table", "tables"), refer(len(from)))}
	m.Left = max(0, len(from)-maxOnMap) + max(0, len(to)-maxOnMap)
	from, to = from[:min(len(from), maxOnMap)], to[:min(len(to), maxOnMap)]
	m.Height = mapRow * max(len(from), len(to))
	middle := m.Height / 2
	left, right := mapSide+(mapWidth-2*mapSide-mapSelf)/2, mapSide+(mapWidth-2*mapSide+mapSelf)/2
	m.Nodes = append(m.Nodes, relationNode{X: left, Y: middle - mapBox/2, W: mapSelf, Name: clipName(name, mapSelf), Self: true})
	side := func(list []relationView, x int, join func(store.RelatedTable) string, line func(y int) relationLine) {
		for i, r := range list {
			y := (2*i+1)*m.Height/(2*len(list)) - mapBox/2
			m.Nodes = append(m.Nodes, relationNode{X: x, Y: y, W: mapSide, Name: clipName(r.Table, mapSide), Join: clipName(join(r.RelatedTable), mapSide)})
			l := line(y + mapBox/2)
			l.Dashed = r.Suggested
			m.Lines = append(m.Lines, l)
		}
	}
	curve := func(x1, y1, x2, y2 int) relationLine {
		half := (x1 + x2) / 2
		return relationLine{Path: fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, half, y1, half, y2, x2, y2), X: x2, Y: y2}
	}
	side(from, 0, func(r store.RelatedTable) string { return r.ForeignColumn + " → " + r.JoinColumn },
		func(y int) relationLine { return curve(mapSide, y, left, middle) })
	side(to, mapWidth-mapSide, func(r store.RelatedTable) string { return r.JoinColumn + " → " + r.ForeignColumn },
		func(y int) relationLine { return curve(right, middle, mapWidth-mapSide, y) })
	return m
}

func refer(n int) string {
	if n == 1 {
		return "1 table refers to it"
	}
	return fmt.Sprintf("%d tables refer to it", n)
}

// clipName shortens a name to what a box holds.
func clipName(name string, width int) string {
	letters := []rune(name)
	if most := (width - 24) / letterWidth; len(letters) > most {
		return string(slices.Concat(letters[:most-1], []rune("…")))
	}
	return name
}
