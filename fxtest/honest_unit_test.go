package fxtest_test

import (
	"context"
	"errors"
	"fmt"
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

var errDown = errors.New("down")

// bubbled runs f for each suspect in a bubble of its own, and lets what f has left behind run out.
func bubbled(t *testing.T, suspects []suspect, f func(t *testing.T, s suspect)) {
	for _, s := range suspects {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f(t, s)
				time.Sleep(time.Hour)
			})
		})
	}
}

// endOf calls op on a goroutine of its own and returns how that ended.
func endOf(ctx context.Context, op fx.Op[int]) ending {
	ends := make(chan ending, 1)
	go elsewhere(ctx, op, ends)
	return <-ends
}

func TestEachBrokenPolicyServesAHealthyCall(t *testing.T) {
	names := map[string]bool{}
	bubbled(t, broken, func(t *testing.T, s suspect) {
		assert.False(t, names[s.name], "two of this name")
		names[s.name] = true
		assert.NotEmpty(t, s.seen)
		if s.name == "refills by a ticker that nobody stops" {
			t.Skip("its goroutine outlives the bubble")
		}
		op := s.policy(fx.Value(42))
		for range 3 {
			v, err := op(t.Context())
			assert.NoError(t, err)
			assert.Equal(t, 42, v)
			time.Sleep(time.Hour)
		}
	})
}

func TestHonestPolicyGivesBackWhatOpDoes(t *testing.T) {
	bubbled(t, honest, func(t *testing.T, s suspect) {
		start := time.Now()
		v, err := s.policy(fx.Value(42))(t.Context())
		assert.NoError(t, err)
		assert.Equal(t, 42, v)
		if s.name != "a delay put in on purpose" {
			assert.Zero(t, time.Since(start))
		}
		v, err = s.policy(fx.Fail[int](errDown))(t.Context())
		switch s.name {
		case "default value":
			assert.NoError(t, err)
			assert.Equal(t, -1, v)
		case "translation of errors":
			assert.ErrorIs(t, err, errGivenUp)
		default:
			assert.ErrorIs(t, err, errDown)
		}
	})
}

func TestHonestPolicyLetsPanicAndGoexitThrough(t *testing.T) {
	bubbled(t, honest, func(t *testing.T, s suspect) {
		value := &struct{ int }{1}
		op := s.policy((&fxtest.Script[int]{Turns: []fxtest.Turn[int]{{Panic: value}}}).Op)
		for range 3 {
			e := endOf(t.Context(), op)
			if s.name == "recover" {
				assert.ErrorIs(t, e.err, errPanicked)
			} else {
				assert.Same(t, value, e.panicked)
			}
			time.Sleep(24 * time.Hour)
		}
		op = s.policy((&fxtest.Script[int]{Turns: []fxtest.Turn[int]{{Goexit: true}}}).Op)
		for range 3 {
			assert.True(t, endOf(t.Context(), op).exited)
			time.Sleep(24 * time.Hour)
		}
	})
}

func TestHonestPolicyObeysItsCaller(t *testing.T) {
	cause := errors.New("the user went away")
	bubbled(t, honest, func(t *testing.T, s suspect) {
		op := s.policy((&fxtest.Script[int]{Turns: []fxtest.Turn[int]{{Take: time.Minute}}}).Op)
		for range 5 {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			start := time.Now()
			_, err := op(ctx)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, time.Second, time.Since(start))
			_, err = s.policy(func(ctx context.Context) (int, error) { return 0, fmt.Errorf("%w: %w", ctx.Err(), context.Cause(ctx)) })(ctx)
			assert.ErrorIs(t, err, context.Canceled)
			assert.ErrorIs(t, err, cause)
			time.Sleep(24 * time.Hour)
		}
		v, err := s.policy(fx.Value(1))(t.Context())
		assert.NoError(t, err, "nothing is left of those who went away")
		assert.Equal(t, 1, v)
	})
}

// began tells when each of n callers, who come a nanosecond apart, gets into op; -1 means never.
func began(policy func(fx.Op[int]) fx.Op[int], n int, ctx func(i int) context.Context) []time.Duration {
	type index struct{}
	start, at := time.Now(), make([]time.Duration, n)
	op := policy(func(ctx context.Context) (int, error) {
		at[ctx.Value(index{}).(int)] = time.Since(start).Truncate(time.Millisecond)
		return 0, nil
	})
	var wg sync.WaitGroup
	for i := range n {
		at[i] = -1
		wg.Go(func() { _, _ = op(context.WithValue(ctx(i), index{}, i)) })
		time.Sleep(time.Nanosecond)
	}
	wg.Wait()
	return at
}

func TestTokenBucketIsOnTime(t *testing.T) {
	bubbled(t, honestLimits[:3], func(t *testing.T, s suspect) {
		var applied fx.Op[int]
		var inner fx.Op[int]
		once := func(op fx.Op[int]) fx.Op[int] { // the same bucket in every round
			if inner = op; applied == nil {
				applied = s.policy(func(ctx context.Context) (int, error) { return inner(ctx) })
			}
			return applied
		}
		for range 2 {
			want := []time.Duration{0, 0, 0, time.Second, 2 * time.Second, 3 * time.Second}
			if s.name == "token bucket that refuses" {
				want = []time.Duration{0, 0, 0, -1, -1, -1}
			}
			assert.Equal(t, want, began(once, 6, func(int) context.Context { return t.Context() }))
			time.Sleep(time.Hour)
		}
	})
}

