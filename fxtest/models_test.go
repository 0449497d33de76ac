package fxtest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// modelOf says how the models judge the broken policies that the laws cannot see.
var modelOf = func() map[string]func(*testing.T, fx.Policy[int]) {
	breaker := func(t *testing.T, p fx.Policy[int]) {
		fxtest.CheckBreaker(t, func() fxtest.Allower { return fxtest.AllowerOf(p) }, opensAtThree)
	}
	limiter := func(want fxtest.Limits) func(*testing.T, fx.Policy[int]) {
		return func(t *testing.T, p fx.Policy[int]) {
			fxtest.CheckLimiter(t, func() fxtest.Limiter { return fxtest.LimiterOf(p) }, want)
		}
	}
	rate := func(want fxtest.Rate) func(*testing.T, fx.Policy[int]) {
		return func(t *testing.T, p fx.Policy[int]) { fxtest.CheckRate(t, p, want) }
	}
	return map[string]func(*testing.T, fx.Policy[int]){
		"lets everyone in when it is half-open":               breaker,
		"closes for everyone before its probe is back":        breaker,
		"counts a caller who leaves as a success":             breaker,
		"takes old results for news":                          breaker,
		"counts its own refusals as failures":                 breaker,
		"never forgets a failure":                             breaker,
		"counts a slow call although it has ended long since": breaker,
		"frees the place of a call that still runs":           limiter(twoAndNone),
		"lets the last in first":                              limiter(twoAndLine),
		"looks for a free place once a second":                limiter(twoAndLine),
		"does not wait at all from the 35th attempt on": func(t *testing.T, p fx.Policy[int]) {
			fxtest.CheckBackoff(t, fxtest.BackoffOf(p), patientWaits)
		},
		"starves who looks often":                         rate(threeThenEveryMinute),
		"takes a token from those whom it refuses":        rate(threeThenEveryMinute),
		"keeps the token of one who left while he waited": rate(threeThenEverySecond),
	}
}()

var patientWaits = fxtest.Bounds{Least: time.Second, Most: 5 * time.Second, Steps: 199, Waits: true}

// What the laws cannot see, a model does: every policy of that list is caught.
func TestModelsCatchWhatTheLawsCannotSee(t *testing.T) {
	for _, name := range needsModel {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := modelOf[name]
			require.NotNil(t, check)
			out := caught(t, func(t *testing.T) { check(t, policyOf(t, broken, name)) }, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: promise broken: ")
		})
	}
	for name := range modelOf {
		assert.True(t, slices.Contains(needsModel, name), name)
	}
}

func TestWaitsOfHonestPolicies(t *testing.T) {
	fxtest.CheckBackoff(t, fxtest.BackoffOf(policyOf(t, honest, "patient retry by hand")), patientWaits)
	fxtest.CheckBackoff(t, fxtest.BackoffOf(policyOf(t, honest, "retry by hand")), fxtest.Bounds{Steps: 2, Waits: true, Each: func(n int) (least, most time.Duration) {
		return time.Second << (n - 1), time.Second << (n - 1)
	}})
	fxtest.CheckBackoff(t, fxtest.BackoffOf(func(op fx.Op[int]) fx.Op[int] { return fx.WithRetry(op, fx.Retry{Attempts: 20}) }),
		fxtest.Bounds{Most: 5 * time.Second, Steps: 19, Waits: true, Random: true})
}
