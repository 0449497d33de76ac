package fxtest

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Chart shows lines over time, for a terminal or as SVG. The lines of several reports may stand in one.
//
//	fmt.Print(report.Chart().Text())
//	fxtest.Chart{Title: "A stop of ten seconds", Unit: "calls a second", Outages: plain.Outages, Lines: []fxtest.Line{
//		plain.Line("plain", func(b fxtest.Bucket) float64 { return float64(b.Goodput) }),
//		guarded.Line("fx", func(b fxtest.Bucket) float64 { return float64(b.Goodput) }),
//	}}.SVG()
type Chart struct {
	Title   string
	Unit    string // of the values
	Lines   []Line
	Outages []Outage // are shaded
	Width   int      // of the text, in characters: 0 means 100, less than 40 means 40
	Plain   bool     // text in ASCII alone
}

// A Line is a row of values, one for each Every.
type Line struct {
	Name   string
	Every  time.Duration // 0 means 1s
	Values []float64     // drawn between 0 and 1e15; what is less than 1e-9 or not a number is drawn as 0
}

// Line is a line of value for each bucket of the report.
func (r Report) Line(name string, value func(Bucket) float64) Line {
	l := Line{Name: name, Every: r.Every}
	for _, b := range r.Buckets {
		l.Values = append(l.Values, value(b))
	}
	return l
}

// Chart shows, per second, what was offered and attempted and what came of it.
func (r Report) Chart() Chart {
	perSecond := func(name string, count func(Bucket) int) Line {
		return r.Line(name, func(b Bucket) float64 { return float64(count(b)) / r.Every.Seconds() })
	}
	return Chart{Unit: "calls a second", Outages: r.Outages, Lines: []Line{
		perSecond("offered", func(b Bucket) int { return b.Offered }),
		perSecond("attempts", func(b Bucket) int { return b.Attempts }),
		perSecond("goodput", func(b Bucket) int { return b.Goodput }),
		perSecond("errors", func(b Bucket) int { return b.Errors }),
	}}
}

func (l Line) every() time.Duration {
	if l.Every <= 0 {
		return time.Second
	}
	return l.Every
}

func (l Line) span() time.Duration { return time.Duration(len(l.Values)) * l.every() }

// value is number i as it is drawn.
func (l Line) value(i int) float64 {
	if v := l.Values[i]; v >= 1e-9 {
		return min(v, 1e15)
	}
	return 0
}

// peak is the highest value between two moments.
func (l Line) peak(from, until time.Duration) (high float64) {
	for i := range l.Values {
		if at := time.Duration(i) * l.every(); at < until && at+l.every() > from {
			high = max(high, l.value(i))
		}
	}
	return high
}

func (c Chart) span() (longest time.Duration) {
	for _, l := range c.Lines {
		longest = max(longest, l.span())
	}
	return longest
}

func (c Chart) peak() (high float64) {
	for _, l := range c.Lines {
		high = max(high, l.peak(0, l.span()))
	}
	return high
}

// The heights of a character of text, from nothing to full.
var (
	blocks = []rune(" ▁▂▃▄▅▆▇█")
	ascii  = []rune(" .:-=+*#@")
)

// Text draws each line as a row of characters, all on one scale, with the highest value at its end. A row of marks below
// shows outages.
func (c Chart) Text() string {
	var out strings.Builder
	if c.Title != "" {
		fmt.Fprintln(&out, c.Title)
	}
	names := c.longestName()
	columns := max(c.width()-names-len(" |")-len("| 123456"), 10)
	high := c.peak()
	for _, l := range c.Lines {
		fmt.Fprintf(&out, "%-*s |%s| %s\n", names, l.Name, c.row(l, columns, high), figure(l.peak(0, l.span())))
	}
	fmt.Fprintf(&out, "%*s  %s\n", names, "", c.foot(columns))
	return out.String()
}

