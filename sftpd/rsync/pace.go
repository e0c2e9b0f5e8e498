package rsync

import (
	"context"

	"golang.org/x/time/rate"
)

// leastRate is the slowest --bwlimit, in bytes a second, as in rsync.
const leastRate = 512

// pace holds writes back to the rate of --bwlimit. What is written goes out in pieces of an eighth of a second at most, so that
// neither the connection nor the client's clock sees it stand still.
type pace struct {
	ctx    context.Context
	bucket *rate.Limiter
}

func newPace(ctx context.Context, perSecond int64) *pace {
	perSecond = max(perSecond, leastRate)
	return &pace{ctx, rate.NewLimiter(rate.Limit(perSecond), int(max(perSecond/8, leastRate)))}
}

// next waits until a piece of n bytes may go, and gives its length. Nothing waits without a limit.
func (p *pace) next(n int) (int, error) {
	if p == nil {
		return n, nil
	}
	n = min(n, p.bucket.Burst())
	return n, p.bucket.WaitN(p.ctx, n)
}
