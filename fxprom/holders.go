package fxprom

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/fx"
	"example.com/fx/fxprom/internal/table"
)

// A holder is the name of what is watched, and its kind.
type holder struct{ kind, name string }

// Breakers tells the states of bs, each under its Name, and counts their changes with the cause. For that it puts
// itself before each OnChange, so call it before the breakers are used. It panics on a breaker without a name, and on
// two of one name.
func (m *Metrics) Breakers(bs ...*fx.Breaker) {
	for _, b := range bs {
		if b == nil {
			panic("fxprom: Breakers needs breakers that are not nil")
		}
		m.watch(holder{"breaker", b.Name}, func(ch chan<- prometheus.Metric) {
			state := b.State().String()
			for _, s := range table.States {
				gauge(ch, table.State, truth(s == state), b.Name, s)
			}
			gauge(ch, table.Consecutive, float64(b.Counts().Consecutive), b.Name)
		})
		m.open()
		for _, c := range usual { // at 0 from the start, so that the first one shows in a rate
			m.changes.WithLabelValues(b.Name, c.from, c.to, c.cause)
		}
		then := b.OnChange
		b.OnChange = func(c fx.Change) {
			m.changes.WithLabelValues(c.Name, c.From.String(), c.To.String(), cause(c)).Inc()
			if then != nil {
				then(c)
			}
		}
	}
}

// usual are the changes that a breaker's life is made of.
var usual = []struct{ from, to, cause string }{
	{"closed", "open", table.Failure},
	{"closed", "open", table.Timeout},
	{"open", "half-open", table.Cooled},
	{"half-open", "open", table.Failure},
	{"half-open", "open", table.Timeout},
	{"half-open", "closed", table.Recovered},
}

// cause is the class of what has changed a breaker.
func cause(c fx.Change) string {
	switch {
	case c.Cause != nil:
		return class(c.Cause)
	case c.From == fx.StateOpen && c.To == fx.StateHalfOpen:
		return table.Cooled
	case c.From == fx.StateHalfOpen && c.To == fx.StateClosed:
		return table.Recovered
	}
	return table.Forced
}

// Bulkheads tells the places of bs, each under its Name. It panics on a bulkhead without a name, and on two of one name.
func (m *Metrics) Bulkheads(bs ...*fx.Bulkhead) {
	for _, b := range bs {
		if b == nil {
			panic("fxprom: Bulkheads needs bulkheads that are not nil")
		}
		limit, queue := places(b)
		m.watch(holder{"bulkhead", b.Name}, func(ch chan<- prometheus.Metric) {
			running, waiting := b.InUse()
			gauge(ch, table.Running, float64(running), b.Name)
			gauge(ch, table.Waiting, float64(waiting), b.Name)
			gauge(ch, table.Limit, float64(limit), b.Name)
			gauge(ch, table.Queue, float64(queue), b.Name)
		})
	}
}

// places are the limit and the queue that b works with.
func places(b *fx.Bulkhead) (limit, queue int) {
	const most = 1 << 30
	limit = b.Limit
	if limit == 0 {
		limit = 10
	}
	return min(max(limit, 1), most), min(max(b.Queue, 0), most)
}

// Budget tells what b has seen, under that name.
func (m *Metrics) Budget(name string, b *fx.Budget) {
	if b == nil {
		panic("fxprom: Budget needs a budget that is not nil")
	}
	m.watch(holder{"budget", name}, func(ch chan<- prometheus.Metric) {
		c := b.Counts()
		gauge(ch, table.First, float64(c.First), name)
		gauge(ch, table.Again, float64(c.Again), name)
		gauge(ch, table.Left, float64(c.Left), name)
		total(ch, table.Denied, c.Denied, name)
	})
}

// Hedge tells what the copies of h came to, under that name.
func (m *Metrics) Hedge(name string, h *fx.Hedge) {
	if h == nil {
		panic("fxprom: Hedge needs a hedge that is not nil")
	}
	m.watch(holder{"hedge", name}, func(ch chan<- prometheus.Metric) {
		c := h.Counts()
		total(ch, table.Hedges, c.Started, name)
		total(ch, table.Won, c.Won, name)
		total(ch, table.Wasted, c.Wasted, name)
		gauge(ch, table.Delay, c.Delay.Seconds(), name)
	})
}

// Cache tells what c has seen, under that name. Any *fx.Cache will do.
func (m *Metrics) Cache(name string, c interface{ Counts() fx.CacheCounts }) {
	if c == nil {
		panic("fxprom: Cache needs a cache that is not nil")
	}
	m.watch(holder{"cache", name}, func(ch chan<- prometheus.Metric) {
		n := c.Counts()
		gauge(ch, table.Entries, float64(n.Entries), name)
		total(ch, table.Hits, n.Hits, name)
		total(ch, table.Misses, n.Misses, name)
		total(ch, table.Fetched, n.Fetched, name)
		total(ch, table.Errs, n.Errs, name)
	})
}

func (m *Metrics) watch(h holder, tell func(chan<- prometheus.Metric)) {
	if h.name == "" {
		panic("fxprom: the " + h.kind + " needs a name to be told apart by")
	}
	m.open()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holders[h] != nil {
		panic(fmt.Sprintf("fxprom: there is a %s %q already; names tell them apart", h.kind, h.name))
	}
	m.holders[h] = tell
}

func gauge(ch chan<- prometheus.Metric, of *table.Metric, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(descs[of], prometheus.GaugeValue, v, labels...)
}

func total(ch chan<- prometheus.Metric, of *table.Metric, n int, labels ...string) {
	ch <- prometheus.MustNewConstMetric(descs[of], prometheus.CounterValue, float64(n), labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