func (c Chart) width() int {
	if c.Width == 0 {
		return 100
	}
	return max(c.Width, 40)
}

func (c Chart) longestName() (letters int) {
	for _, l := range c.Lines {
		letters = max(letters, utf8.RuneCountInString(l.Name))
	}
	return letters
}

// row is a line in that many columns, each as high as its highest value: what is above nothing can be seen.
func (c Chart) row(l Line, columns int, high float64) string {
	heights := blocks
	if c.Plain {
		heights = ascii
	}
	row := make([]rune, columns)
	for x := range row {
		from, until := c.moment(x, columns), c.moment(x+1, columns)
		h := 0.0
		if high > 0 {
			h = l.peak(from, until) / high * float64(len(heights)-1)
		}
		row[x] = heights[min(int(math.Ceil(h)), len(heights)-1)]
	}
	return string(row)
}

func (c Chart) moment(x, columns int) time.Duration {
	return time.Duration(float64(c.span()) * float64(x) / float64(columns))
}

// foot marks outages and says how much time is shown, and in what unit.
func (c Chart) foot(columns int) string {
	row := []rune(strings.Repeat(" ", columns))
	mark := '▔'
	if c.Plain {
		mark = '^'
	}
	down := false
	for x := range row {
		for _, o := range c.Outages {
			if o.From < c.moment(x+1, columns) && !over(o, c.moment(x, columns)) {
				row[x], down = mark, true
			}
		}
	}
	words := fmt.Sprintf("0 to %v; highest, in %s", c.span(), c.Unit)
	if !down {
		return words
	}
	return strings.TrimRight(string(row), " ") + "\n" + strings.Repeat(" ", c.longestName()+2) + string(mark) + " down; " + words
}

// figure is v with three digits that count, or more if it is a thousand or more.
func figure(v float64) string {
	switch {
	case v >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// The measures of a picture, in pixels.
const (
	pageWidth, pageHeight = 820.0, 340.0
	plotLeft, plotRight   = 62.0, 630.0
	plotTop, plotBottom   = 52.0, 296.0
)

// chartStyle keeps to colours that can be told apart, also by those who do not see all, on a light and on a dark page.
const chartStyle = `
text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
.page { fill: #ffffff } .title { font-size: 14px; font-weight: 600 } .faint { fill: #57606a }
.grid { stroke: #d0d7de; stroke-width: 1 } .down { fill: #ffebe9 }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round }
.l0 { stroke: #0969da } .l1 { stroke: #bc4c00 } .l2 { stroke: #1a7f37 } .l3 { stroke: #8250df } .l4 { stroke: #6e7781 } .l5 { stroke: #bf3989 }
.dash { stroke-dasharray: 6 3 }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #e6edf3 } .faint { fill: #9198a1 } .grid { stroke: #30363d } .down { fill: #3c1618 }
.l0 { stroke: #4493f8 } .l1 { stroke: #f0883e } .l2 { stroke: #3fb950 } .l3 { stroke: #ab7df8 } .l4 { stroke: #9198a1 } .l5 { stroke: #db61a2 }
}`

// colours is how many there are; further lines have them again, dashed.
const colours = 6

// SVG draws the lines over one another as a picture of its own, light or dark as the reader prefers, with both axes, a
// legend, and outages shaded.
func (c Chart) SVG() string {
	var out strings.Builder
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" role=\"img\" aria-label=\"%s\">\n<style>%s\n</style>\n",
		pageWidth, pageHeight, pageWidth, pageHeight, html.EscapeString(c.Title), chartStyle)
	fmt.Fprintln(&out, `<rect width="100%" height="100%" class="page"/>`)
	c.drawOutages(&out)
	c.drawAxes(&out)
	for i, l := range c.Lines {
		c.drawLine(&out, i, l)
	}
	fmt.Fprintln(&out, "</svg>")
	return out.String()
}

// across and up are where a moment and a value lie.
func (c Chart) across(at time.Duration) float64 {
	share := float64(at) / float64(max(c.span(), 1))
	return plotLeft + (plotRight-plotLeft)*min(max(share, 0), 1)
}

func (c Chart) up(v float64) float64 {
	return plotBottom - (plotBottom-plotTop)*v/c.top()
}

// top is where the axis ends: the end of the step that the highest value lies in.
func (c Chart) top() float64 {
	step := step(c.peak())
	return max(math.Ceil(c.peak()/step), 1) * step
}

// step is a round number (1, 2 or 5 times a power of ten) that goes into high about five times.
func step(high float64) float64 {
	if high <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(high/4)))
	for _, round := range []float64{5, 2} {
		if high/(round*power) >= 4 {
			return round * power
		}
	}
	return power
}

