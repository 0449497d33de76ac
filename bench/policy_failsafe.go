package main

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
)

// failsafeExecutor is an executor made once. It does not see the caller's context, which would cost more.
func failsafeExecutor(policies ...failsafe.Policy[int]) policy {
	executor := failsafe.With(policies...)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			return executor.Get(func() (int, error) { return op(ctx) })
		}
	}
}

// failsafeWithContext is an executor that takes the caller's context, and hands the op its own.
func failsafeWithContext(policies ...failsafe.Policy[int]) policy {
	executor := failsafe.With(policies...)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			return executor.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[int]) (int, error) {
				return op(e.Context())
			})
		}
	}
}

// failsafeComposed makes an executor in every call.
func failsafeComposed() policy {
	seats, breaker, retry := failsafeBulkhead(seats, 0), failsafeBreaker(), failsafeRetry()
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			return failsafe.With[int](seats, breaker, retry).Get(func() (int, error) { return op(ctx) })
		}
	}
}

// failsafePermits uses a breaker without an executor.
func failsafePermits(b circuitbreaker.CircuitBreaker[int]) policy {
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			if !b.TryAcquirePermit() {
				return 0, circuitbreaker.ErrOpen
			}
			v, err := op(ctx)
			if err != nil {
				b.RecordError(err)
			} else {
				b.RecordSuccess()
			}
			return v, err
		}
	}
}

// failsafeSeats uses a bulkhead without an executor.
func failsafeSeats(b bulkhead.Bulkhead[int]) policy {
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			if err := b.AcquirePermit(ctx); err != nil {
				return 0, err
			}
			defer b.ReleasePermit()
			return op(ctx)
		}
	}
}

func failsafeBreaker() circuitbreaker.CircuitBreaker[int] {
	return circuitbreaker.NewBuilder[int]().WithFailureThreshold(5).WithDelay(far).Build()
}

func failsafeRetry() retrypolicy.RetryPolicy[int] {
	return retrypolicy.NewBuilder[int]().WithMaxAttempts(3).Build()
}

func failsafeRetryWithBudget() retrypolicy.RetryPolicy[int] {
	return retrypolicy.NewBuilder[int]().WithMaxAttempts(3).WithBudget(budget.New()).Build()
}

func failsafeBulkhead(limit int, wait time.Duration) bulkhead.Bulkhead[int] {
	return bulkhead.NewBuilder[int](uint(limit)).WithMaxWaitTime(wait).Build()
}

func failsafeFallback() fallback.Fallback[int] { return fallback.NewWithResult(second) }

func failsafeTimeout() timeout.Timeout[int] { return timeout.New[int](far) }
