package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A run as a teller sees it.
func tellAll(set settings, out *bytes.Buffer) {
	tell := newTeller(set, out)
	tell.begin(set, 11, 12)
	tell.sample(sample{Lane: plainLane, Second: 39, Phase: "catalog dead", Failed: 200, P99: 6000, Goroutines: 20000, Calls: 1000})
	tell.sample(sample{Lane: guardedLane, Second: 39, Phase: "catalog dead", Completed: 200, P99: 1250, Goroutines: 20000, Calls: 1000,
		Stale: 1, Running: 32, Waiting: 32, Breaker: "half-open", Changes: []change{
			{39 * time.Second, "closed", "open", "fx: " + strings.Repeat("because of this, ", 10)},
			{39 * time.Second, "open", "half-open", ""},
			{39 * time.Second, "half-open", "closed", ""},
		}})
	plain, guarded := good()
	tell.end(plain, guarded, verdict(plain, guarded))
}

func TestTextFitsTheTerminal(t *testing.T) {
	var out bytes.Buffer
	tellAll(settings{rate: mostRate}, &out)
	for line := range strings.Lines(out.String()) {
		assert.LessOrEqual(t, len(strings.TrimRight(line, "\n")), width, line)
	}
	assert.NotContains(t, out.String(), "%!")
}

func TestTextShowsTheGuardFromItsSource(t *testing.T) {
	var out bytes.Buffer
	tellAll(settings{rate: 100}, &out)
	assert.Contains(t, out.String(), "op = fx.WithBreaker(op, &g.breaker)")
	assert.Contains(t, out.String(), "answer.Value.Stale = answer.Degraded")
	assert.NotContains(t, out.String(), "excerpt")
	assert.NotContains(t, out.String(), "type guard struct")
}

func TestTextListsWhatFailed(t *testing.T) {
	plain, guarded := good()
	guarded.Open.P99 = 300
	var out bytes.Buffer
	newTeller(settings{}, &out).end(plain, guarded, verdict(plain, guarded))
	assert.Regexp(t, `(?m)^FAILED +guarded +p99 after that +300 ms +under 250 ms$`, out.String())
	assert.Equal(t, 1, strings.Count(out.String(), "FAILED"))
}

func TestJSONIsOneObjectALine(t *testing.T) {
	var out bytes.Buffer
	tellAll(settings{rate: 100, json: true}, &out)
	var kinds []string
	for line := range strings.Lines(out.String()) {
		var o struct {
			Kind string `json:"kind"`
			OK   bool   `json:"ok"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &o))
		kinds = append(kinds, o.Kind)
		assert.Equal(t, o.Kind == "end", o.OK)
	}
	assert.Equal(t, []string{"begin", "sample", "sample", "end"}, kinds)
}

func TestHangBreaksLinesBetweenWords(t *testing.T) {
	long := strings.Repeat("word ", 50)
	for line := range strings.Lines(hang(long, "    ")) {
		assert.LessOrEqual(t, len(line), width+1)
	}
	assert.Equal(t, strings.Fields(long), strings.Fields(hang(long, "    ")))
	assert.Equal(t, strings.Repeat("x", 300), hang(strings.Repeat("x", 300), ""), "a word that does not fit stays whole")
	assert.Equal(t, "short", hang("short", "  "))
}

func TestOnlyWholeSecondsAreToldInWords(t *testing.T) {
	for _, form := range []settings{{}, {json: true}} {
		var out bytes.Buffer
		tell := newTeller(form, &out)
		for tenth := 1; tenth <= 30; tenth++ {
			tell.sample(sample{Lane: guardedLane, Tenth: tenth, Second: (tenth + 9) / 10})
		}
		assert.Equal(t, 3, strings.Count(out.String(), "\n"))
		assert.NotContains(t, out.String(), "tenth")
	}
}
