package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBadFlagsSayWhatToDo(t *testing.T) {
	for args, want := range map[string]string{
		"-rate 0":        "give 50 to 200 orders a second",
		"-rate -5":       "give 50 to 200 orders a second",
		"-rate 49":       "give 50 to 200 orders a second",
		"-rate 1000000":  "give 50 to 200 orders a second",
		"-rate many":     "-help lists the flags",
		"-seed -1":       "-help lists the flags",
		"-slow":          "-help lists the flags",
		"fast":           `unexpected argument "fast"`,
		"-fast -- extra": `unexpected argument "extra"`,
		"-lane middle":   "leave it out",
		"-svg":           "needs an argument",
		"-svg=":          "name a file, as in -svg outage.svg",
		"-serve -fast":   "-serve goes with -rate and -seed alone",
		"-plain=perhaps": "-help lists the flags",
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, exitUsage, run(strings.Fields(args), nil, &out, &errs), args)
		assert.Contains(t, errs.String(), want, args)
		assert.Equal(t, 1, strings.Count(errs.String(), "\n"), "one line")
		assert.Empty(t, out.String())
	}
}

func TestHelpNamesEveryFlagButTheHiddenOne(t *testing.T) {
	var out, errs bytes.Buffer
	assert.Equal(t, exitOK, run([]string{"-help"}, nil, &out, &errs))
	for _, flag := range []string{"-plain", "-svg", "-serve", "-fast", "-json", "-rate", "-seed"} {
		assert.Contains(t, out.String(), flag)
	}
	assert.NotContains(t, out.String(), "-lane")
	assert.Empty(t, errs.String())
}

func TestLanesDoNotKnowWhoLooks(t *testing.T) {
	bare := settings{rate: 70, seed: 3, fast: true}
	shown := bare
	shown.plain, shown.json, shown.svg = true, true, "run.svg"
	for _, lane := range []string{plainLane, guardedLane} {
		assert.Equal(t, laneArgs(bare, lane), laneArgs(shown, lane))
		set, err := parse(laneArgs(bare, lane))
		assert.NoError(t, err)
		assert.Equal(t, settings{rate: 70, seed: 3, fast: true, lane: lane}, set)
	}
}

func TestDefaults(t *testing.T) {
	set, err := parse(nil)
	assert.NoError(t, err)
	assert.Equal(t, settings{rate: 100, seed: 1}, set)
}
