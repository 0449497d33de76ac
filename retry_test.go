package fx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
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

// first returns the first n waits of b.
func first(n int, b fx.Backoff) (ds []time.Duration) {
	for d := range b {
		if ds = append(ds, d); len(ds) == n {
			break
		}
	}
	return ds
}

func TestRetryMakesThreeAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		_, err := fx.WithRetry(counted(&calls, fx.Fail[int](errBoom)), fx.Retry{})(t.Context())
		var re *fx.RetryError
		require.ErrorAs(t, err, &re)
		assert.EqualValues(t, 3, calls.Load())
		assert.Equal(t, 3, re.Attempts)
		assert.Equal(t, []error{errBoom, errBoom, errBoom}, re.Errs)
		assert.Equal(t, fx.ErrExhausted, re.Stop)
		assert.ErrorIs(t, err, errBoom)
		assert.ErrorIs(t, err, fx.ErrExhausted)
		assert.EqualError(t, err, "fx: gave up after 3 attempts (attempts exhausted): boom")
	})
}

func TestRetryWaitsAsTheBackoffSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var heard []fx.Attempt
		v, err := fx.WithRetry(inTurn(errBoom, io.EOF, nil), fx.Retry{
			Backoff: fx.Exponential(time.Second),
			OnRetry: func(_ context.Context, a fx.Attempt) { heard = append(heard, a) },
		})(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 42, v)
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Equal(t, []fx.Attempt{{1, errBoom, time.Second}, {2, io.EOF, 2 * time.Second}}, heard)
	})
}

func TestOneAttemptIsTheIdentity(t *testing.T) {
	for _, n := range []int{1, -5, math.MinInt} {
		_, err := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Attempts: n})(t.Context())
		assert.Equal(t, errBoom, err, "Attempts: %d", n)
	}
}

func TestErrorNotWorthARetryComesBackUntouched(t *testing.T) {
	for _, err := range []error{fx.ErrOpen, fx.ErrFull, fx.ErrClosed, fx.ErrLimit, fx.ErrBudget, context.Canceled,
		fx.Permanent(errBoom), fmt.Errorf("users: %w", &fx.OpenError{})} {
		_, got := fx.WithRetry(fx.Fail[int](err), fx.Retry{})(t.Context())
		assert.Equal(t, err, got)
	}
}

func TestStopIsNilWhenTheLastErrorIsNotWorthRepeating(t *testing.T) {
	_, err := fx.WithRetry(inTurn(errBoom, fx.ErrOpen), fx.Retry{Backoff: fx.Constant(0)})(t.Context())
	var re *fx.RetryError
	require.ErrorAs(t, err, &re)
	assert.Equal(t, []error{errBoom, fx.ErrOpen}, re.Errs)
	assert.NoError(t, re.Stop)
	assert.EqualError(t, err, "fx: gave up after 2 attempts: circuit breaker is open")
}

func TestInnerTimeoutIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		op := fx.WithRetry(counted(&calls, fx.WithTimeout(hang, time.Second)), fx.Retry{Backoff: fx.Constant(0)})
		_, err := op(t.Context())
		assert.ErrorIs(t, err, fx.ErrTimeout)
		assert.EqualValues(t, 3, calls.Load())
	})
}

func TestRetryStopsWhenTheCallerHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(1500*time.Millisecond, func() { cancel(errCause) })
		start := time.Now()
		_, err := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Backoff: fx.Constant(time.Second)})(ctx)
		assert.Equal(t, 1500*time.Millisecond, time.Since(start), "in the middle of a wait")
		var re *fx.RetryError
		require.ErrorAs(t, err, &re)
		assert.Equal(t, 2, re.Attempts)
		assert.ErrorIs(t, re.Stop, context.Canceled)
		assert.ErrorIs(t, re.Stop, errCause)
		assert.ErrorIs(t, err, errBoom)
		assert.EqualError(t, err, "fx: gave up after 2 attempts (context canceled: the shopper left): boom")
	})
}

func TestWaitThatOutlastsTheDeadlineIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		budget := &fx.Budget{PerSecond: 1, Ratio: -1, Window: time.Second}
		_, err := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Backoff: fx.Constant(10 * time.Second), Budget: budget})(ctx)
		assert.Zero(t, time.Since(start))
		var re *fx.RetryError
		require.ErrorAs(t, err, &re)
		assert.ErrorIs(t, re.Stop, context.DeadlineExceeded)
		assert.EqualError(t, err, "fx: gave up after 1 attempt (a wait of 10s would outlast the deadline): boom")
		assert.False(t, fx.MayBeDone(err), "boom was an answer")

		_, err = fx.WithRetry(inTurn(errBoom, nil), fx.Retry{Backoff: fx.Constant(0), Budget: budget})(ctx)
		assert.NoError(t, err, "and it was not charged for")
	})
}

func TestRetryEndsWithTheBackoff(t *testing.T) {
	for attempts, backoff := range map[int]fx.Backoff{
		1: fx.Delays(),
		2: fx.Constant(0).Take(1),
		3: fx.Delays(0, 0),
	} {
		_, err := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Attempts: 1 << 62, Backoff: backoff})(t.Context())
		var re *fx.RetryError
		require.ErrorAs(t, err, &re)
		assert.Equal(t, attempts, re.Attempts)
		assert.Equal(t, fx.ErrExhausted, re.Stop)
	}
}

type after struct{ d time.Duration }

func (a after) Error() string             { return "busy" }
func (a after) RetryAfter() time.Duration { return a.d }

func TestRetryAfterIsTheLeastWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for asked, waits := range map[time.Duration]time.Duration{
			3 * time.Second: 3 * time.Second, time.Millisecond: time.Second, -1: time.Second, 30 * time.Second: 30 * time.Second,
		} {
			start := time.Now()
			op := inTurn(fmt.Errorf("users: %w", after{asked}), nil)
			_, err := fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(time.Second)})(t.Context())
			require.NoError(t, err)
			assert.Equal(t, waits, time.Since(start))
		}
	})
}

func TestRetryAfterBeyondMaxWaitEndsIt(t *testing.T) {
	for _, c := range []struct{ asked, max time.Duration }{{30*time.Second + 1, 0}, {2, 1}, {1, -1}} {
		_, err := fx.WithRetry(fx.Fail[int](after{c.asked}), fx.Retry{MaxWait: c.max})(t.Context())
		var re *fx.RetryError
		require.ErrorAs(t, err, &re)
		assert.Equal(t, fx.ErrWait, re.Stop)
		assert.Equal(t, 1, re.Attempts)
	}
}

func TestPatientRetryWaitsForTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Cooldown: 5 * time.Second}
		fail(t, b, 5)
		start := time.Now()
		always := func(error) bool { return true }
		v, err := fx.WithRetry(fx.WithBreaker(fx.Value(42), b), fx.Retry{If: always, Backoff: fx.Constant(time.Millisecond)})(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 42, v)
		assert.Equal(t, 5*time.Second, time.Since(start), "the error said how long")
	})
}

func TestIfDecidesAlone(t *testing.T) {
	var calls atomic.Int64
	_, err := fx.WithRetry(counted(&calls, fx.Fail[int](fx.Permanent(errBoom))), fx.Retry{
		Backoff: fx.Constant(0), If: func(error) bool { return true },
	})(t.Context())
	assert.ErrorIs(t, err, errBoom)
	assert.EqualValues(t, 3, calls.Load())
}

func TestRetryKeepsTheFirstErrorAndTheLatest(t *testing.T) {
	n := 0
	_, err := fx.WithRetry(func(context.Context) (int, error) {
		n++
		return 0, fmt.Errorf("error %d", n)
	}, fx.Retry{Attempts: 100, Backoff: fx.Constant(0)})(t.Context())
	var re *fx.RetryError
	require.ErrorAs(t, err, &re)
	assert.Equal(t, 100, re.Attempts)
	require.Len(t, re.Errs, 16)
	assert.EqualError(t, re.Errs[0], "error 1")
	assert.EqualError(t, re.Errs[1], "error 86")
	assert.EqualError(t, re.Errs[15], "error 100")
}

func TestDroppedErrorsStillCountForTheVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(second error) error {
			errs := []error{fx.ErrFull, second}
			for range 40 {
				errs = append(errs, fx.ErrFull)
			}
			_, err := fx.WithRetry(inTurn(errs...), fx.Retry{
				Attempts: 40, Backoff: fx.Constant(0), If: func(error) bool { return true },
			})(t.Context())
			return err
		}
		assert.True(t, fx.MayBeDone(run(fx.ErrTimeout)), "the second attempt timed out and its error is gone")
		assert.False(t, fx.MayBeDone(run(fx.ErrFull)))

		b := &fx.Breaker{Failures: 1}
		_ = call(b, fx.Fail[int](run(fx.ErrFull)))
		assert.Equal(t, fx.StateClosed, b.State(), "no attempt left")
		_ = call(b, fx.Fail[int](run(errBoom)))
		assert.Equal(t, fx.StateOpen, b.State(), "one did")
	})
}

func TestHookAndPredicateMayPanic(t *testing.T) {
	for _, r := range []fx.Retry{
		{If: func(error) bool { panic("mine") }},
		{OnRetry: func(context.Context, fx.Attempt) { panic("mine") }},
		{Backoff: func(func(time.Duration) bool) { panic("mine") }},
		{Attempts: 100, Backoff: func(func(time.Duration) bool) { panic("mine") }},
	} {
		assert.PanicsWithValue(t, "mine", func() { _, _ = fx.WithRetry(fx.Fail[int](errBoom), r)(t.Context()) })
	}
}

func TestManyAttemptsLeaveNoCoroutineBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		op := fx.WithRetry(func(context.Context) (int, error) {
			if n++; n == 50 {
				runtime.Goexit() // the bubble reports what is left
			}
			return 0, errBoom
		}, fx.Retry{Attempts: 1 << 62, Backoff: fx.Constant(time.Millisecond)})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = op(context.Background()) })
		wg.Wait()
		assert.Equal(t, 50, n)
	})
}

func TestBackoffThatCannotStopIsTold(t *testing.T) {
	deaf := func(yield func(time.Duration) bool) {
		for {
			yield(0)
		}
	}
	assert.PanicsWithValue(t, "fx: the Backoff went on after yield had returned false; write if !yield(d) { return }",
		func() { _, _ = fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Backoff: deaf})(t.Context()) })
}

func TestWildBackoffIsTamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for _, attempts := range []int{3, 30} {
			_, _ = fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Attempts: attempts, Backoff: func(yield func(time.Duration) bool) {
				for yield(math.MinInt64) {
				}
			}})(t.Context())
		}
		assert.Zero(t, time.Since(start))
	})
}

