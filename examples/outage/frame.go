package main

import (
	"fmt"
	"strings"
	"time"
)

// The least window in which the picture can be read.
const leastWidth, leastHeight = 56, 16

// draw draws the picture of the moment, w columns wide and h rows high.
func (f *film) draw(w, h int) *canvas {
	c := newCanvas(w, h)
	if w < leastWidth || h < leastHeight {
		c.fit(0, 0, w, boldInk, fmt.Sprintf("%d x %d, please", leastWidth, leastHeight))
		c.fit(0, 1, w, plainInk, secs(f.now())+" "+f.story.chapter(f.now()).name)
		return c
	}
	f.title(c)
	f.progress(c)
	half := (w - 3) / 2
	y := f.column(c, 0, half, f.plain, plainLane, "timeouts and retries")
	f.column(c, half+3, half+3+half, f.guarded, guardedLane, "the same calls, guarded by fx")
	for row := 4; row < y; row++ {
		c.set(half+1, row, '│', faintInk)
	}
	f.ending(c, y)
	return c
}

func (f *film) title(c *canvas) {
	x := c.put(1, 0, boldInk, "outage")
	c.fit(x+2, 0, c.w-18, faintInk, fmt.Sprintf("%d orders a second, seed %d", f.settings.rate, f.settings.seed))
	c.right(c.w-1, 0, boldInk, fmt.Sprintf("%.1f of %s", f.now().Seconds(), secs(f.story.ends())))
}

// progress is the bar of the story, the phases named above it.
func (f *film) progress(c *canvas) {
	left, room := 1, c.w-2
	column := func(at time.Duration) int { return left + int(at*time.Duration(room)/f.story.ends()) }
	here := column(f.now())
	for _, p := range f.story.phases() {
		from, to := column(p.from), column(p.to)
		name := faintInk
		if p.from <= f.now() {
			name = p.ink
		}
		c.fit(from, 1, to-1, name, p.name)
		for x := from; x < to; x++ {
			if x < here {
				c.set(x, 2, '█', p.ink)
			} else {
				c.set(x, 2, '░', faintInk)
			}
		}
	}
}

// A gauge is something that is measured in both lanes, and drawn over time to one scale.
type gauge struct {
	name  string
	told  string // in a whole line
	of    func(sample) float64
	write func(float64) string
}

var gauges = []gauge{
	{"orders/s", "orders sold a second", func(s sample) float64 { return float64(s.Completed) }, whole},
	{"p99", "p99 latency", func(s sample) float64 { return float64(s.P99) }, func(v float64) string { return ms(v).String() }},
	{"goroutines", "goroutines", func(s sample) float64 { return float64(s.Goroutines) }, whole},
	{"catalog/s", "calls a second that reach the catalog", func(s sample) float64 { return float64(s.Calls) }, whole},
}

// unknown says that there was nothing to measure: without an order there is no latency.
func (g gauge) unknown(s sample) bool { return g.name == "p99" && s.Completed+s.Failed == 0 }

func (g gauge) say(s sample) string {
	if g.unknown(s) {
		return "-"
	}
	return g.write(g.of(s))
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }

// lineInk says how the shop does: it sells, it sells at the last good price, it turns shoppers away.
func lineInk(s sample) ink {
	switch {
	case s.Failed > 0 || s.Completed == 0:
		return badInk
	case s.Stale > 0:
		return warnInk
	}
	return goodInk
}

// The columns of a lane: what, how much (less wide in a narrow window), and the rest over time.
const labelWidth, valueWidth, narrowValue = 11, 10, 8

// A panel is where a lane is drawn: from column x up to end.
type panel struct {
	*canvas
	*film
	reel
	x, chart, end int
}

// column draws a lane and returns the row below it.
func (f *film) column(c *canvas, x, end int, r reel, lane, motto string) (y int) {
	p := &panel{c, f, r, x + 1, x + 1 + labelWidth + valueWidth, end - 1}
	if end-x < 34 {
		p.chart = p.x + labelWidth + narrowValue
	}
	c.put(p.x, 4, boldInk, strings.ToUpper(lane))
	c.fit(p.x+len(lane)+2, 4, p.end, faintInk, motto)
	y = 5
	for _, g := range gauges {
		y = p.gauge(y, g)
	}
	y = p.strip(y, "catalog", f.catalog)
	if lane == plainLane {
		p.without(y)
		return y + 3
	}
	y = p.strip(y, "breaker", func(from, to time.Duration) (rune, ink) {
		state := f.breaker(from, to)
		return stateRunes[state], stateInk(state)
	})
	if now := r.last().Breaker; now != "" {
		c.fit(p.x+labelWidth, y-1, p.chart-1, stateInk(now), now)
	}
	p.seats(y)
	p.stale(y + 1)
	return y + 2
}

// gauge draws one, as high as the window allows, and returns the row below it.
func (p *panel) gauge(y int, g gauge) int {
	rows, gap := 1, 0
	if p.h >= 22 {
		rows = 2
	}
	if p.h >= 28 {
		gap = 1
	}
	now := p.last()
	p.put(p.x, y, plainInk, g.name)
	p.right(p.chart-1, y, lineInk(now), g.say(now))
	if rows > 1 {
		p.second(y+1, g)
	}
	p.spark(y, rows, g)
	return y + rows + gap
}

