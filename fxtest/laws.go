package fxtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// law is a promise that every policy keeps, but for its terms. Its check says how a played story breaks it, or "".
type law[T any] struct {
	name  string
	check func(c contract, s *stage[T], r *run[T]) string
}

// laws are those that one call of the policy can break.
func laws[T any]() []law[T] {
	return []law[T]{
		{"every call returns", comesBack[T]},
		{"a dead context starts nothing", startsNothing[T]},
		{"op is called no oftener than agreed", calledAtMost[T]},
		{"op's context comes from the caller's", descends[T]},
		{"op has as long as its caller", hasTime[T]},
		{"a panic reaches the caller as it was", panics[T]},
		{"runtime.Goexit in op ends the caller's goroutine", exits[T]},
		{"a success comes back as it was", succeeds[T]},
		{"no value is made up", answersNothing[T]},
		{"no error is lost", losesNoError[T]},
		{"no error is made up", refusesNothing[T]},
		{"no error is another call's", mixesNoErrors[T]},
		{"an error never beats a copy that still runs", waitsForCopies[T]},
		{"one caller's end fails no other", failsNoOther[T]},
		{"no time is added", addsNoTime[T]},
		{"nothing is waited for after the last try", endsAtOnce[T]},
		{"the caller's end is obeyed", obeys[T]},
		{"the caller's end is told, with its cause", tells[T]},
		{"nothing starts when the call has returned", startsNothingLate[T]},
		{"nothing is left running", leavesNothing[T]},
		{"what is left running is told to stop", tellsToStop[T]},
		{"every context is released", releases[T]},
	}
}

func comesBack[T any](c contract, _ *stage[T], r *run[T]) string {
	if !r.done {
		return fmt.Sprintf("it had not returned %v later, when op was long over", time.Duration(c.calls())*endless)
	}
	return ""
}

// startsNothing leaves it to op what to do with a dead context where the policy only looks on.
func startsNothing[T any](c contract, _ *stage[T], r *run[T]) string {
	if !c.has(calls, answers, refuses, waits, cuts, shares, leaves, adapts) {
		return ""
	}
	for _, v := range r.visits {
		if v.dead {
			return fmt.Sprintf("op was called at %v, the caller's context had ended at %v", v.began, r.end)
		}
	}
	if r.call.Dead && r.err == nil && !c.has(shares) {
		return fmt.Sprintf("the call %v", r.outcome)
	}
	return ""
}

func calledAtMost[T any](c contract, _ *stage[T], r *run[T]) string {
	if n := len(r.visits); n > c.calls() && !c.has(shares) {
		return fmt.Sprintf("op was called %d times, agreed are %d; see fxtest.Calls", n, c.calls())
	}
	return ""
}

func descends[T any](c contract, s *stage[T], r *run[T]) string {
	if len(s.strays) > 0 {
		return "the caller's values are missing in the context that op was given"
	}
	for _, v := range r.visits {
		deadline, limited := v.ctx.Deadline()
		switch want, must := r.ctx.Deadline(); {
		case c.has(shares):
		case must && (!limited || deadline.After(want)):
			return "the deadline that op was given is later than the caller's"
		case v.over && r.end < v.ended && v.ctxErr == nil:
			return fmt.Sprintf("the caller's context ended at %v, and op's had not at %v", r.end, v.ended)
		case v.over && r.end < v.ended && !c.has(cuts) && !errors.Is(context.Cause(v.ctx), r.cause):
			return "op's context ended without the caller's cause"
		}
	}
	return ""
}

func hasTime[T any](c contract, _ *stage[T], r *run[T]) string {
	if c.has(cuts, shares, leaves) {
		return ""
	}
	for _, v := range r.visits {
		deadline, limited := v.ctx.Deadline()
		want, must := r.ctx.Deadline()
		if v.over && v.ctxErr != nil && v.ended < r.end || limited && (!must || deadline.Before(want)) {
			return "op's context ends before the caller's does; see fxtest.Cuts"
		}
	}
	return ""
}

// waitedFor tells whether the visit ended while its call may have waited for it: where op may be left behind, it is so
// from the end of its context on.
func (r *run[T]) waitedFor(c contract, v *visit[T]) bool {
	return v.over && !v.late && v.ended <= r.ended && !(c.has(leaves) && v.ctxErr != nil)
}

// first is the first visit that ended as wanted while the call still waited, provided that nothing better came before.
func first[T any](c contract, r *run[T], wanted func(*visit[T]) bool) *visit[T] {
	var found *visit[T]
	if c.has(shares) && (r.succeeded() || c.has(rejects)) {
		return nil // with another's answer
	}
	for _, v := range r.visits {
		if !r.waitedFor(c, v) {
			continue
		}
		if v.succeeded() && c.has(leaves) {
			return nil
		}
		if found == nil && wanted(v) {
			found = v
		}
	}
	if found != nil && c.has(leaves) && found.ended == r.ended && r.end <= r.ended {
		return nil // the caller's end may have come first
	}
	return found
}

