package rsync

import "sync/atomic"

// Budget bounds the memory that sessions hold for what their clients name: lists of files, and the sums of a large basis. The
// sessions of one person share one, so that nobody is held up by another's. A nil Budget has no bound.
type Budget struct{ left atomic.Int64 }

// NewBudget gives a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	b := &Budget{}
	b.left.Store(bytes)
	return b
}

// Cost of an entry of a list, besides its texts, and of how many the memory is taken at once.
const (
	entryCost  = 256
	entriesPer = 1024
)

// hold takes memory from the budget until the session ends, and tells whether there is so much.
func (s *session) hold(bytes int64) bool {
	if s.Budget == nil || bytes <= 0 {
		return true
	}
	if s.Budget.left.Add(-bytes) < 0 {
		s.Budget.left.Add(bytes)
		return false
	}
	s.held.Add(bytes)
	return true
}

// holdSums is hold for the sums of a file, of which a session has those of one file at a time.
func (s *session) holdSums(bytes int64) bool {
	if !s.hold(bytes - s.sumsHeld) {
		return false
	}
	s.sumsHeld = max(s.sumsHeld, bytes)
	return true
}

// giveBack ends what the session held.
func (s *session) giveBack() {
	if s.Budget != nil {
		s.Budget.left.Add(s.held.Swap(0))
	}
}

// errNoMemory ends a session for which its person's others leave too little.
var errNoMemory = &refusal{"your transfers name too many files at once: let the others end first, or ask for folders one by one", ExitMalloc}
