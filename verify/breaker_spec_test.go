package verify

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"example.com/fx"
)

// breakerSpec is what a breaker without Trip does, one operation after the other.
type breakerSpec struct {
	failures, probes     int
	cooldown, probeLimit lapse
	changes              string // all that OnChange heard in the history
}

// maxCalls bounds the calls of one history.
const maxCalls = 32

type breakerState struct {
	state   fx.State
	forced  bool
	over    bool // the cooldown is known to be over
	probing bool
	row     int    // failures in a row
	good    int    // successful probes
	current set    // the calls out that the current period let through; what others come to changes nothing
	heard   string // the changes so far
}

type breakerOp struct {
	do   string
	call int
	as   ending
	to   fx.State
}

type breakerOut struct {
	passed, until bool // Allow: let through; refused by an error with Until
	state         fx.State
	counts        fx.Counts
	heard         string
}

func (m breakerSpec) step(s breakerState, in breakerOp, out breakerOut) (breakerState, bool) {
	switch in.do {
	case "allow":
		return m.allow(s, in.call, out)
	case "end":
		if !s.current.has(in.call) {
			return s, true // a result from an earlier period changes nothing
		}
		s.current = s.current.less(in.call)
		return m.end(s, in.as.verdict()), true
	case "force":
		s = s.move(in.to)
		s.forced = in.to != fx.StateHalfOpen
		return s, true
	case "reset":
		return s.move(fx.StateClosed), true
	case "counts":
		return s, out.counts == fx.Counts{Failures: s.row, Consecutive: s.row}
	case "heard":
		return s, out.heard == s.heard
	}
	if out.state == fx.StateHalfOpen && s.state == fx.StateOpen { // State sees that the cooldown is over
		s.over = true
		return s, !s.forced && m.cooldown != never
	}
	return s, out.state == s.state && (s.state != fx.StateOpen || !m.mustProbe(s))
}

// mustProbe says whether the cooldown of an open breaker, or the time of a probe, is over for certain.
func (m breakerSpec) mustProbe(s breakerState) bool {
	if s.state == fx.StateOpen {
		return !s.forced && (s.over || m.cooldown == none)
	}
	return !s.probing
}

// mayProbe says whether it can be over.
func (m breakerSpec) mayProbe(s breakerState) bool {
	if s.state == fx.StateOpen {
		return !s.forced && m.cooldown != never
	}
	return !s.probing || m.probeLimit == soon
}

func (m breakerSpec) allow(s breakerState, call int, out breakerOut) (breakerState, bool) {
	switch {
	case s.state == fx.StateClosed:
		s.current = s.current.with(call)
		return s, out.passed
	case !out.passed:
		known := s.state == fx.StateOpen && !s.forced
		return s, !m.mustProbe(s) && out.until == known
	case !m.mayProbe(s):
		return s, false
	}
	good := s.good
	s = s.move(fx.StateHalfOpen)
	s.good, s.probing = good, true
	s.current = s.current.with(call)
	return s, true
}

// end takes the end of a call of the current period.
func (m breakerSpec) end(s breakerState, v verdict) breakerState {
	switch {
	case s.state == fx.StateClosed && v == success:
		s.row = 0
	case s.state == fx.StateClosed && v == failure:
		if s.row++; s.row >= m.failures && !s.forced {
			return s.move(fx.StateOpen)
		}
	case s.state == fx.StateClosed: // neutral
	case v == failure:
		return s.move(fx.StateOpen)
	case v == success && s.good+1 >= m.probes:
		return s.move(fx.StateClosed)
	default: // room for the next probe
		good := s.good
		s = s.move(fx.StateHalfOpen)
		if s.good = good; v == success {
			s.good++
		}
	}
	return s
}

// move begins a new period.
func (s breakerState) move(to fx.State) breakerState {
	heard := s.heard
	if to != s.state {
		heard += fmt.Sprintf(" %v→%v", s.state, to)
	}
	return breakerState{state: to, heard: heard}
}

// heardAs says whether OnChange heard of the changes so far, and in this order.
func (m breakerSpec) heardAs(s breakerState) bool { return strings.HasPrefix(m.changes, s.heard) }

// changesOf are the changes that OnChange heard of in a history.
func changesOf(ops []porcupine.Operation) string {
	for _, op := range ops {
		if op.Input.(entry).in.(breakerOp).do == "heard" {
			return op.Output.(breakerOut).heard
		}
	}
	return ""
}

// An ending is how a call ends.
type ending int

const (
	succeeds ending = iota
	answers         // with an error that Failure refuses
	fails
	failsTwice // done is called by two goroutines at the same time
	panics
	leaves   // fails when its caller has left
	neverRan // refused by a layer inside
	endings  // how many there are
)

func (e ending) String() string {
	return [...]string{"succeeds", "answers", "fails", "fails twice", "panics", "leaves", "never ran"}[e]
}

type verdict int

const (
	neutral verdict = iota
	success
	failure
)

func (e ending) verdict() verdict {
	switch e {
	case succeeds, answers:
		return success
	case leaves, neverRan:
		return neutral
	}
	return failure
}

// describe says what was done and what came of it.
func (o breakerOp) describe(out breakerOut) string {
	switch o.do {
	case "allow":
		return fmt.Sprintf("call %d: %s", o.call, out.answer())
	case "end":
		return fmt.Sprintf("call %d %v", o.call, o.as)
	case "add", "open":
		return fmt.Sprintf("call %d: %s", o.call, o.do)
	case "force":
		return "force " + o.to.String()
	case "state":
		return "state: " + out.state.String()
	case "counts":
		return fmt.Sprintf("counts: %+v", out.counts)
	}
	return o.do + out.heard
}

func (o breakerOut) answer() string {
	switch {
	case o.passed:
		return "passes"
	case o.until:
		return "refused, until a time"
	}
	return "refused"
}
