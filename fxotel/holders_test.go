package fxotel_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
)

func TestBreakerShowsItsStateAndTellsWhyItChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, heard := newLab(), 0
		b := &fx.Breaker{Name: "users", Failures: 2, Slow: time.Second, Cooldown: 10 * time.Second, Probes: 1, OnChange: func(fx.Change) { heard++ }}
		l.Breakers(b)
		call := func(op fx.Op[int]) {
			apart(func() { _, _ = fx.WithBreaker(op, b)(t.Context()) })
			synctest.Wait()
		}
		call(fx.Fail[int](errBoom))
		golden(t, `
fx.breaker.failures fx.name=users 1
fx.breaker.state fx.name=users fx.state=closed 1
fx.breaker.state fx.name=users fx.state=half-open 0
fx.breaker.state fx.name=users fx.state=open 0
`, l.metrics(t, "fx.breaker"))
		call(fx.Fail[int](errBoom))
		golden(t, `
fx.breaker.changes fx.cause=failure fx.from=closed fx.name=users fx.to=open 1
fx.breaker.failures fx.name=users 0
fx.breaker.state fx.name=users fx.state=closed 0
fx.breaker.state fx.name=users fx.state=half-open 0
fx.breaker.state fx.name=users fx.state=open 1
`, l.metrics(t, "fx.breaker"))

		for _, probe := range []fx.Op[int]{fx.WithTimeout(hang, time.Millisecond), takes(2*time.Second, fx.Value(1)), panics, fx.Value(1)} {
			time.Sleep(10 * time.Second)
			call(probe)
		}
		b.Force(fx.StateOpen)
		b.Reset()
		synctest.Wait()
		golden(t, `
00:00:00 WARN fx.breaker.change "circuit breaker \"users\": open, was closed" exception.message=boom exception.type=*errors.errorString fx.cause=failure fx.from=closed fx.name=users fx.to=open
00:00:10 INFO fx.breaker.change "circuit breaker \"users\": half-open, was open" fx.cause=cooldown fx.from=open fx.name=users fx.to=half-open
00:00:10 WARN fx.breaker.change "circuit breaker \"users\": open, was half-open" exception.message=fx: timeout after 1ms exception.type=*fx.timeoutError fx.cause=timeout fx.from=half-open fx.name=users fx.to=open
00:00:20 INFO fx.breaker.change "circuit breaker \"users\": half-open, was open" fx.cause=cooldown fx.from=open fx.name=users fx.to=half-open
00:00:22 WARN fx.breaker.change "circuit breaker \"users\": open, was half-open" exception.message=fx: call took 2s, longer than Slow (1s) exception.type=*fx.slowError fx.cause=slow fx.from=half-open fx.name=users fx.to=open
00:00:32 INFO fx.breaker.change "circuit breaker \"users\": half-open, was open" fx.cause=cooldown fx.from=open fx.name=users fx.to=half-open
00:00:32 WARN fx.breaker.change "circuit breaker \"users\": open, was half-open" exception.message=fx: the call did not return (panic or Goexit) exception.type=*errors.errorString fx.cause=panic fx.from=half-open fx.name=users fx.to=open
00:00:42 INFO fx.breaker.change "circuit breaker \"users\": half-open, was open" fx.cause=cooldown fx.from=open fx.name=users fx.to=half-open
00:00:42 INFO fx.breaker.change "circuit breaker \"users\": closed, was half-open" fx.cause=recovered fx.from=half-open fx.name=users fx.to=closed
00:00:42 WARN fx.breaker.change "circuit breaker \"users\": open, was closed" fx.cause=forced fx.from=closed fx.name=users fx.to=open
00:00:42 INFO fx.breaker.change "circuit breaker \"users\": closed, was open" fx.cause=forced fx.from=open fx.name=users fx.to=closed
`, l.events.String())
		assert.Equal(t, 11, heard, "its own hook too")
		assert.Contains(t, l.metrics(t, "fx.breaker.changes"), "fx.cause=cooldown fx.from=open fx.name=users fx.to=half-open 4")
	})
}

func TestBreakerThatAnErrorWithoutATextOpenedIsToldOfAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, heard := newLab(), 0
		b := &fx.Breaker{Name: "users", Failures: 1, OnChange: func(fx.Change) { heard++ }}
		l.Breakers(b)
		_, _ = fx.WithBreaker(fx.Fail[int](badError{}), b)(t.Context())
		synctest.Wait()
		assert.Contains(t, l.events.String(), "exception.message=%!v(PANIC=Error method: no text)")
		assert.Equal(t, 1, heard)
	})
}

func TestBulkheadShowsItsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		zero, small := &fx.Bulkhead{Name: "zero"}, &fx.Bulkhead{Name: "small", Limit: -3, Queue: 2}
		l.Bulkheads(zero, small)
		for range 2 {
			go func() { _, _ = fx.WithBulkhead(hang, small)(t.Context()) }()
		}
		synctest.Wait()
		golden(t, `
fx.bulkhead.limit fx.name=small 1
fx.bulkhead.limit fx.name=zero 10
fx.bulkhead.queue fx.name=small 2
fx.bulkhead.queue fx.name=zero 0
fx.bulkhead.running fx.name=small 1
fx.bulkhead.running fx.name=zero 0
fx.bulkhead.waiting fx.name=small 1
fx.bulkhead.waiting fx.name=zero 0
`, l.metrics(t, ""))
	})
}

func TestBudgetHedgeAndCacheShowTheirCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		budget, hedge, cache := &fx.Budget{Ratio: 2, PerSecond: -1}, &fx.Hedge{After: time.Second}, &fx.Cache[string, int]{Store: sick{}}
		l.Budget("spare", budget)
		l.Hedge("reads", hedge)
		l.Cache("prices", cache)
		again := fx.Retry{Backoff: fx.Constant(0), Budget: budget, Attempts: 4}
		_, err := fx.WithRetry(fx.Fail[int](errBoom), again)(t.Context())
		require.ErrorIs(t, err, fx.ErrBudget)
		for _, op := range []fx.Op[int]{turns(hang, fx.Value(1)), turns(hang, fx.Value(2)), turns(takes(2*time.Second, fx.Value(3)), hang)} {
			_, err := fx.WithHedge(op, hedge)(t.Context())
			require.NoError(t, err)
		}
		_, _ = fx.Remember(fx.Value(7), cache, "a")(t.Context())
		for _, key := range []string{"a", "a", "a", "b", "c"} {
			_, _ = cache.Recall(key)(t.Context())
		}
		synctest.Wait()
		golden(t, `
fx.budget.again fx.name=spare 2
fx.budget.denied fx.name=spare 1
fx.budget.first fx.name=spare 1
fx.budget.left fx.name=spare 0
fx.cache.entries fx.name=prices 2
fx.cache.errors fx.name=prices 2
fx.cache.fetched fx.name=prices 1
fx.cache.hits fx.name=prices 3
fx.cache.misses fx.name=prices 2
fx.hedge.delay fx.name=reads 1
fx.hedge.started fx.name=reads 3
fx.hedge.wasted fx.name=reads 1
fx.hedge.won fx.name=reads 2
`, l.metrics(t, ""))
	})
}

// sick is a store that can only read, and only one key.
type sick struct{}

func (sick) Get(_ context.Context, key string) (int, time.Duration, error) {
	if key == "b" {
		return 8, time.Second, nil
	}
	return 0, 0, errors.New("no connection")
}

func (sick) Set(context.Context, string, int, time.Duration) error { return errBoom }

func TestMisuseOfHoldersPanics(t *testing.T) {
	l := newLab()
	l.Breakers(&fx.Breaker{Name: "users"})
	for message, misuse := range map[string]func(){
		`fxotel: there is a breaker "users" already; names tell them apart`: func() { l.Breakers(&fx.Breaker{Name: "users"}) },
		`fxotel: the breaker needs a name to be told apart by`:              func() { l.Breakers(&fx.Breaker{}) },
		`fxotel: the bulkhead needs a name to be told apart by`:             func() { l.Bulkheads(&fx.Bulkhead{}) },
		`fxotel: the budget needs a name to be told apart by`:               func() { l.Budget("", &fx.Budget{}) },
		`fxotel: the hedge needs a name to be told apart by`:                func() { l.Hedge("", &fx.Hedge{}) },
		`fxotel: the cache needs a name to be told apart by`:                func() { l.Cache("", &fx.Cache[int, int]{}) },
		`fxotel: Breakers needs breakers that are not nil`:                  func() { l.Breakers(nil) },
		`fxotel: Bulkheads needs bulkheads that are not nil`:                func() { l.Bulkheads(nil) },
		`fxotel: Budget needs a budget that is not nil`:                     func() { l.Budget("a", nil) },
		`fxotel: Hedge needs a hedge that is not nil`:                       func() { l.Hedge("a", nil) },
		`fxotel: Cache needs a cache that is not nil`:                       func() { l.Cache("a", nil) },
	} {
		assert.PanicsWithValue(t, message, misuse)
	}
	l.Bulkheads(&fx.Bulkhead{Name: "users"}) // of another kind
}

func TestCollectionsAndCallsAtOnce(t *testing.T) {
	l := newLab()
	b := &fx.Breaker{Name: "users", Failures: 2, Cooldown: time.Nanosecond}
	l.Breakers(b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 500 {
			_, _ = fx.WithBreaker(fx.Fail[int](errBoom), b)(t.Context())
		}
	}()
	for range 50 {
		_ = l.metrics(t, "")
	}
	<-done
	assert.Contains(t, l.metrics(t, ""), "fx.breaker.state fx.name=users fx.state=closed 0")
}
