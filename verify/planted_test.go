package verify

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The histories again, of a core that yields between any two of its statements.
func TestHistoriesWithYields(t *testing.T) {
	args := []string{"-v", "-run", "Histories$"}
	if testing.Short() {
		args = append(args, "-short")
	}
	args = append(args, ".", "-histories", strconv.Itoa(*historiesFlag))
	out, err := histories(t, "", args...)
	require.NoError(t, err, "compiled with go test -overlay \"$(go run ./plant)\"\n%s", out)
	for line := range strings.Lines(out) {
		if strings.Contains(line, "are linearizable") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func TestTwoProbesAtOnceAreFound(t *testing.T) {
	requireFound(t, "two-probes", "TestBreakerHistories")
}

func TestSeatBeyondTheLimitIsFound(t *testing.T) {
	requireFound(t, "seat-beyond-limit", "TestBulkheadHistories")
}

func TestLostFirstAttemptIsFound(t *testing.T) {
	requireFound(t, "lost-first-attempt", "TestBudgetHistories")
}

func TestFurtherFaultsAreFound(t *testing.T) {
	for fault, test := range map[string]string{
		"two-rows":           "TestBreakerHistories",
		"stale-success":      "TestBreakerHistories",
		"stale-failure":      "TestBreakerLastHistories",
		"long-window":        "TestBreakerRollingHistories",
		"last-in-first-out":  "TestBulkheadHistories",
		"retry-beyond-ratio": "TestBudgetHistories",
		"short-memory":       "TestBudgetRollingHistories",
	} {
		t.Run(fault, func(t *testing.T) { requireFound(t, fault, test) })
	}
}

// A panic within an operation is a finding too, with its history: the process lives on to tell.
func TestPanicIsFound(t *testing.T) {
	r := runner{kind: kind{name: "bulkhead", draw: func(rng *rand.Rand) plan {
		p := drawBulkhead(rng)
		p.clients[0] = append(p.clients[0], func(c *client) {
			c.do(bulkheadOp{do: "release"}, func() any { panic("planted") })
		})
		return p
	}}}
	r.one(1)
	bad := r.failed.Load()
	require.NotNil(t, bad)
	assert.Equal(t, porcupine.Illegal, bad.result)
	assert.Contains(t, bad.text(), "panicked: planted")
	assert.Contains(t, bad.text(), "TestPanicIsFound", "no stack")
}

// requireFound plants a fault and requires that the histories of a test show it, and keep the picture.
func requireFound(t *testing.T, fault, test string) {
	pictures := t.TempDir()
	out, err := histories(t, fault, "-run", "^"+test+"$", ".", "-failed", pictures)
	require.Error(t, err, "%s did not find the fault %s:\n%s", test, fault, out)
	require.Contains(t, out, "not linearizable: a history of", "it failed, but not for the fault %s", fault)
	kept, err := filepath.Glob(filepath.Join(pictures, "*.html"))
	require.NoError(t, err)
	assert.Len(t, kept, 1)
	_, found, _ := strings.Cut(out, "not linearizable: ")
	found, _, _ = strings.Cut(found, "\n")
	t.Logf("%s: found in %s", fault, found)
}

// histories runs tests of this package with a core that yields and has the named fault, if any.
func histories(t *testing.T, fault string, args ...string) (string, error) {
	plant := exec.CommandContext(t.Context(), "go", "run", "./plant", "-dir", t.TempDir(), "-fault", fault)
	var why bytes.Buffer
	plant.Stderr = &why
	overlay, err := plant.Output()
	require.NoError(t, err, "%s", &why)
	args = append([]string{"test", "-count=1", "-vet=off", "-overlay", strings.TrimSpace(string(overlay))}, args...)
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	return string(out), err
}
