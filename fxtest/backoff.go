package fxtest

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"example.com/fx"
)

// Bounds says what a Backoff promises. The zero value: that no wait is negative.
type Bounds struct {
	// Least and Most bound every wait. Most of 0 means without bound.
	Least, Most time.Duration
	// Each, where set, bounds the n-th wait, from 1, beside Least and Most.
	Each func(n int) (least, most time.Duration)
	// Steps is how many waits there are. 0 means any number, a negative number that there is no end.
	Steps int
	// Total bounds the sum of the waits. 0 means without bound.
	Total time.Duration
	// Waits says that it waits itself, as what BackoffOf makes of a policy does.
	Waits bool
	// Random says that the waits are drawn: they differ from one range to the next.
	Random bool
}

// far is how many waits are looked at where they do not end: more than any overflow needs.
const far = 12_000

// CheckBackoff proves that b keeps its bounds at any attempt, however far, that every range over it starts afresh and
// disturbs no other, inside it or on another goroutine, that it stops when yield says so, and that it does not wait itself.
//
//	fxtest.CheckBackoff(t, schedule, fxtest.Bounds{Most: 5 * time.Second, Steps: -1, Random: true})
func CheckBackoff(t *testing.T, b fx.Backoff, want Bounds) {
	t.Helper()
	rapid.Check(t, BackoffLaws(b, want))
}

// BackoffLaws is the property that CheckBackoff checks, for rapid.MakeFuzz or a rapid.Check of one's own.
func BackoffLaws(b fx.Backoff, want Bounds) func(*rapid.T) {
	if b == nil {
		panic("fxtest: CheckBackoff needs a Backoff, as in fxtest.CheckBackoff(t, fx.Exponential(time.Second), fxtest.Bounds{Steps: -1})")
	}
	if want.Most == 0 {
		want.Most = math.MaxInt64
	}
	if want.Least > want.Most {
		panic("fxtest: CheckBackoff with Bounds whose Least is above Most")
	}
	return func(rt *rapid.T) {
		stop := rapid.OneOf(rapid.IntRange(1, 20), rapid.Just(far)).Draw(rt, "stop after")
		inner := rapid.IntRange(1, 10).Draw(rt, "waits of a range inside")
		at := rapid.IntRange(0, 20).Draw(rt, "begun at wait")
		callers := rapid.IntRange(1, 4).Draw(rt, "ranges at once")
		trial(rt, func(h *history) {
			c := backoffCheck{h, b, want}
			first := c.take(stop, -1, 0)
			c.bounds(first, stop)
			c.same(first, c.take(stop, at, inner), "another range inside it")
			c.together(first, callers, stop)
			c.h.must(want.Waits || time.Since(h.start) == 0, "a backoff says how long to wait, and does not wait itself", "it took %v", time.Since(h.start))
		})
	}
}

// backoffCheck is one play.
type backoffCheck struct {
	h    *history
	b    fx.Backoff
	want Bounds
}

// take ranges over b up to n waits. At wait number at it takes another range of inner waits.
func (c backoffCheck) take(n, at, inner int) (waits []time.Duration) {
	over := false
	c.b(func(d time.Duration) bool {
		c.h.must(!over, "a backoff stops when yield says so", "it went on after yield had returned false at wait %d; write if !yield(d) { return }", n)
		if len(waits) == at {
			c.bounds(c.take(inner, -1, 0), inner)
		}
		waits = append(waits, d)
		over = len(waits) == n
		return !over
	})
	return waits
}

// bounds looks at the first waits of a range that was to yield n of them.
func (c backoffCheck) bounds(waits []time.Duration, n int) {
	total, left := time.Duration(0), c.want.Total
	for i, d := range waits {
		switch least, most := c.want.of(i + 1); {
		case d < 0:
			c.list(waits[:i+1])
			c.h.fail("a wait is never negative", "wait %d of a range is %v", i+1, d)
		case d < least || d > most:
			c.list(waits[:i+1])
			c.h.fail("a wait stays within its bounds", "wait %d of a range is %v, and should be between %v and %v", i+1, d, least, most)
		}
		total = plus(total, d)
		if left -= d; c.want.Total > 0 && left < 0 {
			c.list(waits[:i+1])
			c.h.fail("the sum of the waits stays within its bound", "after wait %d of a range it is %v", i+1, total)
		}
	}
	steps := c.want.Steps
	if steps < 0 {
		steps = math.MaxInt
	}
	if steps = min(steps, n); c.want.Steps != 0 && len(waits) != steps {
		c.list(waits)
		c.h.fail("a backoff has as many waits as it should", "a range of up to %d ended after %d", n, len(waits))
	}
}

// of is the bounds of the n-th wait.
func (b Bounds) of(n int) (least, most time.Duration) {
	if least, most = b.Least, b.Most; b.Each != nil {
		low, high := b.Each(n)
		least, most = max(least, low), min(most, high)
	}
	return least, most
}

// list shows the last few waits.
func (c backoffCheck) list(waits []time.Duration) {
	c.h.lines = nil
	from := max(0, len(waits)-10)
	for i, d := range waits[from:] {
		c.h.add("wait %d is %v", from+i+1, d)
	}
}

// same compares a range with the first one.
func (c backoffCheck) same(first, other []time.Duration, how string) {
	c.bounds(other, len(first))
	if !c.want.Random && !slices.Equal(first, other) {
		c.list(first[:min(len(first), 5)])
		c.h.add("with %s:", how)
		for i, d := range other[:min(len(other), 5)] {
			c.h.add("wait %d is %v", i+1, d)
		}
		c.h.fail("every range over a backoff starts afresh", "two ranges differ; where the waits are drawn, say so by Random")
	}
}

// together ranges on several goroutines at once. What they see is judged here, where a play can be ended.
func (c backoffCheck) together(first []time.Duration, callers, stop int) {
	seen := make([][]time.Duration, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			c.b(func(d time.Duration) bool {
				seen[i] = append(seen[i], d)
				return len(seen[i]) < stop
			})
		})
	}
	all.Wait()
	for _, waits := range seen {
		c.same(first, waits, "another at the same time")
	}
}

// BackoffOf makes a Backoff of a policy that repeats calls: its waits are the times between the end of one call of op and
// the beginning of the next, when op fails each time at once. It does wait itself, so say Waits in the Bounds. The policy
// is applied afresh for each range.
//
//	fxtest.CheckBackoff(t, fxtest.BackoffOf(patient), fxtest.Bounds{Least: 50 * time.Millisecond, Steps: 9, Waits: true, Random: true})
func BackoffOf(policy fx.Policy[int]) fx.Backoff {
	mustPolicy("BackoffOf", policy)
	return func(yield func(time.Duration) bool) {
		var last time.Time
		_, _ = policy(func(context.Context) (int, error) {
			if !last.IsZero() && !yield(time.Since(last)) {
				return 0, nil
			}
			last = time.Now()
			return 0, errCallFailed
		})(context.Background())
	}
}
