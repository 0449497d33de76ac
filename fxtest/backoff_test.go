package fxtest_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// drawBackoff draws one of fx's own schedules, the absurd included, with the bounds that it has.
func drawBackoff(rt *rapid.T) (fx.Backoff, fxtest.Bounds) {
	span := rapid.OneOf(rapid.Int64Range(0, int64(time.Hour)), rapid.Int64())
	duration := func(name string) time.Duration { return time.Duration(span.Draw(rt, name)) }
	base, most := duration("base"), duration("most")
	var b fx.Backoff
	want := fxtest.Bounds{Steps: -1}
	switch rapid.SampledFrom([]string{"constant", "exponential", "decorrelated", "delays"}).Draw(rt, "kind") {
	case "constant":
		b, want.Least = fx.Constant(base), max(base, 0)
	case "exponential":
		b, want.Least = fx.Exponential(base), max(base, 0)
	case "decorrelated":
		b, want.Least, want.Random = fx.Decorrelated(base, most), max(base, 0), true
	case "delays":
		n := rapid.IntRange(0, 5).Draw(rt, "delays")
		ds := make([]time.Duration, n)
		for i := range ds {
			ds[i] = duration("delay")
		}
		if b = fx.Delays(ds...); n > 0 {
			want.Steps = n
		} else {
			want.Steps = 0
		}
	}
	if rapid.Bool().Draw(rt, "capped") {
		limit := max(duration("cap"), 1)
		b, want.Most, want.Least = b.Cap(limit), limit, min(want.Least, limit)
	}
	if rapid.Bool().Draw(rt, "jittered") {
		b, want.Least, want.Random = b.Jitter(rapid.Float64().Draw(rt, "f")), 0, true
	}
	if n := rapid.IntRange(0, 30).Draw(rt, "take"); n > 0 {
		b = b.Take(n)
		if want.Steps < 0 || want.Steps > n {
			want.Steps = n
		}
	}
	if total := duration("within"); total > 0 && rapid.Bool().Draw(rt, "bounded") {
		b, want.Total, want.Steps = b.Within(total), total, 0
	}
	return b, want
}

func TestBackoffsOfFxKeepTheirBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, want := drawBackoff(rt)
		fxtest.BackoffLaws(b, want)(rt)
	})
}

func FuzzBackoffModel(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(rt *rapid.T) {
		b, want := drawBackoff(rt)
		fxtest.BackoffLaws(b, want)(rt)
	}))
}

func TestBackoffOfTheDefault(t *testing.T) {
	fxtest.CheckBackoff(t, fx.Exponential(100*ms).Cap(5*time.Second).Jitter(1), fxtest.Bounds{
		Most: 5 * time.Second, Steps: -1, Random: true,
		Each: func(n int) (least, most time.Duration) { return 0, 100 * ms << min(n-1, 20) },
	})
}

// A schedule is a Backoff with the bounds that it claims, and the promise that it breaks.
type schedule struct {
	b      fx.Backoff
	want   fxtest.Bounds
	broken string
}

func TestBrokenBackoffsAreCaught(t *testing.T) {
	const second = time.Second
	endless := fxtest.Bounds{Steps: -1}
	for name, c := range map[string]schedule{
		"overflows when it has doubled often": {func(yield func(time.Duration) bool) {
			for d := second; yield(d); d *= 2 {
			}
		}, endless, "a wait is never negative"},
		"shifts by too much": {func(yield func(time.Duration) bool) {
			for n := 0; yield(min(second<<n, time.Minute)); n++ {
			}
		}, fxtest.Bounds{Least: second, Most: time.Minute, Steps: -1}, "a wait is never negative"},
		"is jittered beyond its cap": {func(yield func(time.Duration) bool) {
			for yield(second + rand.N(second/2)) {
			}
		}, fxtest.Bounds{Most: second, Steps: -1, Random: true}, "a wait stays within its bounds"},
		"goes on where the last range ended": func() (c schedule) {
			d := second
			c.b = func(yield func(time.Duration) bool) {
				for ; yield(d); d = min(2*d, time.Minute) {
				}
			}
			c.want, c.broken = endless, "every range over a backoff starts afresh"
			return c
		}(),
		"jittered, goes on where the last range ended": func() (c schedule) {
			d := second
			c.b = func(yield func(time.Duration) bool) {
				for ; yield(rand.N(d)); d = min(2*d, time.Minute) {
				}
			}
			c.want = fxtest.Bounds{Steps: -1, Random: true, Each: func(n int) (least, most time.Duration) { return 0, second << min(n-1, 6) }}
			c.broken = "a wait stays within its bounds"
			return c
		}(),
		"does not hear that yield says stop": {func(yield func(time.Duration) bool) {
			for range 50_000 {
				yield(second)
			}
		}, endless, "a backoff stops when yield says so"},
		"ends when it should not":        {fx.Exponential(second).Take(10_000), endless, "a backoff has as many waits as it should"},
		"has one wait more than it says": {fx.Constant(second).Take(4), fxtest.Bounds{Steps: 3}, "a backoff has as many waits as it should"},
		"has no wait when the cap is reached": {func(yield func(time.Duration) bool) {
			for d := second; yield(d % time.Hour); d = min(2*d, time.Hour) {
			}
		}, fxtest.Bounds{Least: second, Most: time.Hour, Steps: -1}, "a wait stays within its bounds"},
		"waits longer in all than it says": {fx.Constant(second).Take(11), fxtest.Bounds{Total: 10 * second}, "the sum of the waits stays within its bound"},
		"sleeps itself": {func(yield func(time.Duration) bool) {
			for yield(0) {
				time.Sleep(second)
			}
		}, endless, "a backoff says how long to wait, and does not wait itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := caught(t, func(t *testing.T) { fxtest.CheckBackoff(t, c.b, c.want) }, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: promise broken: "+c.broken+"\n")
		})
	}
}

func TestMisuseOfCheckBackoff(t *testing.T) {
	assert.PanicsWithValue(t, "fxtest: CheckBackoff needs a Backoff, as in fxtest.CheckBackoff(t, fx.Exponential(time.Second), fxtest.Bounds{Steps: -1})",
		func() { fxtest.BackoffLaws(nil, fxtest.Bounds{}) })
	assert.PanicsWithValue(t, "fxtest: CheckBackoff with Bounds whose Least is above Most",
		func() { fxtest.BackoffLaws(fx.Constant(0), fxtest.Bounds{Least: math.MaxInt64, Most: 1}) })
}
