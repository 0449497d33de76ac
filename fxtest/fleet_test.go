package fxtest_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// slowServer works off 1000 calls a second and stands still from the fifth to the tenth second.
func slowServer() *fxtest.Dependency {
	return &fxtest.Dependency{
		Workers: 10, Queue: -1, Latency: fxtest.Exponential(10 * time.Millisecond),
		Outages: []fxtest.Outage{{From: 5 * time.Second, Until: 10 * time.Second, Mode: fxtest.Hanging}},
	}
}

// insist is a client with a timeout and three attempts.
func insist(c *fxtest.Client, call fx.Op[int], budget *fx.Budget) fx.Op[int] {
	op := fx.WithTimeout(call, time.Second)
	backoff := c.Jitter(fx.Exponential(100*time.Millisecond).Cap(2*time.Second), 1)
	return fx.WithRetry(op, fx.Retry{Backoff: backoff, Budget: budget})
}

func ExampleFleet() {
	fxtest.Virtual(func() { // in a test, synctest.Test
		users := slowServer()
		fleet := fxtest.Fleet{Rate: 500, For: 30 * time.Second, Client: func(c *fxtest.Client) fx.Op[int] {
			return insist(c, c.Call(users), &fx.Budget{Ratio: 0.1, PerSecond: -1})
		}}
		report := fleet.Run(users)
		after, ok := report.Recovery(10 * time.Second)
		fmt.Println(after, ok)
		fmt.Printf("%.2f attempts a call\n", report.Total.AttemptsPerCall())
	})
	// Output:
	// 5s true
	// 1.03 attempts a call
}

// busyFleet has all that could wake two in the same instant: retries, a shared hedge, a shared budget, breakers.
func busyFleet(seed uint64) fxtest.Report {
	var report fxtest.Report
	fxtest.Virtual(func() {
		users := slowServer()
		users.Seed = seed
		body := fxtest.LogNormal(10*time.Millisecond, 20*time.Millisecond)
		other := &fxtest.Dependency{Latency: body.Tail(0.02, fxtest.Exponential(200*time.Millisecond)), Seed: seed}
		hedge, budget := &fx.Hedge{}, &fx.Budget{}
		report = fxtest.Fleet{Rate: 500, For: 12 * time.Second, Seed: seed, Client: func(c *fxtest.Client) fx.Op[int] {
			second := fx.WithHedge(c.Call(other), hedge)
			op := fx.Then(insist(c, c.Call(users), budget), func(ctx context.Context, _ int) (int, error) { return second(ctx) })
			return fx.WithBreaker(op, &fx.Breaker{Cooldown: time.Second})
		}}.Run(users, other)
	})
	return report
}

func TestFleetOfOneSeedHasOneFate(t *testing.T) {
	want := busyFleet(1)
	require.Zero(t, want.Crowded)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 4} {
		runtime.GOMAXPROCS(procs)
		got := busyFleet(1)
		require.Equal(t, want.Total.Attempts, got.Total.Attempts, "%d processors", procs)
		require.True(t, assert.ObjectsAreEqual(want, got), "to the last latency, with %d processors", procs)
	}
	assert.NotEqual(t, want.Total.Attempts, busyFleet(2).Total.Attempts)
}

func TestFleetBooksBalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := slowServer()
		report := fxtest.Fleet{Rate: 500, For: 20 * time.Second, Client: func(c *fxtest.Client) fx.Op[int] {
			return insist(c, c.Call(users), nil)
		}}.Run(users)
		total := report.Total
		assert.InDelta(t, 10_000, total.Offered, 500, "five times the standard deviation")
		assert.Equal(t, total.Offered, total.Goodput+total.Errors)
		assert.Equal(t, users.Figures().Offered, total.Attempts)
		assert.Greater(t, total.Attempts, total.Offered)
		within := report.Between(0, 20*time.Second)
		assert.Equal(t, total.Offered, within.Offered)
		assert.Less(t, within.Errors, total.Errors, "what ends later is in the total alone")
		assert.Equal(t, report.Buckets[3], report.Between(3*time.Second, 4*time.Second))
		assert.InDelta(t, 100, report.Buckets[3].Offered/5, 25)
		assert.Greater(t, report.Took, 20*time.Second)
	})
}

func TestOutagesCountFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := &fxtest.Dependency{Outages: []fxtest.Outage{{From: 3 * time.Second, Until: 4 * time.Second}}}
		begin := time.Now()
		report := fxtest.Fleet{Rate: 5, For: 6 * time.Second, Clients: 1, Client: func(c *fxtest.Client) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if time.Since(begin) < 2*time.Second { // so the first call of users comes late
					return 0, nil
				}
				return c.Call(users)(ctx)
			}
		}}.Run(users)
		require.Len(t, report.Buckets, 6)
		for i, b := range report.Buckets {
			require.Positive(t, b.Offered)
			assert.Equal(t, i == 3, b.Errors == b.Offered, "second %d", i)
			assert.Equal(t, i != 3, b.Goodput == b.Offered, "second %d", i)
		}
		assert.Equal(t, users.Outages, report.Outages)
	})
}

func TestLatencyIsThatOfTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := fxtest.Constant(10*time.Millisecond).Tail(0.05, fxtest.Constant(time.Second))
		users := &fxtest.Dependency{Latency: slow}
		report := fxtest.Fleet{Rate: 100, Client: func(c *fxtest.Client) fx.Op[int] { return c.Call(users) }}.Run(users)
		tenth := 100 * time.Microsecond
		assert.Equal(t, 10*time.Millisecond, report.Total.P50.Truncate(tenth))
		assert.Equal(t, time.Second, report.Total.P99.Truncate(tenth))
		assert.Equal(t, time.Second, report.Total.P999.Truncate(tenth))
		assert.InDelta(t, 0.95, report.Total.Within(20*time.Millisecond), 0.02)
		assert.Equal(t, 1.0, report.Total.Within(time.Second+tenth))
	})
}

func TestOnceIsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := &fxtest.Dependency{}
		begun := map[int]int{}
		report := fxtest.Fleet{Clients: 1000, Once: true, For: time.Second, Client: func(c *fxtest.Client) fx.Op[int] {
			begun[c.N]++
			return c.Call(users)
		}}.Run(users)
		assert.Equal(t, 1000, report.Total.Offered)
		assert.Equal(t, 1000, report.Buckets[0].Goodput)
		assert.Less(t, report.Took, time.Millisecond)
		assert.Len(t, begun, 1000)
	})
}

func TestEachClientHasItsOwnLuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := &fxtest.Dependency{}
		drawn := map[float64]bool{}
		fxtest.Fleet{Clients: 50, Once: true, Client: func(c *fxtest.Client) fx.Op[int] {
			drawn[c.Float64()] = true
			for d := range c.Jitter(fx.Constant(time.Second), 0.5).Take(3) {
				assert.Zero(t, d%fxtest.Classes)
				assert.GreaterOrEqual(t, d, 500*time.Millisecond)
				assert.LessOrEqual(t, d, time.Second)
			}
			return c.Call(users)
		}}.Run(users)
		assert.Len(t, drawn, 50)
	})
}

func TestAttemptsKeepToInstantsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		class := func() int64 { return time.Now().UnixNano() % fxtest.Classes }
		var mu sync.Mutex
		began, ended := map[int64]int{}, map[int64]int{}
		note := func(m map[int64]int) {
			mu.Lock()
			defer mu.Unlock()
			m[class()]++
		}
		users := &fxtest.Dependency{Latency: func(*rand.Rand) time.Duration { note(began); return 1234567 }}
		fxtest.Fleet{Clients: 50, Once: true, Client: func(c *fxtest.Client) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				for range 3 {
					time.Sleep(777 * time.Nanosecond)
					c.Call(users)(ctx)
					note(ended)
				}
				return 0, nil
			}
		}}.Run(users)
		assert.Len(t, began, 50)
		assert.Equal(t, began, ended)
		assert.Equal(t, 3, ended[slices.Sorted(maps.Keys(ended))[0]])
	})
}

func TestFleetLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := &fxtest.Dependency{Workers: 1, Queue: -1, Latency: fxtest.Constant(10 * time.Second)}
		report := fxtest.Fleet{Clients: 10, Once: true, Client: func(c *fxtest.Client) fx.Op[int] {
			deaf := func(ctx context.Context) (int, error) { return c.Call(users)(context.WithoutCancel(ctx)) }
			return fx.WithTimeout(fx.Detached(deaf), time.Second)
		}}.Run(users)
		assert.Equal(t, 10, report.Total.Errors)
		assert.Equal(t, time.Second, report.Took.Truncate(time.Millisecond))
		assert.Equal(t, 10, users.Figures().Done, "Run has waited for all")
	}) // which panics if a goroutine is left
}

