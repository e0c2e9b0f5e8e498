//go:build !linux

package sandbox

import "context"

// Sandbox runs programs; there is none on this system.
type Sandbox struct{}

// New says that there is none here.
func New(Options) (*Sandbox, error) {
	return nil, &Unavailable{"notification scripts run on Linux only, as only it has the namespaces that contain them"}
}

// Run never runs.
func (*Sandbox) Run(context.Context, Job) (*Result, error) { return nil, errSetup }

// Limits are none.
func (*Sandbox) Limits() Limits { return Limits{} }

func (*Sandbox) String() string { return "" }

// Close has nothing to let go.
func (*Sandbox) Close() error { return nil }

// Main is the stages inside, which there are none of.
func Main([]string) int { return 2 }
