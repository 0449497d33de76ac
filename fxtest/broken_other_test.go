package fxtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var hasDefault = []fxtest.Term{fxtest.Answers("-1 where there is no answer")}

var brokenOthers = []suspect{
	{
		name: "answers a panic with its default", seen: "article code: defer func() { if recover() != nil { v = fallback } }()", terms: hasDefault,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (v int, err error) {
				defer func() {
					if recover() != nil || err != nil && ctx.Err() == nil {
						v, err = -1, nil
					}
				}()
				return op(ctx)
			})
		},
	}, {
		name: "answers a caller who had left", seen: "F5: a fallback that takes the caller's cancel for a failure", terms: hasDefault,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if v, err := awake(op)(ctx); err == nil {
					return v, nil
				}
				return -1, nil
			}
		},
	}, {
		name: "answers with a default, and does not say so", seen: "article code: log the error, return the default",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				if err != nil && ctx.Err() == nil {
					return -1, nil
				}
				return v, err
			})
		},
	}, {
		name: "prints op's error into that of its fallback", seen: "afex/hystrix-go tryFallback: fallback failed with '%v'. run error was '%v'", terms: hasDefault,
		policy: func(op fx.Op[int]) fx.Op[int] {
			fallback := func() (int, error) { return 0, errFull }
			return awake(func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				if err == nil || ctx.Err() != nil {
					return v, err
				}
				if v, second := fallback(); second == nil {
					return v, nil
				} else {
					return 0, fmt.Errorf("fallback failed with '%v', op with '%v'", second, err)
				}
			})
		},
	}, {
		name: "recovers, and returns zero and nil", seen: "article code: defer func() { _ = recover() }()",
		terms: []fxtest.Term{fxtest.Recovers("a panic becomes an error")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				defer func() { _ = recover() }()
				return op(ctx)
			})
		},
	}, {
		name: "recovers, and does not say so", seen: "grpc and gin recovery middleware, undeclared",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (v int, err error) {
				defer func() {
					if p := recover(); p != nil {
						err = fmt.Errorf("%w: %v", errPanicked, p)
					}
				}()
				return op(ctx)
			})
		},
	}, {
		name: "wraps the value of a panic", seen: "golang.org/x/sync/singleflight: panic(newPanicError(p))",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				defer func() {
					if p := recover(); p != nil {
						panic(fmt.Errorf("%w: %v", errPanicked, p))
					}
				}()
				return op(ctx)
			})
		},
	}, {
		name: "calls op while it is applied", seen: "L20: a probe at start-up, to fail early",
		policy: func(op fx.Op[int]) fx.Op[int] {
			ends := make(chan ending, 1)
			go elsewhere(context.Background(), op, ends) // on a goroutine of its own, for it may panic
			<-ends
			return awake(op)
		},
	}, {
		name: "calls op twice", seen: "article code: log.Println(op(ctx)); return op(ctx)",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				if v, err := op(ctx); err != nil || ctx.Err() != nil {
					return v, err
				}
				return op(ctx)
			})
		},
	}, {
		name: "calls op under a context of its own", seen: "L6: context.Background() inside",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(context.Context) (int, error) { return op(context.Background()) })
		},
	}, {
		name: "hides the caller's end from op", seen: "L7: context.WithoutCancel, to let the call finish",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) { return op(context.WithoutCancel(ctx)) })
		},
	}, {
		name: "hides the caller's values from op", seen: "L6: a new context that is cancelled with the caller's",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancelCause(context.Background())
				if at, ok := ctx.Deadline(); ok {
					var stop context.CancelFunc
					own, stop = context.WithDeadline(own, at)
					defer stop()
				}
				defer cancel(nil)
				defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
				return op(own)
			})
		},
	}, {
		name: "hides the caller's deadline and cause from op", seen: "article code: two contexts merged by context.AfterFunc(ctx, cancel)",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancel(context.WithoutCancel(ctx))
				defer cancel()
				defer context.AfterFunc(ctx, cancel)()
				return op(own)
			})
		},
	}, {
		name: "keeps the context of its first caller", seen: "article code: a context in a struct, set once",
		policy: func(op fx.Op[int]) fx.Op[int] {
			var once sync.Once
			var first context.Context
			return awake(func(ctx context.Context) (int, error) {
				once.Do(func() { first = ctx })
				return op(first)
			})
		},
	}, {
		name: "says that the caller had left, but not why", seen: "article code: if err := ctx.Err(); err != nil { return err }; avast/retry-go",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (v int, err error) {
				if ctx.Err() != nil {
					return v, ctx.Err()
				}
				return op(ctx)
			}
		},
	}, {
		name: "says why the caller had left, but not that", seen: "article code: return context.Cause(ctx)",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (v int, err error) {
				if ctx.Err() != nil {
					return v, context.Cause(ctx)
				}
				return op(ctx)
			}
		},
	}, {
		name: "answers a caller who had left with zero and nil", seen: "article code: select { case <-ctx.Done(): return }, with named results",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (v int, err error) {
				select {
				case <-ctx.Done():
					return
				default:
				}
				return op(ctx)
			}
		},
	}, {
		name: "prints op's error into a new one", seen: `L12: fmt.Errorf("users: %v", err)`,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				if err != nil {
					err = fmt.Errorf("users: %v", err)
				}
				return v, err
			})
		},
	}, {
		name: "takes any end of a context for its caller's", seen: "DESIGN 4.3, never by guessing from the error's type: errors.Is(err, context.Canceled)",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				if errors.Is(err, context.Canceled) {
					return 0, nil // nobody is there to hear it
				}
				return v, err
			})
		},
	}, {
		name: "takes a number from 500 for a failure", seen: "L17: a type switch on any(v), where an int is a status code",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				if status, ok := any(v).(int); ok && err == nil && status >= 500 && status < 600 {
					return 0, errFull
				}
				return v, err
			})
		},
	}, {
		name: "sends its answer through a float64", seen: "encoding/json into any, as caches that store JSON do: numbers above 2^53 change",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				return int(float64(v)), err
			})
		},
	}, {
		name: "looks for the answer every ten milliseconds", seen: "L3: a poll tick: for !done.Load() { time.Sleep }",
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				ends := make(chan ending, 1)
				go elsewhere(ctx, op, ends)
				for {
					select {
					case e := <-ends:
						return e.deliver()
					default:
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
		},
	}, {
		name: "races on a plain counter", seen: "article code: calls++ in a middleware", race: true,
		policy: func(op fx.Op[int]) fx.Op[int] {
			calls := 0
			return awake(func(ctx context.Context) (int, error) {
				calls++
				return op(ctx)
			})
		},
	}, {
		name: "runs one call at a time", seen: "article code: a mutex as a guard for a client that is not safe; here a channel, which virtual time can pass",
		policy: func(op fx.Op[int]) fx.Op[int] {
			turn := make(chan struct{}, 1)
			return awake(func(ctx context.Context) (int, error) {
				select {
				case turn <- struct{}{}:
				case <-ctx.Done():
					return 0, gone(ctx)
				}
				defer func() { <-turn }()
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				return op(ctx)
			})
		},
	}, {
		name: "fails every hundredth call", seen: "chaos that was left switched on; Simmy in Polly, Enabled: true by default",
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			calls := 0
			count := func() int {
				mu.Lock()
				defer mu.Unlock()
				calls++
				return calls
			}
			return awake(func(ctx context.Context) (int, error) {
				if count()%100 == 0 {
					return 0, errFull
				}
				return op(ctx)
			})
		},
	},
}
