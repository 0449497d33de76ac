package verify

import (
	"slices"

	"github.com/anishathalye/porcupine"

	"example.com/fx"
)

// tripSpec is what a breaker with Trip does, one operation after the other. It is breakerSpec but for the ends of calls
// that a closed breaker let through. Some of those are made of two operations:
//
//   - A failure is counted, which includes the judgement of Trip; and later it opens, if Trip said so and the period
//     still lasts. No lock is held while Trip runs, so other calls may come between.
//   - With Window a success ends the row of failures; and later it is counted.
type tripSpec struct {
	breakerSpec
	trip   func(fx.Counts) bool
	last   int    // Last, or
	window window // Window
}

type tripState struct {
	breakerState
	ended set    // calls of which the first operation of the end has happened
	trips set    // calls whose failure is to open the breaker
	last  string // the last calls, + or -
	good  set    // calls in the window, or already out of it
	bad   set
}

func (m *tripSpec) step(s tripState, in breakerOp, out breakerOut, at span) []tripState {
	closed := s.state == fx.StateClosed
	current := closed && s.current.has(in.call)
	switch {
	case in.do == "end":
		if s.ended = s.ended.with(in.call); current {
			return m.endClosed(s, in, at)
		}
	case in.do == "add":
		if current {
			s.current, s.good = s.current.less(in.call), s.good.with(in.call)
		}
		return only(s, s.ended.has(in.call))
	case in.do == "open":
		ended, trips := s.ended.has(in.call), s.trips.has(in.call)
		if s.current = s.current.less(in.call); current && trips {
			s = tripState{breakerState: s.move(fx.StateOpen), ended: s.ended}
		}
		return only(s, ended && m.heardAs(s.breakerState))
	case in.do == "counts" && closed:
		return only(s, slices.Contains(m.counts(s, at), out.counts))
	}
	base, ok := m.breakerSpec.step(s.breakerState, in, out)
	next := tripState{breakerState: base, ended: s.ended} // with clean counts
	if closed && in.do != "force" && in.do != "reset" {
		next = s
		next.breakerState = base
	}
	return only(next, ok && m.heardAs(base))
}

// endClosed takes the end of a call of the current period, which is closed.
func (m *tripSpec) endClosed(s tripState, in breakerOp, at span) []tripState {
	switch in.as.verdict() {
	case success:
		s.row = 0
		if m.last > 0 {
			s.current, s.last = s.current.less(in.call), m.push(s.last, "+")
		}
	case failure:
		s.row++
		if m.last > 0 {
			s.last = m.push(s.last, "-")
		} else {
			s.bad = s.bad.with(in.call)
		}
		return m.judge(s, in.call, at)
	default:
		s.current = s.current.less(in.call)
	}
	return []tripState{s}
}

// judge asks Trip. If it is not certain what the window holds, both answers may be possible.
func (m *tripSpec) judge(s tripState, call int, at span) (next []tripState) {
	var yes, no bool
	for _, counts := range m.counts(s, at) {
		trips := m.trip(counts) && !s.forced
		yes, no = yes || trips, no || !trips
	}
	if no {
		next = append(next, s)
	}
	if yes {
		s.trips = s.trips.with(call)
		next = append(next, s)
	}
	return next
}

// counts are those that a look at this time may find.
func (m *tripSpec) counts(s tripState, at span) (all []fx.Counts) {
	if m.last > 0 {
		good := 0
		for _, c := range s.last {
			if c == '+' {
				good++
			}
		}
		return []fx.Counts{{Successes: good, Failures: len(s.last) - good, Consecutive: s.row}}
	}
	goodLeast, goodMost := m.window.count(s.good, &m.window.good, at, 10)
	badLeast, badMost := m.window.count(s.bad, &m.window.bad, at, 10)
	for good := goodLeast; good <= goodMost; good++ {
		for bad := badLeast; bad <= badMost; bad++ {
			all = append(all, fx.Counts{Successes: good, Failures: bad, Consecutive: s.row})
		}
	}
	return all
}

func (m *tripSpec) push(last, result string) string {
	last += result
	return last[max(len(last)-m.last, 0):]
}

// known takes from a history what OnChange heard, and the times of all ends and looks.
func (m *tripSpec) known(ops []porcupine.Operation) {
	m.changes = changesOf(ops)
	var goods []lazy
	var looks []span
	for _, op := range ops {
		e := op.Input.(entry)
		switch in := e.in.(breakerOp); in.do {
		case "end":
			m.window.bad[in.call] = e.at
		case "add":
			goods = append(goods, lazy{in.call, e.at})
		case "counts": // looks at the window of that moment's period, and an older one is nobody's any more
			looks = append(looks, e.at)
		}
	}
	m.window.sorted(goods, looks)
}
