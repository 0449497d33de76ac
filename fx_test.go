package fx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/fx"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(journal))
	goleak.VerifyTestMain(m)
}

// journal keeps the latest message of the default logger, so that tests can ask for it and stay quiet.
var journal = new(logbook)

type logbook struct{ last atomic.Pointer[slog.Record] }

func (l *logbook) Enabled(context.Context, slog.Level) bool      { return true }
func (l *logbook) Handle(_ context.Context, r slog.Record) error { l.last.Store(&r); return nil }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler            { return l }
func (l *logbook) WithGroup(string) slog.Handler                 { return l }

// take returns the latest record and forgets it.
func (l *logbook) take() (text string) {
	r := l.last.Swap(nil)
	if r == nil {
		return ""
	}
	text = r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	return text
}

var (
	errBoom  = errors.New("boom")
	errCause = errors.New("the shopper left")
)

// hang is an op that answers only when its context ends.
func hang(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// takes is an op that answers v after d, or fails when its context ends first.
func takes(d time.Duration, v int, err error) fx.Op[int] {
	return func(ctx context.Context) (int, error) {
		select {
		case <-time.After(d):
			return v, err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// counted counts the calls that reach op.
func counted(n *atomic.Int64, op fx.Op[int]) fx.Op[int] {
	return func(ctx context.Context) (int, error) {
		n.Add(1)
		return op(ctx)
	}
}

// inTurn answers with each error in turn (nil is the value 42), then with the last one for good.
func inTurn(errs ...error) fx.Op[int] {
	var n atomic.Int64
	return func(context.Context) (int, error) {
		i := min(int(n.Add(1)), len(errs)) - 1
		if errs[i] != nil {
			return 0, errs[i]
		}
		return 42, nil
	}
}

// dead is a context that was cancelled with a cause of its own.
func dead() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	return ctx
}

// policies is one of each combinator that takes an op, in its plainest form.
func policies() map[string]fx.Policy[int] {
	return map[string]fx.Policy[int]{
		"Timeout":  func(op fx.Op[int]) fx.Op[int] { return fx.WithTimeout(op, time.Minute) },
		"Retry":    func(op fx.Op[int]) fx.Op[int] { return fx.WithRetry(op, fx.Retry{}) },
		"Breaker":  func(op fx.Op[int]) fx.Op[int] { return fx.WithBreaker(op, &fx.Breaker{}) },
		"Slow":     func(op fx.Op[int]) fx.Op[int] { return fx.WithBreaker(op, &fx.Breaker{Slow: time.Minute}) },
		"Rate":     func(op fx.Op[int]) fx.Op[int] { return fx.WithBreaker(op, &fx.Breaker{Trip: fx.FailureRate(1, 9)}) },
		"Bulkhead": func(op fx.Op[int]) fx.Op[int] { return fx.WithBulkhead(op, &fx.Bulkhead{}) },
		"Check":    func(op fx.Op[int]) fx.Op[int] { return fx.WithCheck(op, func(int) error { return nil }) },
		"Limit":    func(op fx.Op[int]) fx.Op[int] { return fx.WithLimit(op, waiter(nil)) },
		"Fallback": func(op fx.Op[int]) fx.Op[int] { return fx.WithFallback(op, fx.Fail[int](errors.New("no second"))) },
		"Recover": func(op fx.Op[int]) fx.Op[int] {
			return fx.WithRecover(op, func(_ context.Context, err error) (int, error) { return 0, errors.New("nor this") })
		},
		"Degraded": func(op fx.Op[int]) fx.Op[int] { return valueOf(fx.WithDegraded(op, fx.Fail[int](errors.New("no")))) },
		"Hedge":    func(op fx.Op[int]) fx.Op[int] { return fx.WithHedge(op, &fx.Hedge{After: time.Hour}) },
		"Detached": func(op fx.Op[int]) fx.Op[int] { return fx.Detached(op) },
		"Remember": func(op fx.Op[int]) fx.Op[int] { return fx.Remember(op, &fx.Cache[string, int]{}, "a") },
		"Cache":    func(op fx.Op[int]) fx.Op[int] { return valueOf(fx.WithCache(op, &fx.Cache[string, int]{}, "a")) },
		"Then": func(op fx.Op[int]) fx.Op[int] {
			return fx.Then(op, func(_ context.Context, n int) (int, error) { return n, nil })
		},
		"All": func(op fx.Op[int]) fx.Op[int] {
			return fx.Then(fx.All(op), func(_ context.Context, ns []int) (int, error) { return ns[0], nil })
		},
		"Zip": func(op fx.Op[int]) fx.Op[int] {
			return fx.Zip(op, fx.Value(0), func(a, b int) (int, error) { return a + b, nil })
		},
	}
}

// valueOf forgets how good a result is.
func valueOf(op fx.Op[fx.Result[int]]) fx.Op[int] {
	return func(ctx context.Context) (int, error) {
		r, err := op(ctx)
		return r.Value, err
	}
}

// A waiter refuses with its error, or lets all pass.
type waiterErr struct{ err error }

func (w waiterErr) Wait(context.Context) error { return w.err }

func waiter(err error) fx.Waiter { return waiterErr{err} }

// eachPolicy runs a test for every combinator, in a bubble of its own.
func eachPolicy(t *testing.T, test func(t *testing.T, p fx.Policy[int])) {
	for name, p := range policies() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, p) })
		})
	}
}

