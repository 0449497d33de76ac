package fx_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx"
)

// A diary is what a saga did, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// step does and undoes, and writes both down. Its state is the trail of the steps done.
func (d *diary) step(name string, err error) fx.Step[string] {
	return fx.Step[string]{
		Name: name,
		Do: func(_ context.Context, s string) (string, error) {
			d.write("%s(%s)", name, s)
			return s + name, err
		},
		Undo: func(_ context.Context, s string) error {
			d.write("undo %s(%s)", name, s)
			return nil
		},
	}
}

// run makes one run and returns its error as a SagaError, nil if it succeeded.
func (d *diary) run(t *testing.T, ctx context.Context, steps ...fx.Step[string]) (string, *fx.SagaError) {
	t.Helper()
	s, err := fx.Saga("", steps)(ctx)
	if err == nil {
		return s, nil
	}
	var se *fx.SagaError
	require.ErrorAs(t, err, &se)
	return s, se
}

func TestSagaRunsItsStepsInOrder(t *testing.T) {
	var d diary
	s, err := d.run(t, t.Context(), d.step("a", nil), d.step("b", nil), d.step("c", nil))
	assert.Nil(t, err)
	assert.Equal(t, "abc", s)
	assert.Equal(t, []string{"a()", "b(a)", "c(ab)"}, d.lines)

	s, err2 := fx.Saga("as it was", []fx.Step[string]{})(t.Context())
	assert.NoError(t, err2)
	assert.Equal(t, "as it was", s)
}

func TestAnswerErrorUndoesTheStepsBefore(t *testing.T) {
	var d diary
	s, err := d.run(t, t.Context(), d.step("a", nil), d.step("b", nil), d.step("c", errBoom), d.step("d", nil))
	assert.Equal(t, []string{"a()", "b(a)", "c(ab)", "undo b(ab)", "undo a(a)"}, d.lines)
	assert.Equal(t, "ab", s)
	assert.Equal(t, &fx.SagaError{Step: "c", Err: errBoom, Undone: []string{"b", "a"}}, err)
	assert.EqualError(t, err, `fx: saga stopped at step "c": boom; undone: b, a`)
	assert.ErrorIs(t, err, errBoom)
	assert.NotErrorIs(t, err, fx.ErrNotUndone)
	assert.True(t, fx.Retryable(err))
	assert.False(t, fx.MayBeDone(err), "nothing of it remains")
}

func TestUncertainStepIsUndoneToo(t *testing.T) {
	for _, unsure := range []error{fx.ErrTimeout, context.Canceled, fx.Unsure(errBoom),
		&fx.RetryError{Errs: []error{fx.ErrTimeout, fx.ErrOpen}}} {
		var d diary
		_, err := d.run(t, t.Context(), d.step("a", nil), d.step("b", unsure))
		assert.Equal(t, []string{"a()", "b(a)", "undo b(a)", "undo a(a)"}, d.lines, "with the state that Do received")
		assert.Equal(t, []string{"b", "a"}, err.Undone)
	}
	for _, certain := range []error{fx.ErrOpen, fx.ErrFull, fx.NotDone(fx.ErrTimeout)} {
		var d diary
		_, err := d.run(t, t.Context(), d.step("a", nil), d.step("b", certain))
		assert.Equal(t, []string{"a"}, err.Undone)
	}
}

func TestStepCutOffWithACauseIsUndoneToo(t *testing.T) {
	for _, wrap := range []func(error) error{
		func(err error) error { return err },
		func(err error) error { return &url.Error{Op: "Post", URL: "/charge", Err: err} },
		func(err error) error { return &fx.RetryError{Errs: []error{errBoom, err}, Stop: err} },
	} {
		var d diary
		ctx, cancel := context.WithCancelCause(t.Context())
		b := d.step("b", nil)
		b.Do = func(ctx context.Context, s string) (string, error) {
			cancel(errCause)
			return s, wrap(context.Cause(ctx)) // as net/http does
		}
		_, err := d.run(t, ctx, d.step("a", nil), b)
		assert.Equal(t, []string{"b", "a"}, err.Undone)

		b.Do = func(_ context.Context, s string) (string, error) { return s, errBoom }
		_, err = d.run(t, t.Context(), d.step("a", nil), b)
		assert.Equal(t, []string{"a"}, err.Undone, "an answer is an answer")
	}
}