func TestBackoffs(t *testing.T) {
	const s, far = time.Second, time.Duration(math.MaxInt64)
	for name, c := range map[string]struct {
		b    fx.Backoff
		want []time.Duration
	}{
		"constant":             {fx.Constant(s), []time.Duration{s, s, s, s}},
		"constant, negative":   {fx.Constant(-s), []time.Duration{0, 0, 0, 0}},
		"exponential":          {fx.Exponential(s), []time.Duration{s, 2 * s, 4 * s, 8 * s}},
		"exponential, negtive": {fx.Exponential(-s), []time.Duration{0, 0, 0, 0}},
		"exponential, huge":    {fx.Exponential(far/2 + 1), []time.Duration{far/2 + 1, far, far, far}},
		"delays":               {fx.Delays(s, -s, far), []time.Duration{s, 0, far}},
		"cap":                  {fx.Exponential(s).Cap(3 * s), []time.Duration{s, 2 * s, 3 * s, 3 * s}},
		"cap, negative":        {fx.Exponential(s).Cap(-s), []time.Duration{0, 0, 0, 0}},
		"take":                 {fx.Constant(s).Take(2), []time.Duration{s, s}},
		"take none":            {fx.Constant(s).Take(-2), nil},
		"within":               {fx.Exponential(s).Within(7 * s), []time.Duration{s, 2 * s, 4 * s}},
		"within less":          {fx.Exponential(s).Within(7*s - 1), []time.Duration{s, 2 * s}},
		"within, huge":         {fx.Constant(far).Within(far), []time.Duration{far}},
		"within nothing":       {fx.Constant(s).Within(-1), nil},
		"low end":              {fx.Exponential(s).JitterBy(0.25, func() float64 { return 0 }), []time.Duration{3 * s / 4, 3 * s / 2, 3 * s, 6 * s}},
		"middle":               {fx.Exponential(s).JitterBy(1, func() float64 { return 0.5 }), []time.Duration{s / 2, s, 2 * s, 4 * s}},
		"source out of range":  {fx.Constant(s).JitterBy(1, func() float64 { return 9 }), []time.Duration{s, s, s, s}},
		"source below range":   {fx.Constant(s).JitterBy(1, func() float64 { return -9 }), []time.Duration{0, 0, 0, 0}},
		"source NaN":           {fx.Constant(s).JitterBy(1, func() float64 { return nan }), []time.Duration{0, 0, 0, 0}},
		"jitter of 7":          {fx.Constant(s).JitterBy(7, func() float64 { return 0 }), []time.Duration{0, 0, 0, 0}},
		"jitter below 0":       {fx.Constant(s).JitterBy(-7, func() float64 { return 0 }), []time.Duration{s, s, s, s}},
		"jitter NaN":           {fx.Constant(s).JitterBy(nan, func() float64 { return 0 }), []time.Duration{0, 0, 0, 0}},
		"jitter of the most":   {fx.Constant(far).JitterBy(1, func() float64 { return 1 }), []time.Duration{far, far, far, far}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, first(4, c.b))
			assert.Equal(t, c.want, first(4, c.b), "every range starts afresh")
		})
	}
}

func TestDecorrelatedStaysInItsBounds(t *testing.T) {
	const base, top = 100 * time.Millisecond, 5 * time.Second
	prev, reached := base, 0
	for i, d := range first(10_000, fx.Decorrelated(base, top)) {
		require.GreaterOrEqual(t, d, base, "wait %d", i)
		require.LessOrEqual(t, d, min(3*prev, top), "wait %d", i)
		if d == top {
			reached++
		}
		prev = d
	}
	assert.Zero(t, reached, "clients spread below the top instead of meeting there")
	assert.Equal(t, []time.Duration{5, 5}, first(2, fx.Decorrelated(5, -1)), "a top below base is base")
	assert.Equal(t, []time.Duration{0, 0}, first(2, fx.Decorrelated(-5, -1)))
}

func TestTwoClientsDoNotMarchInStep(t *testing.T) {
	b := fx.Exponential(100 * time.Millisecond).Cap(5 * time.Second).Jitter(1)
	one, two := first(20, b), first(20, b)
	assert.NotEqual(t, one, two)
	atCap := 0
	for _, d := range append(one[6:], two[6:]...) {
		if d == 5*time.Second {
			atCap++
		}
	}
	assert.Zero(t, atCap, "no crowd at the cap")
}

func TestRetryable(t *testing.T) {
	for err, want := range map[error]bool{
		nil:                                true,
		errBoom:                            true,
		context.DeadlineExceeded:           true,
		fx.ErrTimeout:                      true,
		fx.ErrExhausted:                    true,
		context.Canceled:                   false,
		errors.Join(errBoom, fx.ErrBudget): false,
		fmt.Errorf("a: %w", fx.ErrOpen):    false,
		fx.Permanent(says(true)):           false,
		fmt.Errorf("a: %w", interrupted{}): false,
		says(true):                         true,
		says(false):                        false,
	} {
		if err == nil {
			assert.False(t, fx.Retryable(nil), "there is nothing to repeat")
			continue
		}
		assert.Equal(t, want, fx.Retryable(err), "%v", err)
	}
	var wrapped error = &wrap{says(true), context.Canceled}
	assert.True(t, fx.Retryable(wrapped), "its own word comes first")
}

type says bool

func (s says) Error() string   { return fmt.Sprintf("retryable: %t", bool(s)) }
func (s says) Retryable() bool { return bool(s) }

type wrap struct{ a, b error }

func (w *wrap) Error() string   { return w.a.Error() + w.b.Error() }
func (w *wrap) Unwrap() []error { return []error{w.a, w.b} }