func TestDeadContextStartsNothing(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p fx.Policy[int]) {
		var calls atomic.Int64
		_, err := p(counted(&calls, fx.Value(1)))(dead())
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, errCause)
		assert.False(t, fx.MayBeDone(err), "what was not started is certainly not done: %v", err)
		assert.Zero(t, calls.Load())
	})
}

func TestCauseIsKept(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p fx.Policy[int]) {
		_, err := p(fx.Fail[int](errBoom))(t.Context())
		assert.ErrorIs(t, err, errBoom)
	})
}

func TestSuccessIsUntouched(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p fx.Policy[int]) {
		var calls atomic.Int64
		start := time.Now()
		v, err := p(counted(&calls, fx.Value(42)))(t.Context())
		assert.NoError(t, err)
		assert.Equal(t, 42, v)
		assert.EqualValues(t, 1, calls.Load())
		assert.Zero(t, time.Since(start))
	})
}

func TestPanicReachesTheCaller(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p fx.Policy[int]) {
		value := &struct{ s string }{"original"}
		op := p(func(context.Context) (int, error) { panic(value) })
		assert.PanicsWithValue(t, value, func() { _, _ = op(t.Context()) })
	})
}

func TestGoexitReachesTheCaller(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p fx.Policy[int]) {
		op := p(func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
		returned, ended := false, make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = op(context.Background())
			returned = true
		}()
		<-ended
		assert.False(t, returned)
	})
}

func TestCallersEndReachesTheOp(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p fx.Policy[int]) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errCause) })
		start := time.Now()
		_, err := p(hang)(ctx)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, time.Second, time.Since(start))
		assert.True(t, fx.MayBeDone(err), "it was cut off in mid-call: %v", err)
	})
}

