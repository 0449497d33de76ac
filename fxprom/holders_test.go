package fxprom_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxprom"
)

func TestBreakerShowsItsStateAndWhyItChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := registry(t)
		heard := 0
		b := &fx.Breaker{Name: "users", Failures: 2, Slow: time.Second, Cooldown: 10 * time.Second, Probes: 1, OnChange: func(fx.Change) { heard++ }}
		m.Breakers(b)
		state := func() (states [3]float64) {
			for i, s := range []string{"closed", "open", "half-open"} {
				states[i] = value(t, r, "fx_breaker_state", "users", s)
			}
			return states
		}
		changes := func(from, to, cause string) float64 {
			synctest.Wait()
			return value(t, r, "fx_breaker_transitions_total", "users", from, to, cause)
		}
		assert.Equal(t, [3]float64{1, 0, 0}, state())
		assert.Zero(t, changes("closed", "open", "failure"), "there from the start")

		call := func(op fx.Op[int]) { apart(func() { _, _ = fx.WithBreaker(op, b)(t.Context()) }) }
		call(fx.Fail[int](errBoom))
		assert.EqualValues(t, 1, value(t, r, "fx_breaker_consecutive_failures", "users"))
		call(fx.Fail[int](errBoom))
		assert.Equal(t, [3]float64{0, 1, 0}, state())
		assert.EqualValues(t, 1, changes("closed", "open", "failure"))

		time.Sleep(10 * time.Second)
		assert.Equal(t, [3]float64{0, 0, 1}, state())
		call(fx.WithTimeout(hang, time.Millisecond))
		assert.EqualValues(t, 1, changes("open", "half-open", "cooldown"))
		assert.EqualValues(t, 1, changes("half-open", "open", "timeout"))

		time.Sleep(10 * time.Second)
		call(func(context.Context) (int, error) { time.Sleep(2 * time.Second); return 1, nil })
		assert.EqualValues(t, 1, changes("half-open", "open", "slow"))

		time.Sleep(10 * time.Second)
		call(func(context.Context) (int, error) { panic("bad") })
		assert.EqualValues(t, 1, changes("half-open", "open", "panic"))

		time.Sleep(10 * time.Second)
		call(fx.Value(1))
		assert.Equal(t, [3]float64{1, 0, 0}, state())
		assert.EqualValues(t, 1, changes("half-open", "closed", "recovered"))

		b.Force(fx.StateOpen)
		assert.EqualValues(t, 1, changes("closed", "open", "forced"))
		assert.Equal(t, 10, heard, "its own hook too")
	})
}

func TestBulkheadShowsItsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fxprom.Metrics{}
		zero, small := &fx.Bulkhead{Name: "zero"}, &fx.Bulkhead{Name: "small", Limit: -3, Queue: 2}
		m.Bulkheads(zero, small)
		for range 2 {
			go func() { _, _ = fx.WithBulkhead(hang, small)(t.Context()) }()
		}
		synctest.Wait()
		assert.NoError(t, testutil.CollectAndCompare(m, strings.NewReader(`
# HELP fx_bulkhead_limit Places there are.
# TYPE fx_bulkhead_limit gauge
fx_bulkhead_limit{bulkhead="small"} 1
fx_bulkhead_limit{bulkhead="zero"} 10
# HELP fx_bulkhead_queue Calls that the queue has room for.
# TYPE fx_bulkhead_queue gauge
fx_bulkhead_queue{bulkhead="small"} 2
fx_bulkhead_queue{bulkhead="zero"} 0
# HELP fx_bulkhead_running Places in use.
# TYPE fx_bulkhead_running gauge
fx_bulkhead_running{bulkhead="small"} 1
fx_bulkhead_running{bulkhead="zero"} 0
# HELP fx_bulkhead_waiting Calls in the queue.
# TYPE fx_bulkhead_waiting gauge
fx_bulkhead_waiting{bulkhead="small"} 1
fx_bulkhead_waiting{bulkhead="zero"} 0
`)))
	})
}

