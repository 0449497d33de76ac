package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Report is everything that was measured.
type Report struct {
	Machine    Machine
	Effort     effort
	Costs      []Cost
	Memory     []Memory
	Goroutines []Series // how the cost grows with them
	Holders    []Series // and with these
	Profile    []Hot    `json:",omitempty"`

	rows  []row
	kinds []kind
}

// cost finds what a contender costs in a mode.
func (r Report) cost(row, lib, mode string) (Cost, bool) {
	i := slices.IndexFunc(r.Costs, func(c Cost) bool { return c.Row == row && c.Lib == lib && c.Mode == mode })
	if i < 0 {
		return Cost{}, false
	}
	return r.Costs[i], true
}

// bare is the bare call's CPU time.
func (r Report) bare() float64 {
	c, _ := r.cost(bareRow().name, libBare, alone)
	return c.CPU.Median
}

// main is the mode that a row is judged in.
func (row row) main() string {
	if row.crowd > 0 {
		return onOne
	}
	return alone
}

// bestPeer finds the cheapest of the peers that do the same work.
func (r Report) bestPeer(row row) (best Cost, found bool) {
	for _, contender := range row.contenders {
		c, ok := r.cost(row.name, contender.lib, row.main())
		if ok && contender.peer() && (!found || c.CPU.Median < best.CPU.Median) {
			best, found = c, true
		}
	}
	return best, found
}

// A judgement is how a row's target was met.
type judgement struct {
	want, got string
	met       bool
	atTimes   bool // it was met in a quarter of the rounds or more
}

// doubt says that a miss may be noise.
func (j judgement) doubt() string {
	if j.atTimes {
		return ", but met in a quarter of the rounds or more"
	}
	return ""
}

// judge compares a row with its target, of time and of objects. Times are multiples of the bare call, for machines
// differ.
func (r Report) judge(row row) (j judgement, ok bool) {
	c, found := r.cost(row.name, libFx, row.main())
	if !found {
		return j, false
	}
	if j, ok = r.judgeTime(row, c); !ok {
		j = judgement{met: true}
	}
	if limit := r.mayMake(row); rounded(c.Objects) > limit {
		j.met, j.atTimes, j.got = false, false, strings.TrimPrefix(j.got+" and "+number(rounded(c.Objects))+" objects", " and ")
	}
	if row.target.objects == asContext {
		j.want, ok = strings.TrimPrefix(j.want+", no more objects", ", "), true
	}
	return j, ok
}

func (r Report) judgeTime(row row, c Cost) (j judgement, ok bool) {
	t := row.target
	if t.beside != "" {
		other, _ := r.cost(row.name, t.beside, row.main())
		ratio := c.over(other)
		return judged("≤ 1.05× "+t.beside, precise(ratio.Median)+"× "+t.beside, ratio, 1.05), true
	}
	want, got := t.ns/targetBare, c.CPU.times(1/r.bare())
	return judged("≤ "+times(want)+" ("+number(t.ns)+" ns)", times(got.Median), got, want), t.ns > 0
}

func judged(want, got string, cost summary, most float64) judgement {
	return judgement{want: want, got: got, met: cost.Median <= most, atTimes: cost.Low <= most}
}

// mayMake is how many objects a call of fx may make in the row.
func (r Report) mayMake(row row) float64 {
	switch row.target.objects {
	case anyObjects:
		return math.Inf(1)
	case asContext:
		c, _ := r.cost(row.name, libContext, row.main())
		return rounded(c.Objects)
	}
	return float64(row.target.objects)
}