// second is the row below a value: how bad it has been.
func (p *panel) second(y int, g gauge) {
	if g.name == gauges[0].name {
		if lost := p.last().Failed; lost > 0 {
			p.right(p.chart-1, y, badInk, fmt.Sprintf("%d fail", lost))
		}
		return
	}
	p.put(p.x, y, faintInk, "  at most")
	p.right(p.chart-1, y, faintInk, g.write(p.peak(g.of)))
}

var eighths = []rune(" ▁▂▃▄▅▆▇█")

// spark draws a gauge over the whole story. Both lanes have one scale, or they could not be compared.
func (p *panel) spark(y, rows int, g gauge) {
	top := max(p.film.plain.peak(g.of), p.film.guarded.peak(g.of), 1)
	p.each(func(x int, _, to time.Duration) {
		s := p.at(to)
		height := int(g.of(s) / top * float64(8*rows))
		if height == 0 && g.of(s) > 0 {
			height = 1
		}
		for row := range rows {
			p.set(x, y+rows-1-row, eighths[min(max(height-8*row, 0), 8)], lineInk(s))
		}
	})
}

// each visits the columns of the chart up to now, with the part of the story that each one shows.
func (p *panel) each(visit func(x int, from, to time.Duration)) {
	room := p.end - p.chart
	for i := range room {
		from, to := p.story.ends()*time.Duration(i)/time.Duration(room), p.story.ends()*time.Duration(i+1)/time.Duration(room)
		if from >= p.now() {
			return
		}
		visit(p.chart+i, from, to)
	}
}

// strip draws a state over time.
func (p *panel) strip(y int, name string, at func(from, to time.Duration) (rune, ink)) int {
	p.put(p.x, y, plainInk, name)
	p.each(func(x int, from, to time.Duration) {
		r, i := at(from, to)
		p.set(x, y, r, i)
	})
	if name == "catalog" {
		c := p.story.chapter(p.now() - 1)
		p.fit(p.x+labelWidth, y, p.chart-1, c.ink, c.catalog)
	}
	return y + 1
}

func (f *film) catalog(from, to time.Duration) (rune, ink) {
	switch c := f.story.chapter((from + to) / 2); c.ink {
	case badInk:
		return '█', badInk
	case warnInk:
		return '▒', warnInk
	}
	return '━', goodInk
}

var stateRunes = map[string]rune{closed: '━', open: '█', halfOpen: '▒'}

func stateInk(state string) ink {
	switch state {
	case open:
		return badInk
	case halfOpen:
		return warnInk
	}
	return goodInk
}

func (p *panel) seats(y int) {
	now := p.last()
	p.put(p.x, y, plainInk, "bulkhead")
	p.put(p.x+labelWidth, y, plainInk, fmt.Sprintf("%d of %d", now.Running, catalogSeats))
	end := p.bar(y, now.Running, coolInk)
	p.fit(end+1, y, p.end, faintInk, fmt.Sprintf("%d wait", now.Waiting))
}

// bar draws one box a seat, or one for two where the room is small.
func (p *panel) bar(y, taken int, i ink) (end int) {
	room := catalogSeats
	if p.end-p.chart < catalogSeats+7 {
		room /= 2
	}
	for n := range room {
		r, of := '□', faintInk
		if n*catalogSeats < taken*room {
			r, of = '■', i
		}
		p.set(p.chart+n, y, r, of)
	}
	return p.chart + room
}

func (p *panel) stale(y int) {
	now := p.last()
	p.put(p.x, y, plainInk, "stale")
	i, old := faintInk, "all fresh"
	if now.Stale > 0 {
		i, old = warnInk, now.StaleAge.String()+" old"
	}
	p.put(p.x+labelWidth, y, i, fmt.Sprintf("%.0f %%", 100*now.Stale))
	p.fit(p.chart, y, p.end, i, old)
}

// without says what the plain lane does not have.
func (p *panel) without(y int) {
	for i, what := range []string{"breaker", "bulkhead", "stale"} {
		p.put(p.x, y+i, faintInk, what)
		p.put(p.x+labelWidth, y+i, faintInk, "none")
	}
}

// ending tells the last events, in what room is left, and what the colors mean.
func (f *film) ending(c *canvas, y int) {
	c.rule(y, faintInk)
	room := c.h - y - 2
	events := f.events()
	for i, e := range events[max(0, len(events)-max(room, 0)):] {
		c.right(9, y+1+i, plainInk, secs(e.at))
		c.fit(11, y+1+i, c.w-1, e.ink, e.what)
	}
	x := c.put(1, c.h-1, goodInk, "▇ sells")
	x = c.put(x+2, c.h-1, warnInk, "▇ at the last good price")
	x = c.put(x+2, c.h-1, badInk, "▇ fails")
	c.fit(x+2, c.h-1, c.w-1, faintInk, "Ctrl-C ends it")
}