func TestBudgetHedgeAndCacheShowTheirCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fxprom.Metrics{}
		budget, hedge, cache := &fx.Budget{Ratio: 1, PerSecond: -1}, &fx.Hedge{After: time.Second}, &fx.Cache[string, int]{Store: sick{}}
		m.Budget("spare", budget)
		m.Hedge("reads", hedge)
		m.Cache("prices", cache)
		_, _ = fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Backoff: fx.Constant(0), Budget: budget})(t.Context())
		_, _ = fx.WithHedge(firstThen(hang, fx.Value(1)), hedge)(t.Context())
		_, _ = fx.WithHedge(firstThen(fx.Op[int](slow), hang), hedge)(t.Context())
		_, _ = fx.Remember(fx.Value(7), cache, "a")(t.Context())
		_, _ = cache.Recall("a")(t.Context())
		_, _ = cache.Recall("b")(t.Context())
		synctest.Wait()
		assert.NoError(t, testutil.CollectAndCompare(m, strings.NewReader(`
# HELP fx_budget_denied_total Retries and hedges that the budget has stopped.
# TYPE fx_budget_denied_total counter
fx_budget_denied_total{budget="spare"} 1
# HELP fx_budget_first_attempts First attempts in the latest window.
# TYPE fx_budget_first_attempts gauge
fx_budget_first_attempts{budget="spare"} 1
# HELP fx_budget_left Retries and hedges that there is room for.
# TYPE fx_budget_left gauge
fx_budget_left{budget="spare"} 0
# HELP fx_budget_repeats Retries and hedges in the latest window.
# TYPE fx_budget_repeats gauge
fx_budget_repeats{budget="spare"} 1
# HELP fx_cache_entries Values in memory.
# TYPE fx_cache_entries gauge
fx_cache_entries{cache="prices"} 1
# HELP fx_cache_fetched_total Of the misses, those that the store answered.
# TYPE fx_cache_fetched_total counter
fx_cache_fetched_total{cache="prices"} 0
# HELP fx_cache_hits_total Looks that found a value in memory.
# TYPE fx_cache_hits_total counter
fx_cache_hits_total{cache="prices"} 1
# HELP fx_cache_misses_total Looks that did not.
# TYPE fx_cache_misses_total counter
fx_cache_misses_total{cache="prices"} 1
# HELP fx_cache_store_errors_total Troubles with the store, as OnErr hears of them.
# TYPE fx_cache_store_errors_total counter
fx_cache_store_errors_total{cache="prices"} 2
# HELP fx_hedge_delay_seconds How long the next call waits for a further copy.
# TYPE fx_hedge_delay_seconds gauge
fx_hedge_delay_seconds{hedge="reads"} 1
# HELP fx_hedge_started_total Further copies that were started.
# TYPE fx_hedge_started_total counter
fx_hedge_started_total{hedge="reads"} 2
# HELP fx_hedge_wasted_total Further copies that ended in vain.
# TYPE fx_hedge_wasted_total counter
fx_hedge_wasted_total{hedge="reads"} 1
# HELP fx_hedge_won_total Further copies whose answer was taken.
# TYPE fx_hedge_won_total counter
fx_hedge_won_total{hedge="reads"} 1
`)))
	})
}

func TestMisuseOfHoldersPanics(t *testing.T) {
	m := &fxprom.Metrics{}
	m.Breakers(&fx.Breaker{Name: "users"})
	for message, misuse := range map[string]func(){
		`fxprom: there is a breaker "users" already; names tell them apart`: func() { m.Breakers(&fx.Breaker{Name: "users"}) },
		`fxprom: the breaker needs a name to be told apart by`:              func() { m.Breakers(&fx.Breaker{}) },
		`fxprom: the bulkhead needs a name to be told apart by`:             func() { m.Bulkheads(&fx.Bulkhead{}) },
		`fxprom: the budget needs a name to be told apart by`:               func() { m.Budget("", &fx.Budget{}) },
		`fxprom: Breakers needs breakers that are not nil`:                  func() { m.Breakers(nil) },
		`fxprom: Bulkheads needs bulkheads that are not nil`:                func() { m.Bulkheads(nil) },
		`fxprom: Budget needs a budget that is not nil`:                     func() { m.Budget("a", nil) },
		`fxprom: Hedge needs a hedge that is not nil`:                       func() { m.Hedge("a", nil) },
		`fxprom: Cache needs a cache that is not nil`:                       func() { m.Cache("a", nil) },
	} {
		assert.PanicsWithValue(t, message, misuse)
	}
	m.Bulkheads(&fx.Bulkhead{Name: "users"}) // of another kind
}

func TestMetricsAreNamedAsPrometheusAdvises(t *testing.T) {
	m, r := registry(t)
	m.Breakers(&fx.Breaker{Name: "users"})
	m.Bulkheads(&fx.Bulkhead{Name: "users"})
	m.Budget("users", &fx.Budget{})
	m.Hedge("users", &fx.Hedge{})
	m.Cache("users", &fx.Cache[string, int]{})
	fxprom.Observe(fx.Value(1), "users", m)
	problems, err := testutil.GatherAndLint(r)
	require.NoError(t, err)
	assert.Empty(t, problems)
}

func slow(context.Context) (int, error) { time.Sleep(2 * time.Second); return 1, nil }

type sick struct{}

func (sick) Get(context.Context, string) (int, time.Duration, error) { return 0, 0, errBoom }
func (sick) Set(context.Context, string, int, time.Duration) error   { return errBoom }
