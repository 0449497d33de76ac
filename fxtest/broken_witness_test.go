package fxtest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// A witness shows the mistake of a broken policy that is hard to see, where it is there, and that an honest policy of
// the same kind does not make it.
type witness struct {
	broken string
	honest string
	sees   func(ctx context.Context, apply fx.Policy[int]) bool
}

var (
	turnOK    = fxtest.Turn[int]{Value: 7}
	turnFails = fxtest.Turn[int]{Err: errDown}
	turnSlow  = fxtest.Turn[int]{Value: 7, Take: time.Second}
)

func plays(ts ...fxtest.Turn[int]) fx.Op[int] { return (&fxtest.Script[int]{Turns: ts}).Op }

// opened is a breaker that has just opened around ts, which follow three failures.
func opened(ctx context.Context, apply fx.Policy[int], ts ...fxtest.Turn[int]) fx.Op[int] {
	op := apply(plays(append([]fxtest.Turn[int]{turnFails, turnFails, turnFails}, ts...)...))
	for range 3 {
		_, _ = op(ctx)
	}
	return op
}

// admitted is how many of n calls at once reach op.
func admitted(ctx context.Context, n int, calls fx.Op[int]) int {
	var in atomic.Int32
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := calls(ctx); !errors.Is(err, errOpen) {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	return int(in.Load())
}

var witnesses = []witness{
	{"lets everyone in when it is half-open", "breaker by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := opened(ctx, apply, turnSlow)
		time.Sleep(11 * time.Second)
		return admitted(ctx, 5, op) > 1
	}},
	{"closes for everyone before its probe is back", "breaker by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := opened(ctx, apply, turnSlow)
		time.Sleep(11 * time.Second)
		return admitted(ctx, 5, op) > 1
	}},
	{"counts a caller who leaves as a success", "breaker by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := opened(ctx, apply, turnSlow)
		time.Sleep(11 * time.Second)
		hasty, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		_, _ = op(hasty)
		return admitted(ctx, 5, op) > 1
	}},
	{"takes old results for news", "breaker by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(turnSlow, turnFails, turnFails, turnFails, turnOK))
		go func() { _, _ = op(ctx) }()
		synctest.Wait()
		for range 3 {
			_, _ = op(ctx)
		}
		time.Sleep(2 * time.Second)
		_, err := op(ctx)
		return err == nil
	}},
	{"counts its own refusals as failures", "breaker by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := opened(ctx, apply, turnOK)
		for range 60 {
			time.Sleep(time.Second)
			if _, err := op(ctx); err == nil {
				return false
			}
		}
		return true
	}},
	{"never forgets a failure", "breaker by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(turnFails, turnOK, turnFails, turnOK, turnFails, turnOK))
		for range 5 {
			time.Sleep(time.Hour)
			_, _ = op(ctx)
		}
		_, err := op(ctx)
		return err != nil
	}},
	{"counts a slow call although it has ended long since", "breaker by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(turnOK))
		for range 3 {
			_, _ = op(ctx)
		}
		time.Sleep(3 * time.Second)
		_, err := op(ctx)
		return err != nil
	}},
	{"leaks one of a hundred places when op panics", "semaphore that refuses", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(append(slices.Repeat([]fxtest.Turn[int]{{Panic: "boom"}}, 100), turnOK)...))
		for range 100 {
			endOf(ctx, op)
		}
		_, err := op(ctx)
		return err != nil
	}},
	{"frees the place of a call that still runs", "semaphore that refuses", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(fxtest.Turn[int]{Take: time.Minute, Deaf: true}, fxtest.Turn[int]{Take: time.Minute, Deaf: true}, turnOK))
		hasty, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		go func() { _, _ = op(hasty) }()
		go func() { _, _ = op(hasty) }()
		time.Sleep(2 * time.Second)
		_, err := op(ctx)
		return err == nil
	}},
	{"lets the last in first", "queue by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		at := began(func(op fx.Op[int]) fx.Op[int] {
			return apply(func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				time.Sleep(time.Second)
				return v, err
			})
		}, 6, func(int) context.Context { return ctx })
		return !slices.IsSorted(at)
	}},
	{"looks for a free place once a second", "queue by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(fxtest.Turn[int]{Take: 100 * time.Millisecond}))
		start := time.Now()
		admitted(ctx, 3, op)
		return time.Since(start) > 200*time.Millisecond
	}},
	{"serves nil and zero to those who wait, after a panic", "sharing by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(fxtest.Turn[int]{Panic: "boom", Take: time.Second}))
		ends := make(chan ending, 2)
		go elsewhere(ctx, op, ends)
		go elsewhere(ctx, op, ends)
		one, other := <-ends, <-ends
		return one.panicked == nil || other.panicked == nil
	}},
	{"lets a newcomer join a call that was cancelled", "sharing by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		first := true
		op := apply(func(ctx context.Context) (int, error) {
			if first {
				first = false
				<-ctx.Done()
				time.Sleep(time.Second) // slow to go
			}
			return 7, ctx.Err()
		})
		hasty, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, _ = op(hasty)
		_, err := op(ctx)
		return err != nil
	}},
	{"drops the values of the context of a shared call", "sharing by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		var value any
		op := apply(func(ctx context.Context) (int, error) {
			value = ctx.Value(tenantKey{})
			return 0, nil
		})
		_, _ = op(context.WithValue(ctx, tenantKey{}, "a"))
		return value == nil
	}},
	{"flies on when all who waited have left, and does not say so", "sharing by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		inner := make(chan context.Context, 1)
		op := apply(func(ctx context.Context) (int, error) {
			inner <- ctx
			return plays(fxtest.Turn[int]{Take: time.Hour})(ctx)
		})
		hasty, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, _ = op(hasty)
		return (<-inner).Err() == nil
	}},
	{"remembers an error", "cache by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(turnFails, turnOK))
		_, _ = op(ctx)
		_, err := op(ctx)
		return err != nil
	}},
	{"returns an error while the other copy still runs", "hedge by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		_, err := apply(plays(fxtest.Turn[int]{Value: 7, Take: 3 * time.Second}, turnFails))(ctx)
		return err != nil
	}},
	{"lets its loser run on", "hedge by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		copies := make(chan context.Context, 2)
		inner := plays(fxtest.Turn[int]{Take: time.Minute}, turnOK)
		op := apply(func(ctx context.Context) (int, error) {
			copies <- ctx
			return inner(ctx)
		})
		_, _ = op(ctx)
		return (<-copies).Err() == nil
	}},
	{"takes a token from those whom it refuses", "bucket by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(turnOK))
		for range 100 {
			_, _ = op(ctx)
		}
		time.Sleep(10 * time.Minute)
		_, err := op(ctx)
		return err != nil
	}},
	{"starves who looks often", "bucket by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(turnOK))
		served := 0
		for range 60 {
			if _, err := op(ctx); err == nil {
				served++
			}
			time.Sleep(30 * time.Second)
		}
		return served <= 3
	}},
	{"fills up beyond its burst", "bucket by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(turnOK))
		_, _ = op(ctx)
		time.Sleep(time.Hour)
		served := 0
		for range 60 {
			if _, err := op(ctx); err == nil {
				served++
			}
		}
		return served > 3
	}},
	{"keeps the token of one who left while he waited", "token bucket that waits", func(ctx context.Context, apply fx.Policy[int]) bool {
		hasty, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		at := began(apply, 9, func(i int) context.Context {
			if i >= 3 && i < 8 {
				return hasty
			}
			return ctx
		})
		return at[8] > time.Second
	}},
	{"recovers, and returns zero and nil", "recover", func(ctx context.Context, apply fx.Policy[int]) bool {
		_, err := apply(plays(fxtest.Turn[int]{Panic: "boom"}))(ctx)
		return err == nil
	}},
	{"takes a number from 500 for a failure", "logging", func(ctx context.Context, apply fx.Policy[int]) bool {
		_, err := apply(fx.Value(503))(ctx)
		return err != nil
	}},
	{"fails every hundredth call", "logging", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(fx.Value(7))
		for range 100 {
			if _, err := op(ctx); err != nil {
				return true
			}
		}
		return false
	}},
	{"waits once more after its last attempt", "retry by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		var last time.Time
		op := apply(func(context.Context) (int, error) {
			last = time.Now()
			return 0, errDown
		})
		_, _ = op(ctx)
		return time.Since(last) > 0
	}},
	{"shares a backoff that only grows", "retry by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(fx.Fail[int](errDown))
		_, _ = op(ctx)
		time.Sleep(time.Hour)
		start := time.Now()
		_, _ = op(ctx)
		return time.Since(start) > 5*time.Second
	}},
	{"does not wait at all from the 35th attempt on", "retry by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		var at []time.Time
		op := apply(func(context.Context) (int, error) {
			at = append(at, time.Now())
			return 0, errDown
		})
		_, _ = op(ctx)
		return len(slices.CompactFunc(slices.Clone(at), time.Time.Equal)) < len(at)
	}},
	{"reports the errors of earlier calls too", "retry by hand", func(ctx context.Context, apply fx.Policy[int]) bool {
		op := apply(plays(turnFails, turnFails, turnFails, fxtest.Turn[int]{Err: errTooLate}))
		_, _ = op(ctx)
		_, err := op(ctx)
		return errors.Is(err, errDown)
	}},
}

func TestWitnessesTellBrokenFromHonest(t *testing.T) {
	named := func(t *testing.T, suspects []suspect, name string) fx.Policy[int] {
		i := slices.IndexFunc(suspects, func(s suspect) bool { return s.name == name })
		require.GreaterOrEqual(t, i, 0, name)
		return suspects[i].policy
	}
	for _, w := range witnesses {
		t.Run(w.broken, func(t *testing.T) {
			for _, isBroken := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					apply := named(t, honest, w.honest)
					if isBroken {
						apply = named(t, broken, w.broken)
					}
					assert.Equal(t, isBroken, w.sees(t.Context(), apply))
					time.Sleep(10 * time.Hour)
				})
			}
		})
	}
}