func TestWhoLeavesTheQueueTakesNoToken(t *testing.T) {
	bubbled(t, honestLimits[:1], func(t *testing.T, s suspect) {
		hasty, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		dead, die := context.WithCancel(t.Context())
		die()
		got := began(s.policy, 7, func(i int) context.Context {
			return []context.Context{dead, t.Context(), t.Context(), t.Context(), hasty, hasty, t.Context()}[i]
		})
		assert.Equal(t, []time.Duration{-1, 0, 0, 0, -1, -1, time.Second}, got)
	})
}

func TestTenantsDoNotStopEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenants := &Tenants{Max: 2}
		of := func(name string) context.Context { return context.WithValue(t.Context(), tenantKey{}, name) }
		bad := WithTenants(fx.Fail[int](errDown), tenants)
		for range 5 {
			_, err := bad(of("a"))
			assert.ErrorIs(t, err, errDown)
		}
		_, err := bad(of("a"))
		assert.ErrorIs(t, err, fx.ErrOpen)
		_, err = bad(of("b"))
		assert.ErrorIs(t, err, errDown)
		for i := range 10 {
			_, _ = bad(of(string(rune('c' + i))))
			assert.Len(t, tenants.breakers, 2)
		}
	})
}

func TestFlightServesAllAndOutlivesWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := &fxtest.Script[int]{Turns: []fxtest.Turn[int]{{Value: 1, Take: time.Second}, {Value: 2, Take: time.Second}}}
		op := new(Flights[int]).Collapse(script.Op)
		first, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second/2, leave)
		ends := make(chan ending, 3)
		go elsewhere(first, op, ends)
		time.Sleep(time.Nanosecond)
		go elsewhere(t.Context(), op, ends)
		require.ErrorIs(t, (<-ends).err, context.Canceled)
		go elsewhere(t.Context(), op, ends)
		for range 2 {
			assert.Equal(t, ending{v: 1}, <-ends)
		}
		assert.Equal(t, 1, script.Calls())
		v, err := op(t.Context())
		assert.NoError(t, err)
		assert.Equal(t, 2, v)
	})
}

func TestFlightEndsWithTheLastWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan error, 1)
		op := new(Flights[int]).Collapse(func(ctx context.Context) (int, error) {
			select {
			case <-ctx.Done():
				told <- ctx.Err()
				time.Sleep(time.Minute) // and is slow to go
				return 0, ctx.Err()
			case <-time.After(time.Second):
				return 1, nil
			}
		})
		hasty, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := op(hasty)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, <-told, context.Canceled)
		v, err := op(t.Context())
		assert.NoError(t, err, "who comes then starts another")
		assert.Equal(t, 1, v)
		time.Sleep(time.Hour)
	})
}

func TestFlightTellsAllOfPanicAndGoexit(t *testing.T) {
	for _, turn := range []fxtest.Turn[int]{{Panic: "boom", Take: time.Second}, {Goexit: true, Take: time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			op := new(Flights[int]).Collapse((&fxtest.Script[int]{Turns: []fxtest.Turn[int]{turn}}).Op)
			ends := make(chan ending, 3)
			for range 3 {
				go elsewhere(t.Context(), op, ends)
			}
			for range 3 {
				e := <-ends
				assert.Equal(t, turn.Panic, e.panicked)
				assert.Equal(t, turn.Goexit, e.exited)
			}
		})
	}
}

func TestLimitFollowsWhatTheDependencyBears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &aimd{limit: 10}
		fail, work := a.guard(fx.Fail[int](errDown)), a.guard(fx.Value(1))
		for _, want := range []int{5, 2, 1, 1} {
			_, err := fail(t.Context())
			assert.ErrorIs(t, err, errDown)
			assert.Equal(t, want, a.limit)
		}
		for range 30 {
			_, err := work(t.Context())
			assert.NoError(t, err)
		}
		assert.Equal(t, 20, a.limit)
		assert.Zero(t, a.running)
	})
}

func TestResultCacheKeepsSuccessesForAMinute(t *testing.T) {
	i := slices.IndexFunc(honest, func(s suspect) bool { return s.name == "result cache" })
	synctest.Test(t, func(t *testing.T) {
		script := &fxtest.Script[int]{Turns: []fxtest.Turn[int]{{Err: errDown}, {Value: 1}, {Value: 2}}}
		op := honest[i].policy(script.Op)
		_, err := op(t.Context())
		assert.ErrorIs(t, err, errDown)
		for _, want := range []int{1, 1, 2} {
			v, err := op(t.Context())
			assert.NoError(t, err)
			assert.Equal(t, want, v)
			time.Sleep(31 * time.Second)
		}
		assert.Equal(t, 3, script.Calls())
	})
}
