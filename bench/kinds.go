package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/avast/retry-go/v5"
	"github.com/eapache/go-resiliency/breaker"
	"github.com/eapache/go-resiliency/retrier"
	esem "github.com/eapache/go-resiliency/semaphore"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"

	"example.com/fx"
)

// kinds lists what is counted in memory. A new one is an entry in one of these functions.
func kinds() []kind {
	return slices.Concat(breakerKinds(), windowKinds(), bulkheadKinds(), retryKinds(), hedgeKinds(), cacheKinds(), stackKinds())
}

// Why targets of memory are missed.
const (
	reasonBreakerBytes = "A fresh one keeps to it. The first call makes an object of 48 B for the period, which is what lets results of an earlier period change nothing."
	reasonWindowBytes  = "A fresh one keeps to it. The first call makes the period (48 B) and the eleven slices of its window (144 B), and sets a timer for the end of a slice, with a function to run then (138 B), so that a success need not read the clock."
)

func breakerKinds() []kind {
	return []kind{
		holder(libFx, "breaker", func() *fx.Breaker { return &fx.Breaker{} }, throughBreaker).within(200, reasonBreakerBytes),
		holder("eapache", "breaker", func() *breaker.Breaker { return breaker.New(5, 2, near) }, throughEapache),
		holder("gobreaker", "breaker", func() *gobreaker.CircuitBreaker[int] {
			return gobreaker.NewCircuitBreaker[int](gobreaker.Settings{})
		}, throughGobreaker),
		holder("failsafe", "breaker", failsafeBreaker, throughFailsafe[circuitbreaker.CircuitBreaker[int]]),
	}
}

func windowKinds() []kind {
	const name = "breaker with rate window"
	rate := fx.FailureRate(0.5, 20)
	return []kind{
		holder(libFx, name, func() *fx.Breaker { return &fx.Breaker{Trip: rate} }, throughBreaker).withTimers().within(400, reasonWindowBytes),
		holder(libFx, "breaker with the last 100 calls", func() *fx.Breaker { return &fx.Breaker{Trip: rate, Last: 100} }, throughBreaker),
		holder("gobreaker", name, func() *gobreaker.CircuitBreaker[int] {
			return gobreaker.NewCircuitBreaker[int](gobreakerRate())
		}, throughGobreaker),
		holder("failsafe", name, func() circuitbreaker.CircuitBreaker[int] {
			return circuitbreaker.NewBuilder[int]().WithFailureRateThreshold(0.5, 20, 10*time.Second).Build()
		}, throughFailsafe[circuitbreaker.CircuitBreaker[int]]),
	}
}

func bulkheadKinds() []kind {
	return []kind{
		holder(libFx, "bulkhead", func() *fx.Bulkhead { return &fx.Bulkhead{} }, func(b *fx.Bulkhead, op operation) operation {
			return fx.WithBulkhead(op, b)
		}).within(160, ""),
		holder("x/sync", "bulkhead", func() *semaphore.Weighted { return semaphore.NewWeighted(seats) }, throughXsync),
		holder("channel", "bulkhead", func() chan struct{} { return make(chan struct{}, seats) }, throughChannel),
		holder("eapache", "bulkhead", func() *esem.Semaphore { return esem.New(seats, time.Minute) }, throughTickets),
		holder("failsafe", "bulkhead", func() bulkhead.Bulkhead[int] { return failsafeBulkhead(seats, 0) }, throughFailsafe[bulkhead.Bulkhead[int]]),
	}
}

func retryKinds() []kind {
	return []kind{
		holder(libFx, "retry", func() operation { return fx.WithRetry(answer, fx.Retry{}) }, itself),
		holder(libFx, "retry budget", func() *fx.Budget { return &fx.Budget{} }, func(b *fx.Budget, op operation) operation {
			return fx.WithRetry(op, fx.Retry{Budget: b})
		}).withTimers(),
		holder("retry-go", "retry", func() *retry.RetrierWithData[int] { return retry.NewWithData[int](noWait()...) }, throughRetryGo),
		holder("eapache", "retry", func() *retrier.Retrier { return retrier.New(make([]time.Duration, 2), nil) }, throughRetrier),
		holder("failsafe", "retry", failsafeRetry, throughFailsafe[retrypolicy.RetryPolicy[int]]),
	}
}

