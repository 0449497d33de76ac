//go:build !race

package fx_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/fx"
)

// objects is how many heap objects one run of f costs.
func objects(f func()) float64 { return testing.AllocsPerRun(1000, f) }

func TestSuccessThroughAPrebuiltStackAllocatesNothing(t *testing.T) {
	near, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	check := func(op fx.Op[int]) fx.Op[int] { return fx.WithCheck(op, func(int) error { return nil }) }
	for name, op := range map[string]fx.Op[int]{
		"breaker":          fx.WithBreaker(answer, &fx.Breaker{}),
		"rate breaker":     fx.WithBreaker(answer, &fx.Breaker{Trip: fx.FailureRate(0.5, 20)}),
		"counting breaker": fx.WithBreaker(answer, &fx.Breaker{Trip: fx.FailureRate(0.5, 20), Last: 100}),
		"slow breaker":     fx.WithBreaker(answer, &fx.Breaker{Slow: time.Minute}),
		"bulkhead":         fx.WithBulkhead(answer, &fx.Bulkhead{}),
		"retry":            fx.WithRetry(answer, fx.Retry{}),
		"budgeted retry":   fx.WithRetry(answer, fx.Retry{Budget: &fx.Budget{}}),
		"fallback":         fx.WithFallback(answer, fx.Value(0)),
		"recover":          fx.WithRecover(answer, func(context.Context, error) (int, error) { return 0, nil }),
		"check":            check(answer),
		"limit":            fx.WithLimit(answer, waiter(nil)),
		"nearer deadline":  fx.WithTimeout(answer, 2*time.Hour),
		"all of them": fx.WithTimeout(fx.WithBulkhead(fx.WithBreaker(fx.WithRetry(fx.WithFallback(check(answer), fx.Value(0)),
			fx.Retry{Budget: &fx.Budget{}}), &fx.Breaker{Slow: time.Minute}), &fx.Bulkhead{}), 2*time.Hour),
	} {
		assert.Zero(t, objects(func() { _, _ = op(near) }), name)
	}
}

func TestCompositionInEveryCallAllocatesNothing(t *testing.T) {
	breaker, bulkhead := &fx.Breaker{}, &fx.Bulkhead{}
	ctx := context.Background()
	assert.Zero(t, objects(func() { _, _ = fx.WithBreaker(answer, breaker)(ctx) }))
	assert.Zero(t, objects(func() { _, _ = fx.WithBulkhead(fx.WithBreaker(answer, breaker), bulkhead)(ctx) }))
	assert.Zero(t, objects(func() {
		op := fx.WithRetry(answer, fx.Retry{})
		op = fx.WithBreaker(op, breaker)
		op = fx.WithBulkhead(op, bulkhead)
		_, _ = op(ctx)
	}))
	id := 42 // an argument captured by the op itself
	assert.Zero(t, objects(func() {
		op := fx.WithFallback(func(context.Context) (int, error) { return id, nil }, fx.Value(0))
		op = fx.WithTimeout(op, time.Hour)
		near, cancel := near()
		defer cancel()
		_, _ = fx.WithCheck(op, func(int) error { return nil })(near)
	}))
}

// near is a context with a deadline that costs nothing to make.
func near() (context.Context, context.CancelFunc) { return deadlined, func() {} }

var deadlined = &soon{context.Background(), time.Now().Add(30 * time.Minute)}

type soon struct {
	context.Context
	at time.Time
}

func (s *soon) Deadline() (time.Time, bool) { return s.at, true }

func TestRejectionAndFallbackAllocateNothing(t *testing.T) {
	ctx := context.Background()
	forced, cooling := &fx.Breaker{}, &fx.Breaker{Failures: 1, Cooldown: time.Hour}
	forced.Force(fx.StateOpen)
	fail(t, cooling, 1)
	full := &fx.Bulkhead{Limit: 1}
	_ = full.Acquire(ctx)
	for name, op := range map[string]fx.Op[int]{
		"forced open":   fx.WithBreaker(answer, forced),
		"open":          fx.WithBreaker(answer, cooling),
		"full bulkhead": fx.WithBulkhead(answer, full),
		"fallback":      fx.WithFallback(refuse, fx.Value(0)),
	} {
		assert.Zero(t, objects(func() { _, _ = op(ctx) }), name)
	}
}

func TestLiftAllocatesItsArgumentOnly(t *testing.T) {
	f := fx.Lift(func(_ context.Context, n int) (int, error) { return n, nil }, stack)
	assert.EqualValues(t, 1, objects(func() { _, _ = f(deadlined, 42) }))
}

func TestRememberedValueCostsNothing(t *testing.T) {
	c := &fx.Cache[string, int]{Fresh: time.Hour}
	remember, cached := fx.Remember(answer, c, "a"), fx.WithCache(answer, c, "a")
	_, _ = remember(context.Background())
	assert.Zero(t, objects(func() { _, _ = cached(context.Background()) }), "a fresh hit")
	assert.Zero(t, objects(func() { _, _ = remember(context.Background()) }), "a value in the place of another")
}

func TestQuietHedgeAllocatesLittle(t *testing.T) {
	op := fx.WithHedge(answer, &fx.Hedge{After: time.Hour})
	assert.LessOrEqual(t, objects(func() { _, _ = op(context.Background()) }), 6.0)
}
