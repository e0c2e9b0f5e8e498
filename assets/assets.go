// Package assets holds what is embedded into the binary for analysts: guides, scripts and examples. Package sample beside
// it makes the sample company. It imports nothing of the other rooms.
//
//	kit := assets.Kit()
package assets

import (
	"embed"
	"io/fs"
)

//go:embed all:kit
var kit embed.FS

// Kit is the tree of docs/, scripts/ and examples/ that each analyst finds below server/.
func Kit() fs.FS {
	sub, err := fs.Sub(kit, "kit")
	if err != nil { // the folder is embedded above
		return kit
	}
	return sub
}
