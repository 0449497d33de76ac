package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// elements counts the elements of an SVG by name and class, and fails if it is not well-formed.
func elements(t *testing.T, svg string) map[string]int {
	found := map[string]int{}
	for from := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := from.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok {
			name := e.Name.Local
			for _, a := range e.Attr {
				if a.Name.Local == "class" {
					name += "." + a.Value
				}
			}
			found[name]++
		}
	}
}

func TestDrawingShowsTheWholeRun(t *testing.T) {
	svg := filmUntil(time.Hour).svg()
	found := elements(t, svg)
	assert.Equal(t, len(gauges), found["path.line plain"])
	assert.Equal(t, len(gauges), found["path.line guarded"])
	assert.Equal(t, 1, found["rect.dead"], "the outage is shaded")
	assert.Equal(t, 1, found["rect.slow"])
	assert.Equal(t, 2+1, found["rect.closed"], "before, after, and in the legend")
	assert.Equal(t, 2+1, found["rect.open"])
	assert.Equal(t, 2+1, found["rect.half-open"])
	assert.Equal(t, 2, found["line.mark"])
	for _, want := range []string{"prefers-color-scheme: dark", "go run ./examples/outage -fast -svg FILE", "opens after 0.1 s",
		"closes after 0.5 s", "plain 0<", "with fx 100<", "plain 2.03 s<", "<title"} {
		assert.Contains(t, svg, want)
	}
	assert.NotContains(t, svg, "NaN")
	assert.NotContains(t, svg, "%!")
}

func TestDrawingOfAnEmptyRunIsWellFormed(t *testing.T) {
	svg := filmUntil(0).svg()
	elements(t, svg)
	assert.NotContains(t, svg, "NaN")
}

func TestLineBreaksWhereThereWasNothingToMeasure(t *testing.T) {
	f := filmUntil(time.Hour)
	for i := range f.plain {
		if i > 50 && i < 70 {
			f.plain[i].Failed, f.plain[i].Completed = 0, 0
		}
	}
	k := &sketch{film: f}
	flat := func(float64) float64 { return 0 }
	assert.Equal(t, 2, strings.Count(k.path(f.plain, gauges[1], flat), "M"))
	assert.Equal(t, 1, strings.Count(k.path(f.plain, gauges[0], flat), "M"))
}

func TestScalesEndAtRoundNumbers(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 0.7: 0.8, 1: 1, 101: 150, 6130: 8000, 10267: 15000, 2000: 2000} {
		assert.InDelta(t, want, roundUp(v), 1e-9)
	}
}

func TestDrawingReplacesTheOldOneOnlyWhenWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run.svg")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	d, err := openDrawing(path)
	require.NoError(t, err)
	d.drop()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "old", string(got))

	d, err = openDrawing(path)
	require.NoError(t, err)
	require.NoError(t, d.keep(filmUntil(time.Hour)))
	d.drop()
	got, err = os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, 1, elements(t, string(got))["svg"])
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 1, "no draft stays behind")
}

func TestDrawingThatCannotBeIsKnownBeforeTheStory(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "no", "run.svg"): "no such",
		dir:                                 "it is no file",
	} {
		var out, errs strings.Builder
		assert.Equal(t, exitFailed, run([]string{"-fast", "-svg", path}, nil, &out, &errs))
		assert.Contains(t, errs.String(), "outage: cannot draw into "+path+": ")
		assert.Contains(t, errs.String(), want)
		assert.Empty(t, out.String())
	}
}
