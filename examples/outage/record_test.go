package main

import (
	"errors"
	"testing"
	"time"

	"example.com/fx"
	"github.com/stretchr/testify/assert"
)

// A second of each phase, and a breaker that is quick.
func shortStory() story {
	return story{Healthy: time.Second, Dead: time.Second, Slow: time.Second, Well: time.Second,
		Cooldown: 100 * time.Millisecond, MaxCooldown: 200 * time.Millisecond, Settle: 100 * time.Millisecond}
}

func TestFiguresSortByWhenAnOrderWasPlaced(t *testing.T) {
	r := &record{orders: []outcome{
		{at: 10 * time.Millisecond, took: 20 * time.Millisecond, ok: true},
		{at: 999 * time.Millisecond, took: 3 * time.Second}, // failed long after, and belongs to the healthy spell
		{at: 1000 * time.Millisecond, took: 40 * time.Millisecond, ok: true, stale: true},
		{at: 2000 * time.Millisecond, took: 50 * time.Millisecond, ok: true},
	}}
	f := r.figures(shortStory())
	assert.Equal(t, spell{Seconds: 1, Orders: 2, Completed: 1, P99: 3000}, f.Healthy)
	assert.Equal(t, spell{Seconds: 1, Orders: 1, Completed: 1, Stale: 1, P99: 40}, f.Dead)
	assert.Equal(t, 3, f.Sold)
	assert.False(t, f.Opened)
}

func TestFiguresOfTheBreaker(t *testing.T) {
	start := time.Now()
	r := &record{start: start}
	at := func(ms int, from, to fx.State) {
		r.changed(fx.Change{From: from, To: to, At: start.Add(time.Duration(ms) * time.Millisecond), Cause: errors.New("why")})
	}
	at(500, fx.StateClosed, fx.StateOpen) // a hiccup before the outage is not what is asked about
	at(600, fx.StateOpen, fx.StateHalfOpen)
	at(610, fx.StateHalfOpen, fx.StateClosed)
	at(1300, fx.StateClosed, fx.StateOpen)
	at(1500, fx.StateOpen, fx.StateHalfOpen)
	at(1550, fx.StateHalfOpen, fx.StateOpen)
	at(2200, fx.StateOpen, fx.StateHalfOpen)
	at(2250, fx.StateHalfOpen, fx.StateClosed)
	for i, at := range []time.Duration{1200, 1350, 1501, 1520, 2201} {
		r.calls = append(r.calls, call{at * time.Millisecond, []int{90, 40, 1, 2, 30}[i]})
	}
	r.pulses = []pulse{{1350 * time.Millisecond, 500}, {1450 * time.Millisecond, 60}, {2500 * time.Millisecond, 900}}
	f := r.figures(shortStory())
	assert.True(t, f.Opened)
	assert.InDelta(t, 300, float64(f.OpenedIn), 1e-6)
	assert.Equal(t, 1, f.Probes)
	assert.Equal(t, 2, f.Open.Calls, "the one at 1.35 s was on its way, the one at 2.2 s is of the recovery")
	assert.Equal(t, 2, f.Open.Inside)
	assert.Equal(t, 90, f.Dead.Inside)
	assert.Equal(t, 60, f.Open.Goroutines)
	assert.InDelta(t, 200, float64(f.Cooldown), 1e-6, "opened twice in a row")
	assert.True(t, f.Closed)
	assert.InDelta(t, 250, float64(f.ClosedIn), 1e-6)
}

func TestReaderTakesEverythingOnce(t *testing.T) {
	r := &record{start: time.Now()}
	news := reader{record: r}
	r.ended(outcome{took: 30 * time.Millisecond, ok: true, stale: true})
	r.ended(outcome{took: 10 * time.Millisecond})
	r.called()()
	r.beat(7)
	s := news.next()
	assert.Equal(t, sample{Completed: 1, Failed: 1, P99: 30, Stale: 1, Calls: 1, Goroutines: 7}, s)
	assert.Equal(t, sample{}, news.next())
	assert.Zero(t, r.inside)
}

func TestP99IsNearestRank(t *testing.T) {
	orders := make([]outcome, 200)
	for i := range orders {
		orders[i].took = time.Duration(200 - i)
	}
	assert.Equal(t, time.Duration(198), p99(orders))
	assert.Equal(t, time.Duration(200), p99(orders[:1]))
	assert.Zero(t, p99(nil))
}

func TestWindowTellsTheLastSecondTenTimesASecond(t *testing.T) {
	r := &record{start: time.Now()}
	w := newWindow(r)
	for n := 1; n <= 35; n++ {
		r.ended(outcome{ok: true, took: time.Duration(n) * time.Millisecond})
		r.aged(time.Duration(n) * time.Second)
		if n == 20 {
			r.called()()
		}
		s := w.next()
		assert.Equal(t, min(n, perSecond), s.Completed, n)
		assert.Equal(t, ms(n), s.P99)
		assert.Equal(t, ms(1000*n), s.StaleAge)
		assert.Equal(t, n >= 20 && n < 30, s.Calls == 1, n)
	}
}

func TestForgettingChangesNothingThatIsTold(t *testing.T) {
	whole, short := &record{start: time.Now()}, &record{start: time.Now()}
	all, some := newWindow(whole), newWindow(short)
	for n := range 50 {
		for _, r := range []*record{whole, short} {
			r.ended(outcome{ok: n%3 > 0, stale: n%3 > 1, took: time.Duration(n)})
			r.beat(n)
			r.aged(time.Duration(n))
			r.called()
			r.changed(fx.Change{At: r.start.Add(time.Duration(n))})
		}
		assert.Equal(t, all.next(), some.next(), n)
		some.forget()
	}
	assert.LessOrEqual(t, len(short.orders), perSecond)
	assert.LessOrEqual(t, len(short.calls)+len(short.pulses)+len(short.changes)+len(short.ages), 4*perSecond)
	assert.Len(t, whole.orders, 50)
}
