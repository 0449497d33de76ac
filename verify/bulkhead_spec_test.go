package verify

import (
	"fmt"
	"strings"
)

// bulkheadSpec is what a bulkhead does, one operation after the other. What may wait is made of two operations: Acquire
// enters and later leaves, Close shuts and later has drained.
type bulkheadSpec struct {
	limit, queue int
	maxWait      lapse
}

// A place is where an Acquire is.
type place byte

const (
	outside place = iota
	atOnce        // has a seat without having waited
	queued
	called   // has a seat after having waited
	tooMany  // found no place
	shutOut  // because of Close
	lifeless // its context had ended before it entered
	done
)

type bulkheadState struct {
	running int
	queue   string // the calls that wait, as letters
	closed  bool
	place   [maxCalls]place
	left    set // calls whose context has ended
}

type bulkheadOp struct {
	do   string
	call int
	dead bool // the context had ended before the operation began
}

type bulkheadOut struct {
	result           string // of Acquire: seat, full, closed, left; of Close: drained, left
	running, waiting int    // of InUse
}

func (m bulkheadSpec) step(s bulkheadState, in bulkheadOp, out bulkheadOut, _ span) []bulkheadState {
	switch in.do {
	case "enter":
		return m.enter(s, in)
	case "leave":
		return only(m.leave(s, in.call, out.result))
	case "end context":
		s.left = s.left.with(in.call)
		return []bulkheadState{s}
	case "release":
		return only(s.release(), s.running > 0)
	case "shut":
		s.closed = true
		for _, call := range s.queue {
			s.place[call-'A'] = shutOut
		}
		s.queue = ""
		return []bulkheadState{s}
	case "drain":
		if out.result == "left" {
			return only(s, s.closed && in.dead && s.running > 0)
		}
		return only(s, s.closed && s.running == 0)
	}
	return only(s, out.running == s.running && out.waiting == len(s.queue)) // InUse
}

// enter finds a place. A context is looked at before that, so if it has ended, either may have been first.
func (m bulkheadSpec) enter(s bulkheadState, in bulkheadOp) (next []bulkheadState) {
	if s.left.has(in.call) || in.dead {
		n := s
		n.place[in.call] = lifeless
		next = append(next, n)
	}
	switch p := &s.place[in.call]; {
	case in.dead:
		return next
	case s.closed:
		*p = shutOut
	case s.queue == "" && s.running < m.limit:
		s.running++
		*p = atOnce
	case len(s.queue) < m.queue:
		s.queue += string(rune('A' + in.call))
		*p = queued
	default:
		*p = tooMany
	}
	return append(next, s)
}

// leave ends an Acquire. Who gives up leaves the queue, or passes on the seat that came at the same time.
func (m bulkheadSpec) leave(s bulkheadState, call int, result string) (bulkheadState, bool) {
	was := s.place[call]
	s.place[call] = done
	switch result {
	case "seat":
		return s, was == atOnce || was == called && !s.left.has(call)
	case "closed":
		return s, was == shutOut
	case "full":
		if was == tooMany {
			return s, true
		}
		return s.giveUp(call, was), m.maxWait == soon && (was == queued || was == called)
	}
	if was == lifeless {
		return s, true
	}
	return s.giveUp(call, was), s.left.has(call) && (was == queued || was == called)
}

func (s bulkheadState) giveUp(call int, was place) bulkheadState {
	if was == called {
		return s.release()
	}
	s.queue = strings.Replace(s.queue, string(rune('A'+call)), "", 1)
	return s
}

// release gives a seat to the first in the queue, or frees it.
func (s bulkheadState) release() bulkheadState {
	if s.queue == "" {
		s.running--
		return s
	}
	s.place[s.queue[0]-'A'] = called
	s.queue = s.queue[1:]
	return s
}

// describe says what was done and what came of it.
func (o bulkheadOp) describe(out bulkheadOut) string {
	switch o.do {
	case "end context":
		return fmt.Sprintf("end the context of %c", 'A'+o.call)
	case "enter", "leave":
		return fmt.Sprintf("%s %c: %s", o.do, 'A'+o.call, out.result)
	case "in use":
		return fmt.Sprintf("in use: %d and %d wait", out.running, out.waiting)
	}
	return o.do + " " + out.result
}
