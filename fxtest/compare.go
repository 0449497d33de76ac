package fxtest

import (
	"fmt"
	"slices"
	"time"

	"example.com/fx"
)

// Some promises show only beside another story: what the same policy does when something is left out. Each of these
// plays that other story and says how the two differ, or "".
type comparison[T any] struct {
	name  string
	check func(c contract, policy fx.Policy[T], s *stage[T], story Story[T]) string
}

func comparisons[T any]() []comparison[T] {
	return []comparison[T]{
		{"calls do not depend on one another", independent[T]},
		{"a caller that comes with a dead context changes nothing", ignoresDead[T]},
		{"a caller that leaves is not held against the operation", ignoresLeavers[T]},
		{"after a rest, places are back and trouble is forgotten", forgets[T]},
	}
}

// independent plays calls of the story alone: in a policy that neither refuses nor adapts nor shares nothing changes.
func independent[T any](c contract, policy fx.Policy[T], s *stage[T], story Story[T]) string {
	if c.has(refuses, adapts, shares) || c.has(waits) && c.has(cuts) || len(s.runs) < 2 {
		return ""
	}
	for _, r := range s.runs[:min(len(s.runs), 8)] {
		if r.call.Dead || r.call.Limit > 0 || r.call.Cancel > 0 || r.number > 0 && r.group == s.runs[r.number-1].group {
			continue
		}
		call := r.call
		call.At, call.Times = 0, 1
		only := Story[T]{Calls: []Call[T]{call}}
		alone, again := play(c, policy, only).runs[0], play(c, policy, only).runs[0]
		if len(alone.visits) != len(r.visits) || alone.succeeded() != r.succeeded() || alone.exited != r.exited {
			return fmt.Sprintf("caller %d called op %d times and the call %v; alone, it does so %d times and the call %v",
				r.number+1, len(r.visits), r.outcome, len(alone.visits), alone.outcome)
		}
		if alone.trying() == again.trying() && alone.trying() != r.trying() { // not by chance
			return fmt.Sprintf("caller %d was at it for %v; alone, it is for %v", r.number+1, r.trying(), alone.trying())
		}
	}
	return ""
}

// trying is how long a call took from the first time op was called.
func (r *run[T]) trying() time.Duration {
	if len(r.visits) == 0 {
		return 0
	}
	return r.ended - r.visits[0].began
}

// ignoresDead leaves the dead callers out. Only where all others succeed or leave soon, the two stories must be alike.
func ignoresDead[T any](c contract, policy fx.Policy[T], s *stage[T], story Story[T]) string {
	alive := story.alive()
	if len(alive) == len(story.Calls) || !peaceful(alive) || c.has(adapts, shares, rejects) || c.has(waits) && c.has(cuts) {
		return ""
	}
	return differs(s.fate(), play(c, policy, Story[T]{Calls: alive}).fate(), "without the dead ones")
}

// alive is the calls without the dead ones, or none if the last are dead.
func (s Story[T]) alive() []Call[T] {
	if len(s.Calls) == 0 || s.Calls[len(s.Calls)-1].Dead {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Calls), func(c Call[T]) bool { return c.Dead })
}

// peaceful tells whether the last callers wait for a good answer, and all before them came one by one and got one or
// left soon.
func peaceful[T any](calls []Call[T]) bool {
	for i, call := range calls {
		if !call.good() && !call.leftSoon() || i > 0 && (call.At <= calls[i-1].last() || calls[i-1].last() == calls[i-1].At && calls[i-1].times() > 1) {
			return false
		}
	}
	return len(calls) > 0 && calls[len(calls)-1].good()
}

// ignoresLeavers lets those who leave soon stay, to be answered in the instant in which they left.
func ignoresLeavers[T any](c contract, policy fx.Policy[T], s *stage[T], story Story[T]) string {
	alive := story.alive()
	if !peaceful(alive) || c.has(adapts, shares, rejects) || !s.leftByThemselves() {
		return ""
	}
	left := false
	for i, call := range alive {
		if call.leftSoon() {
			left = true
			alive[i].Turns = []Turn[T]{{Value: call.turn(0).Value, Take: call.Cancel}}
			alive[i].Cancel = 0
		}
	}
	if !left {
		return ""
	}
	now, then := s.fate(), play(c, policy, Story[T]{Calls: alive}).fate()
	if now.begun >= then.begun && now.good >= then.good {
		return ""
	}
	return differs(now, then, "had the others stayed")
}

// leftSoon tells whether its callers give up so early that nobody can call the operation slow for it.
func (c Call[T]) leftSoon() bool { return c.left() && c.Cancel <= 10*time.Millisecond }

// leftByThemselves tells whether it was the caller who ended each call of op that was left, and not the policy.
func (s *stage[T]) leftByThemselves() bool {
	for _, r := range s.runs {
		for _, v := range r.visits {
			if r.call.left() && v.ended < r.end {
				return false
			}
		}
	}
	return true
}

// forgets leaves out what had ended long before the last callers came.
func forgets[T any](c contract, policy fx.Policy[T], s *stage[T], story Story[T]) string {
	late, last := story.late(), len(story.Calls)-1
	if late == 0 || late == last || c.has(adapts, shares, rejects) || !story.Calls[late].wakes() || !story.Calls[last].good() {
		return ""
	}
	var control Story[T]
	for _, r := range s.runs {
		switch at := story.Calls[late].At; {
		case r.group >= late:
		case !r.runsAt(at) && r.ended > at:
			return "" // still waiting for something: the rest was none
		case r.runsAt(at):
			call := r.call
			call.At, call.Times = r.begin, 1
			control.Calls = append(control.Calls, call)
		}
	}
	control.Calls = append(control.Calls, story.Calls[late:]...)
	return differs(s.fate(), play(c, policy, control).fate(), "without what was over by then")
}

// late is the first of the last calls before which nothing began for as long as a rest, or 0.
func (s Story[T]) late() int {
	for i := len(s.Calls) - 1; i > 0; i-- {
		last := time.Duration(0)
		for _, c := range s.Calls[:i] {
			last = max(last, c.last())
		}
		if s.Calls[i].At >= last+rest {
			return i
		}
	}
	return 0
}

// wakes tells whether its callers come one by one and are enough for a breaker to close.
func (c Call[T]) wakes() bool { return c.good() && c.times() >= 10 && c.Every >= 10*time.Second }

// runsAt tells whether op still ran for this call at the given instant.
func (r *run[T]) runsAt(at time.Duration) bool {
	return slices.ContainsFunc(r.visits, func(v *visit[T]) bool { return v.began < at && v.ended > at })
}

// fate is how the last callers of a story fare.
type fate struct{ callers, begun, good int }

func (s *stage[T]) fate() (f fate) {
	for _, r := range s.runs {
		if r.group != s.runs[len(s.runs)-1].group {
			continue
		}
		f.callers++
		if len(r.visits) > 0 && r.visits[0].began == r.begin {
			f.begun++
		}
		if r.succeeded() {
			f.good++
		}
	}
	return f
}

func differs(now, then fate, how string) string {
	if now == then {
		return ""
	}
	return fmt.Sprintf("of the last %d callers %d called op at once and %d succeeded; %s it is %d and %d",
		now.callers, now.begun, now.good, how, then.begun, then.good)
}
