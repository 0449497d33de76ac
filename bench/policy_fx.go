package main

import (
	"context"

	"example.com/fx"
)

func fxBreaker(b *fx.Breaker) policy {
	return func(op operation) operation { return fx.WithBreaker(op, b) }
}

func fxRetry(r fx.Retry) policy {
	return func(op operation) operation { return fx.WithRetry(op, r) }
}

func fxBulkhead(b *fx.Bulkhead) policy {
	return func(op operation) operation { return fx.WithBulkhead(op, b) }
}

// opened trips a breaker that opens at one failure.
func opened(b *fx.Breaker) *fx.Breaker {
	_, _ = fx.WithBreaker(refuse, b)(context.Background())
	return b
}

// filled takes the last seat of a bulkhead for one.
func filled(b *fx.Bulkhead) *fx.Bulkhead {
	_ = b.Acquire(context.Background())
	return b
}
