package fxtest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// breakerEqualsTheModel draws a breaker without Trip, with what it promises.
func breakerEqualsTheModel(rt *rapid.T) {
	span := func(name string) time.Duration { return time.Duration(rapid.IntRange(0, 40).Draw(rt, name)) * 100 * ms }
	want := fxtest.Breaking{
		Failures: rapid.IntRange(0, 4).Draw(rt, "Failures"), Probes: rapid.IntRange(0, 3).Draw(rt, "Probes"),
		Cooldown: span("Cooldown"), ProbeLimit: span("ProbeLimit"), Slow: span("Slow"), Open: fx.ErrOpen,
	}
	made := func() fxtest.Allower {
		return &fx.Breaker{Failures: want.Failures, Probes: want.Probes, Cooldown: want.Cooldown, ProbeLimit: want.ProbeLimit, Slow: want.Slow}
	}
	if rapid.Bool().Draw(rt, "as a policy") {
		made = func() fxtest.Allower {
			b := &fx.Breaker{Failures: want.Failures, Probes: want.Probes, Cooldown: want.Cooldown, ProbeLimit: want.ProbeLimit, Slow: want.Slow}
			return fxtest.AllowerOf(func(op fx.Op[int]) fx.Op[int] { return fx.WithBreaker(op, b) })
		}
	}
	fxtest.BreakerLaws(made, want)(rt)
}

func TestBreakerEqualsTheModel(t *testing.T) { rapid.Check(t, breakerEqualsTheModel) }

func FuzzBreakerModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(breakerEqualsTheModel)) }

// opensAtThree is what the breakers of the tables say of themselves.
var opensAtThree = fxtest.Breaking{Failures: 3, Probes: 1, Open: errOpen}

func TestHonestPoliciesEqualTheModel(t *testing.T) {
	fxtest.CheckBreaker(t, func() fxtest.Allower { return fxtest.AllowerOf(policyOf(t, honest, "breaker by hand")) }, opensAtThree)
}

func TestPoliciesThatDifferFromTheModelAreCaught(t *testing.T) {
	for name, broke := range map[string]string{
		"lets everyone in when it is half-open":               "half-open, no more than AtOnce probes are out",
		"closes for everyone before its probe is back":        "",
		"counts a caller who leaves as a success":             "",
		"counts a caller who leaves as a failure":             "",
		"takes old results for news":                          "",
		"counts its own refusals as failures":                 "",
		"never forgets a failure":                             "",
		"counts a slow call although it has ended long since": "",
		"stays half-open when its probe panics":               "",
		"stays half-open as long as its probe hangs":          "half-open, the next probe is let through when the last is back, or too long out",
		"stays half-open when its probe's caller leaves":      "half-open, the next probe is let through when the last is back, or too long out",
		"never closes again":                                  "when the cooldown is over, a probe is let through",
		"leaves a goroutine to turn it half-open":             "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := caught(t, func(t *testing.T) {
				fxtest.CheckBreaker(t, func() fxtest.Allower { return fxtest.AllowerOf(policyOf(t, broken, name)) }, opensAtThree)
			}, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: promise broken: "+broke)
			assert.Contains(t, out, "What happened, by the clock:")
		})
	}
}

// A fuse is an honest breaker of three failures, with so many probes at once, but for the mistakes named by its fields.
type fuse struct {
	early  bool // opens at two
	late   bool // opens at four
	eager  bool // closes with the first of two probes
	counts bool // counts an end that it is told of twice
	both   bool // returns a done beside its error
	foul   bool // lets those in whose context has ended
	pair   int  // probes at once; 0 means 1
	hot    bool // lets a call through while it is open, one in a hundred
	mu     sync.Mutex
	row    int
	good   int
	open   bool
	until  time.Time
	out    map[int]time.Time // probes, and when they count no more
	number int
	period int
}

