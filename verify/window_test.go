package verify

import "time"

// A rolling window in a specification. The core counts in tenths: the window is the slice of this moment and the nine
// before it, so an event of nine tenths ago is counted for certain, and one of ten tenths ago is not. What real time an
// event or a look at the counts had is known as a span alone; so the window knows the least and the most events that it
// may hold. While nothing leaves the window, as in most histories, the two are the same.
type window struct {
	length    time.Duration
	good, bad [maxEvents]span // of each event; good ones with what the core's laziness adds
}

// maxEvents bounds the events of one history.
const maxEvents = 64

// A set of events.
type set uint64

func (s set) with(event int) set { return s | 1<<event }
func (s set) has(event int) bool { return s&(1<<event) != 0 }
func (s set) less(event int) set { return s &^ (1 << event) }

// count is how many of the events a look at the latest n slices finds, at least and at most.
func (w *window) count(events set, of *[maxEvents]span, look span, n int) (least, most int) {
	tenth := w.length / 10
	for i := range maxEvents {
		switch {
		case !events.has(i):
		case of[i].from >= look.to-time.Duration(n-1)*tenth:
			least, most = least+1, most+1
		case of[i].to > look.from-time.Duration(n)*tenth:
			most++
		}
	}
	return least, most
}

// A lazy event is a good one: the core only adds it to a heap, and sorts it into a slice later.
type lazy struct {
	event int
	at    span
}

// sorted gives each good event the span of time to whose slices it may come. A timer sorts the heap when the slice ends
// that the first event on it fell into; but a timer may be late, and then an event counts for that earlier slice. What
// has looked at the counts since has sorted the heap for certain, so the latest look before an event bounds this. And
// the first on the heap may be held up before it has set the timer, so that those beside it come to its slice.
func (w *window) sorted(goods []lazy, looks []span) {
	for _, g := range goods {
		s := span{from: 0, to: g.at.to}
		for _, look := range looks {
			if look.to < g.at.from {
				s.from = max(s.from, look.from)
			}
		}
		for _, other := range goods {
			if other.at.from <= g.at.to && other.at.to >= g.at.from {
				s.to = max(s.to, other.at.to)
			}
		}
		w.good[g.event] = s
	}
}
