package fxotel_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxotel"
)

var (
	users = &fx.Breaker{Name: "users"}
	seats = &fx.Bulkhead{Name: "users", Limit: 32}
	spare = &fx.Budget{}
)

func init() {
	fxotel.Default.Breakers(users)
	fxotel.Default.Bulkheads(seats)
	fxotel.Default.Budget("users", spare)
}

func guarded[T any](op fx.Op[T]) fx.Op[T] {
	op = fx.WithTimeout(op, 500*time.Millisecond)
	op = fxotel.Observe(op, "users/attempt") // a span for each attempt, linked to the one before
	op = fx.WithBreaker(op, users)
	op = fx.WithRetry(op, fx.Retry{Budget: spare})
	op = fx.WithBulkhead(op, seats)
	op = fx.WithTimeout(op, 2*time.Second)
	return fxotel.Observe(op, "users") // a span for the call
}

func TestStackOfTheReadme(t *testing.T) {
	user, err := guarded(fx.Value("ada"))(t.Context())
	require.NoError(t, err)
	require.Equal(t, "ada", user)
}

func ExampleObserve() {
	l := newLab() // SDKs that keep all in memory
	op := turns(fx.Fail[int](errBoom), fx.Value(42))
	op = fxotel.Observe(op, "users/attempt", l.Telemetry)
	op = fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(0)})
	op = fxotel.Observe(op, "users", l.Telemetry)
	_, _ = op(context.Background())
	for _, span := range l.spans.GetSpans() {
		fmt.Printf("%s: %s, %d links\n", label(span), span.Status.Code, len(span.Links))
	}
	// Output:
	// users/attempt#1: Error, 0 links
	// users/attempt#2: Unset, 1 links
	// users: Unset, 0 links
}

func ExampleTelemetry_Breakers() {
	l := newLab()
	catalog := &fx.Breaker{Name: "catalog"}
	l.Breakers(catalog)
	catalog.Force(fx.StateOpen)
	l.show("fx.breaker.state")
	// Output:
	// fx.breaker.state fx.name=catalog fx.state=closed 0
	// fx.breaker.state fx.name=catalog fx.state=half-open 0
	// fx.breaker.state fx.name=catalog fx.state=open 1
}

func ExampleTelemetry_Bulkheads() {
	l := newLab()
	l.Bulkheads(&fx.Bulkhead{Name: "catalog", Limit: 32})
	l.show("fx.bulkhead.limit")
	// Output: fx.bulkhead.limit fx.name=catalog 32
}

func ExampleTelemetry_Budget() {
	l := newLab()
	l.Budget("catalog", &fx.Budget{}) // one a second over ten seconds, even without a call
	l.show("fx.budget.left")
	// Output: fx.budget.left fx.name=catalog 10
}

func ExampleTelemetry_Hedge() {
	l := newLab()
	l.Hedge("reads", &fx.Hedge{After: 50 * time.Millisecond})
	l.show("fx.hedge.delay")
	// Output: fx.hedge.delay fx.name=reads 0.05
}

func ExampleTelemetry_Cache() {
	l := newLab()
	prices := &fx.Cache[string, float64]{}
	l.Cache("prices", prices)
	_, _ = prices.Recall("tea")(context.Background())
	l.show("fx.cache.misses")
	// Output: fx.cache.misses fx.name=prices 1
}
