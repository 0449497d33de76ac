package fxtest_test

import (
	"context"
	"errors"
	"fmt"
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
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxtest"
)

const ms = time.Millisecond

func TestZeroDependencyAnswersAtOnce(t *testing.T) {
	var d fxtest.Dependency
	for n := 1; n <= 3; n++ {
		v, err := d.Call(t.Context())
		assert.Equal(t, n, v)
		assert.NoError(t, err)
	}
	assert.Equal(t, fxtest.Figures{Offered: 3, Started: 3, Done: 3, MostBusy: 1}, d.Figures())
}

// books checks what holds for the figures at any moment.
func books(t require.TestingT, d *fxtest.Dependency) fxtest.Figures {
	f := d.Figures()
	require.Equal(t, f.Offered, f.Refused+f.Dropped+f.Done+f.Failed+f.Busy+f.Queued, "%+v", f)
	require.LessOrEqual(t, f.Wasted, f.Left, "%+v", f)
	if d.Workers > 0 {
		require.LessOrEqual(t, f.MostBusy, d.Workers)
	}
	if d.Queue >= 0 {
		require.LessOrEqual(t, f.MostQueued, d.Queue)
	}
	return f
}

// A reply is how one call ended, and when.
type reply struct {
	v   int
	err error
	at  time.Duration
}

// arrivals calls d at each of the instants, on a goroutine each, and returns the replies in the order of the calls.
func arrivals(d *fxtest.Dependency, at []time.Duration, patience time.Duration) []reply {
	start, replies := time.Now(), make([]reply, len(at))
	var wg sync.WaitGroup
	for i, at := range at {
		time.Sleep(time.Until(start.Add(at)))
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			v, err := d.Call(ctx)
			replies[i] = reply{v, err, time.Since(start)}
		})
		synctest.Wait()
	}
	wg.Wait()
	return replies
}

// Start and end of each call are those of a first-in-first-out queue: Lindley's recursion for several servers.
func TestCallsEndWhenQueueingArithmeticSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		workers, queue := rapid.IntRange(1, 4).Draw(rt, "workers"), rapid.IntRange(-1, 5).Draw(rt, "queue")
		service := time.Duration(rapid.IntRange(1, 50).Draw(rt, "service")) * ms
		at := []time.Duration{0}
		for _, gap := range rapid.SliceOfN(rapid.IntRange(0, 40), 1, 40).Draw(rt, "gaps") {
			at = append(at, at[len(at)-1]+time.Duration(gap)*ms+1) // never at the instant of an end
		}
		rapid.SyncTest(rt, func(rt *rapid.T) {
			d := &fxtest.Dependency{Workers: workers, Queue: queue, Latency: fxtest.Constant(service)}
			replies := arrivals(d, at, time.Hour)
			free := make([]time.Duration, workers) // when each worker is
			var starts []time.Duration
			for i, r := range replies {
				waiting := 0
				for _, s := range starts {
					if s > at[i] {
						waiting++
					}
				}
				slices.Sort(free)
				if free[0] > at[i] && queue >= 0 && waiting >= queue {
					require.Equal(rt, reply{0, fxtest.ErrBusy, at[i]}, r)
					continue
				}
				begin := max(at[i], free[0])
				free[0] = begin + service
				starts = append(starts, begin)
				require.Equal(rt, reply{i + 1, nil, free[0]}, r)
			}
			f := books(rt, d)
			require.Equal(rt, f.Started, f.Done)
		})
	})
}

