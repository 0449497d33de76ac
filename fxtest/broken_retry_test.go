package fxtest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var threeTries = []fxtest.Term{
	fxtest.Calls(3, "three attempts"),
	fxtest.Waits("a second between them"),
}

var brokenRetries = []suspect{
	{
		name: "sleeps through the end of its caller", seen: "article code: time.Sleep in the loop", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					if n > 0 {
						time.Sleep(time.Second << n)
					}
					if ctx.Err() != nil {
						return 0, errors.Join(all, gone(ctx))
					}
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
				}
				return 0, all
			})
		},
	}, {
		name: "goes on for a caller who has left", seen: "outscale/osc-bsu-csi-driver #883", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
				}
				if ctx.Err() != nil {
					all = errors.Join(all, gone(ctx))
				}
				return 0, all
			})
		},
	}, {
		name: "starts one more attempt when the wait was cut short", seen: "L7: a select that falls through into the loop", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := 1; ; n++ {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 3 || n > 1 && ctx.Err() != nil {
						break
					}
					timer := time.NewTimer(time.Second)
					select {
					case <-timer.C:
					case <-ctx.Done():
						timer.Stop()
					}
				}
				if ctx.Err() != nil {
					all = errors.Join(all, gone(ctx))
				}
				return 0, all
			})
		},
	}, {
		name: "makes its first attempt on a dead context", seen: "cenkalti/backoff #68", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			}
		},
	}, {
		name: "forgets op's error when the caller leaves", seen: "cenkalti/backoff #83, avast/retry-go #74", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, err
					}
				}
				return 0, all
			})
		},
	}, {
		name: "does not say that its caller had left", seen: "cenkalti/backoff #82", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 || pause(ctx, time.Second) != nil {
						break
					}
				}
				return 0, all
			})
		},
	}, {
		name: "does not say why its caller had left", seen: "avast/retry-go: config.context.Err() alone", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					if pause(ctx, time.Second) != nil {
						return 0, errors.Join(all, ctx.Err())
					}
				}
				return 0, all
			})
		},
	}, {
		name: "says only that it gave up", seen: "article code: return errMaxRetries", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					if n == 2 {
						break
					}
					if left := pause(ctx, time.Second); left != nil {
						return 0, errors.Join(err, left)
					}
				}
				return 0, errGivenUp
			})
		},
	}, {
		name: "prints its errors into a new one", seen: `article code: fmt.Errorf("after %d attempts: %v", n, err)`, terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, fmt.Errorf("after 3 attempts: %v", all)
			})
		},
	}, {
		name: "keeps only its first error", seen: "article code: if first == nil { first = err }", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var first error
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					if first == nil {
						first = err
					}
					if n == 2 {
						break
					}
					if left := pause(ctx, time.Second); left != nil {
						return 0, errors.Join(first, left)
					}
				}
				return 0, first
			})
		},
	}, {
		name: "keeps only its last error", seen: "avast/retry-go LastErrorOnly", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (v int, err error) {
				for n := range 3 {
					if v, err = op(ctx); err == nil {
						return v, nil
					}
					if n == 2 {
						break
					}
					if left := pause(ctx, time.Second); left != nil {
						return 0, errors.Join(err, left)
					}
				}
				return 0, err
			})
		},
	}, {
		name: "makes an attempt too many", seen: "article code: for i := 0; i <= attempts; i++", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			const attempts = 3
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for i := 0; i <= attempts; i++ {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if i == attempts {
						break
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "waits once more after its last attempt", seen: "zeromicro/go-zero core/fx/retry.go", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if err := pause(ctx, time.Second); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "repeats a success", seen: "article code: a break that ends the switch and not the loop, as in go-resty/resty #1197", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (v int, all error) {
				for n := range 3 {
					var err error
					v, err = op(ctx)
					switch {
					case err == nil:
						all = nil // a break here would end the switch
					case n == 2:
						return 0, errors.Join(all, err)
					default:
						all = errors.Join(all, err)
						if err := pause(ctx, time.Second); err != nil {
							return 0, errors.Join(all, err)
						}
					}
				}
				return v, all
			})
		},
	}, {
		name: "repeats a call that panicked", seen: "article code: recover in the attempt", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			try := func(ctx context.Context, last bool) (v int, err error) {
				defer func() {
					if p := recover(); p != nil && last {
						panic(p)
					} else if p != nil {
						err = errPanicked
					}
				}()
				return op(ctx)
			}
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					v, err := try(ctx, n == 2)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "counts the attempts of all calls together", seen: "spiffe/go-spiffe #155, stoewer/go-nakadi #12", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			failed := 0
			again := func() bool {
				mu.Lock()
				defer mu.Unlock()
				failed++
				return failed%3 != 0
			}
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if !again() {
						return 0, all
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, errors.Join(all, err)
					}
				}
			})
		},
	}, {
		name: "shares a backoff that only grows", seen: "spiffe/go-spiffe #155, cenkalti/backoff #183", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			delay := time.Second
			next := func() time.Duration {
				mu.Lock()
				defer mu.Unlock()
				delay = min(2*delay, 24*time.Hour)
				return delay / 2
			}
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					if err := pause(ctx, next()); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "races on the backoff that its calls share", seen: "cenkalti/backoff #183", terms: threeTries, race: true,
		policy: func(op fx.Op[int]) fx.Op[int] {
			delay := time.Second
			return awake(func(ctx context.Context) (int, error) {
				delay = time.Second
				var all error
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					delay = min(2*delay, time.Minute)
					if err := pause(ctx, delay); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "panics in its jitter at the 35th attempt", seen: "avast/retry-go #159, flowchartsman/retry #4, launchdarkly/eventsource #21",
		terms: []fxtest.Term{fxtest.Calls(50, "fifty attempts"), fxtest.Waits("up to five seconds between them")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 50 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 49 {
						break
					}
					ceiling := min(time.Second<<n, 5*time.Second)
					if err := pause(ctx, rand.N(ceiling)); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "does not wait at all from the 35th attempt on", seen: "carlescere/goback #5, App-vNext/Polly #2163, Azure/azure-sdk-for-go #23441",
		terms: []fxtest.Term{fxtest.Calls(200, "patient: two hundred attempts"), fxtest.Waits("up to five seconds between them")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 200 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 199 {
						break
					}
					if err := pause(ctx, min(time.Second<<n, 5*time.Second)); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "calls it a success when its attempts are exhausted", seen: "avast/retry-go #84, #86", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (v int, err error) {
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					if n == 2 {
						break
					}
					if left := pause(ctx, time.Second); left != nil {
						return 0, errors.Join(err, left)
					}
				}
				return v, err // not the err of the loop
			})
		},
	}, {
		name: "gives each attempt more time than its caller has", seen: "L14: now + d, without the lesser of the two",
		terms: append([]fxtest.Term{fxtest.Cuts("a minute for each attempt")}, threeTries...),
		policy: func(op fx.Op[int]) fx.Op[int] {
			try := func(ctx context.Context) (int, error) {
				long, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
				defer stop()
				own, cancel := context.WithCancelCause(long)
				defer cancel(nil)
				defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
				return op(own)
			}
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					v, err := try(ctx)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "releases only the context of its last attempt", seen: "dotchain/dot #77; article code: one cancel variable for all rounds of a loop",
		terms: append([]fxtest.Term{fxtest.Cuts("an hour for each attempt")}, threeTries...),
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				release := func() {}
				defer func() { release() }()
				var all error
				for n := range 3 {
					own, cancel := context.WithTimeout(ctx, time.Hour)
					release = cancel
					v, err := op(own)
					if err == nil {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "takes zero for a failure", seen: "L19: if v == 0, if v == nil", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				var all error
				for n := range 3 {
					v, err := op(ctx)
					if err == nil && (v != 0 || n == 2) {
						return v, nil
					}
					all = errors.Join(all, err)
					if n == 2 {
						break
					}
					if err := pause(ctx, time.Second); err != nil {
						return 0, errors.Join(all, err)
					}
				}
				return 0, all
			})
		},
	}, {
		name: "reports the errors of earlier calls too", seen: "article code: errs declared outside of the call", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var all error
			add := func(err error) error {
				mu.Lock()
				defer mu.Unlock()
				all = errors.Join(all, err)
				return all
			}
			return awake(func(ctx context.Context) (int, error) {
				for n := range 3 {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					if err = add(err); n == 2 {
						return 0, err
					}
					if left := pause(ctx, time.Second); left != nil {
						return 0, errors.Join(err, left)
					}
				}
				panic("unreachable")
			})
		},
	},
}
