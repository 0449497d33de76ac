package main

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// The measures of the drawing, in its own units: pixels where it is shown at its natural size.
const (
	chartWidth  = 880
	chartLeft   = 92
	chartRight  = 128 // the room for the names of the lanes
	chartTop    = 92
	chartHeight = 84
	chartGap    = 26
	plotWidth   = chartWidth - chartLeft - chartRight
)

// style has the colors for light and for dark; the reader's browser chooses.
const style = `
  svg { --paper: #ffffff; --text: #1f2328; --faint: #59636e; --line: #d1d9e0; --plain: #cf222e; --guarded: #1a7f37; --warn: #bf8700; --dead: #cf222e; --late: #bf8700 }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --text: #e6edf3; --faint: #9198a1; --line: #30363d; --plain: #ff7b72; --guarded: #3fb950; --warn: #d29922; --dead: #f85149; --late: #d29922 }
  }
  text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--text) }
  .title { font-size: 17px; font-weight: 600 } .name { font-weight: 600 } .faint { fill: var(--faint) } .small { font-size: 11px }
  .plain { stroke: var(--plain) } .guarded { stroke: var(--guarded) } .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .said-plain { fill: var(--plain); font-weight: 600 } .said-guarded { fill: var(--guarded); font-weight: 600 }
  .mark { stroke: var(--guarded); stroke-dasharray: 3 4; opacity: .8 } .dot { stroke: var(--paper); stroke-width: 1.5 }
  rect { shape-rendering: crispEdges } .paper { shape-rendering: auto; fill: var(--paper) } .dot-plain { fill: var(--plain) } .dot-guarded { fill: var(--guarded) }
  .grid { stroke: var(--line) } .dead { fill: var(--dead); opacity: .09 } .slow { fill: var(--late); opacity: .12 }
  .closed { fill: var(--guarded) } .open { fill: var(--dead) } .half-open { fill: var(--warn) }
`

// A sketch is an SVG in the making.
type sketch struct {
	strings.Builder
	*film
}

func (k *sketch) add(format string, args ...any) { fmt.Fprintf(&k.Builder, format+"\n", args...) }

func (k *sketch) text(x, y float64, class, anchor, format string, args ...any) {
	k.add(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`, x, y, class, anchor, html.EscapeString(fmt.Sprintf(format, args...)))
}

// x is where a moment of the story lies.
func (k *sketch) x(at time.Duration) float64 {
	return chartLeft + plotWidth*at.Seconds()/k.story.ends().Seconds()
}

// svg draws the whole run: each gauge over time, both lanes in it.
func (f *film) svg() string {
	k := &sketch{film: f}
	bottom := float64(chartTop + len(gauges)*(chartHeight+chartGap))
	height := int(bottom) + 92
	k.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">`,
		chartWidth, height, chartWidth, height)
	k.add(`<title id="title">One dead service, without and with fx</title>`)
	k.add(`<desc id="desc">%s</desc>`, html.EscapeString(f.inWords()))
	k.add(`<style>%s</style>`, style)
	k.add(`<rect width="%d" height="%d" rx="8" class="paper"/>`, chartWidth, height)
	k.text(24, 32, "title", "start", "A service dies: the shop without and with fx")
	k.text(24, 52, "faint", "start", "Real HTTP servers, %d orders a second, the same outage for both. Measured, not drawn by hand.", f.settings.rate)
	k.shade(bottom)
	for i, g := range gauges {
		k.gauge(float64(chartTop+i*(chartHeight+chartGap)), g)
	}
	k.marks(bottom)
	k.states(bottom + 4)
	k.axis(bottom + 52)
	k.add(`</svg>`)
	return k.String()
}

func (f *film) inWords() string {
	return fmt.Sprintf("Four charts over %s. The catalog never answers from %s to %s. Orders a second fall to %d without fx and stay at %d with it at the end of the outage.",
		secs(f.story.ends()), secs(f.story.dies()), secs(f.story.recovers()),
		f.plain.at(f.story.recovers()).Completed, f.guarded.at(f.story.recovers()).Completed)
}

// shade marks the outage and names the phases.
func (k *sketch) shade(bottom float64) {
	for _, p := range k.story.phases() {
		from, to := k.x(p.from), k.x(p.to)
		if p.catalog != "well" {
			k.box(p.catalog, from, chartTop-24, to-from, bottom-chartTop+44)
		}
		k.text((from+to)/2, chartTop-10, "small faint", "middle", "%s", p.name)
	}
}

// gauge draws one chart, its top at y.
func (k *sketch) gauge(y float64, g gauge) {
	top := roundUp(max(k.plain.peak(g.of), k.guarded.peak(g.of)))
	k.text(chartLeft, y+10, "name", "start", "%s", g.told)
	plot := func(v float64) float64 { return y + chartHeight - (chartHeight-18)*v/top }
	for _, v := range []float64{0, top} {
		k.add(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, chartLeft, chartLeft+plotWidth, plot(v), plot(v))
		k.text(chartLeft-8, plot(v)+4, "small faint", "end", "%s", label(g, v))
	}
	for _, l := range []struct {
		lane string
		reel
	}{{plainLane, k.plain}, {guardedLane, k.guarded}} {
		k.add(`<path class="line %s" d="%s"/>`, l.lane, k.path(l.reel, g, plot))
	}
	k.labels(g, plot)
}

