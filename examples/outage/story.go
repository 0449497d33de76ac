package main

import "time"

// A story is all that happens and how long it takes. Both lanes play the same one.
type story struct {
	Healthy, Dead, Slow, Well time.Duration // the phases, in turn

	Catalog, Inventory, Payment time.Duration // what an answer takes on a good day
	Sick                        time.Duration // what the catalog takes on top of that when it comes back
	Patience                    time.Duration // when a shopper gives up

	Naive time.Duration // the plain lane's timeout, at every hop

	// The guarded lane's limits. Each hop waits longer than the one behind it may take, or a late but good answer
	// would find nobody who waits for it. And a whole call has clearly more time than all its attempts need: if it
	// ended first, the breaker would take it for a caller who left, and learn nothing.
	Look, Write, Price, Checkout limits
	Pause                        time.Duration // before a second attempt, at most
	Cooldown, MaxCooldown        time.Duration
	Window                       time.Duration // of the retry budgets

	Settle time.Duration // after it, what ran when the breaker opened is over
	Pulse  time.Duration // between two counts of goroutines
}

// Limits is how long a guarded call may take.
type limits struct{ Attempt, Whole time.Duration }

// newStory tells the story at pace 1, or that much faster. All of it scales, or it would be another story.
func newStory(pace int) story {
	ms := func(n int) time.Duration { return time.Duration((n+pace/2)/pace) * time.Millisecond }
	return story{
		Healthy: ms(8_000), Dead: ms(15_000), Slow: ms(4_000), Well: ms(9_000),
		Catalog: ms(15), Inventory: ms(9), Payment: ms(24),
		Sick:        ms(350),
		Patience:    ms(6_000),
		Naive:       ms(3_000),
		Look:        limits{Attempt: ms(200), Whole: ms(600)},
		Write:       limits{Attempt: ms(900), Whole: ms(1_000)},
		Price:       limits{Attempt: ms(900), Whole: ms(2_000)},
		Checkout:    limits{Attempt: ms(4_200), Whole: ms(4_500)},
		Pause:       ms(50),
		Cooldown:    ms(2_000),
		MaxCooldown: ms(4_000),
		Window:      ms(10_000),
		Settle:      ms(750),
		Pulse:       ms(60),
	}
}

// The pace of the full story and of the one for CI.
const (
	fullPace = 1
	fastPace = 3
)

func (s story) dies() time.Duration     { return s.Healthy }
func (s story) recovers() time.Duration { return s.Healthy + s.Dead }
func (s story) ends() time.Duration     { return s.recovers() + s.Slow + s.Well }

// phase names the moment at.
func (s story) phase(at time.Duration) string {
	switch {
	case at < s.dies():
		return "healthy"
	case at < s.recovers():
		return "catalog dead"
	case at < s.recovers()+s.Slow:
		return "catalog slow"
	}
	return "well again"
}

// mood is how the catalog feels at a moment: it hangs, or how much longer than usual it takes.
func (s story) mood(at time.Duration) (hangs bool, extra time.Duration) {
	switch back := at - s.recovers(); {
	case at < s.dies() || back >= s.Slow:
		return false, 0
	case back < 0:
		return true, 0
	default:
		return false, s.Sick - time.Duration(float64(s.Sick)*float64(back)/float64(s.Slow))
	}
}

// cooldown is the breaker's current cooldown, before jitter, when it has opened so many times in a row.
func (s story) cooldown(trips int) time.Duration {
	d := s.Cooldown
	for ; trips > 1 && d < s.MaxCooldown; trips-- {
		d = min(2*d, s.MaxCooldown)
	}
	return d
}