func TestFailedUndoDoesNotStopTheOthers(t *testing.T) {
	var d diary
	bad, worse, gone := d.step("bad", nil), d.step("worse", nil), d.step("gone", nil)
	bad.Undo = func(context.Context, string) error { return errCause }
	worse.Undo = func(context.Context, string) error { panic("worse") }
	gone.Undo = func(context.Context, string) error { d.write("undo gone"); return nil }
	_, err := d.run(t, t.Context(), gone, bad, worse, d.step("c", errBoom))
	assert.Equal(t, []string{"gone"}, err.Undone)
	require.Len(t, err.Failed, 2)
	assert.Equal(t, "worse", err.Failed[0].Step)
	assert.ErrorContains(t, err.Failed[0], `fx: undo of "worse": panic: worse`)
	assert.Equal(t, fx.UndoError{Step: "bad", Err: errCause}, err.Failed[1])
	assert.ErrorIs(t, err.Failed[1], errCause)
	assert.ErrorIs(t, err, fx.ErrNotUndone)
	assert.NotErrorIs(t, err, errCause, "the error of an undo is not the saga's")
	assert.Contains(t, err.Error(), "NOT undone: bad (the shopper left)")
	assert.False(t, fx.Retryable(err))
	assert.True(t, fx.MayBeDone(err))
}

func TestUndoThatExitsDoesNotStopTheOthers(t *testing.T) {
	var d diary
	exits := d.step("exits", nil)
	exits.Undo = func(context.Context, string) error { runtime.Goexit(); return nil }
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = fx.Saga("", []fx.Step[string]{d.step("a", nil), exits, d.step("c", errBoom)})(context.Background())
	})
	wg.Wait()
	assert.Equal(t, "undo a(a)", d.lines[len(d.lines)-1])
}

func TestAfterThePivotNothingIsUndone(t *testing.T) {
	var d diary
	pivot := d.step("pay", nil)
	pivot.Pivot = true
	s, err := d.run(t, t.Context(), d.step("reserve", nil), pivot, d.step("ship", fx.ErrTimeout))
	assert.Equal(t, &fx.SagaError{Step: "ship", Err: fx.ErrTimeout, Committed: true}, err)
	assert.Equal(t, "reservepay", s, "the state from which to go on")
	assert.EqualError(t, err, `fx: saga stopped at step "ship": timeout; committed: step "ship" has to be driven forward`)
	assert.False(t, fx.Retryable(err))
	assert.True(t, fx.MayBeDone(err))
	assert.NotErrorIs(t, err, fx.ErrNotUndone)
}

func TestUncertainPivotAllowsNeitherDirection(t *testing.T) {
	var d diary
	pivot := d.step("pay", fx.ErrTimeout)
	pivot.Pivot = true
	_, err := d.run(t, t.Context(), d.step("reserve", nil), pivot)
	assert.Equal(t, &fx.SagaError{Step: "pay", Err: fx.ErrTimeout, Uncertain: true}, err)
	assert.Len(t, d.lines, 2)
	assert.ErrorIs(t, err, fx.ErrNotUndone)
	assert.EqualError(t, err, `fx: saga stopped at step "pay": timeout; uncertain: step "pay" may have happened, so nothing was undone`)

	var refused diary
	pivot = refused.step("pay", errBoom)
	pivot.Pivot = true
	_, err = refused.run(t, t.Context(), refused.step("reserve", nil), pivot)
	assert.Equal(t, []string{"reserve"}, err.Undone, "a pivot that certainly did not happen is no obstacle")
}

func TestUndoRunsAlthoughTheCallerHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		type tag struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), tag{}, "kept"))
		hangs := fx.Step[string]{Name: "b", Do: func(ctx context.Context, s string) (string, error) {
			<-ctx.Done()
			return s, ctx.Err()
		}}
		a := d.step("a", nil)
		a.UndoLimit = time.Minute
		a.Undo = func(ctx context.Context, _ string) error {
			assert.NoError(t, ctx.Err())
			assert.Equal(t, "kept", ctx.Value(tag{}))
			at, ok := ctx.Deadline()
			assert.True(t, ok)
			assert.Equal(t, time.Minute, time.Until(at))
			return nil
		}
		time.AfterFunc(time.Second, cancel)
		_, err := d.run(t, ctx, a, hangs)
		assert.Equal(t, []string{"a"}, err.Undone)
		assert.ErrorIs(t, err, context.Canceled)
	})
}

func TestUndoHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		hangs := d.step("hangs", nil)
		hangs.Undo = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		start := time.Now()
		_, err := d.run(t, t.Context(), d.step("a", nil), hangs, d.step("c", errBoom))
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.Equal(t, []string{"a"}, err.Undone)
		assert.ErrorIs(t, err.Failed[0], fx.ErrTimeout)
	})
}

func TestStepNotBegunIsNamed(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancelCause(t.Context())
	last := d.step("b", nil)
	last.Do = func(_ context.Context, s string) (string, error) { cancel(errCause); return s + "b", nil }
	_, err := d.run(t, ctx, d.step("a", nil), last, d.step("c", nil))
	assert.Equal(t, "c", err.Step)
	assert.Equal(t, []string{"b", "a"}, err.Undone, "c itself was never begun")
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, errCause)

	s, err2 := fx.Saga("", []fx.Step[string]{d.step("a", nil), last})(ctx)
	assert.Error(t, err2, "a context that has ended starts nothing")
	assert.Empty(t, s)
	fresh, cancel := context.WithCancelCause(t.Context())
	last.Do = func(_ context.Context, s string) (string, error) { cancel(errCause); return s + "b", nil }
	s, err2 = fx.Saga("", []fx.Step[string]{d.step("a", nil), last})(fresh)
	assert.NoError(t, err2, "after the last step it no longer matters")
	assert.Equal(t, "ab", s)
}

func TestPanicInDoIsUndoneAndContinues(t *testing.T) {
	var d diary
	bad := d.step("bad", nil)
	bad.Do = func(context.Context, string) (string, error) { panic("bad") }
	assert.PanicsWithValue(t, "bad", func() {
		_, _ = fx.Saga("", []fx.Step[string]{d.step("a", nil), bad})(t.Context())
	})
	assert.Equal(t, []string{"a()", "undo bad(a)", "undo a(a)"}, d.lines)
	assert.Contains(t, journal.take(), `saga stopped at step "bad": the call did not return (panic or Goexit); undone: bad, a`,
		"nobody else can give an account")

	d.lines = nil
	bad.Do = func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil }
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = fx.Saga("", []fx.Step[string]{d.step("a", nil), bad})(context.Background()) })
	wg.Wait()
	assert.Equal(t, []string{"a()", "undo bad(a)", "undo a(a)"}, d.lines)

	d.lines = nil
	pivot := d.step("pivot", nil)
	pivot.Do, pivot.Pivot = func(context.Context, string) (string, error) { panic("bad") }, true
	assert.Panics(t, func() { _, _ = fx.Saga("", []fx.Step[string]{d.step("a", nil), pivot})(t.Context()) })
	assert.Equal(t, []string{"a()"}, d.lines, "an uncertain pivot, even so")
}

func TestUndoNeverOvertakesItsDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		slow := fx.Lift(func(context.Context, string) (string, error) { // ignores its context
			time.Sleep(3 * time.Second)
			d.write("charged")
			return "receipt", nil
		}, func(op fx.Op[string]) fx.Op[string] { return fx.WithTimeout(fx.Detached(op), time.Second) })
		start := time.Now()
		_, err := d.run(t, t.Context(), d.step("a", nil), fx.Step[string]{Name: "charge", Do: slow, Undo: d.step("charge", nil).Undo})
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Equal(t, []string{"a()", "charged", "undo charge(receipt)", "undo a(a)"}, d.lines,
			"the late success gives its undo the returned state")
		assert.ErrorIs(t, err, fx.ErrTimeout)
	})
}

func TestUndoWaitsForTheLosersOfAHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		var n atomic.Int64
		book := fx.Lift(func(context.Context, string) (string, error) {
			if n.Add(1) == 1 { // the first copy is slow and ignores its context
				time.Sleep(10 * time.Second)
				d.write("booked late")
			}
			return "booked", nil
		}, func(op fx.Op[string]) fx.Op[string] { return fx.WithHedge(op, &fx.Hedge{After: time.Second}) })
		start := time.Now()
		_, err := d.run(t, t.Context(), fx.Step[string]{Name: "book", Do: book, Undo: d.step("book", nil).Undo}, d.step("b", errBoom))
		assert.Equal(t, []string{"b(booked)", "booked late", "undo book(booked)"}, d.lines)
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.Equal(t, []string{"book"}, err.Undone)
	})
}

