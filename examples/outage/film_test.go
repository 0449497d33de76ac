package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// filmUntil is a film of the fast story as it might go, up to a moment.
func filmUntil(until time.Duration) *film {
	f := &film{settings: settings{rate: 100, seed: 1, fast: true}, story: newStory(fastPace)}
	s := f.story
	for n := 1; tenths(n) <= until; n++ {
		at := tenths(n)
		second := (n + 9) / 10
		dead := at > s.dies() && at <= s.recovers()
		p := sample{Lane: plainLane, Tenth: n, Second: second, Completed: 100, P99: 60, Goroutines: 120, Calls: 100}
		g := p
		g.Lane, g.Breaker = guardedLane, closed
		if dead {
			p.Completed, p.Failed, p.P99, p.Goroutines, p.Calls = 0, 100, 2030, 3470, 200
			g.Breaker, g.Stale, g.StaleAge, g.Calls, g.Running, g.Waiting = open, 1, millis(at-s.dies()), 1, 5, 2
		}
		g.Changes = changesIn(s, at-time.Second, at)
		f.add(p)
		f.add(g)
	}
	return f
}

const timedOut = "fx: timeout after 66ms"

func changesIn(s story, from, to time.Duration) []change {
	return filter([]change{
		{s.dies() + 150*time.Millisecond, closed, open, timedOut},
		{s.dies() + 900*time.Millisecond, open, halfOpen, ""},
		{s.dies() + 980*time.Millisecond, halfOpen, open, timedOut},
		{s.recovers() + 500*time.Millisecond, open, halfOpen, ""},
		{s.recovers() + 520*time.Millisecond, halfOpen, closed, ""},
	}, func(c change) bool { return c.At > from && c.At <= to })
}

func TestFilmTakesEachChangeOnce(t *testing.T) {
	f := filmUntil(time.Hour)
	assert.Equal(t, changesIn(f.story, 0, time.Hour), f.changes, "though ten samples tell of each")
}

func TestFilmEndsWithTheStory(t *testing.T) {
	f := filmUntil(time.Hour)
	assert.LessOrEqual(t, f.now(), f.story.ends())
	assert.Greater(t, f.now(), f.story.ends()-tenths(1))
	assert.Len(t, f.guarded, len(f.plain))
}

func TestReelAtIsTheLatestThatIsKnown(t *testing.T) {
	r := reel{{Tenth: 1}, {Tenth: 2}, {Tenth: 3}}
	assert.Equal(t, sample{}, r.at(0))
	assert.Equal(t, 1, r.at(tenths(1)).Tenth)
	assert.Equal(t, 1, r.at(tenths(2)-1).Tenth)
	assert.Equal(t, 3, r.at(time.Hour).Tenth)
	assert.Equal(t, 3, r.last().Tenth)
	assert.Equal(t, sample{}, reel(nil).last())
}

func TestStripShowsTheRarestState(t *testing.T) {
	f := filmUntil(time.Hour)
	dies, ms := f.story.dies(), time.Millisecond
	for _, c := range []struct {
		from, to time.Duration
		want     string
	}{
		{0, dies, closed},
		{dies, dies + 140*ms, closed},
		{dies, dies + 200*ms, open},
		{dies + 200*ms, dies + 800*ms, open},
		{dies + 800*ms, dies + 950*ms, halfOpen},
		{dies + 920*ms, dies + 950*ms, halfOpen},
		{dies + 800*ms, dies + 1800*ms, halfOpen},
		{dies + 990*ms, dies + 1800*ms, open},
		{f.story.ends() - 100*ms, f.story.ends(), closed},
	} {
		assert.Equal(t, c.want, f.breaker(c.from, c.to), "%v to %v", c.from, c.to)
	}
}

func TestEventsTellPhasesAndReasonsInOrder(t *testing.T) {
	var told []string
	f := filmUntil(time.Hour)
	for i, e := range f.events() {
		told = append(told, e.what)
		if i > 0 {
			assert.GreaterOrEqual(t, e.at, f.events()[i-1].at)
		}
	}
	assert.Equal(t, []string{
		"the shop opens, and all is well",
		"the catalog dies: it accepts connections and never answers",
		"breaker open: " + strings.TrimPrefix(timedOut, "fx: "),
		"breaker half-open: the cooldown is over, a probe may try",
		"breaker open again: " + strings.TrimPrefix(timedOut, "fx: "),
		"the catalog is back, and slow",
		"breaker half-open: the cooldown is over, a probe may try",
		"breaker closed: the probes succeeded",
		"the catalog is well again",
	}, told)
	assert.Len(t, filmUntil(time.Second).events(), 1, "what has not happened is not told")
}
