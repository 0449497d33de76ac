package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/fx/fxtest"
)

// An experiment plays lanes that differ in one thing, several times each, and says what that shows.
type experiment struct {
	key     string // a letter, and a digit where one letter has several
	title   string
	about   string
	columns []column
	lanes   []lane
	claims  []claim
	picture *picture
	compare string // with what was published, and why it differs
}

// A column is one figure of each lane.
type column struct {
	name   string
	format func(float64) string
}

// A lane is one way of doing it. It is played in a bubble of its own.
type lane struct {
	name  string
	model string // what was published for it, or what a model gave
	play  func(seed uint64) played
}

// played is what one play came to: a value for each column.
type played struct {
	values []float64
	report fxtest.Report
}

// A claim is what an experiment has to show with every seed.
type claim struct {
	says  string
	holds func(r results) bool
}

// A picture shows one value of some lanes over time, with the first seed.
type picture struct {
	file, title, unit string
	lanes             []string
	value             func(fxtest.Bucket) float64
}

// results are the plays of an experiment, by lane and then by seed.
type results struct {
	experiment
	plays map[string][]played
}

// of are the values of a lane in a column, by seed. Both must exist.
func (r results) of(lane, name string) (values []float64) {
	at := slices.IndexFunc(r.columns, func(c column) bool { return c.name == name })
	plays, ok := r.plays[lane]
	if at < 0 || !ok {
		panic(fmt.Sprintf("experiment %s has no lane %q with a column %q", r.key, lane, name))
	}
	for _, p := range plays {
		values = append(values, p.values[at])
	}
	return values
}

// every says whether all values of a lane in a column are as they should be.
func (r results) every(lane, column string, should func(float64) bool) bool {
	values := r.of(lane, column)
	for _, v := range values {
		if !should(v) {
			return false
		}
	}
	return len(values) > 0
}

// failed are the claims that do not hold.
func (r results) failed() (says []string) {
	for _, c := range r.claims {
		if !c.holds(r) {
			says = append(says, c.says)
		}
	}
	return says
}

func atLeast(least float64) func(float64) bool { return func(v float64) bool { return v >= least } }
func atMost(most float64) func(float64) bool   { return func(v float64) bool { return v <= most } }
func never(v float64) bool                     { return math.IsInf(v, 1) }

// table is what the lanes came to: the median, and from the least to the most where the seeds differ.
func (r results) table() string {
	rows := [][]string{{""}}
	modelled := slices.ContainsFunc(r.lanes, func(l lane) bool { return l.model != "" })
	for _, c := range r.columns {
		rows[0] = append(rows[0], c.name)
	}
	if modelled {
		rows[0] = append(rows[0], "expected")
	}
	for _, l := range r.lanes {
		row := []string{l.name}
		for _, c := range r.columns {
			row = append(row, spread(r.of(l.name, c.name), c.format))
		}
		if modelled {
			row = append(row, l.model)
		}
		rows = append(rows, row)
	}
	return markdown(rows)
}

// spread is the median of values, and their range.
func spread(values []float64, format func(float64) string) string {
	values = slices.Sorted(slices.Values(values))
	middle := format(values[len(values)/2])
	low, high := format(values[0]), format(values[len(values)-1])
	if low == high {
		return middle
	}
	return middle + " (" + low + "–" + high + ")"
}

// markdown is a table whose first row is its head; all columns but the first are of figures.
func markdown(rows [][]string) string {
	wide := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			wide[i] = max(wide[i], utf8.RuneCountInString(cell), 4)
		}
	}
	var out strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			out.WriteString("| " + pad(cell, wide[i], i > 0) + " ")
		}
		out.WriteString("|\n")
		if n == 0 {
			out.WriteString(rule(wide))
		}
	}
	return out.String()
}

func pad(cell string, wide int, right bool) string {
	space := strings.Repeat(" ", wide-utf8.RuneCountInString(cell))
	if right {
		return space + cell
	}
	return cell + space
}

// rule is the line under the head.
func rule(wide []int) string {
	line := "| " + strings.Repeat("-", wide[0]) + " "
	for _, w := range wide[1:] {
		line += "| " + strings.Repeat("-", w-1) + ": "
	}
	return line + "|\n"
}

// chart is the picture drawn from the first plays.
func (r results) chart() fxtest.Chart {
	c := fxtest.Chart{Title: r.picture.title, Unit: r.picture.unit}
	for _, name := range r.picture.lanes {
		report := r.plays[name][0].report
		c.Outages = report.Outages
		c.Lines = append(c.Lines, report.Line(name, r.picture.value))
	}
	return c
}

// The formats of figures.
func whole(v float64) string { return fmt.Sprintf("%.0f", v) }
func hundredth(v float64) string {
	return fmt.Sprintf("%.2f", v)
}
func percent(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }
func seconds(v float64) string {
	if never(v) {
		return "never"
	}
	return fmt.Sprintf("%.0f s", v)
}
func millis(v float64) string {
	return fmt.Sprintf("%.0f ms", v)
}
