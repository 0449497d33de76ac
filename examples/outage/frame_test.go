package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shown is a frame as text.
func shown(f *film, w, h int) string { return strings.Join(f.draw(w, h).lines(false), "\n") }

func TestFrameFitsTheWindow(t *testing.T) {
	for _, size := range [][2]int{{100, 30}, {80, 24}, {60, 20}, {200, 60}} {
		for _, until := range []time.Duration{0, time.Second, 6 * time.Second, time.Hour} {
			lines := filmUntil(until).draw(size[0], size[1]).lines(false)
			assert.LessOrEqual(t, len(lines), size[1])
			for _, l := range lines {
				assert.LessOrEqual(t, utf8.RuneCountInString(l), size[0], l)
			}
		}
	}
}

func TestFrameShowsAllThatIsPromised(t *testing.T) {
	for _, size := range [][2]int{{100, 30}, {80, 24}, {60, 20}} {
		got := shown(filmUntil(6*time.Second), size[0], size[1])
		for _, want := range []string{
			"PLAIN", "GUARDED", "orders/s", "p99", "goroutines", "catalog/s", // the gauges
			"2.03 s", "60 ms", "3470", "3.33 s", // and their values
			"healthy", "catalog dead", "slow", "well again", "6.0 of 12.0 s", // the story
			"breaker    open", "5 of 16", "□", "100 %", "▒", // the guards
			"3.6 s  breaker half-open: ", "3.6 s  breaker open again", // the latest events
			"sells", "fails",
		} {
			assert.Contains(t, got, want, "%v\n%s", size, got)
		}
	}
	wide := shown(filmUntil(6*time.Second), 100, 30)
	for _, want := range []string{"2 wait", "3.33 s old", "100 fail", "timeout after 66ms", "100 orders a second, seed 1"} {
		assert.Contains(t, wide, want, wide)
	}
}

func TestFrameOfAnyWindowIsSane(t *testing.T) {
	for _, f := range []*film{filmUntil(0), filmUntil(time.Second), filmUntil(time.Hour)} {
		for w := -1; w < 130; w += 3 {
			for h := -1; h < 45; h += 2 {
				c := f.draw(w, h)
				require.Len(t, c.runes, max(w, 0)*max(h, 0))
			}
		}
	}
	assert.Contains(t, shown(filmUntil(time.Second), 40, 10), "56 x 16, please")
}

func TestBothLanesAreDrawnToOneScale(t *testing.T) {
	var row string
	for _, l := range filmUntil(6*time.Second).draw(80, 20).lines(false) {
		if strings.Contains(l, "goroutines") {
			row = l
		}
	}
	plain, guarded, found := strings.Cut(row, "│")
	require.True(t, found)
	assert.Contains(t, plain, "█")
	assert.Regexp(t, `120 +▁+ *$`, guarded, "next to 3470 it is nothing")
}

func TestColorsSayHowTheShopDoes(t *testing.T) {
	assert.Equal(t, goodInk, lineInk(sample{Completed: 1}))
	assert.Equal(t, warnInk, lineInk(sample{Completed: 1, Stale: 0.1}))
	assert.Equal(t, badInk, lineInk(sample{Completed: 1, Failed: 1, Stale: 0.1}))
	assert.Equal(t, badInk, lineInk(sample{}), "shoppers wait, and nobody is served")
	lines := strings.Join(filmUntil(6*time.Second).draw(100, 30).lines(true), "\n")
	for _, code := range []string{"\x1b[0;31m", "\x1b[0;32m", "\x1b[0;33m", "\x1b[0m"} {
		assert.Contains(t, lines, code)
	}
	assert.NotContains(t, shown(filmUntil(6*time.Second), 100, 30), "\x1b")
}

func TestNoErrorCanMoveTheCursor(t *testing.T) {
	f := filmUntil(time.Second)
	f.changes = []change{{time.Millisecond, closed, open, "evil \x1b[2J\r\n\t世界 \u202e" + strings.Repeat("x", 300)}}
	got := strings.Join(f.draw(100, 30).lines(false), "")
	assert.Contains(t, got, "evil ?[2J????? ?x")
	assert.Contains(t, got, "x…")
	assert.NotContains(t, got, "\x1b")
}

func TestWithoutOrdersThereIsNoLatency(t *testing.T) {
	f := filmUntil(time.Second)
	f.plain[len(f.plain)-1] = sample{Lane: plainLane, Tenth: 10}
	assert.Regexp(t, `(?m)^ p99 +- .*│  p99 +60 ms`, shown(f, 80, 20))
}

func TestLaneStaysInItsColumn(t *testing.T) {
	f := filmUntil(time.Hour)
	for _, size := range [][3]int{{100, 30, 48}, {80, 24, 38}, {60, 20, 28}} {
		for lane, r := range map[string]reel{plainLane: f.plain, guardedLane: f.guarded} {
			c := newCanvas(size[0], size[1])
			below := f.column(c, 6, 6+size[2], r, lane, "timeouts and retries")
			for i, r := range c.runes {
				x, y := i%c.w, i/c.w
				if x < 6 || x >= 6+size[2] || y < 4 || y >= below {
					require.Equal(t, ' ', r, "%d, %d", x, y)
				}
			}
		}
	}
}
