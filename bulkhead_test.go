package fx_test

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
)

// inUse asserts how many run and wait.
func inUse(t *testing.T, b *fx.Bulkhead, running, waiting int) {
	t.Helper()
	r, w := b.InUse()
	assert.Equal(t, [2]int{running, waiting}, [2]int{r, w})
}

func TestBulkheadRunsTenAndQueuesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Bulkhead{Name: "users"}
		op := fx.WithBulkhead(takes(time.Second, 1, nil), b)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { _, err := op(t.Context()); assert.NoError(t, err) })
		}
		synctest.Wait()
		inUse(t, b, 10, 0)
		start := time.Now()
		_, err := op(t.Context())
		assert.ErrorIs(t, err, fx.ErrFull)
		assert.Zero(t, time.Since(start), "refused at once")
		assert.EqualError(t, err, `fx: bulkhead "users" is full`)
		assert.False(t, fx.MayBeDone(err))
		wg.Wait()
		inUse(t, b, 0, 0)
	})
}

func TestQueueIsFirstInFirstOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Bulkhead{Limit: 1, Queue: 5}
		require.NoError(t, b.Acquire(t.Context()))
		var order []int
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				require.NoError(t, b.Acquire(t.Context()))
				order = append(order, i) // the bulkhead is the lock
				b.Release()
			})
			synctest.Wait()
		}
		inUse(t, b, 1, 5)
		assert.ErrorIs(t, b.Acquire(t.Context()), fx.ErrFull)
		b.Release()
		wg.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4}, order)
		inUse(t, b, 0, 0)
	})
}

func TestWaiterWhoGivesUpLosesNobodysPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Bulkhead{Limit: 1, Queue: 3}
		require.NoError(t, b.Acquire(t.Context()))
		ctx, cancel := context.WithCancelCause(t.Context())
		errs := make(chan error, 3)
		for i := range 3 {
			own := t.Context()
			if i == 1 {
				own = ctx
			}
			go func() { errs <- b.Acquire(own) }()
			synctest.Wait()
		}
		cancel(errCause)
		err := <-errs
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, errCause)
		assert.EqualError(t, err, "fx: bulkhead: not started: context canceled: the shopper left")
		assert.False(t, fx.MayBeDone(err))
		inUse(t, b, 1, 2)
		for range 2 {
			b.Release()
			assert.NoError(t, <-errs)
		}
		b.Release()
		inUse(t, b, 0, 0)
	})
}

// ending is a context that ends without waking anyone, as if it had ended at the very moment of something else.
type ending struct {
	context.Context
	over atomic.Bool
}

func (e *ending) Err() error {
	if e.over.Load() {
		return context.Canceled
	}
	return nil
}

func TestSeatThatComesWithTheEndIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Bulkhead{Limit: 1, Queue: 2}
		require.NoError(t, b.Acquire(t.Context()))
		ctx := &ending{Context: t.Context()}
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- b.Acquire(ctx) }()
		synctest.Wait()
		go func() { second <- b.Acquire(t.Context()) }()
		synctest.Wait()
		ctx.over.Store(true)
		b.Release()
		assert.ErrorIs(t, <-first, context.Canceled, "a context that has ended starts nothing")
		assert.NoError(t, <-second)
		inUse(t, b, 1, 0)
	})
}

func TestSeatAndEndInEitherOrderLoseNothing(t *testing.T) {
	for i := range 500 {
		b := &fx.Bulkhead{Limit: 1, Queue: 1}
		require.NoError(t, b.Acquire(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() { got <- b.Acquire(ctx) }()
		for _, waiting := b.InUse(); waiting == 0; _, waiting = b.InUse() {
			runtime.Gosched()
		}
		if i%2 == 0 {
			go cancel()
			b.Release()
		} else {
			go b.Release()
			cancel()
		}
		if <-got == nil {
			b.Release()
		}
		for running, _ := b.InUse(); running > 0; running, _ = b.InUse() {
			runtime.Gosched()
		}
		inUse(t, b, 0, 0)
		cancel()
	}
}

func TestMaxWaitEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Bulkhead{Limit: 1, Queue: 1, MaxWait: time.Second}
		require.NoError(t, b.Acquire(t.Context()))
		start := time.Now()
		assert.ErrorIs(t, b.Acquire(t.Context()), fx.ErrFull)
		assert.Equal(t, time.Second, time.Since(start))
		inUse(t, b, 1, 0)

		never := &fx.Bulkhead{Limit: 1, Queue: 1, MaxWait: -1}
		require.NoError(t, never.Acquire(t.Context()))
		assert.ErrorIs(t, never.Acquire(t.Context()), fx.ErrFull)
		assert.Equal(t, time.Second, time.Since(start))
	})
}

