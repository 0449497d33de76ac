package fxtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/fx/fxtest"
)

// These do what a policy may do; only who knows their limits, rates and cooldowns can tell that they should not. The
// models of breakers, limiters and rates catch them.
var needsModel = []string{
	"lets everyone in when it is half-open",
	"closes for everyone before its probe is back",
	"counts a caller who leaves as a success",
	"takes old results for news",
	"counts its own refusals as failures",
	"never forgets a failure",
	"counts a slow call although it has ended long since",
	"frees the place of a call that still runs",
	"lets the last in first",
	"looks for a free place once a second",
	"does not wait at all from the 35th attempt on",
	"starves who looks often",
	"takes a token from those whom it refuses",
	"keeps the token of one who left while he waited",
}

// Each other broken policy breaks a law, and the report says how to see it again. Those that race are run under the
// race detector alone, and only they.
func TestBrokenPoliciesAreCaught(t *testing.T) {
	for _, s := range broken {
		if s.race != raceEnabled || slices.Contains(needsModel, s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			check := func(t *testing.T) { fxtest.Check(t, s.policy, s.terms...) }
			if s.race {
				assert.Contains(t, caught(t, check, "-rapid.checks=3000"), "DATA RACE")
				return
			}
			out := caught(t, check, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: law broken: ")
			if !strings.Contains(out, "no lock is held") {
				assert.Contains(t, out, "fxtest.Replay(t, policy, fxtest.Story[int]{")
			}
		})
	}
}

// No honest policy breaks one.
func TestHonestPoliciesAreNotCaught(t *testing.T) {
	for _, s := range honest {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			fxtest.Check(t, s.policy, s.terms...)
		})
	}
}
