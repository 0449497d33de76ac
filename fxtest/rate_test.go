package fxtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var (
	threeThenEverySecond = fxtest.Rate{Burst: 3, Every: time.Second}
	threeThenEveryMinute = fxtest.Rate{Burst: 3, Every: time.Minute}
)

func TestHonestPoliciesKeepTheirRate(t *testing.T) {
	for name, want := range map[string]fxtest.Rate{
		"token bucket that waits":      threeThenEverySecond,
		"token bucket that refuses":    threeThenEverySecond,
		"token bucket as an fx.Waiter": threeThenEverySecond,
		"bucket by hand":               threeThenEveryMinute,
	} {
		t.Run(name, func(t *testing.T) { fxtest.CheckRate(t, policyOf(t, honest, name), want) })
	}
}

func TestPoliciesThatBreakTheirRateAreCaught(t *testing.T) {
	const least, most = "who comes when a token is there begins at once", "no more calls begin than there are tokens"
	for name, c := range map[string]struct {
		policy fx.Policy[int]
		want   fxtest.Rate
		broken string
	}{
		"takes a token from those whom it refuses":        {nil, threeThenEveryMinute, least},
		"starves who looks often":                         {nil, threeThenEveryMinute, least},
		"fills up beyond its burst":                       {nil, threeThenEveryMinute, most},
		"takes a token for a caller who had left":         {nil, threeThenEveryMinute, least},
		"keeps the token of one who left while he waited": {nil, threeThenEverySecond, ""},
		"has no limit": {func(op fx.Op[int]) fx.Op[int] { return awake(op) }, threeThenEverySecond, most},
		"lets nobody begin who waited": {func(op fx.Op[int]) fx.Op[int] {
			p := &pail{every: time.Second}
			return awake(func(ctx context.Context) (int, error) {
				if p.take() > 0 {
					<-ctx.Done()
					return 0, gone(ctx)
				}
				return op(ctx)
			})
		}, threeThenEverySecond, "who waits begins in the end"},
		"has a window that begins anew": {func(op fx.Op[int]) fx.Op[int] { // three in each three seconds, so that six fit in an instant
			var begun int
			var window time.Time
			return awake(func(ctx context.Context) (int, error) {
				if time.Since(window) >= 3*time.Second {
					window, begun = time.Now(), 0
				}
				if begun++; begun > 3 {
					return 0, errLimited
				}
				return op(ctx)
			})
		}, threeThenEverySecond, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.policy == nil {
				c.policy = policyOf(t, broken, name)
			}
			out := caught(t, func(t *testing.T) { fxtest.CheckRate(t, c.policy, c.want) }, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: promise broken: "+c.broken)
		})
	}
}

func FuzzRateModel(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(fxtest.RateLaws(func(op fx.Op[int]) fx.Op[int] { return Metered(op, time.Second, 3) }, threeThenEverySecond)))
}

func TestMisuseOfCheckRate(t *testing.T) {
	one := func(op fx.Op[int]) fx.Op[int] { return op }
	const want = "fxtest: CheckRate needs a rate, as in fxtest.CheckRate(t, limited, fxtest.Rate{Burst: 3, Every: time.Second})"
	assert.PanicsWithValue(t, want, func() { fxtest.RateLaws(one, fxtest.Rate{}) })
	assert.PanicsWithValue(t, want, func() { fxtest.RateLaws(one, fxtest.Rate{Burst: -1, Every: 1}) })
	assert.PanicsWithValue(t, "fxtest: CheckRate needs a policy, a func(fx.Op[T]) fx.Op[T] such as guarded[int]", func() { fxtest.RateLaws(nil, threeThenEverySecond) })
}
