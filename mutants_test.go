package fx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
)

// The tests here are those that mutation testing found missing, in the order of the files that they tell of.

// --- fx.go ---

func TestContextOfAnOpEndsWithItsCall(t *testing.T) {
	for name, policy := range map[string]fx.Policy[int]{
		"Timeout": policies()["Timeout"], "All": policies()["All"], "Zip": policies()["Zip"], "Hedge": policies()["Hedge"],
		"Cache": policies()["Cache"],
	} {
		synctest.Test(t, func(t *testing.T) {
			var inside context.Context
			v, err := policy(func(ctx context.Context) (int, error) { inside = ctx; return 42, nil })(t.Context())
			require.NoError(t, err)
			assert.Equal(t, 42, v)
			synctest.Wait()
			assert.Error(t, inside.Err(), "%s: a context that does not end is a leak", name)
		})
	}
}

func TestOthersLearnThatAPanicStoppedThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		bad := func(context.Context) (int, error) { panic("bad") }
		other := func(ctx context.Context) (int, error) { _, err := hang(ctx); cause = context.Cause(ctx); return 0, err }
		assert.PanicsWithValue(t, "bad", func() { _, _ = fx.All(bad, other)(t.Context()) })
		assert.Equal(t, fx.ErrNoReturn, cause)

		_, err := fx.All(fx.Fail[int](errBoom), other)(t.Context())
		assert.Equal(t, errBoom, err)
		assert.Equal(t, errBoom, cause)
	})
}

func TestZipAndDetachedRefuseEachNil(t *testing.T) {
	sum := func(a, b int) (int, error) { return a + b, nil }
	assert.Panics(t, func() { fx.Zip[int](nil, fx.Value(1), sum) })
	assert.Panics(t, func() { fx.Zip(fx.Value(1), fx.Op[int](nil), sum) })
	assert.Panics(t, func() { fx.Detached(fx.Value(1), nil) })
	assert.Panics(t, func() { fx.WithHedge[int](nil, &fx.Hedge{}) })
	assert.Panics(t, func() { fx.WithRecover[int](nil, func(context.Context, error) (int, error) { return 0, nil }) })
	assert.Panics(t, func() { fx.WithDegraded[int](nil) })
	assert.Panics(t, func() { fx.Remember[string, int](nil, &fx.Cache[string, int]{}, "a") })
	assert.Panics(t, func() { fx.WithCache[string, int](nil, &fx.Cache[string, int]{}, "a") })
}

func TestErrorsOfTheDeadReadWell(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := fx.WithTimeout(fx.Value(1), time.Second)(ctx)
	assert.EqualError(t, err, "fx: not started: context canceled")
	_, err = fx.WithTimeout(fx.Value(1), time.Second)(dead())
	assert.EqualError(t, err, "fx: not started: context canceled: the shopper left")
	_, err = fx.WithLimit(fx.Value(1), waiter(errBoom))(t.Context())
	assert.EqualError(t, err, "fx: not started: rate limit: boom")
}

func TestValueThatDetachedLeavesBehindIsDiscardedOnlyIfThereIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, op := range []fx.Op[int]{
			deaf(time.Minute, 0, errBoom),
			func(context.Context) (int, error) { time.Sleep(time.Minute); panic("late") },
		} {
			discarded := 0
			_, err := fx.WithTimeout(fx.Detached(op, func(int) { discarded++ }), time.Second)(t.Context())
			require.ErrorIs(t, err, fx.ErrTimeout)
			time.Sleep(time.Hour)
			assert.Zero(t, discarded)
		}
	})
}

func TestUndoWaitsForNothingThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, do := range map[string]fx.Op[string]{
			"answered":           fx.Detached(func(context.Context) (string, error) { return "a", nil }),
			"answered, hedged":   fx.WithHedge(func(context.Context) (string, error) { return "a", nil }, after1s()),
			"failed late":        left(func(context.Context) (string, error) { time.Sleep(2 * time.Second); return "", errBoom }),
			"panicked late":      left(func(context.Context) (string, error) { time.Sleep(2 * time.Second); panic("late") }),
			"succeeded late":     left(func(context.Context) (string, error) { time.Sleep(2 * time.Second); return "a", nil }),
			"failed late hedged": hedgedAway(func(context.Context) (string, error) { time.Sleep(2 * time.Second); return "", errBoom }),
		} {
			var d diary
			step := d.step("a", nil)
			step.Do = func(ctx context.Context, _ string) (string, error) { return do(ctx) }
			start := time.Now()
			_, err := d.run(t, t.Context(), step, d.step("b", errBoom))
			assert.Equal(t, []string{"a"}, err.Undone, name)
			assert.LessOrEqual(t, time.Since(start), 2*time.Second, name)
		}
	})
}

