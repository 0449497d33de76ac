package fxprom_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxprom"
)

var (
	users = &fx.Breaker{Name: "users"}
	seats = &fx.Bulkhead{Name: "users", Limit: 32}
	spare = &fx.Budget{}
)

func init() {
	fxprom.Default.Breakers(users)
	fxprom.Default.Bulkheads(seats)
	fxprom.Default.Budget("users", spare)
	prometheus.MustRegister(fxprom.Default)
}

func guarded[T any](op fx.Op[T]) fx.Op[T] {
	op = fx.WithTimeout(op, 500*time.Millisecond)
	op = fxprom.Observe(op, "users/attempt") // what the dependency sees
	op = fx.WithBreaker(op, users)
	op = fx.WithRetry(op, fx.Retry{Budget: spare})
	op = fx.WithBulkhead(op, seats)
	op = fx.WithTimeout(op, 2*time.Second)
	return fxprom.Observe(op, "users") // what callers see
}

func TestReadmeShowsCodeThatWasCompiled(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	code, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```go\n")
	require.Len(t, blocks, 2)
	block, _, _ := strings.Cut(blocks[1], "```")
	assert.Contains(t, string(code), block)
}

func TestStackOfTheReadme(t *testing.T) {
	_, err := guarded(fx.Value(1))(t.Context())
	require.NoError(t, err)
	text := exposition(t, fxprom.Default, "fx_bulkhead_limit")
	assert.Contains(t, text, `fx_bulkhead_limit{bulkhead="users"} 32`)
}

func ExampleObserve() {
	metrics := &fxprom.Metrics{}
	op := fxprom.Observe(fx.Fail[int](errBoom), "stock/attempt", metrics)
	op = fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(0)})
	op = fxprom.Observe(op, "stock", metrics)
	_, _ = op(context.Background())
	show(metrics, "fx_call_problems_total", "failure")
	// Output:
	// fx_call_problems_total{call="stock",outcome="failure",point="attempt"} 3
	// fx_call_problems_total{call="stock",outcome="failure",point="call"} 1
}

func ExampleMetrics_Breakers() {
	metrics := &fxprom.Metrics{}
	catalog := &fx.Breaker{Name: "catalog"}
	metrics.Breakers(catalog)
	catalog.Force(fx.StateOpen)
	show(metrics, "fx_breaker_state", "")
	// Output:
	// fx_breaker_state{breaker="catalog",state="closed"} 0
	// fx_breaker_state{breaker="catalog",state="half-open"} 0
	// fx_breaker_state{breaker="catalog",state="open"} 1
}

func ExampleMetrics_Bulkheads() {
	metrics := &fxprom.Metrics{}
	metrics.Bulkheads(&fx.Bulkhead{Name: "catalog", Limit: 32})
	show(metrics, "fx_bulkhead_limit", "")
	// Output: fx_bulkhead_limit{bulkhead="catalog"} 32
}

func ExampleMetrics_Budget() {
	metrics := &fxprom.Metrics{}
	metrics.Budget("catalog", &fx.Budget{}) // one a second over ten seconds, even without a call
	show(metrics, "fx_budget_left", "")
	// Output: fx_budget_left{budget="catalog"} 10
}

func ExampleMetrics_Hedge() {
	metrics := &fxprom.Metrics{}
	metrics.Hedge("reads", &fx.Hedge{After: 50 * time.Millisecond})
	show(metrics, "fx_hedge_delay_seconds", "")
	// Output: fx_hedge_delay_seconds{hedge="reads"} 0.05
}

func ExampleMetrics_Cache() {
	metrics := &fxprom.Metrics{}
	prices := &fx.Cache[string, float64]{}
	metrics.Cache("prices", prices)
	_, _ = prices.Recall("tea")(context.Background())
	show(metrics, "fx_cache_misses_total", "")
	// Output: fx_cache_misses_total{cache="prices"} 1
}

// show prints the series of a metric that have the word in them.
func show(c prometheus.Collector, name, word string) {
	text, err := testutil.CollectAndFormat(c, expfmt.TypeTextPlain, name)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") && strings.Contains(line, word) {
			fmt.Print(line)
		}
	}
}

// observed stands in the README of fx.
func observed[T any](op fx.Op[T]) fx.Op[T] {
	op = fxprom.Observe(op, "users/attempt") // what the dependency sees
	op = fx.WithRetry(op, fx.Retry{Budget: spare})
	op = fxprom.Observe(op, "users") // what callers see
	return op
}

func TestBothPlacesCount(t *testing.T) {
	v, err := observed(fx.Value(7))(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 7, v)
}

func ExampleRules() {
	for line := range strings.Lines(fxprom.Rules) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "- alert: "); ok {
			fmt.Println(name)
		}
	}
	// Output:
	// FxBreakerOpen
	// FxRejections
	// FxAmplification
	// FxDegraded
}
