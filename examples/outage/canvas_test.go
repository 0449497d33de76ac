package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCanvasLosesWhatIsOutside(t *testing.T) {
	c := newCanvas(4, 2)
	c.put(-1, 1, plainInk, "xy")
	c.put(2, 0, badInk, "abc")
	c.put(0, 2, plainInk, "below")
	c.put(0, -1, plainInk, "above")
	assert.Equal(t, []string{"  ab", "y"}, c.lines(false))
	assert.Equal(t, []string{"  \x1b[0;31mab\x1b[0m", "y"}, c.lines(true))
}

func TestFitEndsBeforeTheColumn(t *testing.T) {
	c := newCanvas(20, 3)
	c.fit(1, 0, 6, plainInk, "exact")
	c.fit(1, 1, 6, plainInk, "too long")
	c.fit(6, 2, 6, plainInk, "no room")
	c.right(20, 2, plainInk, "right")
	assert.Equal(t, []string{" exact", " too …", "               right"}, c.lines(false))
}
