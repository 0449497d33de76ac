package main

import (
	"context"
	_ "embed"
	"strings"

	"example.com/fx"
)

// excerpt: begin

// guarded is a call that fails fast, alone, and seldom.
func guarded[T any](g *guard) fx.Policy[T] {
	return func(op fx.Op[T]) fx.Op[T] {
		op = fx.WithTimeout(op, g.Attempt) // each attempt
		op = fx.WithBreaker(op, &g.breaker)
		op = fx.WithRetry(op, fx.Retry{Attempts: g.attempts, Backoff: g.pause, Budget: &g.spare})
		op = fx.WithBulkhead(op, &g.seats)
		return fx.WithTimeout(op, g.Whole) // the whole call
	}
}

// guardAll guards every link. Only reads are tried again: a POST must not be done twice.
func guardAll(bare links, by guards) links {
	return links{
		checkout: fx.Lift(bare.checkout, guarded[receipt](by.checkout)),
		reserve:  fx.Lift(bare.reserve, guarded[done](by.inventory)),
		price:    fx.Lift(bare.price, guarded[quote](by.pricing)),
		look:     orLastGood(fx.Lift(bare.look, guarded[quote](by.catalog))),
		pay:      fx.Lift(bare.pay, guarded[done](by.payment)),
	}
}

// orLastGood answers with the last good price if there is no other, and says so.
func orLastGood(look lookup) lookup {
	prices := new(fx.Cache[product, quote])
	return func(ctx context.Context, p product) (quote, error) {
		fresh := fx.Remember(fx.Bind(look, p), prices, p)
		answer, err := fx.WithDegraded(fresh, prices.Recall(p))(ctx)
		answer.Value.Stale = answer.Degraded
		return answer.Value, err
	}
}

// excerpt: end

// A guard is what a service holds against the failing of another: the state that all its calls share.
type guard struct {
	breaker fx.Breaker
	seats   fx.Bulkhead
	spare   fx.Budget
	limits
	attempts int
	pause    fx.Backoff
}

// guards has one guard for each service that is called.
type guards struct{ checkout, inventory, pricing, catalog, payment *guard }

func newGuards(s story) guards {
	return guards{
		checkout:  newGuard("checkout", 1, 64, s.Checkout, s),
		inventory: newGuard("inventory", 1, 64, s.Write, s),
		pricing:   newGuard("pricing", 2, 64, s.Price, s),
		catalog:   newGuard("catalog", 2, catalogSeats, s.Look, s),
		payment:   newGuard("payment", 1, 64, s.Write, s),
	}
}

// catalogSeats is how many calls to the catalog may run at once; as many may wait.
const catalogSeats = 16

// newGuard asks for ten failures in a row: fewer may be the machine's hiccup.
func newGuard(name string, attempts, seats int, l limits, s story) *guard {
	return &guard{
		breaker:  fx.Breaker{Name: name, Failures: 10, Cooldown: s.Cooldown, MaxCooldown: s.MaxCooldown},
		seats:    fx.Bulkhead{Name: name, Limit: seats, Queue: seats},
		spare:    fx.Budget{Window: s.Window},
		limits:   l,
		attempts: attempts,
		pause:    fx.Exponential(s.Pause).Jitter(1),
	}
}

//go:embed guard.go
var source string

// excerpt is the part of this file that is shown at the end of a run.
func excerpt() string {
	_, rest, _ := strings.Cut(source, "\n// excerpt: begin\n\n")
	text, _, _ := strings.Cut(rest, "\n// excerpt: end\n")
	return text
}
