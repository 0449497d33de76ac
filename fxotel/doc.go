// Package fxotel shows OpenTelemetry what fx does: a span and a duration for every call and attempt by [Observe], and
// the state of breakers, bulkheads, budgets, hedges and caches by their snapshots.
//
//	fxotel.Default.Breakers(users)
//	fxotel.Default.Bulkheads(seats)
//
//	op = fx.WithTimeout(op, 500*time.Millisecond)
//	op = fxotel.Observe(op, "users/attempt")
//	op = fx.WithBreaker(op, users)
//	op = fx.WithRetry(op, fx.Retry{})
//	op = fxotel.Observe(op, "users")
//
// It uses the APIs alone; the program chooses and sets up the SDK. The README lists all attributes and metrics.
package fxotel
