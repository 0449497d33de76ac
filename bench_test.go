package fx_test

import (
	"context"
	"testing"
	"time"

	"example.com/fx"
)

// The cost of a healthy call through each layer, with the bare call and context.WithTimeout as baselines:
//
//	go test -run '^$' -bench . -count 6 . | tee new.txt && benchstat new.txt

var sink int

func answer(context.Context) (int, error) { return 42, nil }

func refuse(context.Context) (int, error) { return 0, errBoom }

func measure(b *testing.B, ctx context.Context, op fx.Op[int]) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		v, _ := op(ctx)
		sink += v
	}
}

func BenchmarkBareCall(b *testing.B) { measure(b, context.Background(), answer) }

func BenchmarkContextWithTimeout(b *testing.B) {
	measure(b, context.Background(), func(ctx context.Context) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return answer(ctx)
	})
}

func BenchmarkSuccess(b *testing.B) {
	near, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		op   fx.Op[int]
	}{
		{"Timeout", context.Background(), fx.WithTimeout(answer, time.Hour)},
		{"TimeoutUnderNearerDeadline", near, fx.WithTimeout(answer, time.Hour)},
		{"Retry", context.Background(), fx.WithRetry(answer, fx.Retry{})},
		{"RetryWithBudget", context.Background(), fx.WithRetry(answer, fx.Retry{Budget: &fx.Budget{}})},
		{"Breaker", context.Background(), fx.WithBreaker(answer, &fx.Breaker{})},
		{"BreakerFailureRate", context.Background(), fx.WithBreaker(answer, &fx.Breaker{Trip: fx.FailureRate(0.5, 20)})},
		{"BreakerSlow", context.Background(), fx.WithBreaker(answer, &fx.Breaker{Slow: time.Second})},
		{"Bulkhead", context.Background(), fx.WithBulkhead(answer, &fx.Bulkhead{})},
		{"Fallback", context.Background(), fx.WithFallback(answer, fx.Value(0))},
		{"Check", context.Background(), fx.WithCheck(answer, func(int) error { return nil })},
		{"Stack", near, stack(answer)},
		{"Hedge", context.Background(), fx.WithHedge(answer, &fx.Hedge{After: time.Hour})},
		{"HedgeQuantile", context.Background(), fx.WithHedge(answer, &fx.Hedge{Quantile: 0.95, After: time.Second})},
		{"CacheFresh", context.Background(), fresh()},
		{"Saga", context.Background(), fx.Saga(0, []fx.Step[int]{{Name: "a", Do: same}, {Name: "b", Do: same}, {Name: "c", Do: same}})},
	} {
		b.Run(c.name, func(b *testing.B) { measure(b, c.ctx, c.op) })
	}
}

// fresh is an op that is answered from a cache.
func fresh() fx.Op[int] {
	op := fx.WithCache(answer, &fx.Cache[string, int]{Fresh: time.Hour}, "a")
	return func(ctx context.Context) (int, error) {
		r, err := op(ctx)
		return r.Value, err
	}
}

func same(_ context.Context, n int) (int, error) { return n, nil }

// stack is the layering that the README recommends.
func stack(op fx.Op[int]) fx.Op[int] {
	op = fx.WithRetry(op, fx.Retry{})
	op = fx.WithBreaker(op, &fx.Breaker{})
	op = fx.WithBulkhead(op, &fx.Bulkhead{})
	return fx.WithTimeout(op, time.Hour)
}

func BenchmarkFailure(b *testing.B) {
	open := &fx.Breaker{}
	open.Force(fx.StateOpen)
	cooling := &fx.Breaker{Failures: 1, Cooldown: time.Hour}
	_, _ = fx.WithBreaker(refuse, cooling)(context.Background())
	full := &fx.Bulkhead{Limit: 1}
	_ = full.Acquire(context.Background())
	third := 0
	for _, c := range []struct {
		name string
		op   fx.Op[int]
	}{
		{"BreakerForcedOpen", fx.WithBreaker(answer, open)},
		{"BreakerOpen", fx.WithBreaker(answer, cooling)},
		{"BulkheadFull", fx.WithBulkhead(answer, full)},
		{"FallbackTaken", fx.WithFallback(refuse, fx.Value(1))},
		{"RetryThirdTry", fx.WithRetry(func(ctx context.Context) (int, error) {
			if third++; third%3 != 0 {
				return 0, errBoom
			}
			return 42, nil
		}, fx.Retry{Backoff: fx.Constant(0)})},
	} {
		b.Run(c.name, func(b *testing.B) { measure(b, context.Background(), c.op) })
	}
}

// BenchmarkComposedPerCall puts the stack together in every call, as code that binds arguments inline does.
func BenchmarkComposedPerCall(b *testing.B) {
	breaker, bulkhead := &fx.Breaker{}, &fx.Bulkhead{}
	b.ReportAllocs()
	for b.Loop() {
		op := fx.WithRetry(answer, fx.Retry{})
		op = fx.WithBreaker(op, breaker)
		op = fx.WithBulkhead(op, bulkhead)
		v, _ := op(context.Background())
		sink += v
	}
}

func BenchmarkLifted(b *testing.B) {
	op := fx.Lift(func(_ context.Context, n int) (int, error) { return n, nil }, func(op fx.Op[int]) fx.Op[int] {
		op = fx.WithRetry(op, fx.Retry{})
		op = fx.WithBreaker(op, &fx.Breaker{})
		return fx.WithBulkhead(op, &fx.Bulkhead{})
	})
	b.ReportAllocs()
	for b.Loop() {
		v, _ := op(context.Background(), 42)
		sink += v
	}
}
