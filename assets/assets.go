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

//go:embed all:portal
var portal embed.FS

// PortalTemplates are the pages of the portal.
func PortalTemplates() fs.FS { return below(portal, "portal/templates") }

// PortalStatic are the files that the portal's pages load.
func PortalStatic() fs.FS { return below(portal, "portal/static") }

func below(f fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(f, dir)
	if err != nil { // the folders are embedded above
		return f
	}
	return sub
}
