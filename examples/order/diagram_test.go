package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These are the lines of Mermaid's grammar that a diagram uses.
var (
	participant = regexp.MustCompile(`^    participant (\w+)$`)
	message     = regexp.MustCompile(`^    (\w+)(?:->>|-->>|--x)(\w+): [^;#]+$`)
	remark      = regexp.MustCompile(`^    Note over (\w+)(?:,(\w+))?: [^;#]+$`)
	opening     = regexp.MustCompile(`^    rect rgb\(\d+, \d+, \d+\)$`)
)

func TestDiagramIsMermaid(t *testing.T) {
	for _, args := range []string{"", "-fail ship", "-hang charge", "-hang ship", "-cancel", "-panic charge",
		"-undo-fails charge", "-fail notify"} {
		status, text := ordered(t, "-mermaid "+args)
		plain, _ := ordered(t, args)
		assert.Equal(t, plain, status, args)
		parseDiagram(t, text)
	}
}

// parseDiagram fails unless every line is known, every party declared, and every frame closed.
func parseDiagram(t *testing.T, text string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	require.Equal(t, "sequenceDiagram", lines[0])
	declared, open := map[string]bool{"": true}, 0
	for _, line := range lines[1:] {
		var parties []string
		if m := participant.FindStringSubmatch(line); m != nil {
			declared[m[1]] = true
		} else if m := message.FindStringSubmatch(line); m != nil {
			parties = m[1:]
		} else if m := remark.FindStringSubmatch(line); m != nil {
			parties = m[1:]
		} else if opening.MatchString(line) {
			open++
		} else {
			require.Equal(t, "    end", line)
			open--
		}
		for _, party := range parties {
			assert.True(t, declared[party], line)
		}
	}
	assert.Zero(t, open)
}

func TestDiagramShowsStepsUndosAndKeys(t *testing.T) {
	_, text := ordered(t, "-mermaid -fail ship")
	at := 0
	for _, line := range []string{
		"shop->>bank: charge (key order-7/charge)",
		"bank-->>shop: receipt 1009",
		"carrier-->>shop: no: no courier today",
		"rect rgb",
		"shop->>bank: undo charge (key order-7/charge/undo)",
		"Note over shop,mail: Undone: charge, reserve.",
	} {
		i := strings.Index(text[at:], line)
		require.GreaterOrEqual(t, i, 0, line)
		at += i
	}
}

func TestDiagramHasNoSeparatorsInItsTexts(t *testing.T) {
	var out bytes.Buffer
	(&diagram{out: &out}).end(verdict{sentences: []string{"one; #2"}})
	assert.Equal(t, "    Note over shop,mail: one, no. 2\n", out.String())
}
