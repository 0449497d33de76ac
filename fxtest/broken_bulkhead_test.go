package fxtest_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var (
	twoPlaces = []fxtest.Term{fxtest.Refuses("two at once, and no queue")}
	twoQueued = []fxtest.Term{fxtest.Waits("two at once, the others queue")}
)

var brokenBulkheads = []suspect{
	{
		name: "leaks its place when op panics", seen: "failsafe-go bulkhead; article code: <-sem without defer", terms: twoPlaces,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				select {
				case places <- struct{}{}:
				default:
					return 0, errFull
				}
				v, err := op(ctx)
				<-places
				return v, err
			})
		},
	}, {
		name: "leaks one of a hundred places when op panics", seen: "the same, with a limit that hides it for a while",
		terms: []fxtest.Term{fxtest.Refuses("a hundred at once")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 100)
			return awake(func(ctx context.Context) (int, error) {
				select {
				case places <- struct{}{}:
				default:
					return 0, errFull
				}
				v, err := op(ctx)
				<-places
				return v, err
			})
		},
	}, {
		name: "leaks its place when op's goroutine exits", seen: "L10: a release beside recover, which a Goexit passes by", terms: twoPlaces,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				select {
				case places <- struct{}{}:
				default:
					return 0, errFull
				}
				defer func() {
					if p := recover(); p != nil {
						<-places
						panic(p)
					}
				}()
				v, err := op(ctx)
				<-places
				return v, err
			})
		},
	}, {
		name: "leaks its place when op fails", seen: "mcowger/plexus #445; article code: if err != nil { return } before the release", terms: twoPlaces,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				select {
				case places <- struct{}{}:
				default:
					return 0, errFull
				}
				failed := false
				defer func() {
					if !failed {
						<-places
					}
				}()
				v, err := op(ctx)
				failed = err != nil
				return v, err
			})
		},
	}, {
		name: "leaks its place when the caller leaves", seen: "afex/hystrix-go #67, mcowger/plexus #445",
		terms: append([]fxtest.Term{fxtest.Leaves("the call returns when its caller leaves")}, twoPlaces...),
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				select {
				case places <- struct{}{}:
				default:
					return 0, errFull
				}
				ends := make(chan ending, 1)
				go elsewhere(ctx, op, ends)
				select {
				case e := <-ends:
					<-places
					return e.deliver()
				case <-ctx.Done():
					return 0, gone(ctx)
				}
			})
		},
	}, {
		name: "leaks a place to a caller who had left before", seen: "golang/go #63615; hlb #320; App-vNext/Polly takes the permit before its own check", terms: twoPlaces,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return func(ctx context.Context) (int, error) {
				select {
				case places <- struct{}{}:
				default:
					return awake(fx.Fail[int](errFull))(ctx)
				}
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				defer func() { <-places }()
				return op(ctx)
			}
		},
	}, {
		name: "counts whom it refused as running", seen: "article code: if running.Add(1) > limit { return errFull }", terms: twoPlaces,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var running atomic.Int32
			return awake(func(ctx context.Context) (int, error) {
				if running.Add(1) > 2 {
					return 0, errFull
				}
				defer running.Add(-1)
				return op(ctx)
			})
		},
	}, {
		name: "frees the place of a call that still runs", seen: "afex/hystrix-go returns the ticket at the timeout; K2",
		terms: append([]fxtest.Term{fxtest.Leaves("the call returns when its caller leaves")}, twoPlaces...),
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				select {
				case places <- struct{}{}:
				default:
					return 0, errFull
				}
				defer func() { <-places }()
				ends := make(chan ending, 1)
				go elsewhere(ctx, op, ends)
				select {
				case e := <-ends:
					return e.deliver()
				case <-ctx.Done():
					return 0, gone(ctx)
				}
			})
		},
	}, {
		name: "gives two places back for one call that failed", seen: "article code: release on error, and in the defer too", terms: twoPlaces,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				select {
				case places <- struct{}{}:
				default:
					return 0, errFull
				}
				defer func() { <-places }()
				v, err := op(ctx)
				if err != nil {
					<-places
				}
				return v, err
			})
		},
	}, {
		name: "gives a place to one who has left its queue", seen: "failsafe-lib/failsafe #393, #400", terms: twoQueued,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&line{free: 2, ghost: true}).guard(op) },
	}, {
		name: "wakes nobody when the first in the queue has left", seen: "golang/go #37852, golang/sync #10", terms: twoQueued,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&line{free: 2, mute: true}).guard(op) },
	}, {
		name: "lets the last in first", seen: "issue 5: FIFO turned LIFO", terms: twoQueued,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&line{free: 2, stack: true}).guard(op) },
	}, {
		name: "lets nobody leave its queue", seen: "eapache/go-resiliency semaphore and abiosoft/semaphore #4: Acquire without a context", terms: twoQueued,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				places <- struct{}{}
				defer func() { <-places }()
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				return op(ctx)
			})
		},
	}, {
		name: "starts a call whose caller left in the queue", seen: "golang/go #63615: Acquire succeeds with a context that is done", terms: twoQueued,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				places <- struct{}{}
				defer func() { <-places }()
				return op(ctx)
			})
		},
	}, {
		name: "looks for a free place once a second", seen: "article code: for busy { time.Sleep }", terms: twoQueued,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				for {
					select {
					case places <- struct{}{}:
						defer func() { <-places }()
						return op(ctx)
					default:
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, err
					}
				}
			})
		},
	}, {
		name: "holds its lock while it waits", seen: "facts on testing: a mutex held over a wait stops virtual time", terms: twoQueued, hangs: true,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			var mu sync.Mutex
			served := 0
			enter := func(ctx context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
					return gone(ctx)
				}
				served++
				return nil
			}
			return awake(func(ctx context.Context) (int, error) {
				if err := enter(ctx); err != nil {
					return 0, err
				}
				defer func() { <-places }()
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				return op(ctx)
			})
		},
	}, {
		name: "keeps a goroutine for each caller in its queue", seen: "kamilsk/semaphore #133; uber-go/ratelimit #73: a goroutine that goes on waiting", terms: twoQueued,
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return awake(func(ctx context.Context) (int, error) {
				mine := make(chan struct{})
				go func() {
					places <- struct{}{}
					mine <- struct{}{} // for ever, if nobody waits any more
				}()
				select {
				case <-mine:
				case <-ctx.Done():
					return 0, gone(ctx)
				}
				defer func() { <-places }()
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				return op(ctx)
			})
		},
	},
}
