package fxtest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var (
	cutsOp    = []fxtest.Term{fxtest.Cuts("two seconds for op")}
	leavesOp  = []fxtest.Term{fxtest.Cuts("two seconds for op"), fxtest.Leaves("the call returns then, whatever op does")}
	errPanics = errors.New("op panicked on another goroutine")
)

// tooLate is the error of a call that was cut off after its two seconds, or whose caller left before.
func tooLate(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(err, gone(ctx))
	}
	return errors.Join(err, errTooLate)
}

var brokenTimeouts = []suspect{
	{
		name: "leaves a goroutine that nobody hears", seen: "eapache/go-resiliency #23, rubyist/circuitbreaker #35, zeromicro/go-zero core/fx/timeout.go", terms: leavesOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				ends := make(chan ending) // no room
				go elsewhere(own, op, ends)
				select {
				case e := <-ends:
					return e.deliver()
				case <-own.Done():
					return 0, tooLate(ctx, own.Err())
				}
			})
		},
	}, {
		name: "returns although op still runs, and does not say so", seen: "afex/hystrix-go, rubyist/circuitbreaker, eapache/go-resiliency deadline", terms: cutsOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				ends := make(chan ending, 1)
				go elsewhere(own, op, ends)
				select {
				case e := <-ends:
					return e.deliver()
				case <-own.Done():
					return 0, tooLate(ctx, own.Err())
				}
			})
		},
	}, {
		name: "makes an error of a success that comes late", seen: "failsafe-go timeout: the timer's result wins over op's", terms: cutsOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				v, err := op(own)
				if own.Err() != nil {
					return 0, tooLate(ctx, err)
				}
				return v, err
			})
		},
	}, {
		name: "says only that it took too long", seen: "failsafe-go ErrExceeded, eapache/go-resiliency ErrTimedOut", terms: cutsOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				v, err := op(own)
				if err != nil && own.Err() != nil && ctx.Err() == nil {
					return 0, errTooLate
				}
				return v, err
			})
		},
	}, {
		name: "says that it took too long when the caller left", seen: "zeromicro/go-zero core/fx/retry.go: errTimeout at every ctx.Done()",
		terms: leavesOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				ends := make(chan ending, 1)
				go elsewhere(own, op, ends)
				select {
				case e := <-ends:
					return e.deliver()
				case <-own.Done():
					return 0, errTooLate
				}
			})
		},
	}, {
		name: "gives op more time than the caller has", seen: "L14: now + d, without the lesser of the two", terms: cutsOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
				defer cancel()
				v, err := op(own)
				if err != nil && own.Err() != nil {
					err = tooLate(ctx, err)
				}
				return v, err
			})
		},
	}, {
		name: "does not release its context", seen: "google/keytransparency #1175, dotchain/dot #77; article code: ctx, _ = context.WithTimeout", terms: cutsOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			limited := func(ctx context.Context) context.Context {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				_ = cancel
				return own
			}
			return awake(func(ctx context.Context) (int, error) {
				own := limited(ctx)
				v, err := op(own)
				if err != nil && own.Err() != nil {
					err = tooLate(ctx, err)
				}
				return v, err
			})
		},
	}, {
		name: "leaves its watchdog running", seen: "article code: a goroutine in time.Sleep(limit) that no success ends",
		terms: cutsOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancelCause(ctx)
				defer cancel(nil)
				go func() {
					time.Sleep(2 * time.Second)
					cancel(errTooLate)
				}()
				v, err := op(own)
				if err != nil && own.Err() != nil {
					err = tooLate(ctx, err)
				}
				return v, err
			})
		},
	}, {
		name: "turns a panic on its goroutine into an error", seen: "gin-contrib/timeout, labstack/echo #1795 and golang/go #22084, where it killed the process", terms: leavesOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				ends := make(chan ending, 1)
				go elsewhere(own, op, ends)
				select {
				case e := <-ends:
					if e.panicked != nil {
						return 0, errPanics
					}
					return e.deliver()
				case <-own.Done():
					return 0, tooLate(ctx, own.Err())
				}
			})
		},
	}, {
		name: "panics with a text in place of the value", seen: "zeromicro/go-zero timeoutinterceptor: fmt.Sprintf(\"%+v\\n\\n%s\", p, debug.Stack())", terms: leavesOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				ends := make(chan ending, 1)
				go elsewhere(own, op, ends)
				select {
				case e := <-ends:
					if e.panicked != nil {
						panic(fmt.Sprintf("%+v\n\n%s", e.panicked, debug.Stack()))
					}
					return e.deliver()
				case <-own.Done():
					return 0, tooLate(ctx, own.Err())
				}
			})
		},
	}, {
		name: "waits for a goroutine that has exited", seen: "golang/go #67087, minio/minio-go #2275", terms: leavesOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancelCause(ctx)
				defer cancel(nil)
				ends := make(chan ending, 1)
				go func() {
					var e ending
					defer func() {
						if e.panicked = recover(); e.panicked != nil {
							ends <- e
						}
					}()
					e.v, e.err = op(own)
					ends <- e
				}()
				select {
				case e := <-ends:
					return e.deliver()
				case <-ctx.Done():
					return 0, gone(ctx)
				}
			})
		},
	}, {
		name: "takes a goroutine that has exited for a success", seen: "golang/go #53757: errgroup's Wait returns nil after a Goexit", terms: leavesOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (int, error) {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				ends := make(chan ending, 1)
				go elsewhere(own, op, ends)
				select {
				case e := <-ends:
					if e.panicked != nil {
						panic(e.panicked)
					}
					return e.v, e.err
				case <-own.Done():
					return 0, tooLate(ctx, own.Err())
				}
			})
		},
	}, {
		name: "writes its answer into variables that it has returned", seen: "authzed/spicedb #242, gojek/heimdall #63", terms: leavesOp, race: true,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return awake(func(ctx context.Context) (v int, err error) {
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				ends := make(chan ending, 1)
				go elsewhere(own, func(ctx context.Context) (int, error) {
					v, err = op(ctx)
					return v, err
				}, ends)
				select {
				case e := <-ends:
					return e.deliver()
				case <-own.Done():
					err = tooLate(ctx, own.Err())
					return v, err
				}
			})
		},
	}, {
		name: "makes one call's limit that of all later ones", seen: "zeromicro/go-zero timeoutinterceptor: timeout = getTimeout(…, timeout)",
		terms: []fxtest.Term{fxtest.Cuts("an hour for op, less for a caller in a hurry")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			limit := time.Hour
			return awake(func(ctx context.Context) (int, error) {
				if at, ok := ctx.Deadline(); ok {
					limit = min(limit, time.Until(at))
				}
				own, cancel := context.WithTimeout(ctx, limit)
				defer cancel()
				v, err := op(own)
				if err != nil && own.Err() != nil {
					err = tooLate(ctx, err)
				}
				return v, err
			})
		},
	},
}