func TestMisusePanicsAtComposition(t *testing.T) {
	op := fx.Value(1)
	f := func(context.Context, int) (int, error) { return 0, nil }
	id := func(op fx.Op[int]) fx.Op[int] { return op }
	for name, misuse := range map[string]func(){
		"Compose":         func() { fx.Compose[int](nil) },
		"Fail":            func() { fx.Fail[int](nil) },
		"Void":            func() { fx.Void(nil) },
		"Bind":            func() { fx.Bind[int, int](nil, 1) },
		"Lift f":          func() { fx.Lift[int, int](nil, id) },
		"Lift p":          func() { fx.Lift(f, nil) },
		"Lift nil op":     func() { fx.Lift(f, func(fx.Op[int]) fx.Op[int] { return nil }) },
		"LiftVoid f":      func() { fx.LiftVoid[int](nil, func(op fx.Op[struct{}]) fx.Op[struct{}] { return op }) },
		"LiftVoid p":      func() { fx.LiftVoid(func(context.Context, int) error { return nil }, nil) },
		"Then op":         func() { fx.Then(nil, f) },
		"Then next":       func() { fx.Then[int, int](op, nil) },
		"All":             func() { fx.All(op, nil) },
		"Zip":             func() { fx.Zip[int, int, int](op, op, nil) },
		"WithTimeout":     func() { fx.WithTimeout[int](nil, 1) },
		"WithCheck op":    func() { fx.WithCheck(nil, func(int) error { return nil }) },
		"WithCheck":       func() { fx.WithCheck(op, nil) },
		"WithLimit op":    func() { fx.WithLimit[int](nil, waiter(nil)) },
		"WithLimit":       func() { fx.WithLimit(op, nil) },
		"WithRetry":       func() { fx.WithRetry[int](nil, fx.Retry{}) },
		"WithBreaker op":  func() { fx.WithBreaker[int](nil, &fx.Breaker{}) },
		"WithBreaker":     func() { fx.WithBreaker(op, nil) },
		"WithBulkhead op": func() { fx.WithBulkhead[int](nil, &fx.Bulkhead{}) },
		"WithBulkhead":    func() { fx.WithBulkhead(op, nil) },
		"WithFallback op": func() { fx.WithFallback[int](nil) },
		"WithFallback":    func() { fx.WithFallback(op, op, nil) },
		"WithRecover":     func() { fx.WithRecover(op, nil) },
		"WithDegraded":    func() { fx.WithDegraded(op, nil) },
		"Remember":        func() { fx.Remember[string](op, nil, "a") },
		"WithCache":       func() { fx.WithCache[string](op, nil, "a") },
		"WithHedge":       func() { fx.WithHedge(op, nil) },
		"WithHedge nil":   func() { fx.WithHedge(op, &fx.Hedge{}, nil) },
		"Detached":        func() { fx.Detached[int](nil) },
		"JitterBy":        func() { fx.Constant(1).JitterBy(1, nil) },
		"nil Backoff":     func() { fx.Backoff(nil).Cap(1) },
		"FailureRate":     func() { fx.FailureRate(nan, 1) },
		"Force":           func() { new(fx.Breaker).Force(7) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				said := fmt.Sprint(recover())
				assert.Regexp(t, `^fx: .+(as in|write|leave out|the policy)`, said, "a panic says what to write instead")
			}()
			misuse()
			t.Error("no panic")
		})
	}
}

func TestComposeAppliesTheFirstOutermost(t *testing.T) {
	var order []string
	note := func(name string) fx.Policy[int] {
		return func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				order = append(order, name)
				return op(ctx)
			}
		}
	}
	_, _ = fx.Compose(note("a"), note("b"), note("c"))(fx.Value(1))(t.Context())
	assert.Equal(t, []string{"a", "b", "c"}, order)
}

func TestLiftKeepsArgumentsApart(t *testing.T) {
	double := fx.Lift(func(_ context.Context, n int) (int, error) { return 2 * n, nil }, fx.Compose[int]())
	nested := fx.Lift(func(ctx context.Context, n int) (int, error) {
		d, err := double(ctx, n+1) // the same argument type, one inside the other
		return d + n, err
	}, func(op fx.Op[int]) fx.Op[int] { return fx.WithTimeout(op, time.Minute) })
	v, err := nested(t.Context(), 10)
	require.NoError(t, err)
	assert.Equal(t, 32, v)
}

func TestLiftFindsItsOwnArgumentUnderAnother(t *testing.T) {
	var op fx.Op[int]
	through := fx.Lift(func(ctx context.Context, _ int) (int, error) { return op(ctx) }, fx.Compose[int]())
	f := fx.Lift(func(_ context.Context, n int) (int, error) { return n, nil }, func(own fx.Op[int]) fx.Op[int] {
		op = own
		return func(ctx context.Context) (int, error) { return through(ctx, 99) }
	})
	v, err := f(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, 1, v)
}

func TestCompositionKeepsItsOwnSlice(t *testing.T) {
	ps := []fx.Policy[int]{func(op fx.Op[int]) fx.Op[int] { return op }}
	composed := fx.Compose(ps...)
	ps[0] = nil
	_, err := composed(fx.Value(1))(t.Context())
	assert.NoError(t, err)

	ops := []fx.Op[int]{fx.Value(1)}
	all := fx.All(ops...)
	ops[0] = nil
	_, err = all(t.Context())
	assert.NoError(t, err)
}

