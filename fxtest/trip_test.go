package fxtest_test

import (
	"math"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxtest"
)

func TestFailureRateIsARule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fxtest.TripLaws(fx.FailureRate(rapid.Float64Range(0.001, 2).Draw(rt, "rate"), rapid.IntRange(-1, 100).Draw(rt, "min")))(rt)
	})
}

func TestRulesAsUsersWriteThem(t *testing.T) {
	for name, rule := range map[string]func(fx.Counts) bool{
		"a row":                    func(c fx.Counts) bool { return c.Consecutive >= 3 },
		"a rate, in whole numbers": func(c fx.Counts) bool { return c.Failures >= 10 && c.Failures >= c.Successes },
		"either":                   func(c fx.Counts) bool { return c.Consecutive >= 5 || fx.FailureRate(0.1, 20)(c) },
		"never":                    func(fx.Counts) bool { return false },
	} {
		t.Run(name, func(t *testing.T) { fxtest.CheckTrip(t, rule) })
	}
}

func FuzzTripModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(fxtest.TripLaws(fx.FailureRate(0.5, 5)))) }

func TestBrokenRulesAreCaught(t *testing.T) {
	var asked atomic.Int64
	for name, c := range map[string]struct {
		rule   func(fx.Counts) bool
		broken string
	}{
		"divides by zero": {func(c fx.Counts) bool { return 100*c.Failures/(c.Successes+c.Failures) >= 50 }, "a rule has an answer for any counts"},
		"takes the share of nothing for a bad one": {
			func(c fx.Counts) bool { return !(float64(c.Failures)/float64(c.Successes+c.Failures) < 0.5) }, "no rule trips without a failure",
		},
		"trips by the number of calls":           {func(c fx.Counts) bool { return c.Successes+c.Failures >= 20 }, "no rule trips without a failure"},
		"counts the times it is asked":           {func(c fx.Counts) bool { return asked.Add(1)%3 == 0 && c.Failures > 0 }, "the same counts get the same answer"},
		"trips at exactly five":                  {func(c fx.Counts) bool { return c.Failures == 5 }, "a failure in the place of a success never keeps a rule from tripping"},
		"wants successes too":                    {func(c fx.Counts) bool { return c.Failures > 3 && c.Successes > 3 }, "a failure in the place of a success never keeps a rule from tripping"},
		"mistakes the share of successes for it": {func(c fx.Counts) bool { return c.Failures > 0 && c.Successes > c.Failures }, "a failure in the place of a success never keeps a rule from tripping"},
		"overflows":                              {func(c fx.Counts) bool { return c.Failures > 0 && int32(c.Failures)*10 > int32(c.Successes) }, "a failure in the place of a success never keeps a rule from tripping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := caught(t, func(t *testing.T) { fxtest.CheckTrip(t, c.rule) }, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: promise broken: "+c.broken+"\n")
		})
	}
}

func TestMisuseOfCheckTrip(t *testing.T) {
	assert.PanicsWithValue(t, "fxtest: CheckTrip needs a rule, as in fxtest.CheckTrip(t, fx.FailureRate(0.5, 20))", func() { fxtest.TripLaws(nil) })
	assert.Panics(t, func() { fx.FailureRate(math.NaN(), 1) })
}