// The books balance whatever happens: outages, brownouts, callers who leave.
func TestDependencysBooksBalance(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		span := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(0, 30).Draw(rt, name)) * 10 * ms
		}
		d := &fxtest.Dependency{
			Workers: rapid.IntRange(0, 3).Draw(rt, "workers"), Queue: rapid.IntRange(-1, 4).Draw(rt, "queue"),
			Latency: fxtest.Exponential(30 * ms), Seed: rapid.Uint64().Draw(rt, "seed"), Drops: rapid.Bool().Draw(rt, "drops"),
		}
		for range rapid.IntRange(0, 2).Draw(rt, "outages") {
			from := span("from")
			d.Outages = append(d.Outages, fxtest.Outage{From: from, Until: from + span("length") + 1, Mode: fxtest.Mode(rapid.IntRange(0, 2).Draw(rt, "mode"))})
		}
		for range rapid.IntRange(0, 2).Draw(rt, "brownouts") {
			from := span("from")
			d.Brownouts = append(d.Brownouts, fxtest.Brownout{From: from, Until: from + span("length") + 1, Slower: rapid.Float64Range(0, 9).Draw(rt, "slower"),
				Workers: rapid.IntRange(0, 2).Draw(rt, "workers"), Fails: rapid.Float64Range(0, 1).Draw(rt, "fails")})
		}
		gaps := rapid.SliceOfN(rapid.IntRange(0, 30), 1, 40).Draw(rt, "gaps")
		patience := span("patience") + 1
		rapid.SyncTest(rt, func(rt *rapid.T) {
			var wg sync.WaitGroup
			var left, served int
			var mu sync.Mutex
			for _, gap := range gaps {
				time.Sleep(time.Duration(gap) * ms)
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					defer cancel()
					_, err := d.Call(ctx)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						served++
					case errors.Is(err, context.DeadlineExceeded):
						left++
					}
				})
				books(rt, d)
			}
			wg.Wait()
			time.Sleep(time.Hour)
			f := books(rt, d)
			require.Zero(rt, f.Busy)
			require.Zero(rt, f.Queued)
			require.Equal(rt, left, f.Left)
			require.Equal(rt, f.Left, f.Wasted+f.Dropped)
			require.LessOrEqual(rt, f.Done-f.Wasted, served)
			require.LessOrEqual(rt, served, f.Done)
		})
	})
}

func TestOutages(t *testing.T) {
	for _, c := range []struct {
		mode fxtest.Mode
		want []reply // calls at 0, 50, 100 and 250 ms that take 80 ms each, with an outage from 60 to 200
	}{
		{fxtest.Refusing, []reply{{1, nil, 80 * ms}, {2, nil, 130 * ms}, {0, fxtest.ErrDown, 100 * ms}, {4, nil, 330 * ms}}},
		{fxtest.Failing, []reply{{1, nil, 80 * ms}, {2, nil, 130 * ms}, {0, fxtest.ErrFailed, 100 * ms}, {4, nil, 330 * ms}}},
		{fxtest.Hanging, []reply{{1, nil, 220 * ms}, {2, nil, 270 * ms}, {3, nil, 280 * ms}, {4, nil, 330 * ms}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &fxtest.Dependency{Latency: fxtest.Constant(80 * ms), Outages: []fxtest.Outage{{From: 60 * ms, Until: 200 * ms, Mode: c.mode}}}
			assert.Equal(t, c.want, arrivals(d, []time.Duration{0, 50 * ms, 100 * ms, 250 * ms}, time.Hour), c.mode)
			books(t, d)
		})
	}
}

// Work that two stops hold up is held up by both.
func TestHangsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fxtest.Dependency{Latency: fxtest.Constant(time.Second), Outages: []fxtest.Outage{
			{From: 5 * time.Second, Until: 6 * time.Second, Mode: fxtest.Hanging},
			{From: 500 * ms, Until: 5500 * ms, Mode: fxtest.Hanging},
			{From: 7 * time.Second, Mode: fxtest.Hanging},
		}}
		assert.Equal(t, []reply{{1, nil, 6500 * ms}, {0, context.DeadlineExceeded, 66200 * ms}}, arrivals(d, []time.Duration{0, 6200 * ms}, time.Minute))
		assert.Equal(t, 1, books(t, d).Busy, "for ever")
	})
}

func TestBrownouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fxtest.Dependency{Workers: 2, Queue: -1, Latency: fxtest.Constant(100 * ms), Brownouts: []fxtest.Brownout{
			{From: 0, Until: 200 * ms, Slower: 2, Workers: 1},
			{From: 500 * ms, Fails: 1},
		}}
		assert.Equal(t, []reply{
			{1, nil, 200 * ms}, {2, nil, 300 * ms}, {3, nil, 300 * ms}, // the second worker is back with the end of the first call
			{0, fxtest.ErrFailed, 600 * ms},
		}, arrivals(d, []time.Duration{0, 1, 2, 500 * ms}, time.Hour))
		books(t, d)
	})
}

