package fxtest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"example.com/fx"
)

// CheckTrip proves that rule is fit to be the Trip of an fx.Breaker: it has an answer for any counts, zero and huge ones (up to
// 2^40) among them; the same counts get the same answer, from any number of goroutines; without a failure it does not trip; a
// failure in the place of a success never keeps it from tripping; and a breaker with it opens exactly when it says so.
//
//	fxtest.CheckTrip(t, func(c fx.Counts) bool { return c.Failures >= 5 && c.Failures > c.Successes })
func CheckTrip(t *testing.T, rule func(fx.Counts) bool) {
	t.Helper()
	rapid.Check(t, TripLaws(rule))
}

// TripLaws is the property that CheckTrip checks.
func TripLaws(rule func(fx.Counts) bool) func(*rapid.T) {
	if rule == nil {
		panic("fxtest: CheckTrip needs a rule, as in fxtest.CheckTrip(t, fx.FailureRate(0.5, 20))")
	}
	return func(rt *rapid.T) {
		counts := drawCounts(rt)
		worse := worsen(rt, counts)
		ends := rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(rt, "calls that fail")
		last := rapid.SampledFrom([]int{1, 2, 10, 100}).Draw(rt, "Last")
		trial(rt, func(h *history) {
			c := tripCheck{h, rule}
			trips := c.ask(counts)
			c.agree(counts, trips)
			h.must(!trips || counts.Failures+counts.Consecutive > 0, "no rule trips without a failure", "it trips at %+v", counts)
			h.must(c.ask(worse) || !trips, "a failure in the place of a success never keeps a rule from tripping", "it trips at %+v, and not at %+v", counts, worse)
			c.rules(ends, last)
		})
	}
}

// huge are counts at which narrow integers overflow.
var huge = []int{1<<31 - 1, 1 << 31, 1 << 32, 1<<32 + 1, 1 << 40}

// drawCounts draws what a breaker may have counted. A row of failures does not age, so it may be longer than Failures.
func drawCounts(rt *rapid.T) fx.Counts {
	n := rapid.OneOf(rapid.IntRange(0, 50), rapid.Just(0), rapid.IntRange(0, 1<<40), rapid.SampledFrom(huge))
	c := fx.Counts{Successes: n.Draw(rt, "successes"), Failures: n.Draw(rt, "failures")}
	c.Consecutive = rapid.OneOf(rapid.IntRange(0, c.Failures), rapid.Just(c.Failures), n).Draw(rt, "in a row")
	if c.Failures == 0 {
		c.Consecutive = 0
	}
	return c
}

// worsen turns some successes of c into failures, which may make the row longer.
func worsen(rt *rapid.T, c fx.Counts) fx.Counts {
	n := rapid.OneOf(rapid.IntRange(0, min(c.Successes, 1)), rapid.IntRange(0, c.Successes)).Draw(rt, "turned into failures")
	c.Successes -= n
	c.Failures += n
	if n > 0 {
		c.Consecutive += rapid.IntRange(0, c.Failures).Draw(rt, "more in a row")
	}
	return c
}

// tripCheck is one play.
type tripCheck struct {
	h    *history
	rule func(fx.Counts) bool
}

func (c tripCheck) ask(counts fx.Counts) (trips bool) {
	defer func() {
		p := recover()
		c.h.must(p == nil, "a rule has an answer for any counts", "at %+v it panics: %v", counts, p)
	}()
	trips = c.rule(counts)
	c.h.add("%+v: %v", counts, trips)
	return trips
}

// agree asks again, at the same time from several goroutines.
func (c tripCheck) agree(counts fx.Counts, trips bool) {
	var all sync.WaitGroup
	answers := make([]bool, 4)
	for i := range answers {
		all.Go(func() {
			runtime.Gosched()
			answers[i] = c.rule(counts)
		})
	}
	all.Wait()
	for _, again := range answers {
		c.h.must(again == trips, "the same counts get the same answer", "at %+v the first is %v, and another %v", counts, trips, again)
	}
}

// rules lets calls go through a real breaker, and compares it with the rule asked about what has happened.
func (c tripCheck) rules(fails []bool, last int) {
	c.h.lines = nil
	var seen fx.Counts
	var trips bool
	b := &fx.Breaker{Last: last, Trip: func(counts fx.Counts) bool {
		trips = c.rule(counts)
		return trips
	}}
	for i, fail := range fails {
		var err error
		if seen.Consecutive++; !fail {
			seen.Consecutive = 0
		} else {
			err = fmt.Errorf("call %d failed", i+1)
		}
		done, refused := b.Allow(context.Background())
		c.h.must(refused == nil, "a breaker opens when its rule says so, and only then", "after %d calls it is open: %v", i, refused)
		done(err)
		seen.Successes, seen.Failures = 0, 0
		for _, failed := range fails[max(0, i+1-last) : i+1] {
			if failed {
				seen.Failures++
			} else {
				seen.Successes++
			}
		}
		if !fail {
			continue
		}
		again := c.ask(seen)
		c.h.must(again == trips, "the same counts get the same answer", "at %+v the breaker was told %v", seen, trips)
		open := b.State() == fx.StateOpen
		c.h.must(open == trips, "a breaker opens when its rule says so, and only then", "at %+v the rule says %v, and the breaker is %v", seen, trips, b.State())
		if open {
			return
		}
	}
}
