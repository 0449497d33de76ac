package fx_test

import (
	"context"
	"errors"
	"fmt"
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

var nan = math.NaN()

// fail reports n failures to b.
func fail(t *testing.T, b *fx.Breaker, n int) {
	t.Helper()
	for range n {
		_, _ = fx.WithBreaker(fx.Fail[int](errBoom), b)(t.Context())
	}
}

// call makes one call through b.
func call(b *fx.Breaker, op fx.Op[int]) error {
	_, err := fx.WithBreaker(op, b)(context.Background())
	return err
}

func TestBreakerOpensAtFiveFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Name: "users"}
		fail(t, b, 4)
		require.NoError(t, call(b, fx.Value(1)))
		fail(t, b, 4)
		assert.Equal(t, fx.StateClosed, b.State(), "the success in between starts the row anew")
		assert.Equal(t, fx.Counts{Failures: 4, Consecutive: 4}, b.Counts())
		fail(t, b, 1)
		assert.Equal(t, fx.StateOpen, b.State())

		err := call(b, fx.Value(1))
		var open *fx.OpenError
		require.ErrorAs(t, err, &open)
		assert.ErrorIs(t, err, fx.ErrOpen)
		assert.Equal(t, "users", open.Name)
		assert.Equal(t, 10*time.Second, open.RetryAfter())
		assert.Regexp(t, `^fx: circuit breaker "users" is open until \d\d:\d\d:\d\d\.\d{3}$`, err.Error())
	})
}

func TestBreakerRecoversThroughProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{}
		fail(t, b, 5)
		time.Sleep(10*time.Second - 1)
		assert.Equal(t, fx.StateOpen, b.State())
		assert.ErrorIs(t, call(b, fx.Value(1)), fx.ErrOpen)
		time.Sleep(time.Nanosecond)
		assert.Equal(t, fx.StateHalfOpen, b.State())
		require.NoError(t, call(b, fx.Value(1)))
		assert.Equal(t, fx.StateHalfOpen, b.State(), "one success of two")
		require.NoError(t, call(b, fx.Value(1)))
		assert.Equal(t, fx.StateClosed, b.State())
		assert.Zero(t, b.Counts())
	})
}

func TestFailedProbeOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Cooldown: time.Second}
		fail(t, b, 5)
		time.Sleep(time.Second)
		require.NoError(t, call(b, fx.Value(1)))
		fail(t, b, 1)
		assert.Equal(t, fx.StateOpen, b.State())
		time.Sleep(time.Second)
		require.NoError(t, call(b, fx.Value(1)))
		assert.Equal(t, fx.StateHalfOpen, b.State(), "the success before the failure does not count")
	})
}

// halfOpen returns a breaker whose next call is a probe.
func halfOpen(t *testing.T, b *fx.Breaker) *fx.Breaker {
	t.Helper()
	fail(t, b, 5)
	time.Sleep(b.Cooldown)
	require.Equal(t, fx.StateHalfOpen, b.State())
	return b
}

func TestOneOfAHundredReachesAHalfOpenDependency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, &fx.Breaker{Cooldown: time.Second})
		var calls, refused atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if errors.Is(call(b, counted(&calls, takes(time.Millisecond, 1, nil))), fx.ErrOpen) {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, calls.Load())
		assert.EqualValues(t, 99, refused.Load())
	})
}

func TestOneProbeUnderRaces(t *testing.T) {
	b := &fx.Breaker{ProbeLimit: time.Hour}
	for range 2000 {
		b.Force(fx.StateHalfOpen)
		var admitted atomic.Int64
		start := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				<-start
				if _, err := b.Allow(context.Background()); err == nil {
					admitted.Add(1)
				}
			})
		}
		close(start)
		wg.Wait()
		require.EqualValues(t, 1, admitted.Load())
		b.Reset()
	}
}

func TestNobodyKnowsWhenAProbeIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, &fx.Breaker{Cooldown: time.Second})
		done, err := b.Allow(t.Context())
		require.NoError(t, err)
		_, err = b.Allow(t.Context())
		var open *fx.OpenError
		require.ErrorAs(t, err, &open)
		assert.True(t, open.Until.IsZero())
		assert.Zero(t, open.RetryAfter())
		done(nil)
	})
}

func TestProbeThatPanicsOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, &fx.Breaker{Cooldown: time.Second})
		assert.PanicsWithValue(t, "bad", func() {
			_ = call(b, func(context.Context) (int, error) { panic("bad") })
		})
		recoversAfterACooldown(t, b)
	})
}

func TestProbeThatExitsOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, &fx.Breaker{Cooldown: time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { _ = call(b, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }) })
		wg.Wait()
		recoversAfterACooldown(t, b)
	})
}

func TestProbeThatHangsNoLongerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, &fx.Breaker{Cooldown: time.Second, ProbeLimit: 3 * time.Second})
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _ = call(b, func(context.Context) (int, error) { <-release; return 0, errBoom }) })
		synctest.Wait()
		assert.ErrorIs(t, call(b, fx.Value(1)), fx.ErrOpen)
		time.Sleep(3 * time.Second)
		require.NoError(t, call(b, fx.Value(1)))
		require.NoError(t, call(b, fx.Value(1)))
		require.Equal(t, fx.StateClosed, b.State())
		close(release) // the overtaken probe fails at last
		wg.Wait()
		assert.Zero(t, b.Counts())
	})
}

func recoversAfterACooldown(t *testing.T, b *fx.Breaker) {
	t.Helper()
	assert.Equal(t, fx.StateOpen, b.State())
	time.Sleep(b.Cooldown)
	require.NoError(t, call(b, fx.Value(1)))
	require.NoError(t, call(b, fx.Value(1)))
	assert.Equal(t, fx.StateClosed, b.State())
}

func TestStaleResultChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Cooldown: time.Second, Probes: 3}
		early, err := b.Allow(t.Context())
		require.NoError(t, err)
		early2, err := b.Allow(t.Context())
		require.NoError(t, err)
		fail(t, b, 5)
		early(nil)
		assert.Equal(t, fx.StateOpen, b.State(), "a success from before does not close it")
		time.Sleep(time.Second)
		probe, err := b.Allow(t.Context())
		require.NoError(t, err)
		early2(nil)
		_, err = b.Allow(t.Context())
		assert.ErrorIs(t, err, fx.ErrOpen, "nor does it free the probe's place")
		probe(errBoom)
		assert.Equal(t, fx.StateOpen, b.State())
		probe(nil)
		assert.Equal(t, fx.StateOpen, b.State(), "done counts once")
	})
}

func TestDoneCountsOnce(t *testing.T) {
	b := &fx.Breaker{}
	done, err := b.Allow(t.Context())
	require.NoError(t, err)
	for range 9 {
		done(errBoom)
	}
	assert.Equal(t, 1, b.Counts().Failures)
}

func TestOvertakenProbeIsIgnored(t *testing.T) {
	for _, end := range []error{nil, errBoom, fx.ErrFull} {
		synctest.Test(t, func(t *testing.T) {
			b := halfOpen(t, &fx.Breaker{Cooldown: time.Second, Probes: 1})
			first, err := b.Allow(t.Context())
			require.NoError(t, err)
			time.Sleep(time.Second)
			second, err := b.Allow(t.Context())
			require.NoError(t, err)
			first(end)
			assert.Equal(t, fx.StateHalfOpen, b.State(), "%v comes too late to count", end)
			_, err = b.Allow(t.Context())
			assert.ErrorIs(t, err, fx.ErrOpen, "and frees nothing")
			second(nil)
			assert.Equal(t, fx.StateClosed, b.State())
		})
	}
}

func TestCallerWhoGivesUpNeverTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Failures: 1}
		for _, end := range []func(context.Context) (context.Context, context.CancelFunc){
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Second)
			},
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(time.Second, cancel)
				return ctx, cancel
			},
		} {
			ctx, cancel := end(t.Context())
			_, err := fx.WithBreaker(hang, b)(ctx)
			cancel()
			require.Error(t, err)
			assert.Equal(t, fx.StateClosed, b.State())
		}
	})
}

func TestTimeoutOnlyOutsideNeverOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Failures: 1}
		wrong := fx.WithTimeout(fx.WithBreaker(hang, b), time.Second)
		for range 100 {
			_, _ = wrong(t.Context())
		}
		assert.Equal(t, fx.StateClosed, b.State(), "each hang looks like a caller who left")

		right := fx.WithBreaker(fx.WithTimeout(hang, time.Second), b)
		_, err := right(t.Context())
		assert.ErrorIs(t, err, fx.ErrTimeout)
		assert.Equal(t, fx.StateOpen, b.State())
	})
}

func TestSlowNoticesAHangUnderCallersDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Slow: 500 * time.Millisecond}
		op := fx.WithTimeout(fx.WithBreaker(hang, b), time.Second)
		for range 5 {
			_, _ = op(t.Context())
		}
		assert.Equal(t, fx.StateOpen, b.State())
	})
}

func TestSlowSuccessIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []fx.Change
		b := &fx.Breaker{Failures: 1, Slow: time.Second, OnChange: func(c fx.Change) { changes = append(changes, c) }}
		require.NoError(t, call(b, takes(time.Second, 1, nil)))
		assert.Equal(t, fx.StateClosed, b.State(), "as long as Slow is not longer")
		require.NoError(t, call(b, takes(time.Second+1, 1, nil)), "the caller gets the answer")
		assert.Equal(t, fx.StateOpen, b.State())
		synctest.Wait()
		require.Len(t, changes, 1)
		assert.EqualError(t, changes[0].Cause, "fx: call took 1.000000001s, longer than Slow (1s)")
		assert.ErrorIs(t, changes[0].Cause, fx.ErrSlow)
	})
}

func TestCallThatNeverLeftIsNeutral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := &fx.Bulkhead{Limit: 1}
		require.NoError(t, full.Acquire(t.Context()))
		closed := &fx.Bulkhead{}
		require.NoError(t, closed.Close(t.Context()))
		open := &fx.Breaker{}
		open.Force(fx.StateOpen)
		left := &fx.RetryError{Errs: []error{errBoom, fx.ErrOpen}}
		for name, c := range map[string]struct {
			op   fx.Op[int]
			want fx.State
		}{
			"open breaker inside":            {fx.WithBreaker(fx.Value(1), open), fx.StateClosed},
			"full bulkhead inside":           {fx.WithBulkhead(fx.Value(1), full), fx.StateClosed},
			"closed bulkhead inside":         {fx.WithBulkhead(fx.Value(1), closed), fx.StateClosed},
			"limit inside":                   {fx.WithLimit(fx.Value(1), waiter(errBoom)), fx.StateClosed},
			"wrapped":                        {fx.Fail[int](fmt.Errorf("users: %w", fx.ErrFull)), fx.StateClosed},
			"every attempt refused":          {fx.Fail[int](&fx.RetryError{Errs: []error{fx.ErrOpen, fx.ErrFull}}), fx.StateClosed},
			"one attempt left":               {fx.Fail[int](left), fx.StateOpen},
			"refused after Slow":             {func(context.Context) (int, error) { time.Sleep(time.Hour); return 0, fx.ErrFull }, fx.StateClosed},
			"fallback refused, primary left": {fx.WithFallback(fx.Fail[int](errBoom), fx.Fail[int](fx.ErrOpen)), fx.StateOpen},
			"no attempts to judge by":        {fx.Fail[int](&fx.RetryError{}), fx.StateOpen},
			"says Is(ErrOpen) itself":        {fx.Fail[int](likeOpen{}), fx.StateClosed},
		} {
			b := &fx.Breaker{Failures: 1, Slow: time.Minute}
			require.Error(t, call(b, c.op), name)
			assert.Equal(t, c.want, b.State(), name)
		}
	})
}

type likeOpen struct{}

func (likeOpen) Error() string        { return "unavailable" }
func (likeOpen) Is(target error) bool { return target == fx.ErrOpen }

func TestNeutralProbeGivesItsPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, &fx.Breaker{Cooldown: time.Second})
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			_, err := fx.WithBreaker(hang, b)(ctx)
			require.ErrorIs(t, err, context.Canceled, "let through, then gone")
			assert.Equal(t, fx.StateHalfOpen, b.State())
		}
		require.NoError(t, call(b, fx.Value(1)))
		require.NoError(t, call(b, fx.Value(1)))
		assert.Equal(t, fx.StateClosed, b.State())
	})
}

func TestErrorThatIsAnAnswerIsASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notFound := errors.New("not found")
		b := &fx.Breaker{Cooldown: time.Second, Failure: func(err error) bool { return !errors.Is(err, notFound) }}
		fail(t, b, 4)
		require.ErrorIs(t, call(b, fx.Fail[int](notFound)), notFound)
		assert.Zero(t, b.Counts().Consecutive)
		fail(t, b, 5)
		time.Sleep(time.Second)
		_ = call(b, fx.Fail[int](notFound))
		_ = call(b, fx.Fail[int](notFound))
		assert.Equal(t, fx.StateClosed, b.State())
	})
}

func TestPanickingPredicateLeavesNoProbeBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		angry := false
		b := halfOpen(t, &fx.Breaker{Cooldown: time.Second, Failure: func(error) bool {
			if angry {
				panic("predicate")
			}
			return true
		}})
		angry = true
		assert.PanicsWithValue(t, "predicate", func() { _ = call(b, fx.Fail[int](errBoom)) })
		done, err := b.Allow(t.Context())
		assert.Nil(t, done)
		assert.ErrorIs(t, err, fx.ErrOpen)
		time.Sleep(time.Second)
		done, err = b.Allow(t.Context())
		require.NoError(t, err)
		assert.Panics(t, func() { done(errBoom) })
		angry = false
		recoversAfterACooldown(t, b)
	})
}

func TestFailureRateOpensAtTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Trip: fx.FailureRate(0.3, 10)}
		fail(t, b, 3)
		for range 6 {
			require.NoError(t, call(b, fx.Value(1)))
		}
		assert.Equal(t, fx.Counts{Successes: 6, Failures: 3}, b.Counts())
		require.NoError(t, call(b, fx.Value(1)))
		assert.Equal(t, fx.StateClosed, b.State(), "3 of 10, but asked only after a failure")
		fail(t, b, 1)
		assert.Equal(t, fx.StateOpen, b.State())
	})
}

func TestVerdictOfTripIsForThePeriodItSaw(t *testing.T) {
	var b *fx.Breaker
	b = &fx.Breaker{Trip: func(fx.Counts) bool { b.Reset(); return true }}
	fail(t, b, 1)
	assert.Equal(t, fx.StateClosed, b.State(), "the period was over when Trip answered")
}

func TestFailureRateClamps(t *testing.T) {
	assert.True(t, fx.FailureRate(7, 0)(fx.Counts{Failures: 1}))
	assert.False(t, fx.FailureRate(7, 0)(fx.Counts{Failures: 9, Successes: 1}))
	assert.True(t, fx.FailureRate(-1, -5)(fx.Counts{Failures: 1, Successes: 99}))
	for n := 1; n <= 1000; n++ { // the boundary is exact in spite of floating point
		assert.True(t, fx.FailureRate(0.1, 1)(fx.Counts{Failures: n, Successes: 9 * n}))
	}
}

func TestWindowForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Trip: fx.FailureRate(0.5, 4), Window: 10 * time.Second}
		for range 50 {
			require.NoError(t, call(b, fx.Value(1)))
		}
		fail(t, b, 3)
		assert.Equal(t, fx.Counts{Successes: 50, Failures: 3, Consecutive: 3}, b.Counts())
		time.Sleep(9 * time.Second)
		assert.Equal(t, 50, b.Counts().Successes, "inside the window")
		time.Sleep(time.Second + 1)
		assert.Equal(t, fx.Counts{Consecutive: 3}, b.Counts())
		fail(t, b, 4)
		assert.Equal(t, fx.StateOpen, b.State(), "the successes of old cannot outvote them")
	})
}

func TestSuccessesAreCountedWhenTheyHappen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Trip: func(fx.Counts) bool { return false }, Window: 10 * time.Second}
		for range 20 { // one every 700 ms, so that 14 to 15 lie in a window
			require.NoError(t, call(b, fx.Value(1)))
			time.Sleep(700 * time.Millisecond)
		}
		n := b.Counts().Successes
		assert.GreaterOrEqual(t, n, 12, "a window less a tenth")
		assert.LessOrEqual(t, n, 14)
	})
}

func TestLastCountsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Trip: fx.FailureRate(0.5, 10), Last: 10}
		fail(t, b, 4)
		time.Sleep(time.Hour)
		for range 5 {
			require.NoError(t, call(b, fx.Value(1)))
		}
		assert.Equal(t, fx.Counts{Successes: 5, Failures: 4}, b.Counts(), "time does not matter")
		for range 3 {
			require.NoError(t, call(b, fx.Value(1)))
		}
		assert.Equal(t, fx.Counts{Successes: 8, Failures: 2}, b.Counts(), "the oldest two have left")
		fail(t, b, 2)
		assert.Equal(t, fx.Counts{Successes: 8, Failures: 2, Consecutive: 2}, b.Counts())
		fail(t, b, 3)
		assert.Equal(t, fx.StateOpen, b.State())
	})
}

func TestChangesArriveInOrderOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []fx.Change
		b := &fx.Breaker{Name: "users", Cooldown: time.Second, OnChange: func(c fx.Change) {
			time.Sleep(time.Minute) // slow, and it delays nobody
			seen = append(seen, c)
		}}
		start := time.Now()
		fail(t, b, 5)
		time.Sleep(time.Second)
		fail(t, b, 1)
		time.Sleep(time.Second)
		_ = call(b, fx.Value(1))
		_ = call(b, fx.Value(1))
		b.Force(fx.StateOpen)
		b.Force(fx.StateOpen)
		b.Reset()
		b.Reset()
		assert.Equal(t, 2*time.Second, time.Since(start))
		time.Sleep(time.Hour)
		synctest.Wait()
		at := func(d time.Duration) time.Time { return start.Add(d) }
		want := []fx.Change{
			{"users", fx.StateClosed, fx.StateOpen, fx.Counts{Failures: 5, Consecutive: 5}, errBoom, at(0)},
			{"users", fx.StateOpen, fx.StateHalfOpen, fx.Counts{}, nil, at(time.Second)},
			{"users", fx.StateHalfOpen, fx.StateOpen, fx.Counts{}, errBoom, at(time.Second)},
			{"users", fx.StateOpen, fx.StateHalfOpen, fx.Counts{}, nil, at(2 * time.Second)},
			{"users", fx.StateHalfOpen, fx.StateClosed, fx.Counts{}, nil, at(2 * time.Second)},
			{"users", fx.StateClosed, fx.StateOpen, fx.Counts{}, nil, at(2 * time.Second)},
			{"users", fx.StateOpen, fx.StateClosed, fx.Counts{}, nil, at(2 * time.Second)},
		}
		assert.Equal(t, want, seen)
	})
}

func TestPanickingHookBreaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []fx.State
		b := &fx.Breaker{Cooldown: time.Second, Probes: 1, OnChange: func(c fx.Change) {
			seen = append(seen, c.To)
			switch c.To {
			case fx.StateOpen:
				panic("hook")
			case fx.StateHalfOpen:
				runtime.Goexit()
			}
		}}
		fail(t, b, 5)
		time.Sleep(time.Second)
		assert.Contains(t, journal.take(), "fx: panic in OnChange of circuit breaker panic=hook stack=")
		require.NoError(t, call(b, fx.Value(1)))
		synctest.Wait()
		assert.Equal(t, []fx.State{fx.StateOpen, fx.StateHalfOpen, fx.StateClosed}, seen)
	})
}

func TestHookMayUseTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var state fx.State
		var b *fx.Breaker
		b = &fx.Breaker{
			Trip:     func(fx.Counts) bool { return b.Counts().Failures == 2 },
			Failure:  func(error) bool { return b.State() == fx.StateClosed },
			OnChange: func(fx.Change) { state = b.State() },
		}
		fail(t, b, 2)
		synctest.Wait()
		assert.Equal(t, fx.StateOpen, state)
	})
}

func TestCooldownGrowsWithFailedProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Failures: 1, Cooldown: time.Second, MaxCooldown: 6 * time.Second, Probes: 1}
		for round := range 2 {
			for _, full := range []time.Duration{1, 2, 4, 6, 6} {
				fail(t, b, 1)
				err := call(b, fx.Value(1))
				var open *fx.OpenError
				require.ErrorAs(t, err, &open)
				wait := open.RetryAfter()
				assert.GreaterOrEqual(t, wait, full*time.Second/2, "round %d", round)
				assert.LessOrEqual(t, wait, full*time.Second, "round %d", round)
				time.Sleep(wait)
			}
			require.NoError(t, call(b, fx.Value(1)), "and starts afresh after closing")
		}
	})
}

func TestMaxCooldownShortensNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Failures: 1, Cooldown: time.Minute, MaxCooldown: time.Second}
		for range 5 {
			fail(t, b, 1)
			var open *fx.OpenError
			require.ErrorAs(t, call(b, fx.Value(1)), &open)
			assert.GreaterOrEqual(t, open.RetryAfter(), 30*time.Second)
			time.Sleep(open.RetryAfter())
		}
	})
}

func TestJitterKeepsBreakersApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 100 {
			b := &fx.Breaker{Failures: 1, MaxCooldown: time.Minute}
			fail(t, b, 1)
			var open *fx.OpenError
			require.ErrorAs(t, call(b, fx.Value(1)), &open)
			waits[open.RetryAfter()] = true
		}
		assert.Greater(t, len(waits), 95)
	})
}

func TestForceHoldsAgainstAllEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Cooldown: time.Second}
		b.Force(fx.StateOpen)
		time.Sleep(time.Hour)
		err := call(b, fx.Value(1))
		var open *fx.OpenError
		require.ErrorAs(t, err, &open)
		assert.True(t, open.Until.IsZero())
		assert.Equal(t, fx.StateOpen, b.State())

		b.Force(fx.StateClosed)
		fail(t, b, 100)
		assert.Equal(t, fx.StateClosed, b.State())

		b.Reset()
		fail(t, b, 5)
		assert.Equal(t, fx.StateOpen, b.State(), "Reset gives the rules back")
		b.Force(fx.StateHalfOpen)
		assert.Equal(t, fx.StateHalfOpen, b.State(), "the cooldown ends now")
		require.NoError(t, call(b, fx.Value(1)))
		require.NoError(t, call(b, fx.Value(1)))
		assert.Equal(t, fx.StateClosed, b.State())
	})
}

