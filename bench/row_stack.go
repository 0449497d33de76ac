package main

import (
	"context"
	"time"

	"example.com/fx"
)

// reasonFull is why the target of the full stack is missed.
const reasonFull = "Four looks at the clock are more than half of it (see the profile), and five at the context a tenth."

func stackRows() []row {
	return []row{usualStack(), fullStack(), fullStackWithContext(), composedStack(), liftedStack()}
}

// usualStack is timeout > bulkhead > breaker > retry.
func usualStack() row {
	return row{
		name:   "stack under a nearer deadline",
		op:     same(answer),
		near:   true,
		target: target{ns: 60},
		contenders: []contender{
			{lib: libFx, build: func() policy { return around(fxTimeout(far), fxThree()) }},
			{lib: "best of each", build: func() policy { return around(contextTimeout(far), bestThree()) }, note: "context, x/sync, and eapache's breaker and retrier; no error says which layer it came from"},
			{lib: "gobreaker & co.", build: func() policy { return around(contextTimeout(far), genericThree()) }, note: "context, x/sync, gobreaker and retry-go, which has not the caller's context"},
			{lib: "failsafe", build: func() policy {
				return failsafeWithContext(failsafeTimeout(), failsafeBulkhead(seats, 0), failsafeBreaker(), failsafeRetry())
			}},
		},
	}
}

// fullStack has everything that the README's stack for a service has: a budget, Slow and a timeout of each attempt as
// well. Every timeout is beyond the deadline.
func fullStack() row {
	return row{
		name:       "full stack under a nearer deadline",
		op:         same(answer),
		near:       true,
		target:     target{ns: 130, reason: reasonFull},
		contenders: []contender{fullFx(far), fullFailsafe()},
	}
}

// fullStackWithContext is fullStack with an inner timeout nearer than the deadline, which takes a context.
func fullStackWithContext() row {
	return row{
		name:   "full stack with an inner context",
		op:     same(answer),
		near:   true,
		target: target{objects: asContext},
		contenders: []contender{
			{lib: libContext, build: func() policy { return contextTimeout(near / 2) }, note: "the inner context alone", unlike: true},
			fullFx(near / 2),
		},
	}
}

func fullFx(inner time.Duration) contender {
	return contender{lib: libFx, build: func() policy { return fxFull(inner) }}
}

func fullFailsafe() contender {
	return contender{
		lib:  "failsafe",
		note: "no limit on slow calls; each timeout takes a context and a timer",
		build: func() policy {
			return failsafeWithContext(failsafeTimeout(), failsafeBulkhead(seats, 0), failsafeBreaker(), failsafeRetryWithBudget(), failsafeTimeout())
		},
	}
}

// composedStack is put together in every call.
func composedStack() row {
	return row{
		name:   "bulkhead > breaker > retry, composed per call",
		op:     same(answer),
		target: target{ns: 25},
		contenders: []contender{
			{lib: libFx, build: fxComposed},
			{lib: "best of each", build: bestThree, note: "x/sync, and eapache's breaker and retrier; their closures are composed per call anyway"},
			{lib: "failsafe", build: failsafeComposed, note: "no context"},
		},
	}
}

// liftedStack is put together once, around a function with an argument.
func liftedStack() row {
	return row{
		name:   "bulkhead > breaker > retry, by Lift",
		op:     same(answer),
		target: target{ns: 120, objects: 1},
		contenders: []contender{
			{lib: libFx, build: fxLifted},
			{lib: "best of each", build: bestThree, note: "the argument is captured per call, and keeps to the stack", ahead: "nothing has to carry the argument, since the stack is written around the call itself, in place; fx composed per call (the row above) needs no object either"},
			{lib: "failsafe", build: func() policy {
				return failsafeExecutor(failsafeBulkhead(seats, 0), failsafeBreaker(), failsafeRetry())
			}, note: "no context; the argument is captured per call"},
		},
	}
}

// around puts one policy around another.
func around(outer, inner policy) policy {
	return func(op operation) operation { return outer(inner(op)) }
}

func fxThree() policy {
	breaker, bulkhead := &fx.Breaker{}, &fx.Bulkhead{Limit: seats}
	return func(op operation) operation {
		return fx.WithBulkhead(fx.WithBreaker(fx.WithRetry(op, fx.Retry{}), breaker), bulkhead)
	}
}

// fxFull is the stack of the README, with a timeout of each attempt.
func fxFull(inner time.Duration) policy {
	breaker, bulkhead, budget := &fx.Breaker{Slow: time.Minute}, &fx.Bulkhead{Limit: seats}, &fx.Budget{}
	return func(op operation) operation {
		op = fx.WithTimeout(op, inner)
		op = fx.WithRetry(op, fx.Retry{Budget: budget})
		op = fx.WithBreaker(op, breaker)
		op = fx.WithBulkhead(op, bulkhead)
		return fx.WithTimeout(op, far)
	}
}

func fxComposed() policy {
	breaker, bulkhead := &fx.Breaker{}, &fx.Bulkhead{Limit: seats}
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			guarded := fx.WithRetry(op, fx.Retry{})
			guarded = fx.WithBreaker(guarded, breaker)
			guarded = fx.WithBulkhead(guarded, bulkhead)
			return guarded(ctx)
		}
	}
}

func fxLifted() policy {
	three := fxThree()
	return func(op operation) operation {
		f := fx.Lift(func(ctx context.Context, _ int) (int, error) { return op(ctx) }, three)
		return func(ctx context.Context) (int, error) { return f(ctx, 42) }
	}
}
