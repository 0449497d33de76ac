package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A table is text in columns.
type table struct {
	head    []string
	numbers []int // the columns that are aligned to the right
	lines   [][]string
}

func (t *table) add(cells ...string) { t.lines = append(t.lines, cells) }

// without leaves out the columns with these heads.
func (t table) without(heads ...string) (rest table) {
	var kept []int
	for i, head := range t.head {
		if slices.Contains(heads, head) {
			continue
		}
		if slices.Contains(t.numbers, i) {
			rest.numbers = append(rest.numbers, len(kept))
		}
		kept = append(kept, i)
	}
	rest.head = pick(t.head, kept)
	for _, line := range t.lines {
		rest.add(pick(line, kept)...)
	}
	return rest
}

// pick is the cells of some columns.
func pick(cells []string, columns []int) (picked []string) {
	for _, i := range columns {
		picked = append(picked, cells[i])
	}
	return picked
}

// text is the table for a terminal.
func (t table) text() string {
	var b strings.Builder
	widths := t.widths()
	t.write(&b, widths, t.head, "", "  ", "")
	b.WriteString(strings.Repeat("─", sum(widths)+2*(len(widths)-1)) + "\n")
	for _, line := range t.lines {
		t.write(&b, widths, line, "", "  ", "")
	}
	return b.String()
}

// markdown is the table for a README, padded so that it can be read as it is.
func (t table) markdown() string {
	var b strings.Builder
	widths := t.widths()
	t.write(&b, widths, t.head, "| ", " | ", " |")
	var rules []string
	for i, width := range widths {
		rules = append(rules, t.rule(i, width))
	}
	t.write(&b, widths, rules, "| ", " | ", " |")
	for _, line := range t.lines {
		t.write(&b, widths, line, "| ", " | ", " |")
	}
	return b.String()
}

// rule is the line under a column's head.
func (t table) rule(column, width int) string {
	if slices.Contains(t.numbers, column) {
		return strings.Repeat("-", width-1) + ":"
	}
	return strings.Repeat("-", width)
}

func (t table) write(b *strings.Builder, widths []int, cells []string, left, between, right string) {
	var padded []string
	for i, cell := range cells {
		space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if slices.Contains(t.numbers, i) {
			cell = space + cell
		} else {
			cell += space
		}
		padded = append(padded, cell)
	}
	b.WriteString(strings.TrimRight(left+strings.Join(padded, between)+right, " ") + "\n")
}

func (t table) widths() []int {
	widths := make([]int, len(t.head))
	for _, line := range append([][]string{t.head}, t.lines...) {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 2)
		}
	}
	return widths
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}

// number writes x with two digits that count, or all that stand before the point.
func number(x float64) string {
	switch size := math.Abs(x); {
	case size < 0.005:
		return "0"
	case size < 1:
		return trimmed(strconv.FormatFloat(x, 'f', 2, 64))
	case size < 99.5:
		return trimmed(strconv.FormatFloat(x, 'f', 1, 64))
	}
	return thousands(int(math.Round(x)))
}

// trimmed leaves out zeros at the end, behind the point.
func trimmed(digits string) string {
	return strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
}

// thousands writes n with a comma at every thousand.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// times writes a ratio.
func times(x float64) string { return number(x) + "×" }

// span writes where the middle half lies.
func span(s summary) string { return number(s.Low) + "–" + number(s.High) }

// precise writes a ratio near 1.
func precise(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }
