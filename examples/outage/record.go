package main

import (
	"math"
	"slices"
	"sync"
	"time"

	"example.com/fx"
)

// A record is what is measured in a lane. All instants in it count from the start of the story.
type record struct {
	start time.Time

	mu      sync.Mutex
	orders  []outcome // in the order of their ends
	calls   []call    // in the order in which they reached the catalog
	inside  int       // calls that the catalog has not answered
	pulses  []pulse
	changes []change
	ages    []age
}

// An age is that of a stale price when an order got it.
type age struct{ at, old time.Duration }

// A call is one that reached the catalog, and how many were there then, itself included.
type call struct {
	at     time.Duration
	inside int
}

// A pulse is a count of goroutines.
type pulse struct {
	at         time.Duration
	goroutines int
}

// A change is one of the breaker before the catalog.
type change struct {
	At    time.Duration `json:"at_ns"`
	From  string        `json:"from"`
	To    string        `json:"to"`
	Cause string        `json:"cause,omitempty"`
}

func (r *record) now() time.Duration { return time.Since(r.start) }

func (r *record) ended(o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.orders = append(r.orders, o)
}

// called notes a call to the catalog; left has to be called when it is over.
func (r *record) called() (left func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside++
	r.calls = append(r.calls, call{r.now(), r.inside})
	return r.left
}

func (r *record) left() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside--
}

func (r *record) beat(goroutines int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pulses = append(r.pulses, pulse{r.now(), goroutines})
}

func (r *record) changed(c fx.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, change{c.At.Sub(r.start), c.From.String(), c.To.String(), message(c.Cause)})
}

func (r *record) aged(old time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ages = append(r.ages, age{r.now(), old})
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A sample is what happened in a lane in one second.
type sample struct {
	Lane       string   `json:"lane"`
	Tenth      int      `json:"tenth,omitempty"` // when it was taken, in tenths of a second; Second is that one rounded up
	Second     int      `json:"second"`
	Phase      string   `json:"phase"`
	Completed  int      `json:"completed"`
	Failed     int      `json:"failed"` // the shopper got an error or gave up
	P99        ms       `json:"p99_ms"`
	Goroutines int      `json:"goroutines"` // the most that were counted
	Calls      int      `json:"catalog_calls"`
	Stale      float64  `json:"stale_share"`
	StaleAge   ms       `json:"stale_age_ms"` // of the oldest price
	Breaker    string   `json:"breaker,omitempty"`
	Changes    []change `json:"breaker_changes,omitempty"`
	Running    int      `json:"bulkhead_running"`
	Waiting    int      `json:"bulkhead_waiting"`
}

// ms is a duration in milliseconds, for those who read JSON.
type ms float64

func millis(d time.Duration) ms { return ms(d.Seconds() * 1000) }

// A reader takes what is new in a record.
type reader struct {
	*record
	orders, calls, pulses, changes, ages int // read already
}

func (r *reader) next() (s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	orders := take(r.record.orders, &r.orders)
	s.Completed = count(orders, func(o outcome) bool { return o.ok })
	s.Failed = len(orders) - s.Completed
	s.Stale = share(count(orders, func(o outcome) bool { return o.stale }), s.Completed)
	s.P99 = millis(p99(orders))
	s.Calls = len(take(r.record.calls, &r.calls))
	s.Goroutines = most(take(r.record.pulses, &r.pulses), func(p pulse) int { return p.goroutines })
	s.Changes = slices.Clone(take(r.record.changes, &r.changes))
	s.StaleAge = millis(oldest(take(r.record.ages, &r.ages)))
	return s
}

func oldest(ages []age) (d time.Duration) {
	for _, a := range ages {
		d = max(d, a.old)
	}
	return d
}

func take[E any](all []E, read *int) []E {
	fresh := all[*read:]
	*read = len(all)
	return fresh
}

// perSecond is how often a lane reports.
const perSecond = 10

// A window takes what happened in the last second, as often as a lane reports: its readers take turns.
type window struct {
	readers [perSecond]reader
	turn    int
}

func newWindow(r *record) *window {
	w := &window{}
	for i := range w.readers {
		w.readers[i].record = r
	}
	return w
}

func (w *window) next() sample {
	s := w.readers[w.turn].next()
	w.turn = (w.turn + 1) % perSecond
	return s
}

// forget drops from the record what all readers have read, for a lane that plays on and on.
func (w *window) forget() {
	last := w.readers[w.turn] // the next one has read least
	r := last.record
	r.mu.Lock()
	defer r.mu.Unlock()
	r.orders, r.calls = slices.Clone(r.orders[last.orders:]), slices.Clone(r.calls[last.calls:])
	r.pulses, r.changes = slices.Clone(r.pulses[last.pulses:]), slices.Clone(r.changes[last.changes:])
	r.ages = slices.Clone(r.ages[last.ages:])
	for i := range w.readers {
		each := &w.readers[i]
		each.orders, each.calls, each.pulses = each.orders-last.orders, each.calls-last.calls, each.pulses-last.pulses
		each.changes, each.ages = each.changes-last.changes, each.ages-last.ages
	}
}

// figures is what a whole run of a lane comes to.
type figures struct {
	Lane string `json:"lane"`

	Healthy spell `json:"healthy"`
	Dead    spell `json:"dead"`
	Open    spell `json:"open"` // the part of Dead in which the breaker protects the catalog

	Opened   bool `json:"opened"`
	OpenedIn ms   `json:"opened_in_ms"` // from the death of the catalog
	Probes   int  `json:"probes"`       // half-open periods of Open
	Cooldown ms   `json:"cooldown_ms"`  // the current one when the recovery began
	Closed   bool `json:"closed"`
	ClosedIn ms   `json:"closed_in_ms"` // from the beginning of the recovery

	Reserved int `json:"reserved"`
	Sold     int `json:"sold"` // orders completed in the whole story
}

// A spell sums up a part of the story.
type spell struct {
	Seconds    float64 `json:"seconds"`
	Orders     int     `json:"orders"` // placed in it, whenever they ended
	Completed  int     `json:"completed"`
	Stale      int     `json:"stale"`
	P99        ms      `json:"p99_ms"`
	Goroutines int     `json:"goroutines"` // at most
	Calls      int     `json:"catalog_calls"`
	Inside     int     `json:"catalog_calls_at_once"` // at most
}

func (s spell) completed() float64 { return share(s.Completed, s.Orders) }
func (s spell) stale() float64     { return share(s.Stale, s.Completed) }

// figures sums up. It is called when the story is over.
func (r *record) figures(s story) figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := figures{
		Healthy: r.spell(0, s.dies(), 0),
		Dead:    r.spell(s.dies(), s.recovers(), 0),
		Sold:    count(r.orders, func(o outcome) bool { return o.ok }),
	}
	if opened, ok := r.first("open", s.dies()); ok && opened < s.recovers() {
		f.Opened, f.OpenedIn = true, millis(opened-s.dies())
		f.Open = r.spell(opened, s.recovers(), s.Settle)
		f.Probes = r.count("half-open", opened, s.recovers())
		f.Cooldown = millis(s.cooldown(r.count("open", opened, s.recovers())))
	}
	if closed, ok := r.first("closed", s.recovers()); ok {
		f.Closed, f.ClosedIn = true, millis(closed-s.recovers())
	}
	return f
}

// spell sums up what was from one instant to another. Orders count from the first, goroutines and calls to the
// catalog only when settle is over as well.
func (r *record) spell(from, to, settle time.Duration) spell {
	settled := from + settle
	orders := filter(r.orders, func(o outcome) bool { return within(o.at, from, to) })
	pulses := filter(r.pulses, func(p pulse) bool { return within(p.at, settled, to) })
	calls := filter(r.calls, func(c call) bool { return within(c.at, settled, to) })
	return spell{
		Seconds:    (to - settled).Seconds(),
		Orders:     len(orders),
		Completed:  count(orders, func(o outcome) bool { return o.ok }),
		Stale:      count(orders, func(o outcome) bool { return o.stale }),
		P99:        millis(p99(orders)),
		Goroutines: most(pulses, func(p pulse) int { return p.goroutines }),
		Calls:      len(calls),
		Inside:     most(calls, func(c call) int { return c.inside }),
	}
}

func (r *record) count(state string, from, to time.Duration) int {
	return count(r.changes, func(c change) bool { return c.To == state && within(c.At, from, to) })
}

func (r *record) first(state string, from time.Duration) (time.Duration, bool) {
	for _, c := range r.changes {
		if c.To == state && c.At >= from {
			return c.At, true
		}
	}
	return 0, false
}

func within(at, from, to time.Duration) bool { return from <= at && at < to }

func filter[E any](all []E, is func(E) bool) (some []E) {
	for _, e := range all {
		if is(e) {
			some = append(some, e)
		}
	}
	return some
}

func count[E any](all []E, is func(E) bool) int { return len(filter(all, is)) }

func share(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}

func most[E any](all []E, size func(E) int) (n int) {
	for _, e := range all {
		n = max(n, size(e))
	}
	return n
}

// p99 is the latency that 99 % of the orders did not exceed, by nearest rank. Those that failed count as well: their
// shoppers waited too.
func p99(orders []outcome) time.Duration {
	if len(orders) == 0 {
		return 0
	}
	took := make([]time.Duration, len(orders))
	for i, o := range orders {
		took[i] = o.took
	}
	slices.Sort(took)
	return took[int(math.Ceil(0.99*float64(len(took))))-1]
}
