package fx

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// A saga's decisions are checked apart from its doing: whatever a plan looks like and whatever happens, they undo
// exactly what has to be undone, in reverse, and come to the right end.
func decisionsFollowTheRules(rt *rapid.T) {
	plan := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) stepPlan {
		return stepPlan{undoable: rapid.Bool().Draw(rt, "undoable")}
	}), 0, 12).Draw(rt, "plan")
	pivot := rapid.IntRange(-1, len(plan)).Draw(rt, "pivot")
	if pivot >= 0 && pivot < len(plan) {
		plan[pivot].pivot = true
	}
	stop := rapid.IntRange(0, len(plan)).Draw(rt, "stops at")
	uncertain := rapid.Bool().Draw(rt, "uncertain")

	var happened []event
	var undone []int
	end := command{}
	for range 3*len(plan) + 1 {
		end = decide(plan, happened)
		switch end.kind {
		case runStep:
			kind := stepDone
			if end.step == stop && uncertain {
				kind = stepUncertain
			} else if end.step == stop {
				kind = stepFailed
			}
			happened = append(happened, event{kind, end.step})
		case undoStep:
			undone = append(undone, end.step)
			kind := rapid.SampledFrom([]eventKind{stepUndone, stepNotUndone}).Draw(rt, "undo")
			happened = append(happened, event{kind, end.step})
		}
	}

	var want []int
	for i, s := range plan {
		if s.undoable && (i < stop || i == stop && uncertain) {
			want = append(want, i)
		}
	}
	slices.Reverse(want)
	wantEnd := endUndone
	switch {
	case stop == len(plan):
		want, wantEnd = nil, endDone
	case pivot >= 0 && pivot < stop:
		want, wantEnd = nil, endCommitted
	case pivot == stop && uncertain:
		want, wantEnd = nil, endUncertain
	}
	assert.Equal(rt, want, undone)
	assert.Equal(rt, wantEnd, end.kind)
	if wantEnd != endDone {
		assert.Equal(rt, stop, end.step)
	}
}

func TestDecisionsFollowTheRules(t *testing.T) { rapid.Check(t, decisionsFollowTheRules) }