// left is op left behind after a second.
func left(op fx.Op[string]) fx.Op[string] { return fx.WithTimeout(fx.Detached(op), time.Second) }

// hedgedAway is op left behind by a caller who waits for a second.
func hedgedAway(op fx.Op[string]) fx.Op[string] {
	return fx.WithTimeout(fx.WithHedge(op, &fx.Hedge{After: time.Hour}), time.Second)
}

func TestForeignRefusalsCountForNothing(t *testing.T) {
	for _, refusal := range []error{fx.ErrOpen, fx.ErrFull, fx.ErrClosed, fx.ErrLimit} {
		b := &fx.Breaker{Failures: 1}
		fail := fx.Fail[int](speaksFor{refusal})
		require.Error(t, call(b, fail))
		assert.Equal(t, fx.StateClosed, b.State(), "%v", refusal)
		assert.False(t, fx.Retryable(speaksFor{refusal}), "%v", refusal)
	}
}

// speaksFor is a user's error that says it is another.
type speaksFor struct{ target error }

func (s speaksFor) Error() string        { return "like: " + s.target.Error() }
func (s speaksFor) Is(target error) bool { return target == s.target }

func TestWordInANestedJoinIsHeard(t *testing.T) {
	two := errors.Join(errBoom, errCause)
	for name, err := range map[string]error{
		"in the second part":           errors.Join(errBoom, fx.Permanent(errCause)),
		"after a part with parts":      errors.Join(two, fx.Permanent(errCause)),
		"after one that wraps nothing": errors.Join(wrapsNothing{}, fx.Permanent(errCause)),
		"in the parts of a part":       errors.Join(errors.Join(errBoom, fx.Permanent(errCause)), errBoom),
	} {
		assert.False(t, fx.Retryable(err), name)
		assert.False(t, fx.Transient(errors.Join(err, fx.ErrTimeout)), name)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		asked := errors.Join(errors.Join(errBoom, asksFor(time.Second)), errCause)
		_, err := fx.WithRetry(inTurn(asked, nil), fx.Retry{Backoff: fx.Constant(0)})(t.Context())
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// wrapsNothing has the method, and nothing to tell.
type wrapsNothing struct{}

func (wrapsNothing) Error() string { return "nothing inside" }
func (wrapsNothing) Unwrap() error { return nil }

// asksFor is an error that asks for a wait.
type asksFor time.Duration

func (a asksFor) Error() string             { return "later" }
func (a asksFor) RetryAfter() time.Duration { return time.Duration(a) }

func TestOnlyLostConnectionsLoseAnswers(t *testing.T) {
	for _, lost := range []error{io.ErrClosedPipe, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, net.ErrClosed, fx.ErrNoReturn} {
		assert.True(t, fx.MayBeDone(fmt.Errorf("pay: %w", lost)), "%v", lost)
	}
	assert.False(t, fx.MayBeDone(syscall.ENOENT))
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	assert.False(t, fx.MayBeDone(timeoutOf{dial}), "what was never sent is not lost, whatever is around it")
	assert.True(t, fx.MayBeDone(timeoutOf{dial, errBoom}))
}

// timeoutOf is a timeout of several calls.
type timeoutOf []error

func (e timeoutOf) Error() string   { return "timeout" }
func (e timeoutOf) Timeout() bool   { return true }
func (e timeoutOf) Unwrap() []error { return e }

// --- breaker.go ---

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
		time.Sleep(time.Hour)
		fail(t, b, 3)
	})
	synctest.Test(t, func(t *testing.T) {
		fail(t, b, 1)
		assert.Equal(t, 1, b.Counts().Failures, "what another bubble has counted is gone")
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

func TestOvertakenProbeDoesNotClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, &fx.Breaker{Cooldown: time.Second, Probes: 1})
		first, err := b.Allow(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Second)
		second, err := b.Allow(t.Context())
		require.NoError(t, err)
		first(nil)
		assert.Equal(t, fx.StateHalfOpen, b.State(), "its answer comes too late to count")
		_, err = b.Allow(t.Context())
		assert.ErrorIs(t, err, fx.ErrOpen, "and frees nothing")
		second(nil)
		assert.Equal(t, fx.StateClosed, b.State())
	})
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

