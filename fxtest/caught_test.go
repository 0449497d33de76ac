package fxtest_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const child = "FXTEST_CHILD"

// caught runs a check that has to fail in a process of its own, so that it fails and leaks there and not here, and
// returns what it printed. It is called once in a test, whose name tells the process which check to run. What is caught
// in some hundreds of stories on average gets so many that chance lets nothing through.
func caught(t *testing.T, check func(t *testing.T), flags ...string) string {
	t.Helper()
	if os.Getenv(child) == t.Name() {
		check(t)
		t.SkipNow() // what follows is for the one who started this process
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"-test.run=" + exactly(t.Name()), "-test.timeout=0", "-rapid.nofailfile", "-rapid.checks=20000"}, flags...)...)
	cmd.Env = append(os.Environ(), child+"="+t.Name())
	out, err := cmd.CombinedOutput()
	assert.Error(t, err, "not caught")
	return string(out)
}

// exactly is the pattern of one test and no other.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}
