package fxtest_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx/fxtest"
)

var twoLines = fxtest.Chart{
	Title: "A stop", Unit: "calls a second", Width: 40, Plain: true,
	Outages: []fxtest.Outage{{From: 2 * time.Second, Until: 4 * time.Second}},
	Lines: []fxtest.Line{
		{Name: "offered", Values: []float64{500, 500, 500, 500, 500, 500, 500, 500}},
		{Name: "goodput", Values: []float64{500, 500, 0, 0, 1000, 750, 500, 500}},
	},
}

func ExampleChart_Text() {
	fmt.Print(twoLines.Text())
	// Output:
	// A stop
	// offered |=======================| 500
	// goodput |======     @@@@***=====| 1000
	//               ^^^^^^^
	//          ^ down; 0 to 8s; highest, in calls a second
}

func ExampleChart_SVG() {
	picture := twoLines.SVG() // for os.WriteFile
	fmt.Println(strings.Count(picture, "<polyline"), strings.Contains(picture, "prefers-color-scheme: dark"))
	// Output: 4 true
}

func ExampleReport_Line() {
	report := fxtest.Report{Every: time.Second, Buckets: []fxtest.Bucket{{Goodput: 10}, {Goodput: 20}}}
	fmt.Println(report.Line("fx", func(b fxtest.Bucket) float64 { return float64(b.Goodput) }).Values)
	// Output: [10 20]
}

func TestTextHasBlocksUnlessPlain(t *testing.T) {
	c := twoLines
	c.Plain = false
	assert.Contains(t, c.Text(), "█")
	assert.Contains(t, c.Text(), "▔ down")
	for _, r := range twoLines.Text() {
		require.Less(t, r, rune(utf8.RuneSelf))
	}
}

func TestABriefMomentIsSeen(t *testing.T) {
	values := make([]float64, 1000)
	values[777] = 1
	c := fxtest.Chart{Plain: true, Lines: []fxtest.Line{{Name: "probes", Every: time.Millisecond, Values: values}}}
	assert.Contains(t, c.Text(), "@")
}

func TestChartsOfNothing(t *testing.T) {
	for _, c := range []fxtest.Chart{{}, {Lines: []fxtest.Line{{}}}, {Lines: []fxtest.Line{{Values: []float64{0}}}}} {
		assert.NotEmpty(t, c.Text())
		mustBeXML(t, c.SVG())
		assert.NotContains(t, c.SVG(), "NaN")
	}
}

func TestReportDrawsItself(t *testing.T) {
	r := fxtest.Report{Every: 500 * time.Millisecond, Outages: twoLines.Outages,
		Buckets: []fxtest.Bucket{{Offered: 10, Goodput: 5, Errors: 4, Attempts: 20}}}
	c := r.Chart()
	require.Len(t, c.Lines, 4)
	for i, want := range []float64{20, 40, 10, 8} {
		assert.Equal(t, []float64{want}, c.Lines[i].Values, c.Lines[i].Name)
	}
	assert.Equal(t, r.Outages, c.Outages)
}

func TestPictureSaysWhatItShows(t *testing.T) {
	c := twoLines
	c.Title = `"a" <b> & c`
	svg := c.SVG()
	mustBeXML(t, svg)
	for _, want := range []string{"&lt;b&gt; &amp; c", "calls a second", ">offered<", ">goodput<", `class="down"`, ">down<", ">seconds<", ">1000<"} {
		assert.Contains(t, svg, want)
	}
	c.Outages = nil
	assert.NotContains(t, c.SVG(), `class="down"`)
}

func TestAnOutageWithoutEndIsShadedToTheEnd(t *testing.T) {
	c := twoLines
	c.Outages = []fxtest.Outage{{From: 4 * time.Second}}
	assert.Contains(t, c.SVG(), `width="284.0"`) // half of the plot
}

func mustBeXML(t require.TestingT, svg string) (points []string) {
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return points
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			for _, a := range e.Attr {
				if a.Name.Local == "points" {
					points = append(points, strings.Fields(a.Value)...)
				}
			}
		}
	}
}

func TestAnyLineFitsThePage(t *testing.T) {
	value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 2000), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), -1, 0}))
	rapid.Check(t, func(t *rapid.T) {
		c := fxtest.Chart{Width: rapid.IntRange(-5, 200).Draw(t, "width"), Plain: rapid.Bool().Draw(t, "plain")}
		for range rapid.IntRange(0, 8).Draw(t, "lines") {
			c.Lines = append(c.Lines, fxtest.Line{Name: "line", Values: rapid.SliceOfN(value, 0, 50).Draw(t, "values")})
		}
		for _, p := range mustBeXML(t, c.SVG()) {
			x, y, _ := strings.Cut(p, ",")
			across, err := strconv.ParseFloat(x, 64)
			require.NoError(t, err)
			down, err := strconv.ParseFloat(y, 64)
			require.NoError(t, err)
			require.True(t, across >= 0 && across <= 820 && down >= 50 && down <= 340, p)
		}
		rows := strings.Split(c.Text(), "\n")
		for _, row := range rows[:len(c.Lines)] {
			bars := row[strings.Index(row, "|"):strings.LastIndex(row, "|")]
			require.LessOrEqual(t, utf8.RuneCountInString(bars), max(c.Width, 100))
			require.GreaterOrEqual(t, utf8.RuneCountInString(bars), 11)
		}
	})
}