func hedgeKinds() []kind {
	return []kind{
		holder(libFx, "hedge", func() *fx.Hedge { return &fx.Hedge{} }, func(h *fx.Hedge, op operation) operation {
			return fx.WithHedge(op, h)
		}).withTimers(),
		holder("hedgedhttp", "hedge", func() http.RoundTripper { return hedgedClient(answer) }, throughHTTP),
		holder("failsafe", "hedge", failsafeHedge, throughFailsafe[hedgepolicy.HedgePolicy[int]]),
	}
}

// cacheKinds are empty when fresh, and remember one value after a call.
func cacheKinds() []kind {
	return []kind{
		holder(libByHand, "cache", func() *lockedMap { return new(lockedMap) }, func(m *lockedMap, op operation) operation {
			return func(ctx context.Context) (int, error) { return m.remember(ctx, op) }
		}),
		holder(libFx, "cache", func() *fx.Cache[string, int] { return &fx.Cache[string, int]{} }, func(c *fx.Cache[string, int], op operation) operation {
			return fx.Remember(op, c, key)
		}),
	}
}

func stackKinds() []kind {
	const usual, full = "stack: timeout, bulkhead, breaker, retry", "full stack with budget"
	return []kind{
		holder(libFx, usual, func() operation { return around(fxTimeout(far), fxThree())(answer) }, itself),
		holder("failsafe", usual, func() failsafe.Executor[int] {
			return failsafe.With[int](failsafeTimeout(), failsafeBulkhead(seats, 0), failsafeBreaker(), failsafeRetry())
		}, throughExecutor),
		holder(libFx, full, func() operation { return fxFull(far)(answer) }, itself).withTimers(),
	}
}

// itself is for kinds that are ops.
func itself(op, _ operation) operation { return op }

func throughBreaker(b *fx.Breaker, op operation) operation { return fx.WithBreaker(op, b) }

func throughEapache(b *breaker.Breaker, op operation) operation {
	return func(ctx context.Context) (v int, err error) {
		err = b.Run(func() (err error) { v, err = op(ctx); return err })
		return v, err
	}
}

func throughGobreaker(b *gobreaker.CircuitBreaker[int], op operation) operation {
	return func(ctx context.Context) (int, error) {
		return b.Execute(func() (int, error) { return op(ctx) })
	}
}

func throughXsync(s *semaphore.Weighted, op operation) operation {
	return func(ctx context.Context) (int, error) {
		if err := s.Acquire(ctx, 1); err != nil {
			return 0, err
		}
		defer s.Release(1)
		return op(ctx)
	}
}

func throughChannel(taken chan struct{}, op operation) operation {
	return func(ctx context.Context) (int, error) {
		taken <- struct{}{}
		defer func() { <-taken }()
		return op(ctx)
	}
}

func throughTickets(s *esem.Semaphore, op operation) operation {
	return func(ctx context.Context) (int, error) {
		if err := s.Acquire(); err != nil {
			return 0, err
		}
		defer s.Release()
		return op(ctx)
	}
}

func throughRetryGo(r *retry.RetrierWithData[int], op operation) operation {
	return func(ctx context.Context) (int, error) { return r.Do(func() (int, error) { return op(ctx) }) }
}

func throughRetrier(r *retrier.Retrier, op operation) operation {
	return func(ctx context.Context) (v int, err error) {
		err = r.RunCtx(ctx, func(ctx context.Context) (err error) { v, err = op(ctx); return err })
		return v, err
	}
}

func throughFailsafe[P failsafe.Policy[int]](p P, op operation) operation {
	return failsafeExecutor(p)(op)
}

func throughExecutor(e failsafe.Executor[int], op operation) operation {
	return func(ctx context.Context) (int, error) { return e.Get(func() (int, error) { return op(ctx) }) }
}