func TestOneFailureIsForgivenByASuccess(t *testing.T) {
	b := &fx.Breaker{}
	for range 5 {
		fail(t, b, 1)
		require.NoError(t, call(b, fx.Value(1)))
	}
	assert.Equal(t, fx.StateClosed, b.State())
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

func TestNeutralEndOfAnOvertakenProbeFreesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, &fx.Breaker{Cooldown: time.Second})
		first, err := b.Allow(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = b.Allow(t.Context())
		require.NoError(t, err)
		first(fx.ErrFull)
		_, err = b.Allow(t.Context())
		assert.ErrorIs(t, err, fx.ErrOpen)
	})
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

// --- bulkhead.go ---

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

// --- retry.go ---

func TestSuccessIsNoQuestion(t *testing.T) {
	var calls atomic.Int64
	r := fx.Retry{If: func(error) bool { return true }, Backoff: fx.Constant(0)}
	_, err := fx.WithRetry(counted(&calls, fx.Value(1)), r)(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, calls.Load())
}

func TestCallerWhoLeftInMidCallCostsNoRetry(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var calls atomic.Int64
	spare := &fx.Budget{PerSecond: 100}
	r := fx.Retry{
		Budget: spare, Backoff: fx.Constant(0), If: func(error) bool { return true },
		OnRetry: func(context.Context, fx.Attempt) { t.Error("there is none") },
	}
	_, err := fx.WithRetry(counted(&calls, func(context.Context) (int, error) { cancel(errCause); return 0, errBoom }), r)(ctx)
	assert.ErrorIs(t, err, errBoom)
	assert.ErrorIs(t, err, errCause)
	assert.EqualValues(t, 1, calls.Load())
	assert.Zero(t, spare.Counts().Again)
}

func TestDelaysKeepTheirOwnSlice(t *testing.T) {
	ds := []time.Duration{1, 2}
	b := fx.Delays(ds...)
	ds[0] = 9
	assert.Equal(t, []time.Duration{1, 2}, first(9, b))
}

func TestMaxWaitIsTheLongestWaitAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for most, want := range map[time.Duration]error{2 * time.Second: nil, 2*time.Second - 1: fx.ErrWait, -1: fx.ErrWait} {
			_, err := fx.WithRetry(inTurn(asksFor(2*time.Second), nil), fx.Retry{MaxWait: most})(t.Context())
			assert.ErrorIs(t, err, want, "%v", most)
		}
	})
}

func TestZeroBudgetLetsAFifthThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spare := &fx.Budget{PerSecond: -1}
		for range 100 {
			_, _ = fx.WithRetry(fx.Value(1), fx.Retry{Budget: spare})(t.Context())
		}
		assert.Equal(t, fx.BudgetCounts{First: 100, Left: 20}, spare.Counts())
	})
}

func TestNilBackoffIsTold(t *testing.T) {
	var b fx.Backoff
	for method, misuse := range map[string]func(){
		"Cap": func() { b.Cap(1) }, "Jitter": func() { b.Jitter(1) }, "Take": func() { b.Take(1) }, "Within": func() { b.Within(1) },
		"JitterBy": func() { b.JitterBy(1, func() float64 { return 0 }) },
	} {
		assert.PanicsWithValue(t, "fx: "+method+" of a nil Backoff; start from one, as in fx.Exponential(base)."+method, misuse)
	}
}

func TestBackoffMayBeLeftAtAnyWait(t *testing.T) {
	for name, b := range map[string]fx.Backoff{
		"Constant": fx.Constant(1), "Exponential": fx.Exponential(1), "Decorrelated": fx.Decorrelated(1, 1),
		"Delays": fx.Delays(1, 1, 1), "Cap": fx.Delays(1, 1, 1).Cap(9), "Jitter": fx.Delays(1, 1, 1).Jitter(0),
		"Take": fx.Delays(1, 1, 1).Take(3), "Within": fx.Delays(1, 1, 1).Within(9),
	} {
		for d := range b {
			assert.Equal(t, time.Duration(1), d, name)
			break
		}
	}
}