func TestLateSuccessOfAStepThatAnsweredAnErrorIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		late := func(ctx context.Context, s string) (string, error) {
			book := fx.Bind(func(context.Context, string) (string, error) { time.Sleep(10 * time.Second); return "booked", nil }, s)
			_, _ = fx.WithTimeout(fx.Detached(book), time.Second)(ctx)
			return s, errBoom // whatever was wrong: an answer, which did nothing by itself
		}
		_, err := d.run(t, t.Context(), fx.Step[string]{Name: "book", Do: late, Undo: d.step("book", nil).Undo})
		assert.Equal(t, []string{"undo book(booked)"}, d.lines)
		assert.Equal(t, []string{"book"}, err.Undone)
	})
}

func TestJudgementWaitsForAllThatAStepLeftRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		leaves := func(after time.Duration, err error) fx.Op[int] {
			return fx.WithTimeout(fx.Detached(deaf(after, 0, err)), time.Second)
		}
		both := func(ctx context.Context, s string) (string, error) {
			_, _ = fx.All(leaves(5*time.Second, errCause), leaves(10*time.Second, nil))(ctx)
			return s, errBoom // an answer; but the second call will have done something
		}
		start := time.Now()
		_, err := d.run(t, t.Context(), fx.Step[string]{Name: "book", Do: both, Undo: func(context.Context, string) error {
			d.write("undo after %v", time.Since(start))
			return nil
		}})
		assert.Equal(t, []string{"undo after 10s"}, d.lines)
		assert.Equal(t, []string{"book"}, err.Undone)
	})
}

func TestUndoOfAnOuterSagaWaitsForAnInnerStepsLosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		book := fx.WithHedge(each(deaf(10*time.Second, 1, nil), fx.Value(2)), after1s())
		inner := []fx.Step[string]{{Name: "book", Do: func(ctx context.Context, s string) (string, error) { _, err := book(ctx); return s, err }}}
		start := time.Now()
		_, err := d.run(t, t.Context(), fx.Step[string]{
			Name: "trip",
			Do:   func(ctx context.Context, s string) (string, error) { return fx.Saga(s, inner)(ctx) },
			Undo: func(context.Context, string) error { d.write("undo after %v", time.Since(start)); return nil },
		}, d.step("b", errBoom))
		assert.Equal(t, []string{"b()", "undo after 10s"}, d.lines)
		assert.Equal(t, []string{"trip"}, err.Undone)
	})
}

func TestWaitForTheDoIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		release := make(chan struct{})
		step := d.step("stuck", nil)
		step.UndoLimit = time.Minute
		step.Do = fx.Lift(func(context.Context, string) (string, error) { <-release; return "", nil },
			func(op fx.Op[string]) fx.Op[string] { return fx.WithTimeout(fx.Detached(op), time.Second) })
		start := time.Now()
		_, err := d.run(t, t.Context(), step)
		assert.Equal(t, 2*time.Minute+time.Second, time.Since(start), "before the judgement and before the undo")
		assert.Equal(t, []string{"stuck"}, err.Undone)
		close(release)
	})
}

func TestStepKeys(t *testing.T) {
	var keys []string
	note := func(ctx context.Context) { keys = append(keys, fx.StepKey(ctx)) }
	inner := []fx.Step[int]{{Name: "debit", Do: func(ctx context.Context, n int) (int, error) { note(ctx); return n, nil }}}
	tries := 0
	steps := []fx.Step[int]{
		{Name: "reserve", Do: func(ctx context.Context, n int) (int, error) {
			return fx.WithRetry(func(ctx context.Context) (int, error) {
				note(ctx)
				if tries++; tries == 1 {
					return 0, errBoom
				}
				return n, nil
			}, fx.Retry{Backoff: fx.Constant(0)})(ctx)
		}, Undo: func(ctx context.Context, _ int) error { note(ctx); return nil }},
		{Name: "charge", Do: func(ctx context.Context, n int) (int, error) { return fx.Saga(n, inner)(ctx) }},
		{Name: "ship", Do: func(ctx context.Context, n int) (int, error) { note(ctx); return n, errBoom }},
	}
	_, err := fx.Saga(1, steps)(fx.WithSagaID(t.Context(), "order-7"))
	require.Error(t, err)
	assert.Equal(t, []string{"order-7/reserve", "order-7/reserve", "order-7/charge/debit", "order-7/ship", "order-7/reserve/undo"}, keys)

	assert.Empty(t, fx.StepKey(t.Context()))
	assert.Empty(t, fx.StepKey(fx.WithSagaID(t.Context(), "order-7")), "an id is no step yet")
	keys = nil
	for range 2 {
		_, _ = fx.Saga(1, inner)(t.Context())
	}
	assert.NotEqual(t, keys[0], keys[1], "a random id for each run")
	assert.True(t, strings.HasSuffix(keys[0], "/debit"))
}

