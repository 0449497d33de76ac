package main

import (
	"context"
	"time"

	"github.com/avast/retry-go/v5"
	"github.com/cenkalti/backoff/v6"
	"github.com/eapache/go-resiliency/breaker"
	"github.com/eapache/go-resiliency/deadline"
	"github.com/eapache/go-resiliency/retrier"
	"github.com/eapache/go-resiliency/semaphore"
	seth "github.com/sethvargo/go-retry"
	"github.com/sony/gobreaker/v2"
)

func goBreaker(s gobreaker.Settings) policy {
	b := gobreaker.NewCircuitBreaker[int](s)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			return b.Execute(func() (int, error) { return op(ctx) })
		}
	}
}

// gobreakerRate opens at half of twenty calls or more within ten seconds, counted in ten buckets as fx does.
func gobreakerRate() gobreaker.Settings {
	return gobreaker.Settings{
		Interval:     10 * time.Second,
		BucketPeriod: time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= 20 && float64(c.TotalFailures)/float64(c.Requests) >= 0.5
		},
	}
}

func eapacheBreaker() policy {
	b := breaker.New(5, 2, near)
	return func(op operation) operation {
		return func(ctx context.Context) (v int, err error) {
			err = b.Run(func() (err error) { v, err = op(ctx); return err })
			return v, err
		}
	}
}

func eapacheRetrier() policy {
	r := retrier.New(make([]time.Duration, 2), nil)
	return func(op operation) operation {
		return func(ctx context.Context) (v int, err error) {
			err = r.RunCtx(ctx, func(ctx context.Context) (err error) { v, err = op(ctx); return err })
			return v, err
		}
	}
}

func eapacheSemaphore(limit int, wait time.Duration) policy {
	s := semaphore.New(limit, wait)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			if err := s.Acquire(); err != nil {
				return 0, err
			}
			defer s.Release()
			return op(ctx)
		}
	}
}

func eapacheDeadline() policy {
	d := deadline.New(far)
	return func(op operation) operation {
		return func(ctx context.Context) (v int, err error) {
			err = d.Run(func(<-chan struct{}) (err error) { v, err = op(ctx); return err })
			return v, err
		}
	}
}

func retryGo() policy {
	r := retry.NewWithData[int](noWait()...)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			return r.Do(func() (int, error) { return op(ctx) })
		}
	}
}

// retryGoWithContext makes a retrier for each call, for its context is one of its settings.
func retryGoWithContext() policy {
	options := noWait()
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			own := append(options[:len(options):len(options)], retry.Context(ctx))
			return retry.NewWithData[int](own...).Do(func() (int, error) { return op(ctx) })
		}
	}
}

func noWait() []retry.Option {
	return []retry.Option{retry.Attempts(3), retry.Delay(0), retry.DelayType(retry.FixedDelay)}
}

func goRetry() policy {
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			b := seth.WithMaxRetries(2, seth.NewConstant(1))
			return seth.DoValue(ctx, b, func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				return v, seth.RetryableError(err)
			})
		}
	}
}

func exponentialBackoff() policy {
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			return backoff.Retry(ctx, func() (int, error) { return op(ctx) },
				backoff.WithBackOff(backoff.NewExponentialBackOff()), backoff.WithMaxTries(3))
		}
	}
}

func zeroBackoff() policy {
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			return backoff.Retry(ctx, func() (int, error) { return op(ctx) },
				backoff.WithBackOff(&backoff.ZeroBackOff{}), backoff.WithMaxTries(3))
		}
	}
}
