package fx_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
)

// each makes an op of one op for each call, in turn; the last repeats.
func each(ops ...fx.Op[int]) fx.Op[int] {
	var n atomic.Int64
	return func(ctx context.Context) (int, error) { return ops[min(int(n.Add(1)), len(ops))-1](ctx) }
}

// deaf is an op that ignores its context.
func deaf(d time.Duration, v int, err error) fx.Op[int] {
	return func(context.Context) (int, error) { time.Sleep(d); return v, err }
}

func after1s() *fx.Hedge { return &fx.Hedge{After: time.Second} }

func TestHedgeTakesTheFirstSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := after1s()
		var numbers []int
		h.OnHedge = func(_ context.Context, n int) { numbers = append(numbers, n) }
		v, err := fx.WithHedge(each(takes(time.Minute, 1, nil), takes(time.Second, 2, nil)), h)(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, v)
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.Equal(t, []int{1}, numbers)
	})
}

func TestQuickAnswerIsNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		op := fx.WithHedge(counted(&calls, takes(time.Second-1, 1, nil)), after1s())
		_, err := op(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Hour)
		assert.EqualValues(t, 1, calls.Load())
	})
}

func TestErrorNeverBeatsARunningCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, err := fx.WithHedge(each(takes(5*time.Second, 1, nil), takes(time.Second, 0, errBoom)), after1s())(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, v)
	})
}

func TestErrorsOfBothCopiesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := fx.WithHedge(each(takes(2*time.Second, 0, errBoom), takes(2*time.Second, 0, errCause)), after1s())(t.Context())
		assert.EqualError(t, err, "fx: all 2 copies failed: boom; the shopper left")
	})
}

func TestErrorWithNoCopyRunningIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := fx.WithHedge(fx.Fail[int](errBoom), after1s())(t.Context())
		assert.Equal(t, errBoom, err, "untouched, and without a wait: errors are for Retry")
		assert.Zero(t, time.Since(start))
	})
}

func TestAllCopiesFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := after1s()
		h.Max, h.Budget = 2, &fx.Budget{PerSecond: 10}
		op := each(takes(10*time.Second, 0, errBoom), takes(time.Second, 0, errCause), takes(20*time.Second, 0, errors.New("third")))
		_, err := fx.WithHedge(op, h)(t.Context())
		assert.ErrorIs(t, err, errBoom)
		assert.ErrorIs(t, err, errCause)
		assert.EqualError(t, err, "fx: all 3 copies failed: boom; the shopper left; third", "the first copy's first")
	})
}

func TestLosersAreCancelledAndDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		var late []int
		loser := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(time.Second) // it comes to an end all the same
			return 1, nil
		}
		start := time.Now()
		op := fx.WithHedge(each(loser, takes(time.Second, 2, nil)), after1s(), func(v int) { late = append(late, v) })
		v, err := op(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, v)
		assert.Equal(t, 2*time.Second, time.Since(start), "none is waited for")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.ErrorContains(t, cause, "another copy was faster")
		assert.Equal(t, []int{1}, late)
	})
}

func TestCallersEndIsObeyedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, policy := range map[string]func(fx.Op[int], func(int)) fx.Op[int]{
			"Hedge":    func(op fx.Op[int], discard func(int)) fx.Op[int] { return fx.WithHedge(op, after1s(), discard) },
			"Detached": func(op fx.Op[int], discard func(int)) fx.Op[int] { return fx.Detached(op, discard) },
		} {
			late := 0
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(500*time.Millisecond, func() { cancel(errCause) })
			start := time.Now()
			_, err := policy(deaf(time.Minute, 7, nil), func(v int) { late += v })(ctx)
			assert.Equal(t, 500*time.Millisecond, time.Since(start), name)
			assert.ErrorIs(t, err, context.Canceled, name)
			assert.ErrorIs(t, err, errCause, name)
			assert.True(t, fx.MayBeDone(err), name)
			time.Sleep(time.Hour)
			synctest.Wait()
			assert.Equal(t, 7, late, name)
		}
	})
}

func TestErrorsOfCopiesReachACallerWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		op := fx.WithHedge(each(takes(2*time.Second, 0, errBoom), deaf(time.Minute, 1, nil)), after1s())
		_, err := op(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, errBoom)
		assert.ErrorContains(t, err, "a copy had failed")
		time.Sleep(time.Hour)
	})
}

func TestPanicOfACopyReachesTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := fx.WithHedge(each(takes(time.Minute, 1, nil), func(context.Context) (int, error) { panic("bad") }), after1s())
		assert.PanicsWithValue(t, "bad", func() { _, _ = op(t.Context()) })
		assert.Contains(t, journal.take(), "fx: panic on a goroutine of its own panic=bad stack=")

		late := fx.WithHedge(each(func(ctx context.Context) (int, error) { <-ctx.Done(); panic("late") }, fx.Value(2)), after1s())
		v, err := late(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, v)
		synctest.Wait()
		assert.Contains(t, journal.take(), "panic=late", "and it does not kill the process")

		h := after1s()
		h.OnHedge = func(context.Context, int) { panic("hook") }
		assert.PanicsWithValue(t, "hook", func() { _, _ = fx.WithHedge(takes(time.Minute, 1, nil), h)(t.Context()) })
	})
}

func TestDetachedGivesBackWhatItsOpDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, err := fx.Detached(takes(time.Second, 42, nil))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 42, v)
		_, err = fx.Detached(fx.Fail[int](errBoom))(t.Context())
		assert.Equal(t, errBoom, err)
		assert.PanicsWithValue(t, "bad", func() {
			_, _ = fx.Detached(func(context.Context) (int, error) { panic("bad") })(t.Context())
		})
		op := fx.WithTimeout(fx.Detached(deaf(time.Minute, 1, nil)), time.Second)
		_, err = op(t.Context())
		assert.EqualError(t, err, "fx: timeout after 1s: left running behind: context deadline exceeded: timeout")
		time.Sleep(time.Hour)
	})
}

func TestDiscardThatPanicsIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second := 0
		_, _ = fx.Detached(deaf(time.Minute, 7, nil), func(int) { panic("discard") }, func(v int) { second = v })(ctx)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Contains(t, journal.take(), "panic=discard")
		assert.Equal(t, 7, second)
	})
}

func TestHedgesStayWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		op := fx.WithHedge(counted(&calls, takes(10*time.Second, 1, nil)), after1s())
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { _, _ = op(t.Context()) })
		}
		wg.Wait()
		assert.EqualValues(t, 1000+100+10, calls.Load(), "10 %% and one a second over ten, though everything is slow")
	})
}

func TestHedgeTellsWhatItsCopiesCameTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := after1s()
		assert.Equal(t, fx.HedgeCounts{Delay: time.Second}, h.Counts())
		_, _ = fx.WithHedge(fx.Value(1), h)(t.Context())
		assert.Equal(t, fx.HedgeCounts{Delay: time.Second}, h.Counts(), "no copy, nothing counted")
		for _, op := range []fx.Op[int]{
			each(hang, fx.Value(2)),                                                             // won
			each(takes(2*time.Second, 1, nil), hang),                                            // overtaken
			each(takes(2*time.Second, 1, nil), fx.Fail[int](errBoom)),                           // failed
			each(takes(1500*time.Millisecond, 0, errBoom), takes(2*time.Second, 0, errCause)),   // failed last
			each(takes(2*time.Second, 1, nil), deaf(time.Hour, 2, nil)),                         // runs on
			each(takes(2*time.Second, 1, nil), func(context.Context) (int, error) { panic(1) }), // panicked
		} {
			func() {
				defer func() { _ = recover() }()
				_, _ = fx.WithHedge(op, h)(t.Context())
			}()
			synctest.Wait()
		}
		assert.Equal(t, fx.HedgeCounts{Started: 6, Won: 1, Wasted: 4, Delay: time.Second}, h.Counts())
		time.Sleep(2 * time.Hour)
		assert.Equal(t, fx.HedgeCounts{Started: 6, Won: 1, Wasted: 5, Delay: time.Second}, h.Counts(), "the late one has come")
		journal.take()
	})
}

func TestNothingIsHedgedBeforeTheLatencyIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hedges atomic.Int64
		h := &fx.Hedge{OnHedge: func(context.Context, int) { hedges.Add(1) }}
		slow := fx.WithHedge(takes(time.Minute, 1, nil), h)
		for range 50 {
			_, _ = slow(t.Context())
		}
		assert.Zero(t, hedges.Load())
		for range 20 {
			_, _ = fx.WithHedge(takes(2*time.Minute, 1, nil), h)(t.Context())
		}
		assert.Positive(t, hedges.Load())
	})
}

// tail draws the latency of a service with 2 % stragglers.
func tail(mu *sync.Mutex, rng *rand.Rand) time.Duration {
	mu.Lock()
	defer mu.Unlock()
	d := 10 * time.Millisecond * time.Duration(math.Exp(rng.NormFloat64()*0.3)*1000) / 1000
	if rng.Float64() < 0.02 {
		d += time.Duration(rng.ExpFloat64() * float64(200*time.Millisecond))
	}
	return d
}

func TestHedgeCutsTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		rng := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		var calls atomic.Int64
		op := counted(&calls, func(ctx context.Context) (int, error) { return takes(tail(&mu, rng), 1, nil)(ctx) })
		p99 := func(op fx.Op[int]) time.Duration {
			took := make([]time.Duration, n)
			for i := range took {
				start := time.Now()
				_, err := op(t.Context())
				require.NoError(t, err)
				took[i] = time.Since(start)
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
			slices.Sort(took)
			return took[n*99/100]
		}
		plain := p99(op)
		calls.Store(0)
		hedged := p99(fx.WithHedge(op, &fx.Hedge{Quantile: 0.95}))
		t.Logf("p99 %v without, %v with %.1f %% more calls", plain, hedged, float64(calls.Load()-n)/n*100)
		assert.LessOrEqual(t, 4*hedged, plain)
		assert.LessOrEqual(t, calls.Load(), int64(n+n*6/100))
	})
}

func TestEstimateFollowsLatencyUpAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var latency atomic.Int64
		latency.Store(int64(10 * time.Millisecond))
		var hedges atomic.Int64
		h := &fx.Hedge{Budget: &fx.Budget{Ratio: 10}, OnHedge: func(context.Context, int) { hedges.Add(1) }}
		op := fx.WithHedge(func(ctx context.Context) (int, error) { return takes(time.Duration(latency.Load()), 1, nil)(ctx) }, h)
		share := func(calls int) float64 {
			hedges.Store(0)
			for range calls {
				_, _ = op(t.Context())
			}
			return float64(hedges.Load()) / float64(calls)
		}
		share(1000)
		assert.InDelta(t, 0.05, share(1000), 0.01)
		latency.Store(int64(100 * time.Millisecond))
		share(100)
		assert.InDelta(t, 0.05, share(1000), 0.01, "ten times slower is the new normal")
		latency.Store(int64(10 * time.Millisecond))
		share(1500)
		assert.InDelta(t, 0.05, share(1000), 0.01, "and back")
	})
}

func TestHedgedCallsLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made, taken, discarded atomic.Int64
		rng := rand.New(rand.NewPCG(3, 4))
		var mu sync.Mutex
		h := &fx.Hedge{After: 5 * time.Millisecond, Max: 2, Budget: &fx.Budget{Ratio: 10}}
		op := fx.WithHedge(func(context.Context) (int, error) {
			mu.Lock()
			d := time.Duration(rng.IntN(30)) * time.Millisecond
			mu.Unlock()
			time.Sleep(d)
			made.Add(1)
			return 1, nil
		}, h, func(int) { discarded.Add(1) })
		var wg sync.WaitGroup
		for range 10_000 {
			wg.Go(func() {
				if _, err := op(t.Context()); err == nil {
					taken.Add(1)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		synctest.Wait() // and the bubble reports goroutines that are left
		assert.Greater(t, made.Load(), int64(11_000))
		assert.Equal(t, made.Load(), taken.Load()+discarded.Load(), "every value is taken or discarded, once")
	})
}

func TestAbsurdHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, h := range []*fx.Hedge{
			{After: -1}, {Max: -5}, {Quantile: nan}, {Quantile: 7}, {Quantile: -7}, {After: math.MaxInt64, Max: math.MaxInt},
		} {
			op := fx.WithHedge(takes(time.Second, 42, nil), h)
			for range 60 {
				v, err := op(t.Context())
				require.NoError(t, err)
				require.Equal(t, 42, v)
			}
		}
		time.Sleep(time.Minute)
	})
}

func TestGoexitOfACopyIsAGoexitHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		returned := false
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = fx.WithHedge(func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, after1s())(context.Background())
			returned = true
		})
		wg.Wait()
		assert.False(t, returned)
	})
}

// learned is a hedge that has seen 50 calls of one to fifty milliseconds, the slow ones first.
func learned(t *testing.T, h *fx.Hedge) *fx.Hedge {
	t.Helper()
	for i := range 50 {
		_, err := fx.WithHedge(takes(time.Duration(50-i)*time.Millisecond, 1, nil), h)(t.Context())
		require.NoError(t, err)
	}
	return h
}