func TestBadSagasPanicWhenBuilt(t *testing.T) {
	do := func(_ context.Context, n int) (int, error) { return n, nil }
	for name, steps := range map[string][]fx.Step[int]{
		"no name":    {{Do: do}},
		"no Do":      {{Name: "a"}},
		"same name":  {{Name: "a", Do: do}, {Name: "a", Do: do}},
		"two pivots": {{Name: "a", Do: do, Pivot: true}, {Name: "b", Do: do, Pivot: true}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() { assert.Regexp(t, `^fx: Saga: .*write`, fmt.Sprint(recover())) }()
			fx.Saga(1, steps)
			t.Error("no panic")
		})
	}
	steps := []fx.Step[int]{{Name: "a", Do: do}}
	saga := fx.Saga(1, steps)
	steps[0].Do = nil
	_, err := saga(t.Context())
	assert.NoError(t, err, "the slice is copied")
}

func TestOneSliceServesManyRunsAtOnce(t *testing.T) {
	type account struct{ id, sum int }
	undone := make([]int, 100)
	steps := []fx.Step[account]{
		{Name: "a", Do: func(_ context.Context, a account) (account, error) { a.sum += a.id; return a, nil },
			Undo: func(_ context.Context, a account) error { undone[a.id] += a.sum; return nil }},
		{Name: "b", Do: func(_ context.Context, a account) (account, error) { runtime.Gosched(); return a, errBoom }},
	}
	var wg sync.WaitGroup
	for id := range 100 {
		wg.Go(func() { _, _ = fx.Saga(account{id: id}, steps)(context.Background()) })
	}
	wg.Wait()
	for id, sum := range undone {
		assert.Equal(t, id, sum)
	}
}

func TestPatientUndoOutlastsAnOpenBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		payments := &fx.Breaker{Name: "payments", Failures: 3, Cooldown: 5 * time.Second}
		var well atomic.Bool
		guarded := func(op fx.Op[string]) fx.Op[string] {
			op = fx.WithTimeout(op, time.Second)
			op = fx.WithBreaker(op, payments)
			return fx.WithRetry(op, fx.Retry{Attempts: 5, Backoff: fx.Constant(0)})
		}
		patient := func(op fx.Op[struct{}]) fx.Op[struct{}] {
			op = fx.WithBreaker(fx.WithTimeout(op, 5*time.Second), payments)
			return fx.WithRetry(op, fx.Retry{Attempts: 10, If: func(error) bool { return true }})
		}
		charge := func(ctx context.Context, order string) (string, error) {
			if !well.Load() {
				<-ctx.Done()
				return order, ctx.Err()
			}
			return order, nil
		}
		refunded := ""
		refund := func(_ context.Context, order string) error { refunded = order; return nil }
		time.AfterFunc(6*time.Second, func() { well.Store(true) })
		_, err := fx.Saga("order 7", []fx.Step[string]{
			{Name: "charge", Do: fx.Lift(charge, guarded), Undo: fx.LiftVoid(refund, patient)},
		})(t.Context())
		var se *fx.SagaError
		require.ErrorAs(t, err, &se)
		assert.Equal(t, []string{"charge"}, se.Undone, "the refund happened although the breaker was open")
		assert.Equal(t, "order 7", refunded)
	})
}

