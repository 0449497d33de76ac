package fxtest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var twoCopies = []fxtest.Term{
	fxtest.Calls(2, "a second copy after a second"),
	fxtest.Cuts("the loser is told to end"),
	fxtest.Leaves("the loser is not waited for"),
}

// raceCopies is an honest hedge, but for what a suspect passes in: how a copy is run, and whether its end is the call's.
// running is how many copies still run then.
func raceCopies(ctx context.Context, ends chan ending, run func(), decides func(e ending, running int) bool) (int, error) {
	run()
	second := time.NewTimer(time.Second)
	defer second.Stop()
	var all error
	for running, started := 1, 1; running > 0; {
		select {
		case e := <-ends:
			if running--; decides(e, running) {
				return e.deliver()
			}
			all = errors.Join(all, e.err)
		case <-second.C:
			if started < 2 && ctx.Err() == nil {
				run()
				running, started = running+1, started+1
			}
		case <-ctx.Done():
			return 0, errors.Join(all, gone(ctx))
		}
	}
	return 0, all
}

// settled says that e is more than an error.
func settled(e ending, _ int) bool { return e.err == nil }

var brokenHedges = []suspect{
	{
		name: "leaves its loser on a channel that nobody reads", seen: "authzed/spicedb #235, #242", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				ends := make(chan ending)
				return raceCopies(ctx, ends, func() { go elsewhere(own, op, ends) }, settled)
			})
		},
	}, {
		name: "returns an error while the other copy still runs", seen: "failsafe-go and resilience4j hedge: the first to end wins; erpc/erpc #418", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				ends := make(chan ending, 2)
				first := func(ending, int) bool { return true }
				return raceCopies(ctx, ends, func() { go elsewhere(own, op, ends) }, first)
			})
		},
	}, {
		name: "lets its loser run on", seen: "E7: hedges that are not cancelled; cristalhq/hedgedhttp #8 made it optional", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				ends := make(chan ending, 2)
				return raceCopies(ctx, ends, func() { go elsewhere(ctx, op, ends) }, settled)
			})
		},
	}, {
		name: "waits for its loser before it cancels it", seen: "article code: defer cancel() above defer wg.Wait()",
		terms: []fxtest.Term{fxtest.Calls(2, "a second copy after a second"), fxtest.Cuts("the loser is told to end")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				var copies sync.WaitGroup
				defer copies.Wait()
				ends := make(chan ending, 2)
				run := func() { copies.Go(func() { elsewhere(own, op, ends) }) }
				return raceCopies(ctx, ends, run, settled)
			})
		},
	}, {
		name: "starts its second copy although the caller has left", seen: "go-resty/resty #1197: a break that ends the select and not the loop", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				ends := make(chan ending, 2)
				for n := range 2 {
					go elsewhere(own, op, ends)
					if n == 1 {
						break
					}
					timer := time.NewTimer(time.Second)
					select {
					case e := <-ends:
						timer.Stop()
						return e.deliver()
					case <-timer.C:
					case <-ctx.Done():
						timer.Stop() // and out of the select, into the loop
					}
				}
				return bestOfTwo(ctx, ends)
			})
		},
	}, {
		name: "runs its copies under a context of their own", seen: "L6: context.Background() in the goroutines of a hedge", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(context.Background())
				defer cancel()
				ends := make(chan ending, 2)
				return raceCopies(ctx, ends, func() { go elsewhere(own, op, ends) }, settled)
			})
		},
	}, {
		name: "turns a copy's panic into an error", seen: "L10: a panic on another goroutine kills the process, so it is recovered there, and forgotten", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				ends := make(chan ending, 2)
				tame := func(ctx context.Context) (v int, err error) {
					defer func() {
						if recover() != nil {
							err = errPanicked
						}
					}()
					return op(ctx)
				}
				return raceCopies(ctx, ends, func() { go elsewhere(own, tame, ends) }, settled)
			})
		},
	}, {
		name: "fails the copies that run when its budget is spent", seen: "failsafe-go/failsafe-go #141", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var hedges atomic.Int32
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				ends := make(chan ending, 3)
				started := 0
				run := func() {
					if started++; started == 2 && hedges.Add(1) > 1 {
						cancel()
						ends <- ending{err: errLimited}
						return
					}
					go elsewhere(own, op, ends)
				}
				defer func() {
					if started == 2 {
						hedges.Add(-1)
					}
				}()
				spent := func(e ending, _ int) bool { return e.err == nil || errors.Is(e.err, errLimited) }
				return raceCopies(ctx, ends, run, spent)
			})
		},
	}, {
		name: "hands a late answer to the next caller", seen: "article code: one result channel for all calls", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			ends := make(chan ending, 1000)
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				return raceCopies(ctx, ends, func() { go elsewhere(own, op, ends) }, settled)
			})
		},
	}, {
		name: "hides the first copy's error behind the second's", seen: "H6: article code: lastErr = e.err", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				ends := make(chan ending, 2)
				last := func(e ending, running int) bool { return e.err == nil || running == 0 }
				return raceCopies(ctx, ends, func() { go elsewhere(own, op, ends) }, last)
			})
		},
	},
}

// bestOfTwo is the first success of two copies, or the errors of both.
func bestOfTwo(ctx context.Context, ends chan ending) (int, error) {
	var all error
	for range 2 {
		select {
		case e := <-ends:
			if e.err == nil {
				return e.deliver()
			}
			all = errors.Join(all, e.err)
		case <-ctx.Done():
			return 0, errors.Join(all, gone(ctx))
		}
	}
	return 0, all
}
