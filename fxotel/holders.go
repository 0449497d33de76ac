package fxotel

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"

	"example.com/fx"
)

// A holder is the name of what is watched, and its kind.
type holder struct{ kind, name string }

// Breakers shows the states of bs, each under its Name; counts their changes by a bounded cause; and emits each change
// as the event fx.breaker.change, with the error that caused it. For that it puts itself before each OnChange, so call
// it before the breakers are used. It panics on a breaker without a name, and on two of one name.
//
// The event is a log record and no span event. A change belongs to no call: it comes on a goroutine of its own, some are
// brought about by time alone, and fx.Change has no context. Besides, OpenTelemetry is giving up the API for span events
// (OTEP 4430, accepted in 2025).
func (t *Telemetry) Breakers(bs ...*fx.Breaker) {
	for _, b := range bs {
		if b == nil {
			panic("fxotel: Breakers needs breakers that are not nil")
		}
		t.watch(holder{"breaker", b.Name})
		t.watchBreaker(b)
		then := b.OnChange
		b.OnChange = func(c fx.Change) {
			t.changed(c)
			if then != nil {
				then(c)
			}
		}
	}
}

var states = []fx.State{fx.StateClosed, fx.StateOpen, fx.StateHalfOpen}

func (t *Telemetry) watchBreaker(b *fx.Breaker) {
	state := t.gauge("fx.breaker.state", "1", "1 for the state that the breaker is in, 0 for the others.")
	failures := t.gauge("fx.breaker.failures", "{failure}", "Failures since the latest success.")
	name := named(b.Name)
	sets := make([]metric.ObserveOption, len(states))
	for i, s := range states {
		sets[i] = metric.WithAttributeSet(attribute.NewSet(keyName.String(b.Name), keyState.String(s.String())))
	}
	t.tell(func(o metric.Observer) {
		is := b.State()
		for i, s := range states {
			o.ObserveInt64(state, truth(s == is), sets[i])
		}
		o.ObserveInt64(failures, int64(b.Counts().Consecutive), name)
	}, state, failures)
}

// changed counts a change and emits it.
func (t *Telemetry) changed(c fx.Change) {
	attrs := []attribute.KeyValue{
		keyName.String(c.Name), keyFrom.String(c.From.String()), keyTo.String(c.To.String()), keyCause.String(cause(c)),
	}
	ctx := context.Background()
	t.changes.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(attrs...)))
	var r log.Record
	r.SetEventName("fx.breaker.change")
	r.SetTimestamp(c.At)
	r.SetSeverity(log.SeverityInfo)
	if c.To == fx.StateOpen {
		r.SetSeverity(log.SeverityWarn)
	}
	r.SetBody(attribute.StringValue(fmt.Sprintf("circuit breaker %q: %v, was %v", c.Name, c.To, c.From)))
	r.AddAttributes(attrs...)
	if c.Cause != nil {
		r.SetErr(c.Cause)
		r.AddAttributes(keyMessage.String(text(c.Cause)))
	}
	t.logger.Emit(ctx, r)
}

// Bulkheads shows the places of bs, each under its Name. It panics on a bulkhead without a name, and on two of one name.
func (t *Telemetry) Bulkheads(bs ...*fx.Bulkhead) {
	for _, b := range bs {
		if b == nil {
			panic("fxotel: Bulkheads needs bulkheads that are not nil")
		}
		t.watch(holder{"bulkhead", b.Name})
		running := t.level("fx.bulkhead.running", "{call}", "Places in use.")
		waiting := t.level("fx.bulkhead.waiting", "{call}", "Calls in the queue.")
		limit := t.level("fx.bulkhead.limit", "{call}", "Places there are.")
		queue := t.level("fx.bulkhead.queue", "{call}", "Calls that the queue has room for.")
		name := named(b.Name)
		places, room := places(b)
		t.tell(func(o metric.Observer) {
			in, out := b.InUse()
			o.ObserveInt64(running, int64(in), name)
			o.ObserveInt64(waiting, int64(out), name)
			o.ObserveInt64(limit, places, name)
			o.ObserveInt64(queue, room, name)
		}, running, waiting, limit, queue)
	}
}

// places are the limit and the queue that b works with.
func places(b *fx.Bulkhead) (limit, queue int64) {
	const most = 1 << 30
	limit = int64(b.Limit)
	if limit == 0 {
		limit = 10
	}
	return min(max(limit, 1), most), min(max(int64(b.Queue), 0), most)
}