func TestLiftSaysWhichPolicyDropsTheContext(t *testing.T) {
	f := fx.Lift(func(_ context.Context, n int) (int, error) { return n, nil }, func(op fx.Op[int]) fx.Op[int] {
		return func(context.Context) (int, error) { return op(context.Background()) }
	})
	assert.PanicsWithValue(t, "fx: Lift: the policy did not derive the context it passes on from the one it was given",
		func() { _, _ = f(t.Context(), 1) })
}

func TestLiftStartsNoGoroutineUnderATimeout(t *testing.T) {
	inside := 0
	f := fx.Lift(func(context.Context, int) (int, error) { inside = runtime.NumGoroutine(); return 0, nil },
		func(op fx.Op[int]) fx.Op[int] { return fx.WithTimeout(op, time.Minute) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := runtime.NumGoroutine()
	_, _ = f(ctx, 1)
	assert.LessOrEqual(t, inside, before, "the standard library has to recognise the argument's context")
}

func TestAllCancelsTheRestAtTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cause := make(chan error, 1)
		_, err := fx.All(
			takes(time.Second, 0, errBoom),
			func(ctx context.Context) (int, error) {
				<-ctx.Done()
				cause <- context.Cause(ctx)
				time.Sleep(time.Second) // All waits for it all the same
				return 0, ctx.Err()
			},
		)(t.Context())
		assert.Equal(t, errBoom, err, "the cancelled op's error does not hide the first")
		assert.Equal(t, errBoom, <-cause)
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestAllKeepsTheOrderAndRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		vs, err := fx.All(takes(3*time.Second, 1, nil), takes(time.Second, 2, nil), takes(2*time.Second, 3, nil))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []int{1, 2, 3}, vs)
		assert.Equal(t, 3*time.Second, time.Since(start))
		vs, err = fx.All[int]()(t.Context())
		require.NoError(t, err)
		assert.Empty(t, vs)
	})
}

func TestAllPutsAPanicBeforeAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := fx.All(fx.Fail[int](errBoom), func(ctx context.Context) (int, error) {
			<-ctx.Done()
			panic("late")
		})
		assert.PanicsWithValue(t, "late", func() { _, _ = op(t.Context()) })
		assert.Regexp(t, `(?s)^fx: panic on a goroutine of its own panic=late stack=.*TestAllPutsAPanicBeforeAnError`, journal.take(),
			"the stack where it came from is logged")
	})
}

func TestZipFailsAsItsPartsDo(t *testing.T) {
	join := func(a, b int) (string, error) { return fmt.Sprint(a, b), nil }
	v, err := fx.Zip(fx.Value(1), fx.Value(2), join)(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "1 2", v)
	_, err = fx.Zip(hang, fx.Fail[int](errBoom), join)(t.Context())
	assert.Equal(t, errBoom, err)
	_, err = fx.Zip(fx.Value(1), fx.Value(2), func(int, int) (int, error) { return 0, errBoom })(t.Context())
	assert.Equal(t, errBoom, err)
}

func TestThenStopsBetweenTheTwo(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	first := func(context.Context) (int, error) { cancel(errCause); return 1, nil }
	_, err := fx.Then(first, func(context.Context, int) (int, error) {
		t.Error("called after the caller had left")
		return 0, nil
	})(ctx)
	assert.ErrorIs(t, err, errCause)
}

func TestTimeoutNamesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := fx.WithTimeout(hang, time.Second)(t.Context())
		assert.Equal(t, time.Second, time.Since(start))
		assert.ErrorIs(t, err, fx.ErrTimeout)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.EqualError(t, err, "fx: timeout after 1s")
		var timeout interface{ Timeout() bool }
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout())
	})
}

func TestTimeoutKeepsTheOpsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := fx.WithTimeout(func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, errBoom
		}, time.Second)(t.Context())
		assert.ErrorIs(t, err, fx.ErrTimeout)
		assert.ErrorIs(t, err, errBoom)
		assert.EqualError(t, err, "fx: timeout after 1s: boom")
		assert.True(t, fx.MayBeDone(err), "boom came too late to be trusted")
	})
}

func TestOuterDeadlineIsNotOurTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := fx.WithTimeout(hang, time.Minute)(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, fx.ErrTimeout)

		ctx2, cancel2 := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel2)
		_, err = fx.WithTimeout(hang, time.Minute)(ctx2)
		assert.Equal(t, context.Canceled, err)
	})
}

// shy is a context that does not tell its deadline, as foreign ones may not.
type shy struct{ context.Context }

func (shy) Deadline() (time.Time, bool) { return time.Time{}, false }

func TestOtherEndsAreNotOurTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := fx.WithTimeout(hang, time.Minute)(shy{ctx})
		assert.Equal(t, context.DeadlineExceeded, err, "the caller's deadline, untold")

		gone, leave := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { leave(fx.ErrTimeout) })
		_, err = fx.WithTimeout(hang, time.Minute)(gone)
		assert.Equal(t, context.Canceled, err, "a caller who left because of a timeout elsewhere")
	})
}

func TestInnerOfTwoTimeoutsReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inner error
		_, err := fx.WithTimeout(func(ctx context.Context) (int, error) {
			_, inner = fx.WithTimeout(hang, time.Hour)(ctx)
			return 0, inner
		}, time.Second)(t.Context())
		assert.ErrorIs(t, err, fx.ErrTimeout)
		assert.NotErrorIs(t, inner, fx.ErrTimeout, "the outer one ended it")
	})
}

func TestLateSuccessStaysASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, err := fx.WithTimeout(func(context.Context) (int, error) {
			time.Sleep(time.Minute) // ignores its context, so the timeout waits
			return 42, nil
		}, time.Second)(t.Context())
		assert.NoError(t, err)
		assert.Equal(t, 42, v)
	})
}

func TestTimeoutOfNothingCallsNothing(t *testing.T) {
	for _, d := range []time.Duration{0, -1, -1 << 63} {
		var calls atomic.Int64
		_, err := fx.WithTimeout(counted(&calls, fx.Value(1)), d)(t.Context())
		assert.ErrorIs(t, err, fx.ErrTimeout)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.False(t, fx.MayBeDone(err))
		assert.Zero(t, calls.Load())
	}
}

func TestHugeTimeoutIsNone(t *testing.T) {
	v, err := fx.WithTimeout(fx.Value(42), 1<<63-1)(t.Context())
	assert.NoError(t, err)
	assert.Equal(t, 42, v)
}

func TestCheckTurnsAnAnswerIntoAnError(t *testing.T) {
	v, err := fx.WithCheck(fx.Value(7), func(n int) error { return fmt.Errorf("%d is no price: %w", n, errBoom) })(t.Context())
	assert.ErrorIs(t, err, errBoom)
	assert.Zero(t, v)
}

func TestLimitRefusesWithBothErrors(t *testing.T) {
	var calls atomic.Int64
	_, err := fx.WithLimit(counted(&calls, fx.Value(1)), waiter(errBoom))(t.Context())
	assert.ErrorIs(t, err, fx.ErrLimit)
	assert.ErrorIs(t, err, errBoom)
	assert.False(t, fx.MayBeDone(err))
	assert.False(t, fx.Retryable(err))
	assert.Zero(t, calls.Load())
	assert.EqualError(t, err, "fx: not started: rate limit: boom")
}

func TestLimitEndedByTheCallerKeepsTheCause(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	w := waitFunc(func(ctx context.Context) error { cancel(errCause); return ctx.Err() })
	_, err := fx.WithLimit(fx.Value(1), w)(ctx)
	for _, want := range []error{fx.ErrLimit, context.Canceled, errCause} {
		assert.ErrorIs(t, err, want)
	}
}

type waitFunc func(context.Context) error

func (f waitFunc) Wait(ctx context.Context) error { return f(ctx) }