func (c Chart) drawOutages(out *strings.Builder) {
	for _, o := range c.Outages {
		until := o.Until
		if until == 0 {
			until = c.span()
		}
		x := c.across(o.From)
		if wide := c.across(until) - x; wide > 0 {
			fmt.Fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"down\"/>\n", x, plotTop, wide, plotBottom-plotTop)
			label(out, x+4, plotTop+14, "faint", "start", "down")
		}
	}
}

func (c Chart) drawAxes(out *strings.Builder) {
	label(out, 12, 22, "title", "start", c.Title)
	label(out, 12, 42, "faint", "start", c.Unit)
	for i := range int(math.Round(c.top()/step(c.peak()))) + 1 {
		v := float64(i) * step(c.peak())
		grid(out, plotLeft, c.up(v), plotRight, c.up(v))
		label(out, plotLeft-6, c.up(v)+4, "faint", "end", figure(v))
	}
	every := max(time.Duration(step(c.span().Seconds())*float64(time.Second)), 1)
	for at := time.Duration(0); at <= c.span(); at += every {
		grid(out, c.across(at), plotBottom, c.across(at), plotBottom+5)
		label(out, c.across(at), plotBottom+19, "faint", "middle", figure(at.Seconds()))
	}
	label(out, (plotLeft+plotRight)/2, plotBottom+36, "faint", "middle", "seconds")
}

// drawLine draws a line and its place in the legend. Lines stand in the legend as they end, the highest first.
func (c Chart) drawLine(out *strings.Builder, i int, l Line) {
	class := fmt.Sprintf("l%d", i%colours)
	if i/colours%2 == 1 {
		class += " dash"
	}
	points := make([]string, len(l.Values))
	for j := range l.Values {
		middle := time.Duration(j)*l.every() + l.every()/2
		points[j] = fmt.Sprintf("%.1f,%.1f", c.across(middle), c.up(l.value(j)))
	}
	fmt.Fprintf(out, "<polyline class=\"%s\" points=\"%s\"/>\n", class, strings.Join(points, " "))
	y := plotTop + 10 + 18*float64(c.rank(i))
	fmt.Fprintf(out, "<polyline class=\"%s\" points=\"%.1f,%.1f %.1f,%.1f\"/>\n", class, plotRight+12, y, plotRight+30, y)
	label(out, plotRight+36, y+4, "", "start", l.Name)
}

// rank is where line i comes in the order of the last values.
func (c Chart) rank(i int) int {
	last := func(l Line) float64 {
		if len(l.Values) == 0 {
			return 0
		}
		return l.value(len(l.Values) - 1)
	}
	order := make([]int, len(c.Lines))
	for j := range order {
		order[j] = j
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(last(c.Lines[b]), last(c.Lines[a])) })
	return slices.Index(order, i)
}

func grid(out *strings.Builder, x1, y1, x2, y2 float64) {
	fmt.Fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n", x1, y1, x2, y2)
}

func label(out *strings.Builder, x, y float64, class, anchor, words string) {
	fmt.Fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">%s</text>\n", x, y, class, anchor, html.EscapeString(words))
}
