package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/fx/fxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brief is the retry storm as short as it can be told.
func brief() storm {
	s := newStorm(true)
	s.length, s.rates = 20*time.Second, []int{500}
	s.stop.From, s.stop.Until = 3*time.Second, 8*time.Second
	return s
}

func playBriefly(t *testing.T, s storm) results {
	r, err := play(context.Background(), retryStorm(s), 1, io.Discard)
	require.NoError(t, err)
	return r
}

func TestStormShowsWhatItClaims(t *testing.T) {
	require.Empty(t, playBriefly(t, brief()).failed())
}

func TestStormWithoutBudgetIsReported(t *testing.T) {
	s := brief()
	s.budget = none
	failed := playBriefly(t, s).failed()
	require.Len(t, failed, 1)
	assert.Contains(t, failed[0], "fx, 3 with a budget recovers")
}

func TestServerThatForgetsItsQueueIsReported(t *testing.T) {
	s := brief()
	s.queue = 100 // so that what came during the stop is not worked off after it
	failed := playBriefly(t, s).failed()
	require.Contains(t, strings.Join(failed, "; "), "plain, 3 attempts never recovers")
}

func TestPlaysAreRepeatable(t *testing.T) {
	var e experiment
	for _, of := range experiments(true) {
		if of.key == "e2" {
			e = of
		}
	}
	for _, l := range e.lanes[1:3] {
		assert.Equal(t, playOnce(l, 1).values, playOnce(l, 1).values, l.name)
	}
}

// TestExperimentsAreWhole looks whether claims and pictures speak of lanes and columns that are there.
func TestExperimentsAreWhole(t *testing.T) {
	for _, fast := range []bool{false, true} {
		seen := map[string]bool{}
		for _, e := range experiments(fast) {
			require.False(t, seen[e.key], e.key)
			seen[e.key] = true
			r := results{experiment: e, plays: map[string][]played{}}
			for _, l := range e.lanes {
				require.NotContains(t, r.plays, l.name)
				r.plays[l.name] = []played{{values: make([]float64, len(e.columns)), report: fxtest.Report{Every: time.Second}}}
			}
			assert.NotPanics(t, func() { r.failed() }, e.key)
			require.NotEmpty(t, e.claims, e.key)
			assert.Contains(t, r.part(), e.columns[0].name)
			if e.picture != nil {
				assert.Len(t, r.chart().Lines, len(e.picture.lanes))
			}
		}
		for _, letter := range keys {
			assert.True(t, settings{only: []string{string(letter)}}.wanted(experiment{key: string(letter) + "1"}))
		}
	}
}

func TestReadmeHasAPlaceForEach(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, e := range experiments(false) {
		_, err := rewrite(string(raw), e.key, "figures")
		assert.NoError(t, err)
		if e.picture != nil {
			assert.FileExists(t, e.picture.file)
		}
	}
	_, err = rewrite(string(raw), "machine", "this one")
	assert.NoError(t, err)
}

func TestRewrite(t *testing.T) {
	doc, err := rewrite("a <!-- x -->old<!-- /x --> b", "x", "new\n")
	require.NoError(t, err)
	assert.Equal(t, "a <!-- x -->\nnew\n<!-- /x --> b", doc)
	_, err = rewrite("nothing", "x", "new")
	assert.ErrorContains(t, err, "<!-- x -->")
	_, err = rewrite("<!-- x -->", "x", "new")
	assert.ErrorContains(t, err, "<!-- /x -->")
}

func TestSpread(t *testing.T) {
	assert.Equal(t, "3 (1–7)", spread([]float64{7, 1, 3}, whole))
	assert.Equal(t, "3", spread([]float64{3.1, 2.9, 3}, whole))
	assert.Equal(t, "never", spread([]float64{math.Inf(1)}, seconds))
	assert.Equal(t, "9 s (8 s–never)", spread([]float64{math.Inf(1), 8, 9}, seconds))
}

func TestTablesAreAligned(t *testing.T) {
	want := "| x    |    n |\n| ---- | ---: |\n| a    |    1 |\n| ü    | 12345 |\n"
	want = strings.NewReplacer("|    n |", "|     n |", "| ---: |", "| ----: |", "|    1 |", "|     1 |").Replace(want)
	assert.Equal(t, want, markdown([][]string{{"x", "n"}, {"a", "1"}, {"ü", "12345"}}))
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-only z":            "-only a,e",
		"-only a,,b":         "-only a,e",
		"-seeds -1":          "give 1 to 100",
		"-seeds 101":         "give 1 to 100",
		"-seeds x":           "-help lists",
		"-write -fast":       "leave out -fast",
		"loud":               "there are only flags",
		"-fast -unknown-one": "-help lists",
	} {
		var errs bytes.Buffer
		assert.Equal(t, exitUsage, run(strings.Fields(args), io.Discard, &errs), args)
		assert.Contains(t, errs.String(), want, args)
		assert.True(t, strings.HasPrefix(errs.String(), "fleet: "))
	}
	set, err := parse([]string{"-only", "a,e", "-fast"})
	require.NoError(t, err)
	assert.Equal(t, settings{only: []string{"a", "e"}, seeds: 1, fast: true}, set)
	set, err = parse(nil)
	require.NoError(t, err)
	assert.Equal(t, settings{seeds: 5}, set)
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	require.Equal(t, exitOK, run([]string{"-help"}, &out, io.Discard))
	assert.Equal(t, usage, out.String())
}

func TestRunTellsAndSucceeds(t *testing.T) {
	var out bytes.Buffer
	require.Equal(t, exitOK, run([]string{"-only", "c", "-fast", "-plain"}, &out, io.Discard))
	for _, want := range []string{"c1. The herd", "fx, full jitter", "ok    full jitter at least halves", "c2. ", "Seen on: "} {
		assert.Contains(t, out.String(), want)
	}
}

func TestClaimThatFailsEndsTheRunBadly(t *testing.T) {
	r := results{experiment: experiment{key: "x", columns: []column{{"n", whole}}, lanes: []lane{{name: "l"}},
		claims: []claim{{"one is two", func(r results) bool { return r.every("l", "n", atLeast(2)) }}}},
		plays: map[string][]played{"l": {{values: []float64{1}}}}}
	var out bytes.Buffer
	tell(&out, r, true)
	assert.Contains(t, out.String(), "FAIL  one is two")
	assert.Equal(t, []string{"one is two"}, r.failed())
	assert.Panics(t, func() { r.of("l", "m") })
}

func TestOneClaimThatFailsIsEnough(t *testing.T) {
	quick := func(key string, n, least float64) experiment {
		return experiment{key: key, columns: []column{{"n", whole}}, lanes: []lane{{name: "l", play: func(uint64) played { return played{values: []float64{n}} }}},
			claims: []claim{{"n is enough", func(r results) bool { return r.every("l", "n", atLeast(least)) }}}}
	}
	good, bad := quick("a", 2, 1), quick("b", 1, 2)
	ctx, set := context.Background(), settings{seeds: 3}
	assert.NoError(t, playAll(ctx, set, []experiment{good, good}, io.Discard, io.Discard))
	assert.ErrorIs(t, playAll(ctx, set, []experiment{bad, good}, io.Discard, io.Discard), errClaims)
	set.only = []string{"a"}
	assert.NoError(t, playAll(ctx, set, []experiment{bad, good}, io.Discard, io.Discard))
}

func TestInterruptEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	quick := lane{name: "l", play: func(uint64) played { return played{values: []float64{1}} }}
	_, err := play(ctx, experiment{lanes: []lane{quick}}, 1000, io.Discard)
	assert.ErrorIs(t, err, context.Canceled)
}