func TestFleetWithMoreCallsThanInstants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := &fxtest.Dependency{Workers: fxtest.Classes - 2, Latency: fxtest.Constant(time.Second)}
		report := fxtest.Fleet{Clients: 1, Rate: 10, For: 10 * time.Second, Client: func(c *fxtest.Client) fx.Op[int] { return c.Call(users) }}.Run(users)
		assert.Greater(t, report.Crowded, report.Total.Offered*3/4, "of ten calls at a time one has instants of its own")
		assert.Equal(t, report.Total.Offered, report.Total.Goodput)
	})
}

func TestRecovery(t *testing.T) {
	report := func(goodput ...int) (r fxtest.Report) {
		r.Every = time.Second
		for _, g := range goodput {
			r.Buckets = append(r.Buckets, fxtest.Bucket{Offered: 100, Goodput: g})
		}
		return r
	}
	for name, c := range map[string]struct {
		report fxtest.Report
		after  time.Duration
		ok     bool
	}{
		"never":             {report(100, 0, 0, 0, 0), 0, false},
		"at once":           {report(100, 0, 90, 100, 100), 0, true},
		"later":             {report(100, 0, 0, 0, 95), 2 * time.Second, true},
		"a relapse":         {report(100, 0, 95, 89, 95), 2 * time.Second, true},
		"ill at the end":    {report(100, 0, 95, 95, 89), 0, false},
		"never ill":         {report(100, 100, 100), 0, true},
		"nothing was there": {report(), 0, false},
	} {
		after, ok := c.report.Recovery(2 * time.Second)
		assert.Equal(t, c.ok, ok, name)
		if ok {
			assert.Equal(t, c.after, after, name)
		}
	}
}

func TestEmptyBuckets(t *testing.T) {
	b := fxtest.Report{Every: time.Second}.Between(0, time.Hour)
	assert.Zero(t, b.AttemptsPerCall())
	assert.Zero(t, b.Success())
	assert.Zero(t, b.Within(time.Hour))
	assert.Zero(t, b.Quantile(0.5))
}

func TestMisuseOfAFleet(t *testing.T) {
	users := &fxtest.Dependency{}
	client := func(c *fxtest.Client) fx.Op[int] { return c.Call(users) }
	for message, f := range map[string]fxtest.Fleet{
		"needs a Client":            {},
		"none may be negative":      {Client: client, Rate: -1},
		"Rate NaN":                  {Client: client, Rate: math.NaN()},
		"Every -1ns":                {Client: client, Every: -1},
		"more than there are Class": {Client: client, Clients: fxtest.Classes + 1},
		"made a nil op":             {Client: func(*fxtest.Client) fx.Op[int] { return nil }},
	} {
		p := panicOf(func() { f.Run(users) })
		assert.Contains(t, fmt.Sprint(p), "fxtest: ", message)
		assert.Contains(t, fmt.Sprint(p), message)
	}
	var kept fx.Op[int]
	fxtest.Virtual(func() {
		fxtest.Fleet{Clients: 1, Once: true, Client: func(c *fxtest.Client) fx.Op[int] { kept = c.Call(users); return fx.Value(1) }}.Run()
	})
	assert.Contains(t, fmt.Sprint(panicOf(func() { kept(context.Background()) })), "pass on a context")
}

func panicOf(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

// BenchmarkTenThousandClients is a minute of 10,000 clients with a full stack, one call a second each.
func BenchmarkTenThousandClients(b *testing.B) {
	for b.Loop() {
		fxtest.Virtual(func() {
			users := &fxtest.Dependency{Workers: 200, Queue: 1000, Latency: fxtest.Exponential(10 * time.Millisecond), Seed: rand.Uint64()}
			report := fxtest.Fleet{Clients: 10_000, Client: func(c *fxtest.Client) fx.Op[int] {
				return fx.WithBreaker(insist(c, c.Call(users), &fx.Budget{}), &fx.Breaker{})
			}}.Run(users)
			b.ReportMetric(float64(report.Total.Offered), "calls/op")
		})
	}
}