// undoesExactlyWhatWasDone runs random sagas and compares what was undone with the rule.
func undoesExactlyWhatWasDone(rt *rapid.T) {
	type state struct{ trail string }
	n := rapid.IntRange(0, 12).Draw(rt, "steps")
	pivot := rapid.IntRange(-1, 20).Draw(rt, "pivot")
	cancelAt := rapid.IntRange(-1, 15).Draw(rt, "cancelled in step")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	type undone struct{ name, trail string }
	var got, want, done []undone
	trail, stopped, passed := "", false, false
	steps := make([]fx.Step[state], n)
	for i := range steps {
		name := string(rune('a' + i))
		ends := rapid.SampledFrom([]string{"ok", "ok", "ok", "ok", "answer", "unsure", "panic", "late"}).Draw(rt, "Do "+name)
		undoes := rapid.SampledFrom([]string{"ok", "ok", "error", "panic", "nil"}).Draw(rt, "Undo "+name)
		steps[i] = fx.Step[state]{Name: name, Pivot: i == pivot}
		steps[i].Do = func(ctx context.Context, s state) (state, error) {
			if i == cancelAt {
				cancel()
			}
			next := state{s.trail + name}
			switch ends {
			case "answer":
				return next, errBoom
			case "unsure":
				return next, fx.Unsure(errBoom)
			case "panic":
				panic("bad")
			case "late":
				late := func(context.Context) (state, error) { time.Sleep(time.Second); return next, nil }
				own, giveUp := context.WithTimeout(ctx, time.Millisecond)
				defer giveUp()
				_, err := fx.Detached(late)(own)
				return s, err
			}
			return next, nil
		}
		if undoes != "nil" {
			steps[i].Undo = func(ctx context.Context, s state) error {
				assert.NoError(rt, ctx.Err())
				got = append(got, undone{name, s.trail})
				switch undoes {
				case "error":
					return errCause
				case "panic":
					panic("undo")
				}
				return nil
			}
		}
		// the rule, step by step
		if stopped {
			continue
		}
		if cancelAt >= 0 && i > cancelAt {
			stopped = true // not begun
			continue
		}
		before := trail
		switch ends {
		case "ok":
			trail += name
			done = append(done, undone{name, trail})
			passed = passed || i == pivot
			continue
		case "unsure", "panic":
			want = append(want, undone{name, before})
		case "late":
			want = append(want, undone{name, before + name})
			if cancelAt == i { // a dead context starts nothing, so it is certain
				want = nil
			}
		}
		stopped = true
		if i == pivot && len(want) > 0 {
			passed = true // uncertain: nothing is undone either
		}
	}
	slices.Reverse(done)
	want = append(want, done...)
	if passed || !stopped {
		want = nil
	}
	want = slices.DeleteFunc(want, func(u undone) bool { return steps[u.name[0]-'a'].Undo == nil })

	panicked := func() (p any) {
		defer func() { p = recover() }()
		s, err := fx.Saga(state{}, steps)(ctx)
		assert.Equal(rt, stopped, err != nil)
		assert.Equal(rt, trail, s.trail)
		return nil
	}()
	assert.Contains(rt, []any{nil, "bad"}, panicked)
	assert.Equal(rt, fmt.Sprint(want), fmt.Sprint(got))
}

func TestSagaUndoesExactlyWhatWasDone(t *testing.T) { property(t, undoesExactlyWhatWasDone) }

func FuzzSagaUndoesExactlyWhatWasDone(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(bubbled(undoesExactlyWhatWasDone)))
}

func TestSagaErrorsReadWell(t *testing.T) {
	assert.EqualError(t, &fx.SagaError{Step: "ship", Err: errors.New("no van")}, `fx: saga stopped at step "ship": no van`)
	undone := &fx.SagaError{Step: "ship", Err: errors.New("no van"), Undone: []string{"pay"}}
	assert.EqualError(t, undone, `fx: saga stopped at step "ship": no van; undone: pay`)
	assert.NotErrorIs(t, undone, fx.ErrNotUndone)
	assert.False(t, fx.MayBeDone(undone))
	stuck := &fx.SagaError{Step: "ship", Err: errors.New("no van"), Failed: []fx.UndoError{{Step: "pay", Err: errBoom}}}
	assert.EqualError(t, stuck, `fx: saga stopped at step "ship": no van; NOT undone: pay (boom)`)
	assert.ErrorIs(t, stuck, fx.ErrNotUndone)
	assert.True(t, fx.MayBeDone(stuck))
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
