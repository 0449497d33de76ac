package main

import (
	"fmt"
	"strings"
	"unicode"
)

// An ink is what something is drawn with, by its meaning. All of them stay readable on light and on dark.
type ink uint8

const (
	plainInk ink = iota
	faintInk
	boldInk
	goodInk
	warnInk
	badInk
	coolInk
)

// sgr has the codes of the inks (ECMA-48, Select Graphic Rendition): colors from the terminal's own palette.
var sgr = [...]string{plainInk: "", faintInk: "2", boldInk: "1", goodInk: "32", warnInk: "33", badInk: "31", coolInk: "36"}

// A canvas is a screenful of characters, each one column wide. What is drawn outside of it is lost.
type canvas struct {
	w, h  int
	runes []rune
	inks  []ink
}

func newCanvas(w, h int) *canvas {
	c := &canvas{w: max(w, 0), h: max(h, 0)}
	c.runes, c.inks = make([]rune, c.w*c.h), make([]ink, c.w*c.h)
	for i := range c.runes {
		c.runes[i] = ' '
	}
	return c
}

func (c *canvas) set(x, y int, r rune, i ink) {
	if x < 0 || y < 0 || x >= c.w || y >= c.h {
		return
	}
	if !unicode.IsPrint(r) || r > '⣿' { // it could be of any width
		r = '?'
	}
	c.runes[y*c.w+x], c.inks[y*c.w+x] = r, i
}

// put writes a text from (x, y) on and returns the column behind it.
func (c *canvas) put(x, y int, i ink, text string) int {
	for _, r := range text {
		c.set(x, y, r, i)
		x++
	}
	return x
}

// fit writes a text that must end before the column end, with an ellipsis if it would not.
func (c *canvas) fit(x, y, end int, i ink, text string) {
	room := end - x
	if runes := []rune(text); len(runes) > room {
		text = string(runes[:max(room-1, 0)]) + "…"
	}
	if room > 0 {
		c.put(x, y, i, text)
	}
}

// right writes a text that ends before the column end.
func (c *canvas) right(end, y int, i ink, text string) { c.put(end-len([]rune(text)), y, i, text) }

func (c *canvas) rule(y int, i ink) { c.put(0, y, i, strings.Repeat("─", c.w)) }

// lines are the rows without the spaces at their ends, and without the empty rows below.
func (c *canvas) lines(color bool) []string {
	lines := make([]string, c.h)
	last := 0
	for y := range lines {
		if lines[y] = c.line(y, color); lines[y] != "" {
			last = y + 1
		}
	}
	return lines[:last]
}

func (c *canvas) line(y int, color bool) string {
	runes, inks := c.runes[y*c.w:(y+1)*c.w], c.inks[y*c.w:(y+1)*c.w]
	width := len(strings.TrimRight(string(runes), " "))
	width = len([]rune(string(runes)[:width]))
	var b strings.Builder
	now := plainInk
	for x := range width {
		if color && inks[x] != now {
			now = inks[x]
			fmt.Fprintf(&b, "\x1b[0;%sm", sgr[now])
		}
		b.WriteRune(runes[x])
	}
	if now != plainInk {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}
