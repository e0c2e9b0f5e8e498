//go:build !linux

package tree

import (
	"errors"
	"os"
)

// openBeneath is for systems that have a call for it.
func openBeneath(*os.File, string) (*os.File, error) { return nil, errors.ErrUnsupported }
