package main

import (
	"fmt"
	"strings"
	"time"

	"example.com/fx"
)

// draw shows a page, or that there is none, as a box of plain text.
func draw(title string, took time.Duration, r fx.Result[page], err error) string {
	head := fmt.Sprintf("%s (%d ms)", title, took.Milliseconds())
	switch {
	case err != nil:
		return box(head, append([]string{"Sorry, we cannot show this page."}, why(err)...))
	case r.Degraded:
		return box(head, banner(r), r.Value.lines())
	}
	return box(head, r.Value.lines())
}

// banner is for what the whole page has to say of itself.
func banner(r fx.Result[page]) []string {
	text := "Not all of this page is up to date."
	if r.Age > 0 {
		text = "A part of this page is " + ago(r.Age) + " old."
	}
	return append([]string{text}, why(r.Cause)...)
}

func ago(d time.Duration) string { return d.Round(time.Millisecond).String() }

// why lists the causes, of which there may be several.
func why(err error) (lines []string) {
	for cause := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, "  "+strings.TrimPrefix(cause, "fx: "))
	}
	return lines
}

func (p page) lines() []string {
	lines := []string{p.details.Name, p.details.About, "", priceLine(p.price), ""}
	for _, r := range p.reviews.Value {
		lines = append(lines, strings.Repeat("★", r.Stars)+strings.Repeat("☆", 5-r.Stars)+" "+r.Text)
	}
	if p.reviews.Degraded {
		lines = append(lines, "There are no reviews to be had right now.")
	}
	advice := "Goes well with it: "
	if p.advice.Degraded {
		advice = "Popular with everybody: "
	}
	return append(lines, "", advice+strings.Join(p.advice.Value, ", "))
}

func priceLine(r fx.Result[cents]) string {
	c := r.Value
	switch {
	case c == 0:
		return "Price on request"
	case r.Degraded:
		return fmt.Sprintf("%d.%02d € (as of %s ago)", c/100, c%100, ago(r.Age))
	}
	return fmt.Sprintf("%d.%02d €", c/100, c%100)
}
