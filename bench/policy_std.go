package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/avast/retry-go/v5"
	"github.com/eapache/go-resiliency/breaker"
	"github.com/eapache/go-resiliency/retrier"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"
)

var errFull = errors.New("full")

func contextTimeout(d time.Duration) policy {
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			return op(ctx)
		}
	}
}

func xsyncSemaphore(limit int64) policy {
	s := semaphore.NewWeighted(limit)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			if err := s.Acquire(ctx, 1); err != nil {
				return 0, err
			}
			defer s.Release(1)
			return op(ctx)
		}
	}
}

func xsyncTry(limit int) policy {
	s := semaphore.NewWeighted(int64(limit))
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			if !s.TryAcquire(1) {
				return 0, errFull
			}
			defer s.Release(1)
			return op(ctx)
		}
	}
}

func channelSemaphore(limit int) policy {
	taken := make(chan struct{}, limit)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			select {
			case taken <- struct{}{}:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			defer func() { <-taken }()
			return op(ctx)
		}
	}
}

func channelTry(limit int) policy {
	taken := make(chan struct{}, limit)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			select {
			case taken <- struct{}{}:
			default:
				return 0, errFull
			}
			defer func() { <-taken }()
			return op(ctx)
		}
	}
}

// ifElse is a fallback as one writes it without a library.
func ifElse(op operation) operation {
	return func(ctx context.Context) (int, error) {
		if v, err := op(ctx); err == nil {
			return v, nil
		}
		return second, nil
	}
}

// noteKey finds a note in a context, of which there is none.
type noteKey struct{}

// ifElseCareful is ifElse with the looks at the context that fx has.
func ifElseCareful(op operation) operation {
	return func(ctx context.Context) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if v, err := op(ctx); err == nil {
			return v, nil
		}
		note, _ := ctx.Value(noteKey{}).(*atomic.Bool)
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if note != nil {
			note.Store(true)
		}
		return second, nil
	}
}

// oneTryCareful is a first try that looks at the context before.
func oneTryCareful(op operation) operation {
	return func(ctx context.Context) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return op(ctx)
	}
}

// threeTries is a retry as one writes it without a library.
func threeTries() policy {
	return func(op operation) operation {
		return func(ctx context.Context) (v int, err error) {
			for range 3 {
				if v, err = op(ctx); err == nil || ctx.Err() != nil {
					return v, err
				}
			}
			return v, err
		}
	}
}

// bestThree is a stack of the quickest parts, written out as one would.
func bestThree() policy {
	s := semaphore.NewWeighted(seats)
	b := breaker.New(5, 2, near)
	r := retrier.New(make([]time.Duration, 2), nil)
	return func(op operation) operation {
		return func(ctx context.Context) (v int, err error) {
			if err = s.Acquire(ctx, 1); err != nil {
				return 0, err
			}
			defer s.Release(1)
			err = b.Run(func() error {
				return r.RunCtx(ctx, func(ctx context.Context) (err error) { v, err = op(ctx); return err })
			})
			return v, err
		}
	}
}

// genericThree is a stack of the parts that return values.
func genericThree() policy {
	s := semaphore.NewWeighted(seats)
	b := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{})
	r := retry.NewWithData[int](retry.Attempts(3))
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			if err := s.Acquire(ctx, 1); err != nil {
				return 0, err
			}
			defer s.Release(1)
			return b.Execute(func() (int, error) {
				return r.Do(func() (int, error) { return op(ctx) })
			})
		}
	}
}