func TestRetryErrorWithoutStopHasItsErrors(t *testing.T) {
	err := &fx.RetryError{Attempts: 2, Errs: []error{errBoom, errCause}}
	assert.Equal(t, err.Errs, err.Unwrap(), "and no nil among them")
	assert.ErrorIs(t, err, errBoom)
	assert.False(t, err.MayBeDone())
	assert.True(t, (&fx.RetryError{Errs: []error{errBoom, context.Canceled}}).MayBeDone())
	assert.EqualError(t, &fx.RetryError{}, "fx: gave up after 0 attempts")
}

func TestTransientLooksIntoJoinedErrors(t *testing.T) {
	assert.True(t, fx.Transient(errors.Join(errBoom, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded})))
	assert.False(t, fx.Transient(errors.Join(errBoom, errCause)))
}

func TestHookHearsBeforeTheWaitAndNoWaitIsDrawnInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, drawn := time.Now(), 0
		r := fx.Retry{
			Backoff: func(yield func(time.Duration) bool) {
				for drawn++; yield(time.Second); drawn++ {
				}
			},
			OnRetry: func(_ context.Context, a fx.Attempt) {
				assert.Equal(t, time.Duration(a.N-1)*time.Second, time.Since(start))
			},
		}
		_, err := fx.WithRetry(fx.Fail[int](errBoom), r)(t.Context())
		assert.ErrorIs(t, err, fx.ErrExhausted)
		assert.Equal(t, 2, drawn)
	})
}

// --- fallback.go ---

func TestEndOfTheCallerIsToldOnce(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	op := fx.WithFallback(func(context.Context) (int, error) { cancel(errCause); return 0, errBoom }, fx.Value(1), fx.Value(2))
	_, err := op(ctx)
	assert.EqualError(t, err, "fx: no answer: boom; then: context canceled: the shopper left")
}

func TestRecallIsForTheLiving(t *testing.T) {
	c := &fx.Cache[string, int]{OnErr: func(context.Context, error) { t.Error("there is no store") }}
	_, err := c.Recall("a")(t.Context())
	assert.Equal(t, fx.ErrMiss, err)
	_, _ = fx.Remember(fx.Value(7), c, "a")(t.Context())
	_, err = c.Recall("a")(dead())
	assert.ErrorIs(t, err, errCause)
}

func TestValueIsFreshForLessThanFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fresh := range []time.Duration{0, time.Minute} {
			var calls atomic.Int64
			op := fx.WithCache(counted(&calls, fx.Value(7)), &fx.Cache[string, int]{Fresh: fresh}, "a")
			_, _ = op(t.Context())
			time.Sleep(fresh)
			_, _ = op(t.Context())
			synctest.Wait()
			assert.EqualValues(t, 2, calls.Load(), "%v", fresh)
		}
	})
}

func TestWrittenAgainIsUsed(t *testing.T) {
	c := &fx.Cache[string, int]{Size: 2}
	for _, key := range []string{"a", "b", "a", "c"} {
		_, _ = fx.Remember(fx.Value(7), c, key)(t.Context())
	}
	_, err := c.Recall("a")(t.Context())
	assert.NoError(t, err)
	_, err = c.Recall("b")(t.Context())
	assert.ErrorIs(t, err, fx.ErrMiss)
}

func TestCacheInsideIsHeardOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{Fresh: time.Minute}
		ends := each(fx.Value(7), fx.Fail[int](errBoom))
		page := fx.WithDegraded(valueOf(fx.WithCache(ends, c, "a")))
		_, _ = page(t.Context())
		time.Sleep(time.Hour - 2*time.Second)
		r, err := page(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 7, Age: time.Hour - 2*time.Second}, r)
		time.Sleep(time.Second)
		r, err = page(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 7, Degraded: true, Age: time.Hour - time.Second, Cause: errBoom}, r)

		cold := fx.WithCache(fx.WithFallback(fx.Fail[int](errBoom), fx.Value(8)), c, "b")
		r, err = fx.WithDegraded(valueOf(cold))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 8, Degraded: true, Cause: errBoom}, r)
	})
}

// A cupboard is a store of one value, of an age that it claims.
type cupboard struct {
	age  time.Duration
	err  error
	gets atomic.Int64
	sets atomic.Int64
	ttl  atomic.Int64
}

