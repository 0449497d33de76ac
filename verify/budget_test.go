package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"example.com/fx"
)

func TestBudgetHistories(t *testing.T) {
	check(t, kind{name: "budget", long: 60_000, short: 5_000, atOnce: 1, draw: func(rng *rand.Rand) plan {
		return drawBudget(rng, time.Second, 0)
	}})
}

// In these histories the window rolls on: it is the shortest there is, and clients wait.
func TestBudgetRollingHistories(t *testing.T) {
	check(t, kind{name: "budget-rolling", long: 15_000, short: 600, atOnce: 32, draw: func(rng *rand.Rand) plan {
		return drawBudget(rng, shortWindow, shortWindow)
	}})
}

// A budgetRun is a budget in the course of a history.
type budgetRun struct {
	*fx.Budget
	events atomic.Int64
}

// drawBudget draws a history of a budget. Clients wait at most so long now and then; 0 means not at all.
func drawBudget(rng *rand.Rand, length, longest time.Duration) plan {
	m := &budgetSpec{percent: 10 * rng.IntN(16), reserve: rng.IntN(3), hedged: rng.IntN(3) == 0}
	m.window.length = length
	r := &budgetRun{Budget: &fx.Budget{Ratio: float64(m.percent) / 100, PerSecond: m.perSecond(), Window: length}}
	if m.percent == 0 {
		r.Ratio = -1
	}
	p := plan{about: fmt.Sprintf("Ratio %g, PerSecond %d, Window %v", r.Ratio, r.PerSecond, length)}
	for range 3 + rng.IntN(2) {
		var client []func(*client)
		for range 2 + rng.IntN(3) {
			client = append(client, pause(rng), r.drawStep(rng, m.hedged, longest))
		}
		p.clients = append(p.clients, client)
	}
	p.after = []func(*client){r.counts}
	p.spec = func(ops []porcupine.Operation) porcupine.Model {
		m.times(ops)
		return model(budgetState{}, m.step)
	}
	return p
}

func (r *budgetRun) drawStep(rng *rand.Rand, hedged bool, longest time.Duration) func(*client) {
	switch n := rng.IntN(10); {
	case n < 3 && longest > 0:
		return wait(drawUpTo(rng, longest))
	case n < 4:
		return r.counts
	case n < 6 && hedged:
		return r.hedge(1 + rng.IntN(2))
	}
	return r.retry(rng.IntN(4))
}

// retry makes a call through WithRetry that fails so many times, of three attempts at most.
func (r *budgetRun) retry(failures int) func(*client) {
	return func(c *client) {
		from, attempts := c.before(), 0
		op := fx.WithRetry(func(context.Context) (int, error) {
			r.passed(c, from, [...]string{"first", "again", "again"}[attempts])
			if attempts++; attempts <= failures {
				from = c.before()
				return 0, errDown
			}
			return 0, nil
		}, fx.Retry{Backoff: fx.Constant(0), Budget: r.Budget})
		if _, err := op(context.Background()); errors.Is(err, fx.ErrBudget) {
			c.note(from, c.after(), budgetOp{"again", r.event()}, budgetOut{})
		}
	}
}

// passed notes that an attempt was let through since from.
func (r *budgetRun) passed(c *client, from mark, do string) {
	c.note(from, c.after(), budgetOp{do, r.event()}, budgetOut{ok: true})
}

func (r *budgetRun) event() int { return int(r.events.Add(1) - 1) }

// hedge makes a call through WithHedge with so many further copies at most, and waits until all that began are noted.
// The first attempt is counted before any copy runs, so whichever is there first notes it, and then gives the others
// some time.
func (r *budgetRun) hedge(copies int) func(*client) {
	return func(c *client) {
		var first atomic.Bool
		var noted atomic.Int64
		from := c.before()
		h := &fx.Hedge{After: -1, Max: copies, Budget: r.Budget, OnHedge: func(context.Context, int) {
			r.passed(c, from, "again")
			noted.Add(1)
		}}
		op := fx.WithHedge(func(context.Context) (int, error) {
			if first.CompareAndSwap(false, true) {
				r.passed(c, from, "first")
				noted.Add(1)
				for i := 0; i < 50 && noted.Load() <= int64(copies); i++ {
					runtime.Gosched()
				}
			}
			return 0, nil
		}, h)
		_, _ = op(context.Background())
		for noted.Load() <= int64(h.Counts().Started) {
			runtime.Gosched()
		}
	}
}

func (r *budgetRun) counts(c *client) {
	c.do(budgetOp{do: "counts"}, func() any { return budgetOut{counts: r.Counts()} })
}