func panics[T any](c contract, s *stage[T], r *run[T]) string {
	v := first(c, r, func(v *visit[T]) bool { return v.panicked != nil })
	switch {
	case r.panicked == nil && v != nil && !c.has(recovers):
		return fmt.Sprintf("op %v, the call %v", v.outcome, r.outcome)
	case r.panicked == nil:
		return ""
	}
	for _, other := range s.runs {
		for _, v := range other.visits {
			if same(v.panicked, r.panicked) && (other == r || c.has(shares)) {
				return ""
			}
		}
	}
	return fmt.Sprintf("the call panicked with %v (%[1]T), which is not a panic of op", r.panicked)
}

func exits[T any](c contract, s *stage[T], r *run[T]) string {
	v := first(c, r, func(v *visit[T]) bool { return v.exited })
	if v != nil && !r.exited && r.panicked == nil {
		return fmt.Sprintf("op %v, the call %v", v.outcome, r.outcome)
	}
	if r.exited && !c.has(shares) && !slices.ContainsFunc(r.visits, func(v *visit[T]) bool { return v.exited }) {
		return "the call exited its goroutine, op did not"
	}
	return ""
}

func succeeds[T any](c contract, _ *stage[T], r *run[T]) string {
	if !r.returned() || c.has(rejects) {
		return ""
	}
	tried := 0
	for _, v := range r.visits {
		if !r.waitedFor(c, v) || !v.succeeded() || c.has(leaves) && r.end <= r.ended {
			continue
		}
		if r.err == nil && same(v.value, r.value) {
			return ""
		}
		tried++
	}
	if tried == 0 || c.has(shares) && r.err == nil {
		return ""
	}
	return fmt.Sprintf("op succeeded, and the call %v", r.outcome)
}

func answersNothing[T any](c contract, s *stage[T], r *run[T]) string {
	if !r.returned() || c.has(answers) {
		return ""
	}
	for _, other := range s.runs {
		for _, v := range other.visits {
			if v.over && v.returned() && (other == r || c.has(shares)) && same(v.value, r.value) && (v.err == nil || r.err != nil) {
				return ""
			}
		}
	}
	switch {
	case r.err == nil:
		return fmt.Sprintf("the call %v, which op never did; see fxtest.Answers", r.outcome)
	case !reflect.ValueOf(&r.value).Elem().IsZero():
		return fmt.Sprintf("the call returned %v beside an error", r.value)
	}
	return ""
}

func losesNoError[T any](c contract, _ *stage[T], r *run[T]) string {
	if r.err == nil || !r.returned() || c.has(hides) || c.has(rejects) && c.has(answers, calls) || c.abandons() || c.has(leaves, shares) && r.end <= r.ended {
		return ""
	}
	for _, v := range r.visits {
		if !r.waitedFor(c, v) || v.err == nil || c.has(leaves, shares) && v.ended == r.ended {
			continue
		}
		if !errors.Is(r.err, v.err) {
			return fmt.Sprintf("op failed with %q, and the call with %q, which does not match it; see fxtest.Hides", v.err, r.err)
		}
	}
	return ""
}

func refusesNothing[T any](c contract, s *stage[T], r *run[T]) string {
	if r.err == nil || !r.returned() || c.has(refuses) || r.end <= r.ended || len(r.visits) > 0 || c.has(shares) && c.has(rejects, cuts) {
		return ""
	}
	if c.has(shares) {
		for _, v := range s.visits() {
			if v.over && v.err != nil && v.ended >= r.begin && errors.Is(r.err, v.err) {
				return ""
			}
		}
	}
	return fmt.Sprintf("the call failed with %q, and op had not been called for it; see fxtest.Refuses", r.err)
}

// mixesNoErrors looks for errors that op returned to others, and not to this call. A refusal may well name them.
func mixesNoErrors[T any](c contract, s *stage[T], r *run[T]) string {
	if r.err == nil || !r.returned() || c.has(refuses, shares) {
		return ""
	}
	for _, other := range s.runs {
		if other.group == r.group {
			continue
		}
		for _, t := range other.call.Turns {
			if t.Err != nil && errors.Is(r.err, t.Err) {
				return fmt.Sprintf("the call failed with %q, and %q is of a call of caller %d", r.err, t.Err, other.number+1)
			}
		}
	}
	return ""
}

// waitsForCopies looks for a call that took one copy's error for its own though another might yet have succeeded.
func waitsForCopies[T any](c contract, _ *stage[T], r *run[T]) string {
	if r.err == nil || !r.returned() || r.running == 0 || r.end <= r.ended || c.has(shares) {
		return ""
	}
	for _, v := range r.visits {
		failed := v.over && v.ended == r.ended && v.err != nil && v.ctxErr == nil
		running := slices.ContainsFunc(r.visits, func(w *visit[T]) bool { return w.ended > r.ended && w.ctxEnd >= r.ended })
		if failed && running {
			return fmt.Sprintf("it failed with %q while op still ran", r.err)
		}
	}
	return ""
}

// visits are all calls of op, those of callers first.
func (s *stage[T]) visits() []*visit[T] {
	var all []*visit[T]
	for _, r := range s.runs {
		all = append(all, r.visits...)
	}
	return append(all, s.strays...)
}