// A server does not notice that its callers have left, and works for nobody; unless told to.
func TestWorkThatNobodyWaitsFor(t *testing.T) {
	for _, drops := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := &fxtest.Dependency{Workers: 1, Queue: 2, Latency: fxtest.Constant(time.Second), Drops: drops}
			replies := arrivals(d, []time.Duration{0, 0, 0}, 500*ms)
			for _, r := range replies {
				assert.Equal(t, reply{0, context.DeadlineExceeded, 500 * ms}, r, "callers obey their contexts")
			}
			start := time.Now()
			_, err := d.Call(t.Context())
			if drops {
				require.NoError(t, err)
				assert.Equal(t, 1500*ms, time.Since(start), "only the call that had begun is before it")
				assert.Equal(t, fxtest.Figures{Offered: 4, Started: 2, Done: 2, Dropped: 2, Left: 3, Wasted: 1, MostBusy: 1, MostQueued: 2}, books(t, d))
				return
			}
			require.ErrorIs(t, err, fxtest.ErrBusy, "those who left keep their places")
			time.Sleep(time.Minute)
			assert.Equal(t, fxtest.Figures{Offered: 4, Refused: 1, Started: 3, Done: 3, Left: 3, Wasted: 3, MostBusy: 1, MostQueued: 2}, books(t, d))
		})
	}
}

// Whether the answer or the end of the caller comes first in the same instant is open, but the figures say which it was.
func TestAnswerAndEndInTheSameInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fxtest.Dependency{Latency: fxtest.Constant(100 * ms)}
		left := 0
		for _, r := range arrivals(d, make([]time.Duration, 200), 100*ms) {
			if r.err != nil {
				left++
			}
		}
		time.Sleep(ms) // for ends of this instant
		f := books(t, d)
		assert.Equal(t, left, f.Left)
		assert.Equal(t, left, f.Wasted)
	})
}

func TestDeadContextCallsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var d fxtest.Dependency
	_, err := d.Call(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.False(t, fx.MayBeDone(err))
	assert.Zero(t, d.Figures())
}

func TestTroubleIsUnderstoodByFx(t *testing.T) {
	for _, err := range []error{fxtest.ErrDown, fxtest.ErrBusy, fxtest.ErrFailed} {
		assert.False(t, fx.MayBeDone(err), err)
		assert.True(t, fx.Retryable(err), err)
		assert.True(t, fx.Transient(err), err)
	}
}

// With one worker, exponential times and a load of 0.8, a call takes 1/(mu-lambda) on average: 50 ms.
func TestWaitsAreThoseOfTheory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fxtest.Dependency{Workers: 1, Queue: -1, Latency: fxtest.Exponential(10 * ms), Seed: 1}
		random := rand.New(rand.NewPCG(2, 2))
		var wg sync.WaitGroup
		var mu sync.Mutex
		var total time.Duration
		const calls = 40_000
		for range calls {
			time.Sleep(time.Duration(random.ExpFloat64() * float64(12500*time.Microsecond)))
			wg.Go(func() {
				start := time.Now()
				_, _ = d.Call(context.Background())
				mu.Lock()
				defer mu.Unlock()
				total += time.Since(start)
			})
		}
		wg.Wait()
		assert.InEpsilon(t, 50, float64(total/calls)/1e6, 0.1)
		assert.Equal(t, calls, books(t, d).Done)
	})
}

