package main

import "fmt"

// A check is one thing that has to be true of a run.
type check struct {
	Lane     string `json:"lane"`
	Name     string `json:"name"`
	Measured string `json:"measured"`
	Bound    string `json:"bound"`
	OK       bool   `json:"ok"`
}

// The bounds.
const (
	leastGuarded  = 0.99 // of the orders placed while the catalog is dead
	mostPlain     = 0.50
	mostP99       = ms(250)
	flatFactor    = 1.5 // times the healthy peak of goroutines, and
	flatConstant  = 300 // so many more: what 20 orders come to, that wait when the machine itself halts for 0.2 s
	leastPile     = 5.0 // times the healthy peak, in the plain lane
	mostCooldowns = 2   // from the beginning of the recovery until the breaker is closed
)

// verdict says what the figures of both lanes prove, and what they do not.
func verdict(plain, guarded figures) []check {
	return []check{
		completes(guarded),
		opens(guarded),
		staysQuick(guarded),
		staysFlat(guarded),
		onlyProbes(guarded),
		closes(guarded),
		collapses(plain),
		piles(plain),
	}
}

func passed(checks []check) bool {
	return count(checks, func(c check) bool { return !c.OK }) == 0
}

func completes(f figures) check {
	got := f.Dead.completed()
	return check{f.Lane, "orders completed in the outage", percent(got), "at least " + percent(leastGuarded), got >= leastGuarded}
}

func opens(f figures) check {
	return check{f.Lane, "breaker opens in the outage", when(f.Opened, f.OpenedIn), "it does", f.Opened}
}

func staysQuick(f figures) check {
	return ifOpened(f, check{f.Lane, "p99 after that", f.Open.P99.String(), "under " + mostP99.String(), f.Open.P99 < mostP99})
}

func staysFlat(f figures) check {
	bound := int(flatFactor*float64(f.Healthy.Goroutines)) + flatConstant
	return ifOpened(f, check{f.Lane, "goroutines after that, at most", fmt.Sprint(f.Open.Goroutines),
		fmt.Sprintf("up to %d (%v x healthy %d + %d)", bound, flatFactor, f.Healthy.Goroutines, flatConstant),
		f.Open.Goroutines <= bound})
}

func onlyProbes(f figures) check {
	return ifOpened(f, check{f.Lane, "catalog calls after that", fmt.Sprint(f.Open.Calls),
		fmt.Sprintf("up to %d (the probes)", f.Probes), f.Open.Calls <= f.Probes})
}

func closes(f figures) check {
	bound := mostCooldowns * f.Cooldown
	return ifOpened(f, check{f.Lane, "breaker closes after the recovery", when(f.Closed, f.ClosedIn),
		fmt.Sprintf("within %v (%d cooldowns of %v)", bound, mostCooldowns, f.Cooldown), f.Closed && f.ClosedIn <= bound})
}

// ifOpened fails a check on what can only be seen after the breaker has opened.
func ifOpened(f figures, c check) check {
	if !f.Opened {
		c.Measured, c.OK = "-", false
	}
	return c
}

func collapses(f figures) check {
	got := f.Dead.completed()
	return check{f.Lane, "orders completed in the outage", percent(got), "less than " + percent(mostPlain),
		got < mostPlain && f.Dead.Orders > 0}
}

func piles(f figures) check {
	bound := leastPile * float64(f.Healthy.Goroutines)
	return check{f.Lane, "goroutines in the outage, at most", fmt.Sprint(f.Dead.Goroutines),
		fmt.Sprintf("at least %.0f (%v x healthy %d)", bound, leastPile, f.Healthy.Goroutines),
		float64(f.Dead.Goroutines) >= bound && f.Healthy.Goroutines > 0}
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func when(ok bool, d ms) string {
	if !ok {
		return "never"
	}
	return d.String()
}

// String says 85 ms or 4.20 s.
func (m ms) String() string {
	if m < 1000 {
		return fmt.Sprintf("%.0f ms", float64(m))
	}
	return fmt.Sprintf("%.2f s", float64(m)/1000)
}
