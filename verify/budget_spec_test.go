package verify

import (
	"fmt"
	"math"

	"github.com/anishathalye/porcupine"

	"example.com/fx"
)

// budgetSpec is what a budget does, one operation after the other: in any window it lets through at most a share of the
// first attempts and a reserve. It errs on the side of fewer: first attempts count for ten slices, retries for eleven.
type budgetSpec struct {
	percent, reserve int
	window           window // first attempts are its good events, retries its bad ones
	hedged           bool   // there are hedges, whose denials nobody hears of
}

type budgetState struct {
	first, again set
	denied       int
}

type budgetOp struct {
	do    string
	event int
}

type budgetOut struct {
	ok     bool
	counts fx.BudgetCounts
}

func (m *budgetSpec) step(s budgetState, in budgetOp, out budgetOut, at span) []budgetState {
	roomLeast, roomMost := m.room(s, at)
	switch {
	case in.do == "first":
		s.first = s.first.with(in.event)
		return []budgetState{s}
	case in.do == "again" && out.ok:
		s.again = s.again.with(in.event)
		return only(s, roomMost >= 1)
	case in.do == "again":
		s.denied++
		return only(s, roomLeast < 1)
	}
	firstLeast, firstMost := m.window.count(s.first, &m.window.good, at, 10)
	againLeast, againMost := m.window.count(s.again, &m.window.bad, at, 10)
	c := out.counts
	return only(s, within(firstLeast, c.First, firstMost) && within(againLeast, c.Again, againMost) &&
		within(max(roomLeast, 0), c.Left, max(roomMost, 0)) && (m.hedged || c.Denied == s.denied))
}

func within(least, n, most int) bool { return least <= n && n <= most }

// room is how many retries there is room for at this time, at least and at most.
func (m *budgetSpec) room(s budgetState, at span) (least, most int) {
	firstLeast, firstMost := m.window.count(s.first, &m.window.good, at, 10)
	againLeast, againMost := m.window.count(s.again, &m.window.bad, at, 11)
	return m.allowed(firstLeast) - againMost, m.allowed(firstMost) - againLeast
}

func (m *budgetSpec) allowed(first int) int { return first*m.percent/100 + m.reserve }

// times takes the times of all attempts and looks from a history.
func (m *budgetSpec) times(ops []porcupine.Operation) {
	var goods []lazy
	var looks []span
	for _, op := range ops {
		e := op.Input.(entry)
		switch in := e.in.(budgetOp); in.do {
		case "first":
			goods = append(goods, lazy{in.event, e.at})
		case "again":
			m.window.bad[in.event] = e.at
			looks = append(looks, e.at)
		default:
			looks = append(looks, e.at)
		}
	}
	m.window.sorted(goods, looks)
}

// describe says what was done and what came of it.
func (o budgetOp) describe(out budgetOut) string {
	switch {
	case o.do == "counts":
		return fmt.Sprintf("counts: %+v", out.counts)
	case o.do == "again" && !out.ok:
		return fmt.Sprintf("denied %d", o.event)
	}
	return fmt.Sprintf("%s %d", o.do, o.event)
}

// perSecond is the setting that makes the reserve.
func (m *budgetSpec) perSecond() int {
	if m.reserve == 0 {
		return -1
	}
	return int(math.Round(float64(m.reserve) / m.window.length.Seconds()))
}