func TestLatencies(t *testing.T) {
	for name, c := range map[string]struct {
		latency       fxtest.Latency
		p50, p99, max time.Duration
	}{
		"constant":    {fxtest.Constant(10 * ms), 10 * ms, 10 * ms, 10 * ms},
		"uniform":     {fxtest.Uniform(10*ms, 30*ms), 20 * ms, 29800 * time.Microsecond, 30 * ms},
		"exponential": {fxtest.Exponential(10 * ms), 6931 * time.Microsecond, 46052 * time.Microsecond, math.MaxInt64},
		"lognormal":   {fxtest.LogNormal(20*ms, 200*ms), 20 * ms, 200 * ms, math.MaxInt64},
		"tail":        {fxtest.Constant(10*ms).Tail(0.02, fxtest.Constant(time.Second)), 10 * ms, time.Second, time.Second},
		"no tail":     {fxtest.Latency(nil).Tail(0, fxtest.Constant(time.Second)), 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			drawn := make([]time.Duration, 100_000)
			for i := range drawn {
				drawn[i] = c.latency(random)
			}
			slices.Sort(drawn)
			assert.InDelta(t, 1, (1+float64(drawn[len(drawn)/2]))/(1+float64(c.p50)), 0.05)
			assert.InDelta(t, 1, (1+float64(drawn[len(drawn)*99/100]))/(1+float64(c.p99)), 0.05)
			assert.LessOrEqual(t, drawn[len(drawn)-1], c.max)
			assert.GreaterOrEqual(t, drawn[0], time.Duration(0))
		})
	}
}

func TestAbsurdDependenciesPanic(t *testing.T) {
	for want, d := range map[string]*fxtest.Dependency{
		"fxtest: Dependency: Workers of -1; write 0 for any number":                                        {Workers: -1},
		"fxtest: Dependency: Class -1 of Classes 5; neither may be negative":                               {Workers: 1, Class: -1, Classes: 5},
		"fxtest: Dependency: Classes need Workers, and must be at least Class+Workers; here are 5, 3, 4":   {Workers: 3, Class: 4, Classes: 5},
		"fxtest: Dependency: an Outage from 2s until 1s; it has to begin before it ends":                   {Outages: []fxtest.Outage{{From: 2 * time.Second, Until: time.Second}}},
		"fxtest: Dependency: an Outage of Mode 3; write fxtest.Refusing, fxtest.Hanging or fxtest.Failing": {Outages: []fxtest.Outage{{Mode: 3}}},
		"fxtest: Dependency: a Brownout from 2s until 1s; it has to begin before it ends":                  {Brownouts: []fxtest.Brownout{{From: 2 * time.Second, Until: time.Second}}},
		"fxtest: Dependency: a Brownout Slower by -1; write 0 for as fast as ever":                         {Brownouts: []fxtest.Brownout{{Slower: -1}}},
		"fxtest: Dependency: a Brownout with Workers of -1; write 0 for as many as ever":                   {Brownouts: []fxtest.Brownout{{Workers: -1}}},
		"fxtest: Dependency: a Brownout that Fails a share of 1.5; write one from 0 to 1":                  {Brownouts: []fxtest.Brownout{{Fails: 1.5}}},
	} {
		assert.PanicsWithValue(t, want, func() { _, _ = d.Call(t.Context()) })
	}
	assert.PanicsWithValue(t, "fxtest: Tail needs a share from 0 to 1, as in fast.Tail(0.02, slow)", func() { fxtest.Constant(0).Tail(2, nil) })
	assert.Panics(t, func() { fxtest.Uniform(2, 1) })
	assert.Panics(t, func() { fxtest.LogNormal(0, 1) })
}

// crowd lets clients call d about once a second for a while, each at instants of its own class, and returns what
// happened in order.
func crowd(d *fxtest.Dependency, clients, classes int, lasts time.Duration) (ends []string) {
	end := time.Now().Add(lasts)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(i)))
			sleep := func(d time.Duration) {
				at := time.Now().Add(d)
				off := (int64(i) - at.UnixNano()) % int64(classes)
				time.Sleep(d + time.Duration((off+int64(classes))%int64(classes)))
			}
			sleep(time.Duration(random.Int64N(int64(time.Second))))
			for time.Now().Before(end) {
				ctx, cancel := context.WithTimeout(context.Background(), 250*ms)
				v, err := d.Call(ctx)
				cancel()
				mu.Lock()
				ends = append(ends, fmt.Sprint(i, v, err != nil))
				mu.Unlock()
				sleep(500*ms + time.Duration(random.Int64N(int64(time.Second))))
			}
		})
	}
	wg.Wait()
	return ends
}