func (c *cupboard) Get(context.Context, string) (int, time.Duration, error) {
	c.gets.Add(1)
	return 7, c.age, c.err
}

func (c *cupboard) Set(ctx context.Context, _ string, _ int, ttl time.Duration) error {
	c.sets.Add(1)
	c.ttl.Store(int64(ttl))
	return ctx.Err()
}

func TestStoreIsAskedForWhatIsNotTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for age, want := range map[time.Duration]error{time.Hour - 1: nil, time.Hour: fx.ErrMiss} {
			c := &fx.Cache[string, int]{Store: &cupboard{age: age}}
			_, err := c.Recall("a")(t.Context())
			assert.Equal(t, want, err, "%v", age)
		}
		ahead := &fx.Cache[string, int]{Store: &cupboard{age: -time.Hour}}
		r, err := fx.WithDegraded(ahead.Recall("a"))(t.Context())
		require.NoError(t, err)
		assert.Zero(t, r.Age)
		time.Sleep(time.Hour)
		ahead.Store.(*cupboard).err = fx.ErrMiss
		_, err = ahead.Recall("a")(t.Context())
		assert.ErrorIs(t, err, fx.ErrMiss, "a clock ahead makes no value live longer")
	})
}

func TestColdKeyThatTheStoreMissesIsCalledFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cupboard{err: fmt.Errorf("cupboard: %w", fx.ErrMiss)}
		c := &fx.Cache[string, int]{Store: store, OnErr: func(_ context.Context, err error) { t.Error(err) }}
		for key := range 20 { // misses are answers, so the store is asked each time
			r, err := fx.WithCache(fx.Value(8), c, fmt.Sprint(key))(t.Context())
			require.NoError(t, err)
			assert.Equal(t, fx.Result[int]{Value: 8}, r)
			synctest.Wait()
		}
		assert.EqualValues(t, 20, store.gets.Load())
	})
}

func TestStoreIsWrittenAsOftenAsThereIsAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cupboard{err: fx.ErrMiss}
		c := &fx.Cache[string, int]{Store: store, Stale: time.Minute, OnErr: func(_ context.Context, err error) { t.Error(err) }}
		for range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			_, _ = fx.Remember(fx.Value(7), c, "a")(ctx)
			cancel() // the write does not care
			synctest.Wait()
		}
		assert.EqualValues(t, 50, store.sets.Load())
		assert.EqualValues(t, time.Minute, store.ttl.Load())
	})
}

func TestStoreThatFailsIsNamedAndLeftAloneForTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cupboard{err: errBoom}
		var said []string
		c := &fx.Cache[string, int]{Store: store, OnErr: func(_ context.Context, err error) { said = append(said, err.Error()) }}
		for range 6 {
			_, err := c.Recall("a")(t.Context())
			assert.ErrorIs(t, err, fx.ErrMiss)
		}
		assert.EqualValues(t, 5, store.gets.Load())
		assert.Equal(t, "boom", said[4])
		assert.True(t, strings.HasPrefix(said[5], `fx: circuit breaker "cache store" is open`), said[5])
		time.Sleep(10 * time.Second)
		_, _ = c.Recall("a")(t.Context())
		assert.EqualValues(t, 6, store.gets.Load())
	})
}

func TestPanicOfAStoreIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{Store: &shelf{sick: func() error { panic("store") }}}
		journal.take()
		_, err := c.Recall("a")(t.Context())
		assert.ErrorIs(t, err, fx.ErrMiss)
		assert.Contains(t, journal.take(), "panic=store")
	})
}

func TestOldestOfPartsInTurnTellsTheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{}
		_, _ = fx.Remember(fx.Value(1), c, "old")(t.Context())
		time.Sleep(time.Minute)
		_, _ = fx.Remember(fx.Value(2), c, "young")(t.Context())
		r, err := fx.WithDegraded(fx.Then(c.Recall("old"), func(ctx context.Context, _ int) (int, error) {
			return c.Recall("young")(ctx)
		}))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, time.Minute, r.Age)
	})
}

func TestZeroCacheKeepsAThousand(t *testing.T) {
	c := &fx.Cache[int, int]{}
	for key := range 1001 {
		_, _ = fx.Remember(fx.Value(key), c, key)(t.Context())
	}
	assert.Equal(t, 1000, c.Counts().Entries)
}

func TestFreshOutlastsAShorterStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		op := fx.WithCache(counted(&calls, fx.Value(7)), &fx.Cache[string, int]{Fresh: 2 * time.Hour}, "a")
		_, _ = op(t.Context())
		time.Sleep(90 * time.Minute)
		_, _ = op(t.Context())
		assert.EqualValues(t, 1, calls.Load())
	})
}

func TestValueFromTheStoreAgesInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{Store: &cupboard{age: time.Minute}}
		_, _ = c.Recall("a")(t.Context())
		time.Sleep(time.Second)
		r, err := fx.WithDegraded(c.Recall("a"))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, time.Minute+time.Second, r.Age)
	})
}

func TestEndOfAnAbandonedCallLeavesTheNextAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		op := fx.WithCache(counted(&calls, each(deaf(2*time.Second, 1, errBoom), deaf(time.Minute, 2, nil))), &fx.Cache[string, int]{}, "a")
		_, err := fx.WithTimeout(op, time.Second)(t.Context())
		require.ErrorIs(t, err, fx.ErrTimeout)
		go func() { _, _ = op(t.Context()) }()
		time.Sleep(5 * time.Second) // the first call has ended by now
		_, err = op(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 2, calls.Load())
	})
}

// --- hedge.go ---

// learned is a hedge that has seen 50 calls of one to fifty milliseconds, the slow ones first.
func learned(t *testing.T, h *fx.Hedge) *fx.Hedge {
	t.Helper()
	for i := range 50 {
		_, err := fx.WithHedge(takes(time.Duration(50-i)*time.Millisecond, 1, nil), h)(t.Context())
		require.NoError(t, err)
	}
	return h
}

func TestFirstEstimateIsTheQuantileOfTheFirstCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		later()
		for quantile, want := range map[float64]time.Duration{0: 48, 0.1: 26, 0.5: 26, 0.9: 46, 1: 50} {
			delay := learned(t, &fx.Hedge{Quantile: quantile}).Counts().Delay
			assert.InDelta(t, float64(want*time.Millisecond), float64(delay), 10, "%v", quantile)
		}
		assert.InDelta(t, float64(26*time.Millisecond), float64(learned(t, &fx.Hedge{Quantile: 0.5, After: 1}).Counts().Delay), 10)
		assert.Equal(t, time.Second, learned(t, &fx.Hedge{Quantile: 0.5, After: time.Second}).Counts().Delay, "After is the floor")
		assert.Equal(t, time.Second, learned(t, &fx.Hedge{After: time.Second}).Counts().Delay)
	})
}

func TestAfterRulesUntilTheLatencyIsKnown(t *testing.T) {
	h := &fx.Hedge{After: time.Second, Quantile: 0.9}
	assert.Equal(t, time.Second, h.Counts().Delay)
}

func TestNegativeMaxStartsNoCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fx.Hedge{After: time.Second, Max: -1}
		assert.Zero(t, h.Counts().Delay)
		_, err := fx.WithHedge(takes(time.Minute, 1, nil), h)(t.Context())
		require.NoError(t, err)
		assert.Zero(t, h.Counts().Started)
	})
}

func TestCopyThatNeverAnswersRaisesTheEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := learned(t, &fx.Hedge{Budget: &fx.Budget{PerSecond: 1000}})
		before := h.Counts().Delay
		for range 20 {
			_, err := fx.WithHedge(each(deaf(time.Hour, 1, nil), takes(100*time.Millisecond, 2, nil)), h)(t.Context())
			require.NoError(t, err)
		}
		assert.Greater(t, h.Counts().Delay, 2*before)
		time.Sleep(2 * time.Hour)
	})
}

func TestHedgesShareTheirBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spare := &fx.Budget{Ratio: -1, PerSecond: 1}
		for range 20 {
			_, err := fx.WithHedge(takes(2*time.Millisecond, 1, nil), &fx.Hedge{After: time.Millisecond, Budget: spare})(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, fx.BudgetCounts{First: 20, Again: 10, Denied: 10}, spare.Counts())
	})
}

func TestCallerWhoLeavesAtTheStartStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		_, err := fx.WithHedge(counted(&calls, fx.Value(1)), after1s())(&departing{Context: dead()})
		assert.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		assert.Zero(t, calls.Load())
	})
}

// departing is a context that ends right after it was first asked.
type departing struct {
	context.Context
	asked atomic.Int64
}