func (f *fuse) Allow(ctx context.Context) (func(error), error) {
	if ctx.Err() != nil && !f.foul {
		return nil, gone(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.number++
	probe := f.number
	if f.open {
		switch {
		case time.Now().Before(f.until) && (!f.hot || f.number%10 > 0):
			if f.both {
				return func(error) {}, errOpen
			}
			return nil, errOpen
		case len(f.out) >= max(f.pair, 1) && !f.overtake():
			return nil, errOpen
		}
		f.out[probe] = time.Now().Add(10 * time.Second)
	}
	period, told := f.period, false
	return func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if told && !f.counts {
			return
		}
		told = true
		f.end(period, probe, err, ctx.Err() != nil)
	}, nil
}

// overtake takes the place of a probe that has been out for too long, the oldest.
func (f *fuse) overtake() bool {
	oldest := 0
	for probe, until := range f.out {
		if !time.Now().Before(until) && (oldest == 0 || probe < oldest) {
			oldest = probe
		}
	}
	delete(f.out, oldest)
	return oldest > 0
}

func (f *fuse) end(period, probe int, err error, left bool) {
	if _, out := f.out[probe]; period != f.period || f.open && !out {
		return
	}
	delete(f.out, probe)
	most := 3
	if f.early {
		most = 2
	} else if f.late {
		most = 4
	}
	switch {
	case err == nil && f.open:
		if f.good++; f.good == 2 || f.eager {
			f.open, f.row = false, 0
			f.period++
		}
	case err == nil:
		f.row = 0
	case left:
	default:
		if f.row++; f.open || f.row >= most {
			f.open, f.good, f.until, f.out = true, 0, time.Now().Add(10*time.Second), map[int]time.Time{}
			f.period++
		}
	}
}

func TestHonestFuseEqualsTheModel(t *testing.T) {
	fxtest.CheckBreaker(t, func() fxtest.Allower { return new(fuse) }, fxtest.Breaking{Failures: 3, Open: errOpen})
	fxtest.CheckBreaker(t, func() fxtest.Allower { return &fuse{pair: 2} }, fxtest.Breaking{Failures: 3, AtOnce: 2})
}

func TestBrokenBreakersAreCaught(t *testing.T) {
	want := fxtest.Breaking{Failures: 3, Open: errOpen}
	pairs := fxtest.Breaking{Failures: 3, AtOnce: 2}
	for name, c := range map[string]struct {
		made   func() fxtest.Allower
		want   fxtest.Breaking
		broken string
	}{
		"opens too early":              {func() fxtest.Allower { return &fuse{early: true} }, want, ""},
		"opens too late":               {func() fxtest.Allower { return &fuse{late: true} }, want, ""},
		"closes with its first probe":  {func() fxtest.Allower { return &fuse{eager: true} }, want, ""},
		"counts an end twice":          {func() fxtest.Allower { return &fuse{counts: true} }, want, ""},
		"lets the dead in":             {func() fxtest.Allower { return &fuse{foul: true} }, want, "a context that has ended gets nothing"},
		"returns both":                 {func() fxtest.Allower { return &fuse{both: true} }, want, "who is let through gets a done, who is not an error"},
		"leaks while it is open":       {func() fxtest.Allower { return &fuse{hot: true} }, want, "an open breaker refuses until its cooldown is over"},
		"has three probes at once":     {func() fxtest.Allower { return &fuse{pair: 3} }, pairs, "half-open, no more than AtOnce probes are out"},
		"has one probe instead of two": {func() fxtest.Allower { return new(fuse) }, pairs, "half-open, the next probe is let through when the last is back, or too long out"},
		"refuses in its own words":     {func() fxtest.Allower { return new(fuse) }, fxtest.Breaking{Failures: 3, Open: fx.ErrOpen}, "a refusal matches Open"},
		"cools down for too short":     {func() fxtest.Allower { return new(fuse) }, fxtest.Breaking{Failures: 3, Cooldown: 11 * time.Second, ProbeLimit: 10 * time.Second}, "an open breaker refuses until its cooldown is over"},
		"waits too long for its probe": {func() fxtest.Allower { return new(fuse) }, fxtest.Breaking{Failures: 3, ProbeLimit: 5 * time.Second}, "half-open, the next probe is let through when the last is back, or too long out"},
		"knows no slow call":           {func() fxtest.Allower { return new(fuse) }, fxtest.Breaking{Failures: 3, Slow: time.Second}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := caught(t, func(t *testing.T) { fxtest.CheckBreaker(t, c.made, c.want) }, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: promise broken: "+c.broken)
		})
	}
}

func TestMisuseOfCheckBreaker(t *testing.T) {
	const want = "fxtest: CheckBreaker needs a function that makes a breaker, and no negative settings, as in fxtest.CheckBreaker(t, newBreaker, fxtest.Breaking{Failures: 3})"
	assert.PanicsWithValue(t, want, func() { fxtest.BreakerLaws(nil, fxtest.Breaking{}) })
	assert.PanicsWithValue(t, want, func() {
		fxtest.BreakerLaws(func() fxtest.Allower { return new(fx.Breaker) }, fxtest.Breaking{Failures: -1})
	})
	assert.PanicsWithValue(t, "fxtest: AllowerOf needs a policy, a func(fx.Op[T]) fx.Op[T] such as guarded[int]", func() { fxtest.AllowerOf(nil) })
	_, err := fxtest.AllowerOf(func(fx.Op[int]) fx.Op[int] { return fx.Value(7) }).Allow(t.Context())
	assert.ErrorContains(t, err, "without a call of op")
	_, err = fxtest.AllowerOf(func(op fx.Op[int]) fx.Op[int] {
		return func(context.Context) (int, error) { return op(context.Background()) }
	}).Allow(t.Context())
	assert.ErrorContains(t, err, "values are missing")
	_, err = fxtest.AllowerOf(func(fx.Op[int]) fx.Op[int] { return fx.Fail[int](errors.ErrUnsupported) }).Allow(t.Context())
	assert.ErrorIs(t, err, errors.ErrUnsupported)
}