func TestFirstEstimateIsTheQuantileOfTheFirstCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		later()
		for quantile, want := range map[float64]time.Duration{0: 48, 0.1: 26, 0.5: 26, 0.9: 46, 1: 50} {
			delay := learned(t, &fx.Hedge{Quantile: quantile}).Counts().Delay
			assert.InDelta(t, float64(want*time.Millisecond), float64(delay), 10, "%v", quantile)
		}
		assert.InDelta(t, float64(26*time.Millisecond), float64(learned(t, &fx.Hedge{Quantile: 0.5, After: 1}).Counts().Delay), 10)
		assert.Equal(t, time.Second, learned(t, &fx.Hedge{Quantile: 0.5, After: time.Second}).Counts().Delay, "After is the floor")
		assert.Equal(t, time.Second, learned(t, &fx.Hedge{After: time.Second}).Counts().Delay)
		assert.Equal(t, time.Millisecond, learned(t, &fx.Hedge{After: time.Millisecond}).Counts().Delay, "it is the whole rule")
	})
}

func TestEstimateRestsAtItsQuantile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, quantile := range []float64{0.5, 0.8, 0.95} {
			h := &fx.Hedge{Quantile: quantile, Budget: &fx.Budget{Ratio: -1, PerSecond: -1}}
			var sum time.Duration
			for i := range 6000 {
				_, err := fx.WithHedge(takes(time.Duration(1+i*37%100)*time.Millisecond, 1, nil), h)(t.Context())
				require.NoError(t, err)
				if i >= 3000 {
					sum += h.Counts().Delay
				}
			}
			assert.InDelta(t, quantile*100, float64(sum/3000)/float64(time.Millisecond), 5, "of 1 to 100 ms, each as often")
		}
	})
}

func TestAfterRulesUntilTheLatencyIsKnown(t *testing.T) {
	h := &fx.Hedge{After: time.Second, Quantile: 0.9}
	assert.Equal(t, time.Second, h.Counts().Delay)
}

func TestNegativeMaxStartsNoCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fx.Hedge{After: time.Second, Max: -1}
		assert.Zero(t, h.Counts().Delay)
		_, err := fx.WithHedge(takes(time.Minute, 1, nil), h)(t.Context())
		require.NoError(t, err)
		assert.Zero(t, h.Counts().Started)
	})
}

func TestCopyThatNeverAnswersRaisesTheEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := learned(t, &fx.Hedge{Budget: &fx.Budget{PerSecond: 1000}})
		before := h.Counts().Delay
		for range 20 {
			_, err := fx.WithHedge(each(deaf(time.Hour, 1, nil), takes(100*time.Millisecond, 2, nil)), h)(t.Context())
			require.NoError(t, err)
		}
		assert.Greater(t, h.Counts().Delay, 2*before)
		time.Sleep(2 * time.Hour)
	})
}

func TestHedgesShareTheirBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spare := &fx.Budget{Ratio: -1, PerSecond: 1}
		for range 20 {
			_, err := fx.WithHedge(takes(2*time.Millisecond, 1, nil), &fx.Hedge{After: time.Millisecond, Budget: spare})(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, fx.BudgetCounts{First: 20, Again: 10, Denied: 10}, spare.Counts())
	})
}

func TestCallerWhoLeavesAtTheStartStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		_, err := fx.WithHedge(counted(&calls, fx.Value(1)), after1s())(&departing{Context: dead()})
		assert.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		assert.Zero(t, calls.Load())
	})
}

// departing is a context that ends right after it was first asked.
type departing struct {
	context.Context
	asked atomic.Int64
}

func (d *departing) Err() error {
	if d.asked.Add(1) == 1 {
		return nil
	}
	return d.Context.Err()
}

func TestCopiesFollowOneAnotherAfterAWaitEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := &fx.Hedge{After: time.Second, Max: 3, Budget: &fx.Budget{PerSecond: 9}}
		h.OnHedge = func(_ context.Context, n int) { assert.Equal(t, time.Duration(n)*time.Second, time.Since(start)) }
		_, err := fx.WithHedge(takes(time.Minute, 1, nil), h)(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 3, h.Counts().Started)
	})
}

func TestAfterHedgesUntilTheLatencyIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fx.Hedge{After: time.Second, Quantile: 0.9}
		_, err := fx.WithHedge(takes(time.Minute, 1, nil), h)(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, h.Counts().Started)
	})
}

func TestCallersWhoLeaveEarlyDoNotLowerTheEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := learned(t, &fx.Hedge{Quantile: 0.5})
		before := h.Counts().Delay
		for range 50 {
			_, err := fx.WithTimeout(fx.WithHedge(hang, h), time.Millisecond)(t.Context())
			require.Error(t, err)
		}
		synctest.Wait()
		assert.Equal(t, before, h.Counts().Delay)
	})
}

func TestFailedCopyIsNotDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		discard := func(int) { t.Error("there is no value") }
		_, err := fx.WithHedge(takes(2*time.Second, 0, errBoom), after1s(), discard)(t.Context())
		assert.ErrorIs(t, err, errBoom)
	})
}