func (d *departing) Err() error {
	if d.asked.Add(1) == 1 {
		return nil
	}
	return d.Context.Err()
}

func TestCopiesFollowOneAnotherAfterAWaitEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := &fx.Hedge{After: time.Second, Max: 3, Budget: &fx.Budget{PerSecond: 9}}
		h.OnHedge = func(_ context.Context, n int) { assert.Equal(t, time.Duration(n)*time.Second, time.Since(start)) }
		_, err := fx.WithHedge(takes(time.Minute, 1, nil), h)(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 3, h.Counts().Started)
	})
}

func TestAfterHedgesUntilTheLatencyIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fx.Hedge{After: time.Second, Quantile: 0.9}
		_, err := fx.WithHedge(takes(time.Minute, 1, nil), h)(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, h.Counts().Started)
	})
}

func TestCallersWhoLeaveEarlyDoNotLowerTheEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := learned(t, &fx.Hedge{Quantile: 0.5})
		before := h.Counts().Delay
		for range 50 {
			_, err := fx.WithTimeout(fx.WithHedge(hang, h), time.Millisecond)(t.Context())
			require.Error(t, err)
		}
		synctest.Wait()
		assert.Equal(t, before, h.Counts().Delay)
	})
}

func TestFailedCopyIsNotDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		discard := func(int) { t.Error("there is no value") }
		_, err := fx.WithHedge(takes(2*time.Second, 0, errBoom), after1s(), discard)(t.Context())
		assert.ErrorIs(t, err, errBoom)
	})
}

// --- saga.go ---

func TestSagaKeepsItsOwnSteps(t *testing.T) {
	var d diary
	steps := []fx.Step[string]{d.step("a", nil)}
	op := fx.Saga("", steps)
	steps[0] = d.step("b", nil)
	s, err := op(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "a", s)
}

func TestStepThatPanicsIsUndoneWithTheStateOfWhatItLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		step := d.step("a", nil)
		book := left(func(context.Context) (string, error) { time.Sleep(5 * time.Second); return "booked", nil })
		step.Do = func(ctx context.Context, _ string) (string, error) { _, _ = book(ctx); panic("bad") }
		assert.PanicsWithValue(t, "bad", func() { _, _ = fx.Saga("", []fx.Step[string]{step})(t.Context()) })
		assert.Equal(t, []string{"undo a(booked)"}, d.lines)
	})
}

func TestUndoThatOvertakesIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		step := d.step("a", nil)
		step.UndoLimit = time.Second
		step.Do = func(ctx context.Context, _ string) (string, error) {
			return left(func(context.Context) (string, error) { time.Sleep(time.Minute); return "", nil })(ctx)
		}
		step.Undo = func(context.Context, string) error { return nil }
		journal.take()
		_, err := d.run(t, t.Context(), step)
		assert.Equal(t, []string{"a"}, err.Undone)
		assert.Contains(t, journal.take(), "still run, and will be undone while they do")
		time.Sleep(time.Hour)
	})
}

func TestLateSuccessOfACopyIsTheStateToUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		step := d.step("a", nil)
		book := hedgedAway(func(context.Context) (string, error) { time.Sleep(5 * time.Second); return "booked", nil })
		step.Do = func(ctx context.Context, _ string) (string, error) { return book(ctx) }
		_, err := d.run(t, t.Context(), step)
		assert.Equal(t, []string{"a"}, err.Undone)
		assert.Equal(t, []string{"undo a(booked)"}, d.lines)
	})
}

func TestCauseThatCannotBeComparedIsNoPanic(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancelCause(t.Context())
	step := d.step("a", nil)
	step.Do = func(ctx context.Context, _ string) (string, error) {
		cancel(reasons{"late", "tired"})
		return "", context.Cause(ctx)
	}
	_, err := d.run(t, ctx, step)
	assert.Equal(t, reasons{"late", "tired"}, err.Err)
}

// reasons is an error of a type that cannot be compared.
type reasons []string

func (r reasons) Error() string { return strings.Join(r, ", ") }

func TestPivotHoldsForAllStepsAfterIt(t *testing.T) {
	var d diary
	pivot := d.step("pay", nil)
	pivot.Pivot = true
	_, err := d.run(t, t.Context(), d.step("a", nil), pivot, d.step("b", nil), d.step("c", errBoom))
	assert.True(t, err.Committed)
	assert.Empty(t, err.Undone)
}

