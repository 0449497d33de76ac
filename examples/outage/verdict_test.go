package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// good are figures of a run in which all went as it should.
func good() (plain, guarded figures) {
	plain = figures{
		Lane:    plainLane,
		Healthy: spell{Orders: 800, Completed: 800, Goroutines: 100},
		Dead:    spell{Orders: 1500, Completed: 300, Goroutines: 9000},
	}
	guarded = figures{
		Lane:    guardedLane,
		Healthy: spell{Orders: 800, Completed: 800, Goroutines: 100},
		Dead:    spell{Orders: 1500, Completed: 1500, Stale: 1500, P99: 500, Goroutines: 400},
		Open:    spell{Orders: 1440, Completed: 1440, Stale: 1440, P99: 60, Goroutines: 160, Calls: 5},
		Opened:  true, OpenedIn: 600, Probes: 5,
		Cooldown: 4000, Closed: true, ClosedIn: 3100,
	}
	return plain, guarded
}

func TestVerdictOfAGoodRunPasses(t *testing.T) {
	checks := verdict(good())
	assert.Empty(t, failing(checks))
	assert.True(t, passed(checks))
	assert.Len(t, checks, 8)
}

func TestVerdictFindsWhatIsBroken(t *testing.T) {
	const completed, piled = "orders completed in the outage", "goroutines in the outage, at most"
	opening := []string{"breaker opens in the outage", "p99 after that", "goroutines after that, at most",
		"catalog calls after that", "breaker closes after the recovery"}
	for name, c := range map[string]struct {
		spoil func(plain, guarded *figures)
		want  []string
	}{
		"guarded loses orders":            {func(_, g *figures) { g.Dead.Completed = 1484 }, []string{"guarded: " + completed}},
		"guarded had none":                {func(_, g *figures) { g.Dead = spell{} }, []string{"guarded: " + completed}},
		"the breaker never opens":         {func(_, g *figures) { g.Opened = false }, of(guardedLane, opening...)},
		"p99 is at the bound":             {func(_, g *figures) { g.Open.P99 = 250 }, []string{"guarded: p99 after that"}},
		"goroutines grow":                 {func(_, g *figures) { g.Open.Goroutines = 451 }, []string{"guarded: goroutines after that, at most"}},
		"a call more than the probes'":    {func(_, g *figures) { g.Open.Calls = 6 }, []string{"guarded: catalog calls after that"}},
		"a call, and no probe":            {func(_, g *figures) { g.Open.Calls, g.Probes = 1, 0 }, []string{"guarded: catalog calls after that"}},
		"the breaker closes too late":     {func(_, g *figures) { g.ClosedIn = 8001 }, []string{"guarded: breaker closes after the recovery"}},
		"the breaker never closes":        {func(_, g *figures) { g.Closed = false }, []string{"guarded: breaker closes after the recovery"}},
		"plain does not collapse":         {func(p, _ *figures) { p.Dead.Completed = 750 }, []string{"plain: " + completed}},
		"plain had no orders":             {func(p, _ *figures) { p.Dead.Orders, p.Dead.Completed = 0, 0 }, []string{"plain: " + completed}},
		"plain does not pile up":          {func(p, _ *figures) { p.Dead.Goroutines = 499 }, []string{"plain: " + piled}},
		"plain was never healthy":         {func(p, _ *figures) { p.Healthy.Goroutines = 0 }, []string{"plain: " + piled}},
		"the lanes are both the good one": {func(p, g *figures) { p.Dead = g.Dead }, []string{"plain: " + completed, "plain: " + piled}},
	} {
		t.Run(name, func(t *testing.T) {
			plain, guarded := good()
			c.spoil(&plain, &guarded)
			checks := verdict(plain, guarded)
			assert.Equal(t, c.want, failing(checks))
			assert.False(t, passed(checks))
		})
	}
}

func TestVerdictGivesMeasureAndBound(t *testing.T) {
	plain, guarded := good()
	guarded.Open.Calls = 6
	assert.Contains(t, verdict(plain, guarded), check{
		Lane: "guarded", Name: "catalog calls after that", Measured: "6", Bound: "up to 5 (the probes)",
	})
}

func of(lane string, names ...string) (full []string) {
	for _, n := range names {
		full = append(full, lane+": "+n)
	}
	return full
}

func failing(checks []check) (names []string) {
	for _, c := range checks {
		if !c.OK {
			names = append(names, of(c.Lane, c.Name)...)
		}
	}
	return names
}