func failsNoOther[T any](c contract, s *stage[T], r *run[T]) string {
	if r.err == nil || !r.returned() || r.end <= r.ended {
		return ""
	}
	for _, other := range s.runs {
		if other != r && errors.Is(r.err, other.cause) {
			return fmt.Sprintf("the call failed with the end of caller %d", other.number+1)
		}
	}
	late := r.call.Limit == 0 && errors.Is(r.err, context.DeadlineExceeded)
	if !c.has(shares) || c.has(cuts) || len(r.visits) > 0 || !late && !errors.Is(r.err, context.Canceled) {
		return ""
	}
	for _, v := range s.visits() {
		if v.over && v.err != nil && v.ctxErr == nil && errors.Is(r.err, v.err) {
			return "" // op itself said so
		}
	}
	return fmt.Sprintf("the call failed with %q, its own caller was waiting", r.err)
}

func addsNoTime[T any](c contract, _ *stage[T], r *run[T]) string {
	if c.has(waits, shares, leaves) || !r.returned() {
		return ""
	}
	at := r.begin
	for _, v := range r.visits {
		if v.began > at {
			return fmt.Sprintf("%v passed before op was called; see fxtest.Waits", v.began-at)
		}
		at = max(at, v.ended)
	}
	if r.ended > at {
		return fmt.Sprintf("it returned %v after op; see fxtest.Waits", r.ended-at)
	}
	return ""
}

// endsAtOnce holds where a wait can only be for another try: a queue, a refusal or a timeout within may end a wait too.
func endsAtOnce[T any](c contract, _ *stage[T], r *run[T]) string {
	if !c.has(waits) || c.has(refuses, cuts, shares, leaves) || !r.returned() || len(r.visits) == 0 || r.end <= r.ended {
		return ""
	}
	if last := r.visits[len(r.visits)-1]; last.ended < r.ended {
		return fmt.Sprintf("it returned %v after op had been called for the last time", r.ended-last.ended)
	}
	return ""
}

func obeys[T any](c contract, _ *stage[T], r *run[T]) string {
	if !r.done || r.end == never {
		return ""
	}
	limit := max(r.end, r.begin)
	if !c.has(prompt) {
		for _, v := range r.visits {
			if v.began <= r.end {
				limit = max(limit, v.ended)
			}
		}
	}
	if r.ended > limit {
		return fmt.Sprintf("the caller's context ended at %v, and the call returned at %v, %v after op", r.end, r.ended, r.ended-limit)
	}
	return ""
}

func tells[T any](_ contract, _ *stage[T], r *run[T]) string {
	if r.err == nil || !r.returned() || r.end > r.ended {
		return ""
	}
	for _, v := range r.visits {
		if v.over && v.ended == r.ended {
			return "" // op had the last word
		}
	}
	if !matches(r.err, r.ctx) {
		return fmt.Sprintf("the call failed with %q, which does not match both %q and %q", r.err, r.ctx.Err(), r.cause)
	}
	return ""
}

func startsNothingLate[T any](c contract, _ *stage[T], r *run[T]) string {
	for _, v := range r.visits {
		if v.late && !c.has(shares) && !(c.has(leaves) && v.began == r.ended) {
			return fmt.Sprintf("op was called at %v, the call had returned at %v", v.began, r.ended)
		}
	}
	return ""
}

func leavesNothing[T any](c contract, s *stage[T], r *run[T]) string {
	switch {
	case c.has(leaves):
		return ""
	case r.running > 0 && !c.has(shares):
		return "op was still running when the call returned; see fxtest.Leaves"
	}
	all := s.over()
	for _, v := range r.visits {
		if v.ended > all && v.ctxEnd > all {
			return fmt.Sprintf("op ran until %v, and the last call had returned at %v; see fxtest.Leaves", v.ended, all)
		}
	}
	return ""
}

// over is when the last call returned.
func (s *stage[T]) over() (last time.Duration) {
	for _, r := range s.runs {
		last = max(last, r.ended)
	}
	return last
}

func tellsToStop[T any](c contract, _ *stage[T], r *run[T]) string {
	for _, v := range r.visits {
		if v.left && v.ctxEnd > r.ended && v.ended > r.ended && !c.has(shares) {
			return "op was still running when the call returned, under a context that did not end then"
		}
	}
	return ""
}

func releases[T any](c contract, _ *stage[T], r *run[T]) string {
	if r.loose > 0 && !c.has(leaves, shares) {
		return "the context that op was given, and its timer, were not released when the call returned"
	}
	return ""
}

// same tells whether two values are one: equal where that can be said, else alike all through.
func same(a, b any) (equal bool) {
	if a == nil || b == nil {
		return a == b
	}
	if ta, tb := reflect.TypeOf(a), reflect.TypeOf(b); ta == tb && ta.Comparable() && reflect.ValueOf(a).Comparable() && a == b {
		return true
	}
	return !isError(a) && reflect.DeepEqual(a, b)
}

// isError: two errors with one text are two errors.
func isError(v any) bool { _, is := v.(error); return is }
