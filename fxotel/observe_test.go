package fxotel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"example.com/fx"
	"example.com/fx/fxotel"
	"example.com/fx/fxtest"
)

func TestObserveKeepsTheLaws(t *testing.T) {
	nowhere := &fxotel.Telemetry{}
	fxtest.Check(t, func(op fx.Op[int]) fx.Op[int] { return fxotel.Observe(op, "users", newLab().Telemetry) })
	fxtest.Check(t, func(op fx.Op[int]) fx.Op[int] { return fxotel.Observe(op, "users", nowhere) })
}

func TestObservedRetryKeepsTheLaws(t *testing.T) {
	fxtest.Check(t, func(op fx.Op[int]) fx.Op[int] {
		l := newLab()
		op = fxotel.Observe(op, "users/attempt", l.Telemetry)
		op = fx.WithRetry(op, fx.Retry{})
		return fxotel.Observe(op, "users", l.Telemetry)
	}, fxtest.Calls(3, "the retry makes three attempts"), fxtest.Waits("between them"))
}

func TestObservedHedgeKeepsTheLaws(t *testing.T) {
	fxtest.Check(t, func(op fx.Op[int]) fx.Op[int] {
		l := newLab()
		op = fxotel.Observe(op, "users/copy", l.Telemetry)
		op = fx.WithHedge(op, &fx.Hedge{After: time.Second})
		return fxotel.Observe(op, "users", l.Telemetry)
	}, fxtest.Calls(2, "the hedge makes a copy"), fxtest.Cuts("the loser is cancelled"), fxtest.Leaves("the loser runs on"),
		fxtest.Waits("before it"), fxtest.Prompt("a hedge leaves with its caller"), fxtest.Adapts("the hedge has a budget"))
}

// --- the tree of spans ---

// stack is the usual one around op.
func stack(l *lab, op fx.Op[int], b *fx.Breaker, seats *fx.Bulkhead) fx.Op[int] {
	op = fx.WithTimeout(op, 5*time.Second)
	op = fxotel.Observe(op, "users/attempt", l.Telemetry)
	op = fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(2 * time.Second)})
	op = fx.WithBreaker(op, b)
	op = fx.WithBulkhead(op, seats)
	op = fx.WithTimeout(op, 13*time.Second)
	return fxotel.Observe(op, "users", l.Telemetry)
}

// golden compares a text with what it should be, which begins on a line of its own.
func golden(t testing.TB, want, got string) {
	t.Helper()
	assert.Equal(t, want, "\n"+got)
}

func TestRetriesAreChildrenEachLinkedToTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		op := turns(takes(time.Second, fx.Fail[int](errBoom)), hang, takes(time.Second, fx.Value(7)))
		v, err := stack(l, op, &fx.Breaker{}, &fx.Bulkhead{})(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 7, v)
		assert.Contains(t, readme(t), "```\n"+l.tree()+"```")
		golden(t, `
users 0s+11s fx.outcome=success
  users/attempt#1 0s+1s error.type=failure fx.outcome=failure Error "boom"
  users/attempt#2 3s+5s error.type=timeout fx.outcome=timeout Error "fx: timeout after 5s" -> users/attempt#1
  users/attempt#3 10s+1s fx.outcome=success -> users/attempt#2
`, l.tree())
		golden(t, `
fx.call.duration error.type=failure fx.call=users fx.outcome=failure fx.point=attempt 1 calls 1s
fx.call.duration error.type=timeout fx.call=users fx.outcome=timeout fx.point=attempt 1 calls 5s
fx.call.duration fx.call=users fx.outcome=success fx.point=attempt 1 calls 1s
fx.call.duration fx.call=users fx.outcome=success fx.point=call 1 calls 11s
`, l.metrics(t, "fx.call"))
	})
}

func TestFailedStackShowsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		b, seats := &fx.Breaker{Name: "users", Failures: 1}, &fx.Bulkhead{Name: "users", Limit: 1}
		op := stack(l, turns(takes(4*time.Second, fx.Fail[int](errBoom)), hang), b, seats)
		go func() { time.Sleep(time.Second); _, _ = op(t.Context()) }() // finds the bulkhead full
		_, err := op(t.Context())
		require.ErrorIs(t, err, errBoom)
		time.Sleep(time.Second)
		_, err = op(t.Context())
		require.ErrorIs(t, err, fx.ErrOpen)
		golden(t, `
users 0s+11s error.type=failure fx.outcome=failure Error "fx: gave up after 2 attempts (a wait of 2s would outlast the deadline): timeout after 5s"
  users/attempt#1 0s+4s error.type=failure fx.outcome=failure Error "boom"
  users/attempt#2 6s+5s error.type=timeout fx.outcome=timeout Error "fx: timeout after 5s" -> users/attempt#1
users 1s+0s error.type=full fx.outcome=full Error "fx: bulkhead \"users\" is full"
users 12s+0s error.type=open fx.outcome=open Error "fx: circuit breaker \"users\" is open until 00:00:21.000"
`, l.tree())
	})
}

func TestCallerWhoLeavesIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, leave)
		_, err := stack(l, hang, &fx.Breaker{}, &fx.Bulkhead{})(ctx)
		require.ErrorIs(t, err, context.Canceled)
		golden(t, `
users 0s+3s fx.outcome=canceled
  users/attempt#1 0s+3s fx.outcome=canceled
`, l.tree())
	})
}

func TestHedgesAreLinkedToTheCopyThatStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		op := turns(hang, takes(9*time.Second, fx.Fail[int](errBoom)), takes(3*time.Second, fx.Value(7)))
		op = fxotel.Observe(op, "users/copy", l.Telemetry)
		op = fx.WithHedge(op, &fx.Hedge{After: time.Second, Max: 2})
		op = fxotel.Observe(op, "users", l.Telemetry)
		_, err := op(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		time.Sleep(10 * time.Second) // the second copy ignores its context
		golden(t, `
users 0s+5s fx.outcome=success
  users/copy#1 0s+5s fx.outcome=canceled
  users/copy#2 1s+9s fx.hedge=true fx.outcome=canceled -> users/copy#1
  users/copy#3 2s+3s fx.hedge=true fx.outcome=success -> users/copy#2
`, l.tree())
	})
}

func TestHedgeAfterAFailedCopyIsLinkedToTheOneThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		op := turns(takes(4*time.Second, fx.Value(7)), takes(time.Millisecond, fx.Fail[int](errBoom)), hang)
		op = fxotel.Observe(op, "users/copy", l.Telemetry)
		op = fx.WithHedge(op, &fx.Hedge{After: time.Second, Max: 2})
		op = fxotel.Observe(op, "users", l.Telemetry)
		_, err := op(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		golden(t, `
users 0s+4s fx.outcome=success
  users/copy#1 0s+4s fx.outcome=success
  users/copy#2 1s+1ms error.type=failure fx.hedge=true fx.outcome=failure Error "boom" -> users/copy#1
  users/copy#3 2s+2s fx.hedge=true fx.outcome=canceled -> users/copy#1
`, l.tree())
	})
}

func TestRetriesOfHedgesAreATreeOfThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		op := turns(takes(2*time.Second, fx.Fail[int](errBoom)), takes(2*time.Second, fx.Fail[int](errBoom)), takes(time.Second/2, fx.Value(7)))
		op = fxotel.Observe(op, "users/copy", l.Telemetry)
		op = fx.WithHedge(op, &fx.Hedge{After: time.Second})
		op = fxotel.Observe(op, "users/attempt", l.Telemetry)
		op = fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(time.Second)})
		op = fxotel.Observe(op, "users", l.Telemetry)
		_, err := op(t.Context())
		require.NoError(t, err)
		golden(t, `
users 0s+4.5s fx.outcome=success
  users/attempt#1 0s+3s error.type=failure fx.outcome=failure Error "fx: all 2 copies failed: boom; boom"
    users/copy#1 0s+2s error.type=failure fx.outcome=failure Error "boom"
    users/copy#2 1s+2s error.type=failure fx.hedge=true fx.outcome=failure Error "boom" -> users/copy#1
  users/attempt#2 4s+500ms fx.outcome=success -> users/attempt#1
    users/copy#1 4s+500ms fx.outcome=success
`, l.tree())
	})
}

func TestEachCallAndPointCountsItsOwnAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		observed := func(op fx.Op[int], name string) fx.Op[int] {
			return fxotel.Observe(takes(time.Second, op), name, l.Telemetry)
		}
		retried := func(op fx.Op[int]) fx.Op[int] {
			return fx.WithRetry(op, fx.Retry{Attempts: 2, Backoff: fx.Constant(time.Second)})
		}
		primary := retried(observed(fx.Fail[int](errBoom), "users/primary"))
		replica := retried(observed(turns(fx.Fail[int](errBoom), fx.Value(7)), "users/replica"))
		users := fxotel.Observe(fx.WithFallback(primary, replica), "users", l.Telemetry)
		page := fxotel.Observe(fx.Then(users, func(ctx context.Context, _ int) (int, error) {
			return observed(fx.Value(8), "stock/attempt")(ctx) // inside no call of its own
		}), "page", l.Telemetry)
		_, err := page(t.Context())
		require.NoError(t, err)
		golden(t, `
page 0s+7s fx.outcome=success
  users 0s+6s fx.outcome=success
    users/primary#1 0s+1s error.type=failure fx.outcome=failure Error "boom"
    users/primary#2 2s+1s error.type=failure fx.outcome=failure Error "boom" -> users/primary#1
    users/replica#1 3s+1s error.type=failure fx.outcome=failure Error "boom"
    users/replica#2 5s+1s fx.outcome=success -> users/replica#1
  stock/attempt 6s+1s fx.outcome=success
`, l.tree())
	})
}

func TestCopiesThatStartAtOnceAreLinkedAllTheSame(t *testing.T) {
	for range 200 {
		l := newLab()
		var all sync.WaitGroup // so that each still runs when the next one starts
		all.Add(4)
		op := fx.Op[int](func(context.Context) (int, error) { all.Done(); all.Wait(); return 1, nil })
		op = fxotel.Observe(op, "users/copy", l.Telemetry)
		op = fx.WithHedge(op, &fx.Hedge{After: -1, Max: 3})
		op = fxotel.Observe(op, "users", l.Telemetry)
		_, err := op(t.Context())
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(l.spans.GetSpans()) == 5 }, 10*time.Second, time.Millisecond)
		links, hedges := 0, strings.Count(l.tree(), "fx.hedge=true")
		for _, s := range l.spans.GetSpans() {
			links += len(s.Links)
		}
		assert.Equal(t, 3, links, l.tree())
		assert.Equal(t, 3, hedges, l.tree())
	}
}

func TestCallInsideACallOfItsNameIsNoAttempt(t *testing.T) {
	l := newLab()
	op := fxotel.Observe(fx.Value(7), "users", l.Telemetry)
	op = fx.WithRetry(op, fx.Retry{})
	_, err := fxotel.Observe(op, "users", l.Telemetry)(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, l.tree(), "#")
}

func TestSamplersSeeNumbersAndLinks(t *testing.T) {
	l, seen := newLab(), []string{}
	sampler := samplerFunc(func(p sdktrace.SamplingParameters) {
		seen = append(seen, fmt.Sprintf("%s%s, %d links", p.Name, spelled(p.Attributes), len(p.Links)))
	})
	l.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler))
	op := fxotel.Observe(fx.Fail[int](errBoom), "users/attempt", l.Telemetry)
	op = fx.WithRetry(op, fx.Retry{Attempts: 2, Backoff: fx.Constant(0)})
	_, _ = fxotel.Observe(op, "users", l.Telemetry)(t.Context())
	assert.Equal(t, []string{
		"users fx.call=users fx.point=call, 0 links",
		"users/attempt fx.attempt=1 fx.call=users fx.point=attempt, 0 links",
		"users/attempt fx.attempt=2 fx.call=users fx.point=attempt, 1 links",
	}, seen)
}

