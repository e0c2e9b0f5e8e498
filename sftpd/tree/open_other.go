//go:build !linux

package tree

import (
	"errors"
	"os"
)

// openBeneath and readBeneath are for systems that have a call for it.
func openBeneath(*os.File, string) (*os.File, int64, error) { return nil, 0, errors.ErrUnsupported }
func readBeneath(*os.File, string, []byte) (int64, error)   { return 0, errors.ErrUnsupported }
