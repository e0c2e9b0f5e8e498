package columnar

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

func (p *plan) splitter() *splitter {
	return &splitter{dialect: p.c.Dialect, size: p.size, exact: p.exact, pool: &p.texts}
}

// blocks runs work over all blocks of all inputs on several goroutines and gives the results to collect in the order of
// the text. The first error in that order is what it returns, so that the same input always fails the same way. At most
// workers+1 blocks wait for their turn.
func blocks[R any](ctx context.Context, p *plan, workers int, work func(worker int, b *block) (R, error), collect func(R) error) error {
	type outcome struct {
		result R
		err    error
	}
	type job struct {
		b   *block
		out chan outcome
	}
	group, ctx := errgroup.WithContext(ctx)
	jobs, order := make(chan job), make(chan job, workers)
	split := p.splitter()

	group.Go(func() error {
		defer close(order)
		defer close(jobs)
		send := func(j job) error {
			select {
			case order <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
			if j.b == nil {
				return nil
			}
			select {
			case jobs <- j:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for _, in := range p.c.Inputs {
			err := split.split(ctx, in, p.check(in.Name), func(b *block) error {
				return send(job{b, make(chan outcome, 1)})
			})
			if err != nil { // it takes its place in the order behind what was read before
				last := job{nil, make(chan outcome, 1)}
				last.out <- outcome{err: err}
				return send(last)
			}
		}
		return nil
	})
	for w := range workers {
		group.Go(func() error {
			for j := range jobs {
				var o outcome
				o.result, o.err = guarded(w, j.b, work)
				split.free(j.b.buf)
				j.out <- o
			}
			return nil
		})
	}
	group.Go(func() error {
		for j := range order {
			select {
			case o := <-j.out:
				if o.err != nil {
					return o.err
				}
				if err := collect(o.result); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

// guarded turns a panic of a worker, which would end the whole process, into an error.
func guarded[R any](worker int, b *block, work func(int, *block) (R, error)) (r R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: internal error near line %d: %v", b.input, b.line, p)
		}
	}()
	return work(worker, b)
}

// structure turns what tokenizing found wrong with the block as a whole into an error.
func (p *plan) structure(t *records, b *block) error {
	if (t.irregular || t.open >= 0) && !p.exact {
		return errIrregular
	}
	if t.open >= 0 {
		return &CellError{File: b.input, Line: b.lineOf(t.open), Reason: "a quote is opened here and never closed"}
	}
	return nil
}

var errChanged = errors.New("the input changed while it was read: run the sync again")