type samplerFunc func(sdktrace.SamplingParameters)

func (f samplerFunc) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	f(p)
	return sdktrace.AlwaysSample().ShouldSample(p)
}

func (samplerFunc) Description() string { return "looks on" }

// --- outcomes ---

func TestEveryOutcomeIsTold(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	full := &fx.Bulkhead{Limit: 1}
	require.NoError(t, full.Acquire(t.Context()))
	closed := &fx.Bulkhead{}
	require.NoError(t, closed.Close(t.Context()))
	open := &fx.Breaker{}
	open.Force(fx.StateOpen)
	fails, again := fx.Fail[int](errBoom), fx.Retry{Backoff: fx.Constant(0)}
	stubborn := fx.Retry{Backoff: fx.Constant(0), If: func(error) bool { return true }}
	for _, c := range []struct {
		outcome string
		op      fx.Op[int]
		ctx     context.Context
	}{
		{"success", fx.Value(7), t.Context()},
		{"success", fx.Value(7), gone},
		{"failure", fails, t.Context()},
		{"failure", fx.Fail[int](context.Canceled), t.Context()},
		{"failure", fx.WithRetry(fails, again), t.Context()},
		{"failure", fx.WithRetry(turns(fails, fx.WithBreaker(fails, open)), again), t.Context()},
		{"failure", fx.WithRetry(fx.WithRetry(turns(fails, fx.WithBulkhead(fails, full)), again), stubborn), t.Context()},
		{"timeout", fx.WithRetry(turns(fx.Fail[int](fx.ErrTimeout), fails), again), t.Context()},
		{"timeout", fx.WithTimeout(hang, time.Nanosecond), t.Context()},
		{"timeout", hang, late},
		{"timeout", fx.Fail[int](fmt.Errorf("users: %w", context.DeadlineExceeded)), t.Context()},
		{"canceled", hang, gone},
		{"canceled", fails, gone},
		{"open", fx.WithBreaker(fails, open), t.Context()},
		{"full", fx.WithBulkhead(fails, full), t.Context()},
		{"closed", fx.WithBulkhead(fails, closed), t.Context()},
		{"limited", fx.WithLimit(fails, never{}), t.Context()},
		{"panic", panics, t.Context()},
		{"panic", exits, t.Context()},
	} {
		l := newLab()
		op := fxotel.Observe(c.op, "users", l.Telemetry)
		apart(func() { _, _ = op(c.ctx) })
		span := l.spans.GetSpans()[0]
		failed := c.outcome != "success" && c.outcome != "canceled"
		want := "fx.call=users fx.outcome=" + c.outcome + " fx.point=call"
		if failed {
			want = "error.type=" + c.outcome + " " + want
		}
		assert.Equal(t, " "+want, spelled(span.Attributes))
		assert.Equal(t, failed, span.Status.Code == codes.Error, c.outcome)
		assert.Contains(t, l.metrics(t, "fx.call.duration"), "fx.call.duration "+want+" 1 calls")
		assert.Equal(t, 1, strings.Count(l.metrics(t, ""), "\n"), "and nothing else")
	}
}

func TestPanicEndsItsSpansAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		op := stack(l, takes(time.Second, panics), &fx.Breaker{}, &fx.Bulkhead{})
		assert.Equal(t, "bad", apart(func() { _, _ = op(t.Context()) }))
		op = stack(l, takes(time.Second, exits), &fx.Breaker{}, &fx.Bulkhead{})
		assert.Nil(t, apart(func() { _, _ = op(t.Context()) }))
		golden(t, `
users 0s+1s error.type=panic fx.outcome=panic Error "fx: the call did not return (panic or Goexit)"
  users/attempt#1 0s+1s error.type=panic fx.outcome=panic Error "fx: the call did not return (panic or Goexit)"
users 1s+1s error.type=panic fx.outcome=panic Error "fx: the call did not return (panic or Goexit)"
  users/attempt#1 1s+1s error.type=panic fx.outcome=panic Error "fx: the call did not return (panic or Goexit)"
`, l.tree())
	})
}

func TestDegradedAnswersTellTheirAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := newLab(), &fx.Cache[string, int]{Fresh: time.Hour}
		_, _ = fx.Remember(fx.Value(7), c, "a")(t.Context())
		time.Sleep(time.Minute)
		for _, op := range []fx.Op[fx.Result[int]]{
			fx.WithDegraded(fx.Value(8)),
			fx.WithDegraded(fx.Fail[int](errBoom), c.Recall("a")),
			fx.WithDegraded(fx.Fail[int](errBoom), fx.Value(9)),
			fx.WithCache(fx.Fail[int](errBoom), c, "a"),
			fx.WithDegraded(fx.Fail[int](errBoom)),
		} {
			_, _ = fxotel.Observe(op, "price", l.Telemetry)(t.Context())
			time.Sleep(time.Second)
		}
		golden(t, `
price 0s+0s fx.outcome=success
price 1s+0s fx.age=61 fx.degraded=true fx.outcome=degraded
price 2s+0s fx.degraded=true fx.outcome=degraded
price 3s+0s fx.age=63 fx.outcome=success
price 4s+0s error.type=failure fx.outcome=failure Error "boom"
`, l.tree())
		golden(t, `
fx.call.duration error.type=failure fx.call=price fx.outcome=failure fx.point=call 1 calls 0s
fx.call.duration fx.call=price fx.outcome=degraded fx.point=call 2 calls 0s
fx.call.duration fx.call=price fx.outcome=success fx.point=call 2 calls 0s
fx.degraded.age fx.call=price fx.point=call 2 calls 61s
`, l.metrics(t, ""))
	})
}

func TestErrorsOfAnyTextAreTold(t *testing.T) {
	for _, c := range []struct {
		err  error
		text string
	}{
		{errors.New("caf\xe9"), "caf\uFFFD"},
		{errors.New(strings.Repeat("x", 100_000)), strings.Repeat("x", 1000) + "…"},
		{errors.New(strings.Repeat("é", 1000)), strings.Repeat("é", 500) + "…"},
		{badError{}, "%!v(PANIC=Error method: no text)"},
	} {
		l := newLab()
		_, err := fxotel.Observe(fx.Fail[int](c.err), "users", l.Telemetry)(t.Context())
		assert.Equal(t, c.err, err)
		assert.Equal(t, c.text, l.spans.GetSpans()[0].Status.Description)
	}
}

type badError struct{}

func (badError) Error() string { panic("no text") }

// --- names ---

func TestOpsOfOneNameShareTheirSeries(t *testing.T) {
	l := newLab()
	for _, name := range []string{"users", "users/", "users/call"} {
		_, _ = fxotel.Observe(fx.Value(name), name, l.Telemetry)(t.Context())
	}
	_, _ = fxotel.Observe(fx.Value(1), "users/attempt/eu", l.Telemetry)(t.Context())
	for _, s := range l.spans.GetSpans()[:2] {
		assert.Equal(t, "users", s.Name)
	}
	metrics := l.metrics(t, "fx.call.duration")
	assert.Contains(t, metrics, "fx.call=users fx.outcome=success fx.point=call 3 calls")
	assert.Contains(t, metrics, "fx.call=users fx.outcome=success fx.point=attempt/eu 1 calls")
}

func TestNamesMadeFromIdsAreBounded(t *testing.T) {
	l := newLab()
	for id := range 1500 {
		_, _ = fxotel.Observe(fx.Value(1), fmt.Sprintf("user-%d", id), l.Telemetry)(t.Context())
	}
	_, _ = fxotel.Observe(fx.Value(1), "user-7", l.Telemetry)(t.Context())
	metrics := l.metrics(t, "fx.call.duration")
	assert.Equal(t, 1001, strings.Count(metrics, "\n"))
	assert.Contains(t, metrics, "fx.call=other fx.outcome=success fx.point=call 500 calls")
	assert.Contains(t, metrics, "fx.call=user-999 fx.outcome=success fx.point=call 1 calls")
	assert.Contains(t, metrics, "fx.call=user-7 fx.outcome=success fx.point=call 2 calls")
}