// Budget shows what b has seen, under that name.
func (t *Telemetry) Budget(name string, b *fx.Budget) {
	if b == nil {
		panic("fxotel: Budget needs a budget that is not nil")
	}
	t.watch(holder{"budget", name})
	first := t.level("fx.budget.first", "{call}", "First attempts in the latest window.")
	again := t.level("fx.budget.again", "{call}", "Retries and hedges in the latest window.")
	left := t.level("fx.budget.left", "{call}", "Retries and hedges that there is room for.")
	denied := t.total("fx.budget.denied", "{call}", "Retries and hedges that the budget has stopped.")
	under := named(name)
	t.tell(func(o metric.Observer) {
		c := b.Counts()
		o.ObserveInt64(first, int64(c.First), under)
		o.ObserveInt64(again, int64(c.Again), under)
		o.ObserveInt64(left, int64(c.Left), under)
		o.ObserveInt64(denied, int64(c.Denied), under)
	}, first, again, left, denied)
}

// Hedge shows what the copies of h came to, under that name.
func (t *Telemetry) Hedge(name string, h *fx.Hedge) {
	if h == nil {
		panic("fxotel: Hedge needs a hedge that is not nil")
	}
	t.watch(holder{"hedge", name})
	started := t.total("fx.hedge.started", "{call}", "Further copies that were started.")
	won := t.total("fx.hedge.won", "{call}", "Further copies whose answer was taken.")
	wasted := t.total("fx.hedge.wasted", "{call}", "Further copies that ended in vain.")
	delay := must(t.meter.Float64ObservableGauge("fx.hedge.delay", metric.WithUnit("s"),
		metric.WithDescription("How long the next call waits for a further copy.")))
	under := named(name)
	t.tell(func(o metric.Observer) {
		c := h.Counts()
		o.ObserveInt64(started, int64(c.Started), under)
		o.ObserveInt64(won, int64(c.Won), under)
		o.ObserveInt64(wasted, int64(c.Wasted), under)
		o.ObserveFloat64(delay, c.Delay.Seconds(), under)
	}, started, won, wasted, delay)
}

// Cache shows what c has seen, under that name. Any *fx.Cache will do.
func (t *Telemetry) Cache(name string, c interface{ Counts() fx.CacheCounts }) {
	if c == nil {
		panic("fxotel: Cache needs a cache that is not nil")
	}
	t.watch(holder{"cache", name})
	entries := t.level("fx.cache.entries", "{entry}", "Values in memory.")
	hits := t.total("fx.cache.hits", "{look}", "Looks that found a value in memory.")
	misses := t.total("fx.cache.misses", "{look}", "Looks that did not.")
	fetched := t.total("fx.cache.fetched", "{look}", "Of the misses, those that the store answered.")
	errs := t.total("fx.cache.errors", "{error}", "Troubles with the store, as OnErr hears of them.")
	under := named(name)
	t.tell(func(o metric.Observer) {
		n := c.Counts()
		o.ObserveInt64(entries, int64(n.Entries), under)
		o.ObserveInt64(hits, int64(n.Hits), under)
		o.ObserveInt64(misses, int64(n.Misses), under)
		o.ObserveInt64(fetched, int64(n.Fetched), under)
		o.ObserveInt64(errs, int64(n.Errs), under)
	}, entries, hits, misses, fetched, errs)
}

// watch takes note of a holder, so that no other is shown under its name.
func (t *Telemetry) watch(h holder) {
	if h.name == "" {
		panic("fxotel: the " + h.kind + " needs a name to be told apart by")
	}
	t.open()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holders[h] {
		panic(fmt.Sprintf("fxotel: there is a %s %q already; names tell them apart", h.kind, h.name))
	}
	t.holders[h] = true
}

// tell has observe called whenever metrics are collected.
func (t *Telemetry) tell(observe func(metric.Observer), what ...metric.Observable) {
	must(t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		observe(o)
		return nil
	}, what...))
}

// gauge is a value that does not add up over processes.
func (t *Telemetry) gauge(name, unit, what string) metric.Int64Observable {
	return must(t.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what)))
}

// level is a value that adds up over processes, and goes up and down.
func (t *Telemetry) level(name, unit, what string) metric.Int64Observable {
	return must(t.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(what)))
}

// total is a count that only grows.
func (t *Telemetry) total(name, unit, what string) metric.Int64Observable {
	return must(t.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what)))
}

func named(name string) metric.ObserveOption {
	return metric.WithAttributeSet(attribute.NewSet(keyName.String(name)))
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