func TestStepNotBegunIsNotUndone(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	leaves := d.step("a", nil)
	leaves.Do = func(_ context.Context, s string) (string, error) { cancel(); return s + "a", nil }
	_, err := d.run(t, ctx, leaves, d.step("b", nil))
	assert.Equal(t, []string{"a"}, err.Undone)
	assert.Empty(t, err.Failed)
}

// --- defaults and bounds ---

func TestDefaultBackoffIsTheDocumentedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		longest, shortest := make([]time.Duration, 9), time.Hour
		op := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Attempts: 10, OnRetry: func(_ context.Context, a fx.Attempt) {
			longest[a.N-1] = max(longest[a.N-1], a.Delay)
			if a.N == 9 {
				shortest = min(shortest, a.Delay)
			}
		}})
		for range 300 {
			_, _ = op(t.Context())
		}
		for i, got := range longest {
			most := min(100*time.Millisecond<<i, 5*time.Second)
			assert.LessOrEqual(t, got, most, "wait %d", i+1)
			assert.Greater(t, got, most*9/10, "wait %d: of 300 draws one is near the end", i+1)
		}
		assert.Less(t, shortest, 500*time.Millisecond, "full jitter: of 300 draws one is near 0")
	})
}

func TestErrorsOfManyAttemptsAreBounded(t *testing.T) {
	n := 0
	op := fx.WithRetry(func(context.Context) (int, error) { n++; return 0, fmt.Errorf("attempt %d", n) },
		fx.Retry{Attempts: 50, Backoff: fx.Constant(0)})
	_, err := op(t.Context())
	var again *fx.RetryError
	require.ErrorAs(t, err, &again)
	require.Len(t, again.Errs, 16)
	assert.EqualError(t, again.Errs[0], "attempt 1")
	assert.EqualError(t, again.Errs[1], "attempt 36")
	assert.EqualError(t, again.Errs[15], "attempt 50")
}

func TestStoreThatFailsIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{sick: func() error { return errBoom }}
		c := &fx.Cache[string, int]{Store: s}
		for range 100 {
			_, err := c.Recall("a")(t.Context())
			assert.ErrorIs(t, err, fx.ErrMiss)
			time.Sleep(50 * time.Millisecond)
		}
		assert.EqualValues(t, 5, s.gets.Load())
		time.Sleep(10 * time.Second)
		_, _ = c.Recall("a")(t.Context())
		assert.EqualValues(t, 6, s.gets.Load(), "then it is asked again")
	})
}

// --- what only the race detector sees ---

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

func TestPartsTellTheirAgeAtOnce(t *testing.T) {
	c := &fx.Cache[int, int]{}
	for k := range 8 {
		_, err := fx.Remember(fx.Value(k), c, k)(t.Context())
		require.NoError(t, err)
	}
	for range 100 {
		parts := make([]fx.Op[int], 8)
		for k := range parts {
			parts[k] = fx.WithFallback(fx.Fail[int](errBoom), c.Recall(k))
		}
		r, err := fx.WithDegraded(fx.All(parts...))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, r.Value)
		assert.True(t, r.Degraded)
		assert.Equal(t, 8, strings.Count(r.Cause.Error(), "boom"))

		for k := range parts {
			parts[k] = c.Recall(k)
		}
		_, err = fx.WithDegraded(fx.All(parts...))(t.Context())
		require.NoError(t, err)
	}
}

func TestManyRecallAtOnce(t *testing.T) {
	c := &fx.Cache[int, int]{Size: 4}
	for k := range 4 {
		_, err := fx.Remember(fx.Value(k), c, k)(t.Context())
		require.NoError(t, err)
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 100 {
				v, err := c.Recall((g + i) % 4)(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, (g+i)%4, v)
			}
		})
	}
	all.Wait()
	assert.Equal(t, 800, c.Counts().Hits)
}

func TestCallsOfAStepAreCountedAtOnce(t *testing.T) {
	for range 100 {
		many := make([]fx.Op[int], 8)
		for i := range many {
			many[i] = fx.Detached(fx.Value(i))
		}
		step := fx.Step[int]{Name: "many", Do: func(ctx context.Context, n int) (int, error) { _, err := fx.All(many...)(ctx); return n, err }}
		_, err := fx.Saga(1, []fx.Step[int]{step})(t.Context())
		require.NoError(t, err)
	}
}