func TestRejectionsOfOnePeriodShareOneError(t *testing.T) {
	b := &fx.Breaker{Failures: 1}
	fail(t, b, 1)
	assert.Same(t, call(b, fx.Value(1)), call(b, fx.Value(2)))
}

func TestAbsurdBreakerSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Failures: -5, Probes: -5, Cooldown: -5, Window: -5, Last: -5, Slow: -5, MaxCooldown: -5, ProbeLimit: -5}
		fail(t, b, 1)
		assert.Equal(t, fx.StateHalfOpen, b.State(), "one failure opens, no cooldown")
		require.NoError(t, call(b, fx.Value(1)))
		assert.Equal(t, fx.StateClosed, b.State(), "one probe closes")

		const huge = math.MaxInt64
		b = &fx.Breaker{Failures: huge, Probes: huge, Cooldown: huge, MaxCooldown: huge, Slow: huge, ProbeLimit: huge, Window: huge}
		fail(t, b, 1000)
		assert.Equal(t, fx.StateClosed, b.State())
		b = &fx.Breaker{Failures: 1, Cooldown: huge, MaxCooldown: huge}
		fail(t, b, 1)
		time.Sleep(1000 * time.Hour)
		assert.Equal(t, fx.StateOpen, b.State())

		b = &fx.Breaker{Trip: fx.FailureRate(0.5, 1), Last: huge}
		fail(t, b, 1)
		assert.Equal(t, fx.StateOpen, b.State())
		b = &fx.Breaker{Trip: fx.FailureRate(0.5, 1), Window: huge}
		fail(t, b, 1)
		assert.Equal(t, fx.StateOpen, b.State())
	})
}

func TestHugeCooldownInRealTime(t *testing.T) {
	b := &fx.Breaker{Failures: 1, Cooldown: math.MaxInt64}
	fail(t, b, 1)
	assert.Equal(t, fx.StateOpen, b.State(), "the sum does not overflow")
}

func TestBreakerOutlivesABubble(t *testing.T) {
	b := &fx.Breaker{Trip: func(fx.Counts) bool { return false }}
	synctest.Test(t, func(*testing.T) { require.NoError(t, call(b, fx.Value(1))) }) // its timer will never fire
	synctest.Test(t, func(*testing.T) {
		time.Sleep(11500 * time.Millisecond)
		assert.Zero(t, b.Counts().Successes, "what was left behind has no place here")
		require.NoError(t, call(b, fx.Value(1)))
		assert.Equal(t, 1, b.Counts().Successes)
	})
	synctest.Test(t, func(*testing.T) {
		require.NoError(t, call(b, fx.Value(1)))
		assert.LessOrEqual(t, b.Counts().Successes, 1, "an earlier time is another clock")
		time.Sleep(11 * time.Second)
		assert.Zero(t, b.Counts().Successes)
	})
}

func TestStatesHaveNames(t *testing.T) {
	assert.Equal(t, "closed open half-open State(9)",
		fmt.Sprint(fx.StateClosed, fx.StateOpen, fx.StateHalfOpen, fx.State(9)))
}

// later goes on in a bubble to a time after the start of the process, where the clock of fx shows more than nothing.
func later() { time.Sleep(60 * 365 * 24 * time.Hour) }

func TestBreakerWithoutSlowMeasuresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		later()
		b := &fx.Breaker{Failures: 1}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := fx.WithBreaker(func(context.Context) (int, error) { cancel(); return 0, errBoom }, b)(ctx)
		require.Equal(t, errBoom, err)
		assert.Equal(t, fx.StateClosed, b.State())
	})
}

func TestWindowCountsFromTheFirstCallOfAnOldProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		later()
		b := &fx.Breaker{Trip: func(fx.Counts) bool { return false }}
		fail(t, b, 1)
		assert.Equal(t, fx.Counts{Failures: 1, Consecutive: 1}, b.Counts())
		time.Sleep(time.Second)
		fail(t, b, 1)
		assert.Equal(t, fx.Counts{Failures: 2, Consecutive: 2}, b.Counts())
	})
}

