package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// An axis maps numbers to places by their logarithm.
type axis struct{ low, high, from, to float64 }

func (a axis) at(x float64) float64 {
	x = min(max(x, a.low), a.high)
	return a.from + (a.to-a.from)*math.Log(x/a.low)/math.Log(a.high/a.low)
}

// powers are the powers of ten on the axis.
func (a axis) powers() (found []float64) {
	for x := math.Pow(10, math.Ceil(math.Log10(a.low)-1e-9)); x <= a.high*1.0001; x *= 10 {
		found = append(found, x)
	}
	return found
}

// The measures of the chart of costs.
const (
	thick  = 11.0 // a bar with its space
	gap    = 13.0 // between rows
	letter = 6.1  // the width of one, on average and with some room
	bars   = 460.0
	beyond = 150.0 // for what is written at the end of a bar
	header = 74.0
)

// costChart has a bar for each contender, as long as its cost beside that of the bare call.
func (r Report) costChart() string {
	left := r.longestName()*letter + 24
	wide := left + bars + beyond
	d := &drawing{width: wide}
	x := axis{low: 1, high: 10_000, from: left, to: left + bars}
	d.height = header + r.drawBars(d, x, header) + 10
	behind := &drawing{width: wide, height: d.height}
	behind.text(12, 22, "title", "start", "CPU time of a call, as a multiple of a bare call (shorter is better)")
	behind.legend(12, 42)
	for _, p := range x.powers() {
		behind.rule(x.at(p), header-8, x.at(p), d.height-8)
		behind.text(x.at(p), header-12, "faint", "middle", thousands(int(p))+"×")
	}
	behind.parts.WriteString(d.parts.String())
	return behind.String()
}

func (d *drawing) legend(x, y float64) {
	for _, entry := range [][2]string{{"fx", "fx"}, {"best", "best peer"}, {"peer", "other"}, {"base", "baseline"}} {
		d.bar(x, y-8, 10, 8, entry[0])
		d.text(x+14, y, "faint", "start", entry[1])
		x += 80
	}
}

// longestName is the number of letters in the longest name of a row.
func (r Report) longestName() (letters float64) {
	for _, row := range r.rows {
		letters = max(letters, float64(utf8.RuneCountInString(row.name)))
	}
	return letters
}

// drawBars draws all rows from y downwards and returns how high they are.
func (r Report) drawBars(d *drawing, x axis, y float64) float64 {
	begin := y
	for _, row := range r.rows {
		d.text(x.from-12, y+9, "", "end", row.name)
		for _, c := range row.contenders {
			cost, ok := r.cost(row.name, c.lib, row.main())
			if !ok {
				continue
			}
			ratio := cost.CPU.Median / r.bare()
			d.bar(x.from, y, max(x.at(ratio)-x.from, 1), thick-2, r.class(row, c))
			d.text(max(x.at(ratio), x.from+1)+5, y+8.5, "faint", "start", c.lib+" "+times(ratio))
			y += thick
		}
		y += gap
	}
	return y - begin
}

// class is the colour of a contender's bar.
func (r Report) class(row row, c contender) string {
	best, ok := r.bestPeer(row)
	switch {
	case c.lib == libFx:
		return "fx"
	case ok && c.lib == best.Lib:
		return "best"
	case c.baseline() || c.lib == libContext:
		return "base"
	}
	return "peer"
}

// lineChart draws series on two logarithmic axes.
func lineChart(title, xName string, series []Series) string {
	d := &drawing{width: 760, height: 380}
	x, y := axes(series)
	d.text(12, 22, "title", "start", title)
	d.grid(x, y)
	d.text((x.from+x.to)/2, 372, "faint", "middle", xName)
	d.text(12, 42, "faint", "start", "ns")
	for i, s := range series {
		d.series(x, y, s, i)
	}
	d.names(x, y, series)
	return d.String()
}

// axes fit around the series: the first is across, the second up.
func axes(series []Series) (x, y axis) {
	x = axis{low: 1, high: 10, from: 56, to: 560}
	y = axis{low: math.Inf(1), high: 0, from: 336, to: 50}
	for _, s := range series {
		for _, p := range s.Points {
			x.high = max(x.high, float64(p.N))
			y.low, y.high = min(y.low, p.CPU.Median), max(y.high, p.CPU.Median)
		}
	}
	y.low = max(math.Pow(10, math.Floor(math.Log10(y.low))), 0.1)
	y.high = max(math.Pow(10, math.Ceil(math.Log10(y.high))), 10*y.low)
	return x, y
}

func (d *drawing) grid(x, y axis) {
	for _, p := range x.powers() {
		d.rule(x.at(p), y.from, x.at(p), y.to)
		d.text(x.at(p), y.from+16, "faint", "middle", thousands(int(p)))
	}
	for _, p := range y.powers() {
		d.rule(x.from, y.at(p), x.to, y.at(p))
		d.text(x.from-6, y.at(p)+4, "faint", "end", number(p))
	}
}

func (d *drawing) series(x, y axis, s Series, colour int) {
	var points []float64
	for _, p := range s.Points {
		points = append(points, x.at(float64(p.N)), y.at(p.CPU.Median))
	}
	d.line(points, fmt.Sprintf("s%d", colour%4))
}

// names writes each series' name where it ends, the lowest first, and apart from each other.
func (d *drawing) names(x, y axis, series []Series) {
	below := y.from + 20
	for _, i := range lowestFirst(series) {
		points := series[i].Points
		last := points[len(points)-1].CPU.Median
		below = min(y.at(last)+4, below-13)
		d.text(x.to+8, below, fmt.Sprintf("t%d", i%4), "start", series[i].Name+", "+number(last)+" ns")
	}
}

// lowestFirst are the places of the series, by where they end.
func lowestFirst(series []Series) (places []int) {
	end := func(i int) float64 { return series[i].Points[len(series[i].Points)-1].CPU.Median }
	for i := range series {
		places = append(places, i)
	}
	slices.SortFunc(places, func(i, j int) int { return cmp.Compare(end(i), end(j)) })
	return places
}