// marks draw lines through all charts where the breaker opened in the outage and where it closed again.
func (k *sketch) marks(bottom float64) {
	k.mark(bottom, open, "opens", k.story.dies())
	k.mark(bottom, closed, "closes", k.story.recovers())
}

func (k *sketch) mark(bottom float64, state, does string, since time.Duration) {
	at, ok := k.first(state, since)
	if !ok {
		return
	}
	k.add(`<line class="mark" x1="%.1f" x2="%.1f" y1="%d" y2="%.1f"/>`, k.x(at), k.x(at), chartTop, bottom+4)
	k.text(k.x(at), bottom+34, "small said-guarded", "middle", "%s after %s", does, secs(at-since))
}

// labels say what the outage came to: the last second of it, beside the charts.
func (k *sketch) labels(g gauge, plot func(float64) float64) {
	p, gd := g.of(k.plain.at(k.story.recovers())), g.of(k.guarded.at(k.story.recovers()))
	py, gy := plot(p)+4, plot(gd)+4
	if gap := math.Abs(py - gy); gap < 16 { // the two would lie on each other
		shift := math.Copysign((16-gap)/2, py-gy)
		py, gy = py+shift, gy-shift
	}
	low := plot(0) + 4
	if over := max(py, gy) - low; over > 0 {
		py, gy = py-over, gy-over
	}
	const x = chartLeft + plotWidth + 10
	then := k.x(k.story.recovers() - time.Second/2)
	k.add(`<circle class="dot dot-plain" cx="%.1f" cy="%.1f" r="4"/>`, then, plot(p))
	k.add(`<circle class="dot dot-guarded" cx="%.1f" cy="%.1f" r="4"/>`, then, plot(gd))
	k.text(x, py, "said-plain", "start", "plain %s", label(g, p))
	k.text(x, gy, "said-guarded", "start", "with fx %s", label(g, gd))
}

func label(g gauge, v float64) string {
	if v == 0 {
		return "0"
	}
	return g.write(v)
}

// path joins the values; each tells of the second before it, so its middle is where it belongs.
func (k *sketch) path(r reel, g gauge, plot func(float64) float64) string {
	var b strings.Builder
	verb := 'M'
	for i, s := range r {
		if s.Tenth < perSecond || i%2 == 1 { // the first ones do not have a whole second behind them
			continue
		}
		if g.unknown(s) {
			verb = 'M'
			continue
		}
		fmt.Fprintf(&b, "%c%.1f %.1f", verb, k.x(tenths(s.Tenth)-time.Second/2), plot(g.of(s)))
		verb = 'L'
	}
	return b.String()
}

// roundUp finds the next 1, 2 or 5 with zeros.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8} {
		if n*unit >= v {
			return n * unit
		}
	}
	return 10 * unit
}

// states draws the breaker over time. A probe is shorter than a pixel, so it is drawn wider than it is, and last.
func (k *sketch) states(y float64) {
	k.text(chartLeft-8, y+13, "small", "end", "fx breaker")
	for _, s := range k.spans() {
		if s.state != halfOpen {
			k.box(s.state, k.x(s.from), y, k.x(s.to)-k.x(s.from), 16)
		}
	}
	for _, s := range k.spans() {
		if s.state == halfOpen {
			k.box(s.state, k.x(s.from)-1, y, max(k.x(s.to)-k.x(s.from)+1, 4), 16)
		}
	}
	k.legend(y - 11)
}

func (k *sketch) box(class string, x, y, w, h float64) {
	k.add(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.0f"/>`, class, x, y, w, h)
}

// legend names the states beside them.
func (k *sketch) legend(y float64) {
	const x = chartLeft + plotWidth + 10
	for i, state := range []string{closed, open, halfOpen} {
		row := y + float64(i)*15
		k.box(state, x, row, 10, 10)
		k.text(x+16, row+9, "small", "start", "%s", state)
	}
}

// axis says which second it is.
func (k *sketch) axis(y float64) {
	step := 5 * time.Second
	if k.story.ends() < 20*time.Second {
		step = 2 * time.Second
	}
	for at := time.Duration(0); at <= k.story.ends(); at += step {
		k.text(k.x(at), y, "small faint", "middle", "%.0f s", at.Seconds())
	}
	flags := ""
	if k.settings.fast {
		flags = " -fast"
	}
	k.text(24, y+24, "small faint", "start", "made by: go run ./examples/outage%s -svg FILE", flags)
	k.text(chartWidth-24, y+24, "small faint", "end", "The dots and the numbers on the right: the last second of the outage.")
}