func TestWindowRollsInEachBubble(t *testing.T) {
	b := &fx.Breaker{Trip: func(fx.Counts) bool { return false }}
	synctest.Test(t, func(t *testing.T) {
		fail(t, b, 1)
		time.Sleep(time.Hour)
		fail(t, b, 3)
	})
	synctest.Test(t, func(t *testing.T) {
		fail(t, b, 1)
		assert.Equal(t, 1, b.Counts().Failures, "what another bubble has counted is gone")
		fail(t, b, 1)
		assert.Equal(t, 2, b.Counts().Failures, "and what this one counts stays")
		time.Sleep(5 * time.Second)
		fail(t, b, 1)
		time.Sleep(6 * time.Second)
		assert.Equal(t, 1, b.Counts().Failures, "and its window does roll")
	})
}

func TestEachProbeHasItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for limit, b := range map[time.Duration]*fx.Breaker{
			10 * time.Second: {},
			2 * time.Second:  {Cooldown: 2 * time.Second},
			5 * time.Second:  {Cooldown: 2 * time.Second, ProbeLimit: 5 * time.Second},
			time.Second:      {Cooldown: 3 * time.Second, ProbeLimit: time.Second},
		} {
			b.Force(fx.StateHalfOpen)
			_, err := b.Allow(t.Context())
			require.NoError(t, err)
			time.Sleep(limit - time.Nanosecond)
			_, err = b.Allow(t.Context())
			assert.ErrorIs(t, err, fx.ErrOpen, "%v", limit)
			time.Sleep(time.Nanosecond)
			_, err = b.Allow(t.Context())
			assert.NoError(t, err, "%v", limit)
		}
	})
}

func TestProbesCloseItAndNoSooner(t *testing.T) {
	for probes, want := range map[int]int{-1: 1, 0: 2, 1: 1, 3: 3} {
		b := &fx.Breaker{Probes: probes}
		b.Force(fx.StateHalfOpen)
		for range want {
			assert.Equal(t, fx.StateHalfOpen, b.State(), "Probes: %d", probes)
			require.NoError(t, call(b, fx.Value(1)))
		}
		assert.Equal(t, fx.StateClosed, b.State(), "Probes: %d", probes)
	}
}

func TestCauseOfASlowFailureNamesBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		b := &fx.Breaker{Failures: 1, Slow: time.Second, OnChange: func(c fx.Change) { cause = c.Cause }}
		require.Equal(t, errBoom, call(b, takes(2*time.Second, 0, errBoom)))
		synctest.Wait()
		assert.EqualError(t, cause, "fx: call took 2s, longer than Slow (1s): boom")
		assert.ErrorIs(t, cause, errBoom)
		assert.ErrorIs(t, cause, fx.ErrSlow)
	})
}

func TestAllowIsForTheLiving(t *testing.T) {
	done, err := new(fx.Breaker).Allow(dead())
	assert.Nil(t, done)
	assert.ErrorIs(t, err, errCause)
}

func TestRowOfFailuresEndsWithASuccessOrAReset(t *testing.T) {
	b := &fx.Breaker{}
	fail(t, b, 4)
	require.ErrorIs(t, call(b, fx.Fail[int](fx.ErrFull)), fx.ErrFull)
	assert.Equal(t, 4, b.Counts().Failures, "a call that never left says nothing")
	b.Reset()
	assert.Zero(t, b.Counts())
	fail(t, b, 4)
	assert.Equal(t, fx.StateClosed, b.State())
}

func TestASuccessEndsTheRowHoweverLong(t *testing.T) {
	for row := range 4 {
		for _, b := range []*fx.Breaker{{Failures: row + 1}, {Failures: row + 1, Slow: time.Hour}} {
			for range 3 {
				fail(t, b, row)
				require.NoError(t, call(b, fx.Value(1)))
			}
			assert.Equal(t, fx.StateClosed, b.State(), "Slow: %v", b.Slow)
			assert.Zero(t, b.Counts())
		}
	}
}

func TestLastForgetsWhatItHasNoPlaceFor(t *testing.T) {
	for _, last := range []int{1, 63, 64, 65, 128, 130} {
		b := &fx.Breaker{Last: last, Trip: func(fx.Counts) bool { return false }}
		fail(t, b, 2*last+7)
		assert.Equal(t, last, b.Counts().Failures)
		for n := range 2 * last {
			require.NoError(t, call(b, fx.Value(1)))
			assert.Equal(t, max(last-n-1, 0), b.Counts().Failures, "Last: %d, %d successes", last, n+1)
		}
	}
}

func TestWindowCountsThoughNobodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Window: 10 * time.Second, Trip: func(fx.Counts) bool { return false }}
		fail(t, b, 1)
		for range 300 {
			require.NoError(t, call(b, fx.Value(1)))
			time.Sleep(100 * time.Millisecond)
		}
		assert.InDelta(t, 95, b.Counts().Successes, 6, "nine tenths of the window, or all of it")
	})
}

func TestWindowForgetsHoweverLongItIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for tenths := range 50 {
			b := &fx.Breaker{Window: 10 * time.Second, Trip: func(fx.Counts) bool { return false }}
			fail(t, b, 3)
			time.Sleep(time.Duration(tenths) * time.Second)
			want := 0
			if tenths < 10 {
				want = 3
			}
			assert.Equal(t, want, b.Counts().Failures, "after %d s", tenths)
		}
	})
}

func TestFailureIsNotAskedAboutACallerWhoLeft(t *testing.T) {
	b := &fx.Breaker{Probes: 1, Failure: func(error) bool { t.Error("asked"); return false }}
	b.Force(fx.StateHalfOpen)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := fx.WithBreaker(func(context.Context) (int, error) { cancel(); return 0, errBoom }, b)(ctx)
	require.Equal(t, errBoom, err)
	assert.Equal(t, fx.StateHalfOpen, b.State(), "nor does that close it")
}

func TestPredicatesMayAskTheBreaker(t *testing.T) {
	var b *fx.Breaker
	b = &fx.Breaker{
		Failure: func(error) bool { return b.Counts().Failures == 0 },
		Trip:    func(c fx.Counts) bool { return c == b.Counts() },
	}
	fail(t, b, 1)
	assert.Equal(t, fx.StateOpen, b.State())
}

func TestFailuresLeaveTheirOwnWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Window: time.Second, Trip: func(fx.Counts) bool { return false }}
		fail(t, b, 1)
		time.Sleep(1200 * time.Millisecond)
		assert.Zero(t, b.Counts().Failures)
	})
}

func TestCooldownStaysLongHoweverOftenProbesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var least time.Duration = time.Hour
		b := &fx.Breaker{Failures: 1, Cooldown: time.Second, MaxCooldown: time.Minute}
		for n := range 600 {
			fail(t, b, 1)
			var open *fx.OpenError
			require.ErrorAs(t, call(b, fx.Value(1)), &open)
			if n > 6 {
				least = min(least, open.RetryAfter())
			}
			time.Sleep(open.RetryAfter())
		}
		assert.GreaterOrEqual(t, least, 30*time.Second, "the upper half")
		assert.Less(t, least, 36*time.Second, "and all of it")
	})
}

func TestHugeNumbersOfProbesAndCallsAreBounded(t *testing.T) {
	b := &fx.Breaker{Probes: 1 << 20}
	b.Force(fx.StateHalfOpen)
	for range 32766 {
		_ = call(b, fx.Value(1))
	}
	assert.Equal(t, fx.StateHalfOpen, b.State())
	_ = call(b, fx.Value(1))
	assert.Equal(t, fx.StateClosed, b.State())

	for last, want := range map[int]int{1: 1, 1 << 20: 65536} {
		b := &fx.Breaker{Last: last, Trip: func(fx.Counts) bool { return false }}
		for range 70000 {
			_ = call(b, fx.Value(1))
		}
		assert.Equal(t, want, b.Counts().Successes)
	}
}

func TestTimeThatIsOverIsNoWait(t *testing.T) {
	assert.Zero(t, (&fx.OpenError{Until: time.Now().Add(-time.Hour)}).RetryAfter())
}

func TestFailuresOfAShortWindowAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Window: time.Second, Trip: func(fx.Counts) bool { return false }}
		fail(t, b, 1)
		time.Sleep(5 * time.Second)
		fail(t, b, 1)
		time.Sleep(100 * time.Millisecond)
		fail(t, b, 1)
		assert.Equal(t, 2, b.Counts().Failures)
	})
}

func TestFailuresAtOnceOpenItOnce(t *testing.T) {
	for range 100 {
		var changes atomic.Int64
		opened := make(chan struct{})
		b := &fx.Breaker{Failures: 1, OnChange: func(fx.Change) { changes.Add(1); close(opened) }}
		var all sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			done, err := b.Allow(t.Context())
			require.NoError(t, err)
			all.Go(func() { <-begin; done(errBoom) })
		}
		close(begin)
		all.Wait()
		<-opened
		assert.EqualValues(t, 1, changes.Load())
		assert.Equal(t, fx.StateOpen, b.State())
	}
}

func TestFailuresAtOnceAreAllCounted(t *testing.T) {
	b := &fx.Breaker{Trip: fx.FailureRate(1, 1<<20), Last: 1000}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				_, _ = fx.WithBreaker(fx.Fail[int](errBoom), b)(t.Context())
			}
		})
	}
	all.Wait()
	assert.Equal(t, fx.Counts{Failures: 800, Consecutive: 800}, b.Counts())
}