func metOrMissed(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

// summaryTable has a line for each row of fx.
func (r Report) summaryTable() table {
	t := table{
		head:    []string{"case", "fx, ns", "middle half", "B", "objects", "× bare", "target", "verdict", "best peer", "ns", "÷ fx"},
		numbers: []int{1, 2, 3, 4, 5, 6, 9, 10},
	}
	bare, _ := r.cost(bareRow().name, libBare, alone)
	t.add("bare call", number(bare.CPU.Median), span(bare.CPU), "0", "0", "1", "", "", "", "", "")
	for _, row := range r.rows {
		if c, ok := r.cost(row.name, libFx, row.main()); ok {
			t.lines = append(t.lines, append(r.fxCells(row, c), r.peerCells(row, c)...))
		}
	}
	return t
}

func (r Report) fxCells(row row, c Cost) []string {
	cells := []string{row.name, number(c.CPU.Median), span(c.CPU), number(whole(c.Bytes)), number(rounded(c.Objects)),
		number(c.CPU.Median / r.bare())}
	if j, ok := r.judge(row); ok {
		return append(cells, j.want, metOrMissed(j.met))
	}
	return append(cells, "", "")
}

func (r Report) peerCells(row row, fx Cost) []string {
	peer, ok := r.bestPeer(row)
	if !ok {
		return []string{"", "", ""}
	}
	return []string{peer.Lib, number(peer.CPU.Median), number(peer.over(fx).Median)}
}

// detailTable has a line for each contender.
func (r Report) detailTable() table {
	t := table{
		head: []string{"case", "library", "alone", "middle half", "1 proc", "2 procs", "8 procs", "wall 2", "wall 8",
			"B", "objects", "× bare"},
		numbers: []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
	}
	for _, row := range r.rows {
		name := row.name
		for _, c := range row.contenders {
			t.lines = append(t.lines, append([]string{name, c.lib}, r.detailCells(row, c.lib)...))
			name = ""
		}
	}
	return t
}

func (r Report) detailCells(row row, lib string) (cells []string) {
	main, _ := r.cost(row.name, lib, row.main())
	if one, ok := r.cost(row.name, lib, alone); ok {
		cells = append(cells, number(one.CPU.Median), span(one.CPU))
	} else {
		cells = append(cells, "", span(main.CPU))
	}
	for _, mode := range []string{onOne, onTwo, onEight} {
		c, _ := r.cost(row.name, lib, mode)
		cells = append(cells, number(c.CPU.Median))
	}
	for _, mode := range []string{onTwo, onEight} {
		c, _ := r.cost(row.name, lib, mode)
		cells = append(cells, number(c.Wall.Median))
	}
	return append(cells, number(whole(main.Bytes)), number(rounded(main.Objects)), number(main.CPU.Median/r.bare()))
}

// memoryTable has a line for each kind.
func (r Report) memoryTable() table {
	t := table{
		head:    []string{"what", "library", "fresh, B", "objects", "after a call, B", "objects", "at rest, B", "target, B", "verdict"},
		numbers: []int{2, 3, 4, 5, 6, 7},
	}
	for _, m := range r.Memory {
		cells := []string{m.Kind, m.Lib, number(whole(m.Fresh.Bytes)), number(rounded(m.Fresh.Objects)),
			number(whole(m.Used.Bytes)), number(rounded(m.Used.Objects)),
			number(whole(m.AtRest.Bytes)), "", ""}
		if k := r.kind(m); k.most > 0 {
			cells[7], cells[8] = "≤ "+number(k.most), metOrMissed(m.met(k))
		}
		t.add(cells...)
	}
	return t
}

// met says whether one of the kind keeps to its target. Bytes are whole; a tenth is the slack of what else lives.
func (m Memory) met(k kind) bool { return max(m.Fresh.Bytes, m.Used.Bytes) <= k.most+0.1 }

func (r Report) kind(m Memory) kind {
	i := slices.IndexFunc(r.kinds, func(k kind) bool { return k.name == m.Kind && k.lib == m.Lib })
	if i < 0 {
		return kind{}
	}
	return r.kinds[i]
}

// missed lists the targets that were missed, and why.
func (r Report) missed() string {
	var b strings.Builder
	for _, row := range r.rows {
		if j, ok := r.judge(row); ok && !j.met {
			fmt.Fprintf(&b, "- **%s**: %s instead of %s%s. %s\n", row.name, j.got, j.want, j.doubt(), reason(row.target.reason))
		}
	}
	for _, m := range r.Memory {
		if k := r.kind(m); k.most > 0 && !m.met(k) {
			fmt.Fprintf(&b, "- **memory of a %s**: %s B after a call instead of ≤ %s B. %s\n",
				m.Kind, number(whole(m.Used.Bytes)), number(k.most), reason(k.reason))
		}
	}
	if b.Len() == 0 {
		return "None.\n"
	}
	return b.String()
}

// reason makes a noise where there is none.
func reason(known string) string {
	if known == "" {
		return "**NO REASON KNOWN.**"
	}
	return known
}

// ahead lists the peers that take less than fx where both do the same work, and why.
func (r Report) ahead() string {
	var b strings.Builder
	for _, row := range r.rows {
		fx, _ := r.cost(row.name, libFx, row.main())
		for _, c := range row.contenders {
			peer, ok := r.cost(row.name, c.lib, row.main())
			if ratio := peer.over(fx); ok && c.peer() && ratio.Median < 1 {
				fmt.Fprintf(&b, "- **%s**: *%s* takes %s of what fx takes (%s). %s\n",
					row.name, c.lib, times(ratio.Median), span(ratio), lead(c, ratio))
			}
		}
	}
	if b.Len() == 0 {
		return "In none.\n"
	}
	return b.String()
}

// lead is why a peer is ahead, or that it may not be.
func lead(c contender, ratio summary) string {
	switch {
	case c.ahead != "":
		return strings.ToUpper(c.ahead[:1]) + c.ahead[1:] + "."
	case ratio.High >= 1:
		return "That is within the noise."
	}
	return reason("")
}

// notes lists what the contenders do less or more.
func notes(rows []row) string {
	var b strings.Builder
	for _, row := range rows {
		var said []string
		for _, c := range row.contenders {
			if c.note != "" {
				said = append(said, "*"+c.lib+"*: "+c.note+uncompared(c))
			}
		}
		if len(said) > 0 {
			fmt.Fprintf(&b, "- **%s.** %s.\n", row.name, strings.Join(said, ". "))
		}
	}
	return b.String()
}

func uncompared(c contender) string {
	if c.unlike {
		return " (so it is no peer here)"
	}
	return ""
}

// goroutineSentences says where the bends are, beside the bare yield at the same number of goroutines.
func (r Report) goroutineSentences() string {
	var b strings.Builder
	for _, s := range r.Goroutines[1:] {
		fmt.Fprintf(&b, "- %s\n", s.over(r.Goroutines[0]).sentence("goroutine", "times a bare yield"))
	}
	return b.String()
}

// holderSentences says where the bends are.
func (r Report) holderSentences() string {
	var b strings.Builder
	for _, s := range r.Holders {
		fmt.Fprintf(&b, "- %s\n", s.sentence("holder", "ns"))
	}
	return b.String()
}

// profileTable has a line for each function that took a percent of the time or more.
func profileTable(hot []Hot) table {
	t := table{head: []string{"function", "%"}, numbers: []int{1}}
	for _, h := range hot {
		t.add(h.Function, number(100*h.Share))
	}
	return t
}

// whole and rounded leave out what samples have of the goroutines that made the calls.
func whole(x float64) float64 { return float64(int(x + 0.5)) }

func rounded(x float64) float64 { return float64(int(10*x+0.5)) / 10 }

// ratios has the cost of fx beside the bare call, and nothing else.
func (r Report) ratios() table {
	t := table{head: []string{"case", "× bare", "target", "verdict"}, numbers: []int{1, 2}}
	for _, row := range r.rows {
		c, ok := r.cost(row.name, libFx, row.main())
		if !ok {
			continue
		}
		cells := []string{row.name, number(c.CPU.Median / r.bare()), "", ""}
		if j, ok := r.judge(row); ok {
			cells[2], cells[3] = j.want, metOrMissed(j.met)
		}
		t.add(cells...)
	}
	return t
}
