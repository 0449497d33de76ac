package verify

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"example.com/fx"
)

func TestBreakerLastHistories(t *testing.T) {
	check(t, kind{name: "breaker-last", long: 30_000, short: 2_000, atOnce: 1, draw: func(rng *rand.Rand) plan {
		last := 1 + rng.IntN(6)
		return drawTrip(rng, last, 0, drawSteps)
	}})
}

func TestBreakerWindowHistories(t *testing.T) {
	check(t, kind{name: "breaker-window", long: 30_000, short: 2_000, atOnce: 1, draw: func(rng *rand.Rand) plan {
		return drawTrip(rng, 0, 10*time.Minute, drawSteps)
	}})
}

// In these histories the window rolls on: it is the shortest there is, and clients wait.
func TestBreakerRollingHistories(t *testing.T) {
	check(t, kind{name: "breaker-rolling", long: 15_000, short: 600, atOnce: 32, draw: func(rng *rand.Rand) plan {
		return drawTrip(rng, 0, shortWindow, drawSlowSteps)
	}})
}

const shortWindow = 10 * time.Millisecond

// drawTrip draws a history of a breaker with Trip. FailureRate is said again in other words.
func drawTrip(rng *rand.Rand, last int, window time.Duration, steps func(*rand.Rand, *breakerRun, int) []func(*client)) plan {
	b, base := drawSettings(rng)
	percent, min := 25+rng.IntN(76), 1+rng.IntN(6)
	if last > 0 && min > last { // it would never open
		min = last
	}
	b.Trip, b.Last, b.Window = fx.FailureRate(float64(percent)/100, min), last, window
	m := &tripSpec{breakerSpec: base, last: last, trip: func(c fx.Counts) bool {
		calls := c.Failures + c.Successes
		return calls >= min && 100*c.Failures >= percent*calls
	}}
	m.window.length = window
	r := &breakerRun{Breaker: b, halves: m.halves}
	p := r.plan(rng, steps)
	p.about = fmt.Sprintf("FailureRate(%d %%, %d), Last %d, Window %v, %v", percent, min, last, window, base)
	p.spec = func(ops []porcupine.Operation) porcupine.Model {
		m.known(ops)
		return model(tripState{}, m.step)
	}
	return p
}

// halves are what else the end of a call is made of.
func (m *tripSpec) halves(how ending) []string {
	switch {
	case how.verdict() == failure:
		return []string{"open"}
	case how.verdict() == success && m.last == 0:
		return []string{"add"}
	}
	return nil
}

// drawSlowSteps are few that change the state, and some that take time.
func drawSlowSteps(rng *rand.Rand, r *breakerRun, call int) []func(*client) {
	how := [...]ending{succeeds, succeeds, fails}[rng.IntN(3)]
	switch n := rng.IntN(10); {
	case n < 5:
		return []func(*client){r.call(call, how)}
	case n < 9:
		return []func(*client){wait(drawUpTo(rng, shortWindow)), r.counts}
	}
	return drawSteps(rng, r, call)
}