func TestTransient(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Err: err} }
	read := func(err error) error { return &url.Error{Op: "Get", Err: &net.OpError{Op: "read", Err: err}} }
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"refused":               {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), true},
		"reset":                 {read(os.NewSyscallError("read", syscall.ECONNRESET)), true},
		"broken pipe":           {read(os.NewSyscallError("write", syscall.EPIPE)), true},
		"closed in mid-answer":  {fmt.Errorf("body: %w", io.ErrUnexpectedEOF), true},
		"closed before answer":  {&url.Error{Op: "Get", Err: io.EOF}, true},
		"end of a file":         {io.EOF, false},
		"network timeout":       {read(os.ErrDeadlineExceeded), true},
		"kernel timeout":        {read(os.NewSyscallError("read", syscall.ETIMEDOUT)), true},
		"DNS timeout":           {dial(&net.DNSError{IsTimeout: true}), true},
		"no such host":          {dial(&net.DNSError{IsNotFound: true}), false},
		"our timeout":           {fmt.Errorf("x: %w", fx.ErrTimeout), true},
		"a context's deadline":  {&url.Error{Op: "Get", Err: context.DeadlineExceeded}, false},
		"canceled":              {context.Canceled, false},
		"an answer":             {errBoom, false},
		"permission":            {os.NewSyscallError("open", syscall.EACCES), false},
		"says yes":              {fmt.Errorf("x: %w", says(true)), true},
		"says no":               {errors.Join(says(false), fx.ErrTimeout), false},
		"permanently timed out": {fx.Permanent(fx.ErrTimeout), false},
		"nothing":               {nil, false},
	} {
		assert.Equal(t, c.want, fx.Transient(c.err), name)
	}
}

func TestBudgetChargesRetriesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := &fx.Budget{Ratio: 0.2, PerSecond: -1}
		var calls atomic.Int64
		op := fx.WithRetry(counted(&calls, fx.Fail[int](errBoom)), fx.Retry{Backoff: fx.Constant(0), Budget: budget})
		var last error
		for range 100 {
			_, last = op(t.Context())
		}
		assert.EqualValues(t, 120, calls.Load(), "100 first attempts and 20 %% more")
		var re *fx.RetryError
		require.ErrorAs(t, last, &re)
		assert.Equal(t, fx.ErrBudget, re.Stop)
		assert.Equal(t, 2, re.Attempts, "the hundredth call has paid for one")
	})
}

func TestBudgetRoundsNoRetryAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := &fx.Budget{Ratio: 0.29, PerSecond: -1}
		for range 100 {
			_, _ = fx.WithRetry(fx.Value(1), fx.Retry{Budget: budget})(t.Context())
		}
		assert.Equal(t, 29, budget.Counts().Left, "in floating point 0.29 * 100 is less")
	})
}

func TestWaitIsNeverNegative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := fx.Backoff(func(yield func(time.Duration) bool) { _ = yield(-time.Hour) })
		var seen []time.Duration
		op := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Backoff: back, OnRetry: func(_ context.Context, a fx.Attempt) { seen = append(seen, a.Delay) }})
		_, err := op(t.Context())
		assert.ErrorIs(t, err, fx.ErrExhausted)
		assert.Equal(t, []time.Duration{0}, seen)
	})
}

func TestBudgetTellsWhatItHasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := &fx.Budget{Ratio: 0.2, PerSecond: -1}
		assert.Equal(t, fx.BudgetCounts{}, budget.Counts())
		for range 10 {
			_, _ = fx.WithRetry(fx.Value(1), fx.Retry{Budget: budget})(t.Context())
		}
		assert.Equal(t, fx.BudgetCounts{First: 10, Left: 2}, budget.Counts())
		op := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Backoff: fx.Constant(0), Budget: budget})
		for range 3 {
			_, _ = op(t.Context())
		}
		assert.Equal(t, fx.BudgetCounts{First: 13, Again: 2, Denied: 2}, budget.Counts(), "2 retries of the first, none of the others")
		time.Sleep(12 * time.Second)
		assert.Equal(t, fx.BudgetCounts{Denied: 2}, budget.Counts(), "a window later")
	})
}

func TestZeroBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		op := fx.WithRetry(counted(&calls, fx.Fail[int](errBoom)), fx.Retry{Attempts: 100, Backoff: fx.Constant(0), Budget: &fx.Budget{}})
		_, _ = op(t.Context())
		assert.EqualValues(t, 1+10, calls.Load(), "one a second over 10 s, and a fifth of one call")
		time.Sleep(12 * time.Second)
		_, _ = op(t.Context())
		assert.EqualValues(t, 2*(1+10), calls.Load(), "after the window they are back")
	})
}

func TestBudgetIsExactUnderConcurrency(t *testing.T) {
	budget := &fx.Budget{Ratio: 0.5, PerSecond: -1, Window: time.Hour}
	var calls atomic.Int64
	op := fx.WithRetry(counted(&calls, fx.Fail[int](errBoom)), fx.Retry{Attempts: 5, Backoff: fx.Constant(0), Budget: budget})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 250 {
				_, _ = op(t.Context())
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 3000, calls.Load(), "2000 first attempts allow 1000 retries, not one more or less")
}

func TestBudgetForgetsFirstAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := &fx.Budget{Ratio: 1, PerSecond: -1, Window: 10 * time.Second}
		good := fx.WithRetry(fx.Value(1), fx.Retry{Budget: budget})
		bad := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Attempts: 1000, Backoff: fx.Constant(0), Budget: budget})
		for range 50 {
			_, _ = good(t.Context())
		}
		time.Sleep(10*time.Second + 1)
		_, err := bad(t.Context())
		var re *fx.RetryError
		require.ErrorAs(t, err, &re)
		assert.Equal(t, 2, re.Attempts, "only its own first attempt pays")
	})
}

func TestBudgetRemembersRetriesForAWholeWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := &fx.Budget{Ratio: -1, PerSecond: 1, Window: 10 * time.Second}
		spend := func() int {
			_, err := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Attempts: 100, Backoff: fx.Constant(0), Budget: budget})(t.Context())
			var re *fx.RetryError
			require.ErrorAs(t, err, &re)
			return re.Attempts - 1
		}
		assert.Equal(t, 10, spend())
		for range 19 {
			time.Sleep(10 * time.Second / 20)
			assert.Zero(t, spend(), "still in the window")
		}
		time.Sleep(1500 * time.Millisecond)
		assert.Equal(t, 10, spend(), "a tenth after it at the latest")
	})
}

func TestAbsurdBudgets(t *testing.T) {
	for name, c := range map[string]struct {
		budget *fx.Budget
		want   int
	}{
		"none":       {&fx.Budget{Ratio: -1, PerSecond: -1}, 1},
		"NaN":        {&fx.Budget{Ratio: nan, PerSecond: -1}, 1},
		"infinite":   {&fx.Budget{Ratio: math.Inf(1), PerSecond: -1}, 50},
		"huge":       {&fx.Budget{Ratio: 1e300, PerSecond: math.MaxInt, Window: math.MaxInt64}, 50},
		"low window": {&fx.Budget{Ratio: -1, PerSecond: 1000, Window: -1}, 11},
	} {
		_, err := fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Attempts: 50, Backoff: fx.Constant(0), Budget: c.budget})(t.Context())
		var re *fx.RetryError
		require.ErrorAs(t, err, &re)
		assert.Equal(t, c.want, re.Attempts, name)
	}
}

func TestUnwrapDoesNotShareItsArray(t *testing.T) {
	e := &fx.RetryError{Errs: slices.Grow([]error{errBoom}, 4), Stop: fx.ErrExhausted}
	assert.Equal(t, []error{errBoom, fx.ErrExhausted}, e.Unwrap())
	assert.Equal(t, []error{errBoom, nil}, e.Errs[:2])
}

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
		lavish := &fx.Budget{Ratio: 1e9, PerSecond: -1}
		_, _ = fx.WithRetry(fx.Value(1), fx.Retry{Budget: lavish})(t.Context())
		assert.Equal(t, fx.BudgetCounts{First: 1, Left: 1000}, lavish.Counts())
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