func TestSeatComesBackHoweverTheCallEnds(t *testing.T) {
	b := &fx.Bulkhead{Limit: 1}
	assert.PanicsWithValue(t, "bad", func() {
		_, _ = fx.WithBulkhead(func(context.Context) (int, error) { panic("bad") }, b)(t.Context())
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = fx.WithBulkhead(func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, b)(context.Background())
	})
	wg.Wait()
	_, err := fx.WithBulkhead(fx.Fail[int](errBoom), b)(t.Context())
	assert.Equal(t, errBoom, err)
	inUse(t, b, 0, 0)
}

func TestLimitHoldsUnderRaces(t *testing.T) {
	b := &fx.Bulkhead{Limit: 3, Queue: 4}
	var running, most, ran atomic.Int64
	op := fx.WithBulkhead(func(context.Context) (int, error) {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		runtime.Gosched()
		running.Add(-1)
		ran.Add(1)
		return 0, nil
	}, b)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 500 {
				ctx, cancel := context.WithCancel(context.Background())
				if (n+i)%3 == 0 {
					go cancel()
				}
				_, _ = op(ctx)
				cancel()
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, most.Load(), int64(3))
	assert.Positive(t, ran.Load())
	inUse(t, b, 0, 0)
	for range 3 {
		assert.NoError(t, b.Acquire(t.Context()), "no seat was lost")
	}
}

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Bulkhead{Name: "users", Limit: 1, Queue: 1}
		require.NoError(t, b.Acquire(t.Context()))
		waiter := make(chan error, 1)
		go func() { waiter <- b.Acquire(t.Context()) }()
		synctest.Wait()

		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		err := b.Close(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, errCause)
		assert.EqualError(t, err, `fx: closing bulkhead "users": 1 still running: context deadline exceeded: the shopper left`)
		err = <-waiter
		assert.ErrorIs(t, err, fx.ErrClosed)
		assert.EqualError(t, err, `fx: bulkhead "users": not started: bulkhead is closed`)
		assert.ErrorIs(t, b.Acquire(t.Context()), fx.ErrClosed)
		inUse(t, b, 1, 0)

		time.AfterFunc(time.Second, b.Release)
		start := time.Now()
		assert.NoError(t, b.Close(t.Context()), "it may be called again")
		assert.Equal(t, time.Second, time.Since(start))
		assert.NoError(t, b.Close(dead()), "nothing runs, so there is nothing to wait for")
		assert.ErrorIs(t, b.Acquire(t.Context()), fx.ErrClosed)
	})
}

func TestReleaseWithoutAcquirePanics(t *testing.T) {
	b := &fx.Bulkhead{Name: "users"}
	const want = `fx: Release of bulkhead "users" without Acquire`
	assert.PanicsWithValue(t, want, b.Release)
	require.NoError(t, b.Acquire(t.Context()))
	b.Release()
	assert.PanicsWithValue(t, want, b.Release)
	require.NoError(t, b.Close(t.Context()))
	assert.PanicsWithValue(t, want, b.Release)
	assert.ErrorIs(t, b.Acquire(t.Context()), fx.ErrClosed, "the lock is free again")
}

func TestAbsurdBulkheads(t *testing.T) {
	one := &fx.Bulkhead{Limit: -5, Queue: -5}
	require.NoError(t, one.Acquire(t.Context()))
	assert.ErrorIs(t, one.Acquire(t.Context()), fx.ErrFull)

	huge := &fx.Bulkhead{Limit: math.MaxInt, Queue: math.MaxInt, MaxWait: math.MaxInt64}
	for range 1000 {
		require.NoError(t, huge.Acquire(t.Context()))
	}
	inUse(t, huge, 1000, 0)
}

func TestClosedBulkheadSaysSoThoughItIsFull(t *testing.T) {
	b := &fx.Bulkhead{Limit: 1}
	require.NoError(t, b.Acquire(t.Context()))
	require.ErrorIs(t, b.Close(dead()), errCause)
	err := b.Acquire(t.Context())
	assert.ErrorIs(t, err, fx.ErrClosed)
	assert.NotErrorIs(t, err, fx.ErrFull)
	b.Release()
	assert.NoError(t, b.Close(t.Context()))
}

func TestCloseOfIdleSucceedsWhoeverAsks(t *testing.T) {
	for range 100 {
		require.NoError(t, new(fx.Bulkhead).Close(dead()))
	}
}

func TestAllWhoCloseAreToldWhenItIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Bulkhead{}
		require.NoError(t, b.Acquire(t.Context()))
		closed := make(chan error, 2)
		for range 2 {
			go func() { closed <- b.Close(t.Context()) }()
			synctest.Wait()
		}
		b.Release()
		assert.NoError(t, <-closed)
		assert.NoError(t, <-closed)
	})
}

func TestWaiterRefusedAtItsEndGivesNothingBack(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			b := &fx.Bulkhead{Limit: 1, Queue: 1}
			require.NoError(t, b.Acquire(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			time.AfterFunc(time.Second, func() { _ = b.Close(dead()) })
			require.Error(t, b.Acquire(ctx))
			inUse(t, b, 1, 0)
		})
	}
}
