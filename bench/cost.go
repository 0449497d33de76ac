package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// A mode is how many call at once.
type mode struct {
	Name              string
	procs, goroutines int
}

// The modes of every row. Those in parallel differ in the processors, not in the callers.
const (
	alone   = "alone"
	onOne   = "1 proc"
	onTwo   = "2 procs"
	onEight = "8 procs"
	callers = 8
)

func modes() []mode {
	return []mode{{alone, 1, 1}, {onOne, 1, callers}, {onTwo, 2, callers}, {onEight, 8, callers}}
}

// of says how many goroutines the row gets in this mode, and 0 if the mode makes no sense for it.
func (m mode) of(r row) int {
	switch {
	case r.crowd == 0:
		return m.goroutines
	case m.goroutines == 1:
		return 0
	}
	return r.crowd
}

// A Cost is what a contender's call costs in one mode.
type Cost struct {
	Row, Lib, Mode string
	CPU, Wall      summary // ns a call
	Bytes, Objects float64 // a call

	rounds []float64 // CPU time of a call, round by round
}

// over is how many times the cost of other it is: the median of the ratios within each round, which keep better than
// the medians of each, and their middle half.
func (c Cost) over(other Cost) summary {
	var ratios []float64
	for i := range min(len(c.rounds), len(other.rounds)) {
		ratios = append(ratios, c.rounds[i]/other.rounds[i])
	}
	return summarize(ratios)
}

// A run is one contender of one row in one mode, with its samples.
type run struct {
	row, lib string
	mode     mode
	load     load
	calls    int // of each goroutine in a sample
	samples  []sample
}

// effort is how long to measure.
type effort struct {
	Rounds  int
	Sample  time.Duration
	Holders int           // of each kind, for memory
	Most    int           // holders at most, for growth
	Calls   int           // in a sample of growth
	Repeats int           // samples of each point of growth
	Profile time.Duration // of the full stack
	modes   []mode
}

func thorough() effort {
	return effort{
		Rounds: 25, Sample: 10 * time.Millisecond,
		Holders: 100_000,
		Most:    1_000_000, Calls: 200_000, Repeats: 7,
		Profile: 5 * time.Second,
		modes:   modes(),
	}
}

func quick() effort {
	return effort{
		Rounds: 3, Sample: time.Millisecond,
		Holders: 10_000,
		Most:    10_000, Calls: 20_000, Repeats: 1,
		Profile: time.Second,
		modes:   modes(),
	}
}

// measureCosts takes one sample of every run, then the next of every run, and so on: whatever else happens on the
// machine falls on all of them alike.
func measureCosts(rows []row, e effort, p *progress) (costs []Cost) {
	runs, release := prepare(rows, e.modes)
	defer release()
	quietly(func() {
		calibrate(runs, e, p)
		for round := range e.Rounds {
			measureRound(runs, fmt.Sprintf("round %d of %d", round+1, e.Rounds), p)
		}
	})
	for _, r := range runs {
		costs = append(costs, r.cost())
	}
	return costs
}

// prepare builds every contender once for each mode. The modes are in turn, so that rows of one mode are neighbours.
func prepare(rows []row, modes []mode) (runs []*run, release func()) {
	var cancels []context.CancelFunc
	for _, m := range modes {
		for _, r := range rows {
			ctx, cancel := r.context()
			cancels = append(cancels, cancel)
			for _, c := range r.contenders {
				if n := m.of(r); n > 0 {
					runs = append(runs, &run{row: r.name, lib: c.lib, mode: m, load: newLoad(ctx, c.build(), r.op, n)})
				}
			}
		}
	}
	return runs, func() {
		for _, cancel := range cancels {
			cancel()
		}
	}
}

func calibrate(runs []*run, e effort, p *progress) {
	p.begin("calibrating", len(runs))
	for _, r := range runs {
		p.step(r.row + ": " + r.lib)
		runtime.GC()
		onProcs(r.mode.procs, func() { r.calls = r.load.calibrate(e.Sample) })
	}
}

func measureRound(runs []*run, name string, p *progress) {
	p.begin(name, len(runs))
	for _, r := range runs {
		p.step(r.mode.Name + ", " + r.row + ": " + r.lib)
		runtime.GC()
		onProcs(r.mode.procs, func() { r.samples = append(r.samples, r.load.run(r.calls)) })
	}
}

func (r *run) cost() Cost {
	pick := func(number func(sample) float64) summary { return summarize(each(r.samples, number)) }
	return Cost{
		Row: r.row, Lib: r.lib, Mode: r.mode.Name,
		CPU:     pick(func(s sample) float64 { return s.cpu }),
		Wall:    pick(func(s sample) float64 { return s.wall }),
		Bytes:   pick(func(s sample) float64 { return s.bytes }).Median,
		Objects: pick(func(s sample) float64 { return s.objects }).Median,
		rounds:  each(r.samples, func(s sample) float64 { return s.cpu }),
	}
}