func TestMayBeDone(t *testing.T) {
	timeout := fmt.Errorf("pay: %w", context.DeadlineExceeded)
	refusedConn := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	reset := &url.Error{Op: "Post", Err: &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"nothing", nil, false},
		{"an answer", errBoom, false},
		{"a timeout", timeout, true},
		{"our timeout", fx.ErrTimeout, true},
		{"a cancellation", context.Canceled, true},
		{"a connection refused", refusedConn, false},
		{"a dial that timed out", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, false},
		{"a name not found", &net.DNSError{Err: "no such host", IsTimeout: true}, false},
		{"a connection reset", reset, true},
		{"a connection closed in mid-answer", io.ErrUnexpectedEOF, true},
		{"a connection closed before the answer", &url.Error{Op: "Post", Err: io.EOF}, true},
		{"a pipe broken", os.NewSyscallError("write", syscall.EPIPE), true},
		{"a network timeout", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, true},
		{"an open breaker", &fx.OpenError{}, false},
		{"a full bulkhead", fx.ErrFull, false},
		{"marked not done", fx.NotDone(timeout), false},
		{"marked unsure", fx.Unsure(errBoom), true},
		{"outermost mark wins", fx.Unsure(fx.NotDone(errBoom)), true},
		{"outermost mark wins, wrapped", fmt.Errorf("x: %w", fx.NotDone(fx.Unsure(errBoom))), false},
		{"joined, one lost", errors.Join(errBoom, timeout), true},
		{"joined, all answers", errors.Join(errBoom, errBoom), false},
		{"joined, the lost one marked", errors.Join(errBoom, fx.NotDone(timeout)), false},
		{"retried: lost, then refused", &fx.RetryError{Errs: []error{timeout, &fx.OpenError{}}}, true},
		{"retried: refused by deadline only", &fx.RetryError{Errs: []error{errBoom}, Stop: context.DeadlineExceeded}, false},
		{"an error that decides", decides(true), true},
		{"a cause that says it is a cancellation", fmt.Errorf("Post: %w", interrupted{}), true},
		{"a timeout of no parts", noParts{}, true},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.want, fx.MayBeDone(c.err), "%v", c.err) })
	}
}

// decides is an error with a word of its own, such as an HTTP 504.
type decides bool

func (d decides) Error() string   { return fmt.Sprintf("may be done: %t", bool(d)) }
func (d decides) MayBeDone() bool { return bool(d) }

// interrupted is a cause as signal.NotifyContext gives.
type interrupted struct{}

func (interrupted) Error() string        { return "interrupt signal received" }
func (interrupted) Is(target error) bool { return target == context.Canceled }

// noParts is a joined error without parts.
type noParts struct{}

func (noParts) Error() string   { return "nothing in particular" }
func (noParts) Timeout() bool   { return true }
func (noParts) Unwrap() []error { return nil }

func TestMarkedAnswerInsideATimeoutStaysCertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := fx.WithTimeout(func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, fx.NotDone(errBoom)
		}, time.Second)(t.Context())
		assert.False(t, fx.MayBeDone(err))
	})
}

func TestMarksOfNilAreNil(t *testing.T) {
	assert.NoError(t, fx.NotDone(nil))
	assert.NoError(t, fx.Unsure(nil))
	assert.NoError(t, fx.Permanent(nil))
	assert.EqualError(t, fx.NotDone(errBoom), "boom")
	assert.ErrorIs(t, fx.Unsure(errBoom), errBoom)
}

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
	_, err = fx.WithTimeout(fx.Value(1), -time.Second)(t.Context())
	assert.EqualError(t, err, "fx: timeout after -1s: not started: no time left")
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

func TestForeignRefusalsCountForNothing(t *testing.T) {
	for _, refusal := range []error{fx.ErrOpen, fx.ErrFull, fx.ErrClosed, fx.ErrLimit} {
		b := &fx.Breaker{Failures: 1}
		fail := fx.Fail[int](speaksFor{refusal})
		require.Error(t, call(b, fail))
		assert.Equal(t, fx.StateClosed, b.State(), "%v", refusal)
		assert.False(t, fx.Retryable(speaksFor{refusal}), "%v", refusal)

		require.Error(t, call(b, fx.Fail[int](errors.Join(refusal))))
		assert.Equal(t, fx.StateClosed, b.State(), "%v, joined with nothing", refusal)
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