func fleetsServer(clients int) *fxtest.Dependency {
	workers := max(1, clients/60)
	return &fxtest.Dependency{
		Workers: workers, Queue: clients / 10, Latency: fxtest.Exponential(20 * ms), Seed: 3, Class: clients, Classes: 2 * clients,
		Outages:   []fxtest.Outage{{From: 5 * time.Second, Until: 7 * time.Second, Mode: fxtest.Hanging}},
		Brownouts: []fxtest.Brownout{{From: 9 * time.Second, Until: 11 * time.Second, Slower: 3, Workers: max(1, workers/2), Fails: 0.1}},
	}
}

// Each worker ends calls at instants of its own, which no client shares.
func TestWorkersKeepToTheirClasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fxtest.Dependency{Workers: 3, Queue: -1, Latency: fxtest.Uniform(0, ms), Class: 4, Classes: 7}
		seen := map[int64]bool{}
		time.Sleep(5 * time.Nanosecond)
		start := time.Now()
		for _, r := range arrivals(d, make([]time.Duration, 200), time.Hour) {
			seen[start.Add(r.at).UnixNano()%7] = true
		}
		assert.Equal(t, map[int64]bool{4: true, 5: true, 6: true}, seen)
	})
}

// The same seed gives the same figures, in the same order, on one core and on several.
func TestSameSeedSameFigures(t *testing.T) {
	const clients = 250
	play := func() (ends []string, f fxtest.Figures) {
		synctest.Test(t, func(t *testing.T) {
			d := fleetsServer(clients)
			ends = crowd(d, clients, d.Classes, 15*time.Second)
			time.Sleep(time.Minute)
			f = books(t, d)
		})
		return ends, f
	}
	ends, figures := play()
	assert.NotZero(t, figures.Refused)
	assert.NotZero(t, figures.Failed)
	assert.NotZero(t, figures.Wasted)
	for _, cores := range []int{1, 2, 2} {
		func() {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			again, same := play()
			assert.Equal(t, figures, same)
			assert.Equal(t, ends, again)
		}()
	}
}

func BenchmarkDependency(b *testing.B) {
	d := &fxtest.Dependency{Workers: 1, Latency: fxtest.LogNormal(1, 1)}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = d.Call(b.Context())
	}
}

// Call is an Op, and one with another result is put around it by Then.
func TestDependencyIsAnOp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := &fxtest.Dependency{Latency: fxtest.Constant(time.Second), Outages: []fxtest.Outage{{Until: time.Second}}}
		op := fx.WithRetry(fx.Then(users.Call, func(context.Context, int) (string, error) { return "Alice", nil }), fx.Retry{Backoff: fx.Constant(time.Second)})
		start := time.Now()
		name, err := op(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "Alice", name)
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.Equal(t, 1, books(t, users).Refused)
	})
}

func ExampleLatency_Tail() {
	slow := fxtest.LogNormal(10*time.Millisecond, 30*time.Millisecond).Tail(0.02, fxtest.Constant(time.Second))
	random := rand.New(rand.NewPCG(1, 1))
	drawn := make([]time.Duration, 10_000)
	for i := range drawn {
		drawn[i] = slow(random)
	}
	slices.Sort(drawn)
	fmt.Println("p50", drawn[5000].Round(time.Millisecond), "p99", drawn[9900])
	// Output: p50 10ms p99 1s
}

func ExampleDependency() {
	users := &fxtest.Dependency{Workers: 2, Queue: 1, Latency: fxtest.Constant(20 * time.Millisecond)}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { _, _ = users.Call(context.Background()) })
	}
	wg.Wait()
	f := users.Figures()
	fmt.Println(f.Offered, "came,", f.Refused, "were refused,", f.MostBusy, "at once,", f.Done, "done")
	// Output: 5 came, 2 were refused, 2 at once, 3 done
}