func TestOpsMadeAtOnceShareTheirPoint(t *testing.T) {
	l := newLab()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for id := range 50 {
				_, _ = fxotel.Observe(fx.Value(1), fmt.Sprintf("dependency-%d", id), l.Telemetry)(t.Context())
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 50, strings.Count(l.metrics(t, "fx.call.duration"), " 8 calls"))
}

func TestMisuseOfObservePanics(t *testing.T) {
	const message = `fxotel: Observe needs an op and a name, as in fxotel.Observe(op, "users") or "users/attempt"`
	assert.PanicsWithValue(t, message, func() { fxotel.Observe[int](nil, "users") })
	assert.PanicsWithValue(t, message, func() { fxotel.Observe(fx.Value(1), "") })
	assert.PanicsWithValue(t, message, func() { fxotel.Observe(fx.Value(1), "/attempt") })
	const one = "fxotel: Observe needs one Telemetry that is not nil, or none for fxotel.Default"
	assert.PanicsWithValue(t, one, func() { fxotel.Observe(fx.Value(1), "users", nil) })
	assert.PanicsWithValue(t, one, func() { fxotel.Observe(fx.Value(1), "users", &fxotel.Telemetry{}, &fxotel.Telemetry{}) })
}

// --- together ---

func TestCallsAtOnceKeepTheirAttemptsApart(t *testing.T) {
	l := newLab()
	op := fxotel.Observe(turns(fx.Fail[int](errBoom)), "users/copy", l.Telemetry)
	op = fx.WithHedge(op, &fx.Hedge{After: time.Hour})
	op = fxotel.Observe(op, "users/attempt", l.Telemetry)
	op = fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(0)})
	op = fxotel.Observe(op, "users", l.Telemetry)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				_, _ = op(t.Context())
			}
		})
	}
	wg.Wait()
	byParent := map[trace.SpanID][]string{}
	for _, s := range l.spans.GetSpans() {
		byParent[s.Parent.SpanID()] = append(byParent[s.Parent.SpanID()], label(s))
	}
	assert.Len(t, byParent[trace.SpanID{}], 200)
	delete(byParent, trace.SpanID{})
	assert.Len(t, byParent, 800)
	for _, children := range byParent {
		if children[0] != "users/copy#1" {
			assert.Equal(t, []string{"users/attempt#1", "users/attempt#2", "users/attempt#3"}, children)
		}
	}
	metrics := l.metrics(t, "fx.call.duration")
	assert.Contains(t, metrics, "fx.point=call 200 calls")
	assert.Contains(t, metrics, "fx.point=attempt 600 calls")
	assert.Contains(t, metrics, "fx.point=copy 600 calls")
}

func TestUnsampledCallsAreCountedAllTheSame(t *testing.T) {
	l := newLab()
	l.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSyncer(l.spans), sdktrace.WithSampler(sdktrace.NeverSample()))
	synctest.Test(t, func(t *testing.T) {
		op := stack(l, turns(fx.Fail[int](errBoom), fx.Value(7)), &fx.Breaker{}, &fx.Bulkhead{})
		_, err := op(t.Context())
		require.NoError(t, err)
		assert.Empty(t, l.tree())
		assert.Equal(t, 3, strings.Count(l.metrics(t, "fx.call.duration"), "1 calls"))
	})
}

func TestOpFindsItsSpanInTheContext(t *testing.T) {
	l := newLab()
	var inner trace.SpanContext
	op := fxotel.Observe(func(ctx context.Context) (int, error) {
		inner = trace.SpanContextFromContext(ctx)
		return 1, nil
	}, "users", l.Telemetry)
	_, _ = op(t.Context())
	assert.Equal(t, l.spans.GetSpans()[0].SpanContext.SpanID(), inner.SpanID())
}
