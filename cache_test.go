package fx_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
)

func TestRememberAndRecall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{}
		_, err := c.Recall("a")(t.Context())
		assert.ErrorIs(t, err, fx.ErrMiss)

		v, err := fx.Remember(fx.Value(7), c, "a")(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 7, v)
		_, err = fx.Remember(fx.Fail[int](errBoom), c, "a")(t.Context())
		assert.Equal(t, errBoom, err, "failures pass, and are not remembered")

		time.Sleep(time.Minute)
		r, err := fx.WithDegraded(fx.Remember(fx.Fail[int](errBoom), c, "a"), c.Recall("a"))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 7, Degraded: true, Age: time.Minute, Cause: errBoom}, r)

		time.Sleep(59 * time.Minute)
		_, err = c.Recall("a")(t.Context())
		assert.ErrorIs(t, err, fx.ErrMiss, "an hour is the end")
	})
}

func TestOldestPartTellsTheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{}
		_, _ = fx.Remember(fx.Value(1), c, "old")(t.Context())
		time.Sleep(time.Minute)
		_, _ = fx.Remember(fx.Value(2), c, "young")(t.Context())
		time.Sleep(time.Second)
		down := fx.Fail[int](errBoom)
		page := fx.Zip(fx.WithFallback(down, c.Recall("young")), fx.WithFallback(down, c.Recall("old")),
			func(a, b int) (int, error) { return a + b, nil })
		r, err := fx.WithDegraded(page)(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 3, r.Value)
		assert.Equal(t, time.Minute+time.Second, r.Age)
		assert.True(t, r.Degraded)

		aged := fx.Then(c.Recall("old"), func(context.Context, int) (int, error) { return 0, errCause })
		r, err = fx.WithDegraded(down, aged, fx.Value(9))(t.Context())
		require.NoError(t, err)
		assert.Zero(t, r.Age, "an alternative that failed does not make the next one old")
	})
}

func TestFreshValueIsServedWithoutACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		c := &fx.Cache[string, int]{Fresh: time.Minute}
		op := fx.WithCache(counted(&calls, fx.Value(7)), c, "a")
		for range 60 {
			r, err := op(t.Context())
			require.NoError(t, err)
			assert.Equal(t, 7, r.Value)
			assert.False(t, r.Degraded)
			time.Sleep(time.Second - time.Millisecond)
		}
		assert.EqualValues(t, 1, calls.Load())
	})
}

func TestStaleValueIsServedAtOnceWhileOneRefreshRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		c := &fx.Cache[string, int]{Fresh: time.Minute}
		op := fx.WithCache(counted(&calls, func(ctx context.Context) (int, error) {
			return takes(time.Second, int(calls.Load()), nil)(ctx)
		}), c, "a")
		_, _ = op(t.Context())
		time.Sleep(2 * time.Minute)
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		for range 100 {
			r, err := op(ctx)
			require.NoError(t, err)
			assert.Equal(t, fx.Result[int]{Value: 1, Age: 2 * time.Minute}, r)
		}
		cancel() // the refresh does not care
		assert.Zero(t, time.Since(start), "callers never wait")
		time.Sleep(1500 * time.Millisecond)
		r, _ := op(t.Context())
		assert.Equal(t, fx.Result[int]{Value: 2, Age: 500 * time.Millisecond}, r)
		assert.EqualValues(t, 2, calls.Load())
	})
}

func TestFailedRefreshSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{Fresh: time.Minute}
		ends := inTurn(nil, errBoom, nil)
		op := fx.WithCache(ends, c, "a")
		_, _ = op(t.Context())
		time.Sleep(2 * time.Minute)
		_, _ = op(t.Context())
		synctest.Wait()
		r, err := op(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 42, Degraded: true, Age: 2 * time.Minute, Cause: errBoom}, r)
		synctest.Wait()
		r, _ = op(t.Context())
		assert.Equal(t, fx.Result[int]{Value: 42}, r, "well again by itself")
	})
}

func TestRefreshThatPanicsOrHangsHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{Fresh: time.Minute}
		var calls atomic.Int64
		release := make(chan struct{})
		op := fx.WithCache(counted(&calls, each(
			fx.Value(1),
			func(context.Context) (int, error) { panic("refresh") },
			func(context.Context) (int, error) { <-release; return 3, nil }, // obeys nothing
			fx.Value(4),
		)), c, "a")
		_, _ = op(t.Context())
		time.Sleep(2 * time.Minute)
		_, _ = op(t.Context())
		synctest.Wait()
		assert.Contains(t, journal.take(), "panic=refresh")
		r, err := op(t.Context())
		require.NoError(t, err)
		assert.True(t, r.Degraded)
		assert.Equal(t, fx.ErrNoReturn, r.Cause)
		time.Sleep(30*time.Second + 1)
		_, _ = op(t.Context())
		synctest.Wait()
		assert.EqualValues(t, 4, calls.Load(), "after 30 s it is given up")
		close(release)
		synctest.Wait()
	})
}

func TestColdKeyMakesOneCallForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		op := fx.WithCache(counted(&calls, takes(time.Second, 7, nil)), &fx.Cache[string, int]{}, "a")
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				r, err := op(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, fx.Result[int]{Value: 7}, r)
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, calls.Load())
	})
}

func TestWaiterWhoLeavesDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended error
		op := fx.WithCache(func(ctx context.Context) (int, error) {
			v, err := takes(10*time.Second, 7, nil)(ctx)
			ended = ctx.Err()
			return v, err
		}, &fx.Cache[string, int]{}, "a")
		first, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			start := time.Now()
			_, err := op(first)
			assert.Equal(t, time.Second, time.Since(start))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorIs(t, err, errCause)
		})
		synctest.Wait()
		r, err := op(t.Context())
		require.NoError(t, err, "the first to come has left, and the call goes on")
		assert.Equal(t, 7, r.Value)
		assert.NoError(t, ended)
		wg.Wait()
	})
}

func TestCallEndsWhenTheLastHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		ended := make(chan time.Time, 1)
		c := &fx.Cache[string, int]{}
		op := fx.WithCache(each(func(ctx context.Context) (int, error) {
			<-ctx.Done()
			ended <- time.Now()
			time.Sleep(time.Hour) // slow to obey
			return 0, ctx.Err()
		}, counted(&calls, fx.Value(2))), c, "a")
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				_, err := op(ctx)
				assert.Error(t, err)
			})
		}
		wg.Wait()
		assert.Equal(t, 3*time.Second, (<-ended).Sub(start))
		r, err := op(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, r.Value, "the next caller starts afresh")
		time.Sleep(2 * time.Hour)
	})
}

func TestFailureAndPanicReachAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{}
		var wg sync.WaitGroup
		fails := fx.WithCache(takes(time.Second, 0, errBoom), c, "a")
		panics := fx.WithCache(func(context.Context) (int, error) { time.Sleep(time.Second); panic("bad") }, c, "b")
		exits := fx.WithCache(func(context.Context) (int, error) { time.Sleep(time.Second); runtime.Goexit(); return 0, nil }, c, "c")
		for range 10 {
			wg.Go(func() { _, err := fails(t.Context()); assert.Equal(t, errBoom, err) })
			wg.Go(func() { assert.PanicsWithValue(t, "bad", func() { _, _ = panics(t.Context()) }) })
			wg.Go(func() { _, _ = exits(context.Background()); t.Error("returned") })
		}
		wg.Wait()
	})
}

func TestSecondBestIsServedButNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{Fresh: time.Hour}
		op := fx.WithCache(fx.WithFallback(inTurn(errBoom, nil), fx.Value(1)), c, "a")
		r, err := op(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 1, Degraded: true, Cause: errBoom}, r)
		r, err = op(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 42}, r)
	})
}

func TestCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	c := &fx.Cache[int, int]{Size: 3}
	remember := func(k int) { _, _ = fx.Remember(fx.Value(k), c, k)(t.Context()) }
	for k := range 3 {
		remember(k)
	}
	_, err := c.Recall(0)(t.Context())
	require.NoError(t, err)
	remember(3)
	for k, kept := range map[int]bool{0: true, 1: false, 2: true, 3: true} {
		_, err := c.Recall(k)(t.Context())
		assert.Equal(t, kept, err == nil, k)
	}
	one := &fx.Cache[int, int]{Size: -5, Stale: -5, Fresh: -5}
	_, _ = fx.Remember(fx.Value(1), one, 1)(t.Context())
	_, err = one.Recall(1)(t.Context())
	assert.ErrorIs(t, err, fx.ErrMiss, "a value is kept for no time at all")
}

func TestCacheOfOneKeepsOne(t *testing.T) {
	for _, size := range []int{1, -5} {
		c := &fx.Cache[int, int]{Size: size}
		for k := range 3 {
			_, _ = fx.Remember(fx.Value(k), c, k)(t.Context())
			assert.Equal(t, 1, c.Counts().Entries)
		}
		v, err := c.Recall(2)(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, v, "the latest")
	}
}

func TestManyKeysStayWithinSize(t *testing.T) {
	c := &fx.Cache[int, int]{Size: 1000}
	n := 10_000_000
	if testing.Short() || raceEnabled {
		n = 100_000
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for k := range n {
		_, _ = fx.Remember(fx.Value(k), c, k)(context.Background())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))
	_, err := c.Recall(n - 1000)(t.Context())
	assert.NoError(t, err)
	_, err = c.Recall(n - 1001)(t.Context())
	assert.ErrorIs(t, err, fx.ErrMiss)
}

// shelf is a Store that can be made to fail, hang or panic.
type shelf struct {
	mu     sync.Mutex
	values map[string]int
	at     map[string]time.Time
	sick   func() error
	gets   atomic.Int64
	sets   atomic.Int64
}

func (s *shelf) Get(_ context.Context, key string) (int, time.Duration, error) {
	s.gets.Add(1)
	if s.sick != nil {
		if err := s.sick(); err != nil {
			return 0, 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok {
		return 0, 0, fmt.Errorf("shelf: %w", fx.ErrMiss)
	}
	return v, time.Since(s.at[key]), nil
}

func (s *shelf) Set(_ context.Context, key string, v int, ttl time.Duration) error {
	s.sets.Add(1)
	if s.sick != nil {
		if err := s.sick(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values, s.at = map[string]int{}, map[string]time.Time{}
	}
	s.values[key], s.at[key] = v, time.Now()
	return nil
}

func TestStoreIsSharedAndKeepsTheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		one, two := &fx.Cache[string, int]{Store: s}, &fx.Cache[string, int]{Store: s, Fresh: time.Hour}
		_, _ = fx.Remember(fx.Value(7), one, "a")(t.Context())
		synctest.Wait() // written behind the answer
		time.Sleep(time.Minute)
		r, err := fx.WithDegraded(fx.Fail[int](errBoom), two.Recall("a"))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 7, Degraded: true, Age: time.Minute, Cause: errBoom}, r)
		_, _ = two.Recall("a")(t.Context())
		assert.EqualValues(t, 1, s.gets.Load(), "from then on it is in memory")

		three := &fx.Cache[string, int]{Store: s, Fresh: time.Hour}
		r, err = fx.WithCache(fx.Fail[int](errBoom), three, "a")(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 7, Age: time.Minute}, r, "another has made the call already")
	})
}

func TestCacheTellsWhatItHasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		c := &fx.Cache[string, int]{Store: s, Size: 2}
		_, _ = c.Recall("a")(t.Context())
		assert.Equal(t, fx.CacheCounts{Misses: 1}, c.Counts())
		_, _ = fx.Remember(fx.Value(7), c, "a")(t.Context())
		_, _ = c.Recall("a")(t.Context())
		_, _ = fx.WithCache(fx.Value(7), c, "a")(t.Context())
		synctest.Wait()
		assert.Equal(t, fx.CacheCounts{Entries: 1, Hits: 2, Misses: 1}, c.Counts())
		for _, key := range []string{"b", "c"} {
			_, _ = fx.Remember(fx.Value(8), c, key)(t.Context())
		}
		synctest.Wait()
		_, _ = c.Recall("a")(t.Context())
		assert.Equal(t, fx.CacheCounts{Entries: 2, Hits: 2, Misses: 2, Fetched: 1}, c.Counts(), "a had made room, and the store had it")
		time.Sleep(2 * time.Hour)
		_, _ = c.Recall("a")(t.Context())
		assert.Equal(t, fx.CacheCounts{Entries: 1, Hits: 2, Misses: 3, Fetched: 1}, c.Counts(), "too old is not there")

		sick := &fx.Cache[string, int]{Store: &shelf{sick: func() error { return errBoom }}}
		_, _ = sick.Recall("a")(t.Context())
		assert.Equal(t, fx.CacheCounts{Misses: 1, Errs: 1}, sick.Counts())
	})
}

func TestResultTellsItsQuality(t *testing.T) {
	r := fx.Result[int]{Value: 7, Degraded: true, Age: time.Minute, Cause: errBoom}
	degraded, age, cause := r.Quality()
	assert.Equal(t, fx.Result[int]{Value: 7, Degraded: degraded, Age: age, Cause: cause}, r)
}

func TestSickStoreNeitherFailsNorDelaysACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		for name, sick := range map[string]func() error{
			"fails":  func() error { return errBoom },
			"hangs":  func() error { <-release; return errBoom }, // obeys no context, as some clients do
			"panics": func() error { panic("store") },
		} {
			var heard atomic.Int64
			s := &shelf{sick: sick}
			c := &fx.Cache[string, int]{Store: s, OnErr: func(context.Context, error) { heard.Add(1) }}
			start := time.Now()
			for k := range 100 {
				v, err := fx.Remember(fx.Value(7), c, strconv.Itoa(k))(t.Context())
				require.NoError(t, err, name)
				assert.Equal(t, 7, v)
			}
			assert.Zero(t, time.Since(start), name)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if name == "hangs" {
				assert.EqualValues(t, 16, s.sets.Load(), "a bounded number at a time")
			}
			assert.EqualValues(t, 100, heard.Load(), "%s: and of each it is told", name)
			start = time.Now()
			for k := range 100 {
				r, err := fx.WithCache(fx.Value(8), c, "cold"+strconv.Itoa(k))(t.Context())
				require.NoError(t, err, name)
				assert.Equal(t, 8, r.Value)
			}
			assert.LessOrEqual(t, time.Since(start), 500*time.Millisecond, "%s: five tries, then it is left alone", name)
			_, err := c.Recall("nothing")(t.Context())
			assert.ErrorIs(t, err, fx.ErrMiss, name)
		}
		close(release)
	})
}

func TestRecallIsForTheLiving(t *testing.T) {
	c := &fx.Cache[string, int]{OnErr: func(context.Context, error) { t.Error("there is no store") }}
	_, err := c.Recall("a")(t.Context())
	assert.Equal(t, fx.ErrMiss, err)
	_, _ = fx.Remember(fx.Value(7), c, "a")(t.Context())
	_, err = c.Recall("a")(dead())
	assert.ErrorIs(t, err, errCause)
}

func TestValueIsFreshForLessThanFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fresh := range []time.Duration{0, time.Minute} {
			var calls atomic.Int64
			op := fx.WithCache(counted(&calls, fx.Value(7)), &fx.Cache[string, int]{Fresh: fresh}, "a")
			_, _ = op(t.Context())
			time.Sleep(fresh)
			_, _ = op(t.Context())
			synctest.Wait()
			assert.EqualValues(t, 2, calls.Load(), "%v", fresh)
		}
	})
}

func TestWrittenAgainIsUsed(t *testing.T) {
	c := &fx.Cache[string, int]{Size: 2}
	for _, key := range []string{"a", "b", "a", "c"} {
		_, _ = fx.Remember(fx.Value(7), c, key)(t.Context())
	}
	_, err := c.Recall("a")(t.Context())
	assert.NoError(t, err)
	_, err = c.Recall("b")(t.Context())
	assert.ErrorIs(t, err, fx.ErrMiss)
}

func TestCacheInsideIsHeardOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{Fresh: time.Minute}
		ends := each(fx.Value(7), fx.Fail[int](errBoom))
		page := fx.WithDegraded(valueOf(fx.WithCache(ends, c, "a")))
		_, _ = page(t.Context())
		time.Sleep(time.Hour - 2*time.Second)
		r, err := page(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 7, Age: time.Hour - 2*time.Second}, r)
		time.Sleep(time.Second)
		r, err = page(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 7, Degraded: true, Age: time.Hour - time.Second, Cause: errBoom}, r)

		cold := fx.WithCache(fx.WithFallback(fx.Fail[int](errBoom), fx.Value(8)), c, "b")
		r, err = fx.WithDegraded(valueOf(cold))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fx.Result[int]{Value: 8, Degraded: true, Cause: errBoom}, r)
	})
}

// A cupboard is a store of one value, of an age that it claims.
type cupboard struct {
	age  time.Duration
	err  error
	gets atomic.Int64
	sets atomic.Int64
	ttl  atomic.Int64
}

func (c *cupboard) Get(context.Context, string) (int, time.Duration, error) {
	c.gets.Add(1)
	return 7, c.age, c.err
}

func (c *cupboard) Set(ctx context.Context, _ string, _ int, ttl time.Duration) error {
	c.sets.Add(1)
	c.ttl.Store(int64(ttl))
	return ctx.Err()
}

func TestStoreIsAskedForWhatIsNotTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for age, want := range map[time.Duration]error{time.Hour - 1: nil, time.Hour: fx.ErrMiss} {
			c := &fx.Cache[string, int]{Store: &cupboard{age: age}}
			_, err := c.Recall("a")(t.Context())
			assert.Equal(t, want, err, "%v", age)
		}
		ahead := &fx.Cache[string, int]{Store: &cupboard{age: -time.Hour}}
		r, err := fx.WithDegraded(ahead.Recall("a"))(t.Context())
		require.NoError(t, err)
		assert.Zero(t, r.Age)
		time.Sleep(time.Hour)
		ahead.Store.(*cupboard).err = fx.ErrMiss
		_, err = ahead.Recall("a")(t.Context())
		assert.ErrorIs(t, err, fx.ErrMiss, "a clock ahead makes no value live longer")
	})
}

func TestColdKeyThatTheStoreMissesIsCalledFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cupboard{err: fmt.Errorf("cupboard: %w", fx.ErrMiss)}
		c := &fx.Cache[string, int]{Store: store, OnErr: func(_ context.Context, err error) { t.Error(err) }}
		for key := range 20 { // misses are answers, so the store is asked each time
			r, err := fx.WithCache(fx.Value(8), c, fmt.Sprint(key))(t.Context())
			require.NoError(t, err)
			assert.Equal(t, fx.Result[int]{Value: 8}, r)
			synctest.Wait()
		}
		assert.EqualValues(t, 20, store.gets.Load())
	})
}

func TestStoreIsWrittenAsOftenAsThereIsAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cupboard{err: fx.ErrMiss}
		c := &fx.Cache[string, int]{Store: store, Stale: time.Minute, OnErr: func(_ context.Context, err error) { t.Error(err) }}
		for range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			_, _ = fx.Remember(fx.Value(7), c, "a")(ctx)
			cancel() // the write does not care
			synctest.Wait()
		}
		assert.EqualValues(t, 50, store.sets.Load())
		assert.EqualValues(t, time.Minute, store.ttl.Load())
	})
}

func TestPanicOfAStoreIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{Store: &shelf{sick: func() error { panic("store") }}}
		journal.take()
		_, err := c.Recall("a")(t.Context())
		assert.ErrorIs(t, err, fx.ErrMiss)
		assert.Contains(t, journal.take(), "panic=store")
	})
}

func TestOldestOfPartsInTurnTellsTheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{}
		_, _ = fx.Remember(fx.Value(1), c, "old")(t.Context())
		time.Sleep(time.Minute)
		_, _ = fx.Remember(fx.Value(2), c, "young")(t.Context())
		r, err := fx.WithDegraded(fx.Then(c.Recall("old"), func(ctx context.Context, _ int) (int, error) {
			return c.Recall("young")(ctx)
		}))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, time.Minute, r.Age)
	})
}

func TestZeroCacheKeepsAThousand(t *testing.T) {
	c := &fx.Cache[int, int]{}
	for key := range 1001 {
		_, _ = fx.Remember(fx.Value(key), c, key)(t.Context())
	}
	assert.Equal(t, 1000, c.Counts().Entries)
}

func TestFreshOutlastsAShorterStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		op := fx.WithCache(counted(&calls, fx.Value(7)), &fx.Cache[string, int]{Fresh: 2 * time.Hour}, "a")
		_, _ = op(t.Context())
		time.Sleep(90 * time.Minute)
		_, _ = op(t.Context())
		assert.EqualValues(t, 1, calls.Load())
	})
}

func TestValueFromTheStoreAgesInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fx.Cache[string, int]{Store: &cupboard{age: time.Minute}}
		_, _ = c.Recall("a")(t.Context())
		time.Sleep(time.Second)
		r, err := fx.WithDegraded(c.Recall("a"))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, time.Minute+time.Second, r.Age)
	})
}

func TestEndOfAnAbandonedCallLeavesTheNextAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		op := fx.WithCache(counted(&calls, each(deaf(2*time.Second, 1, errBoom), deaf(time.Minute, 2, nil))), &fx.Cache[string, int]{}, "a")
		_, err := fx.WithTimeout(op, time.Second)(t.Context())
		require.ErrorIs(t, err, fx.ErrTimeout)
		go func() { _, _ = op(t.Context()) }()
		time.Sleep(5 * time.Second) // the first call has ended by now
		_, err = op(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 2, calls.Load())
	})
}

func TestStoreThatFailsIsLeftAloneForTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		store := &cupboard{err: errBoom}
		c := &fx.Cache[string, int]{Store: store, OnErr: func(_ context.Context, err error) { said = append(said, err.Error()) }}
		for n := range 100 {
			_, err := c.Recall("a")(t.Context())
			assert.ErrorIs(t, err, fx.ErrMiss)
			why := errBoom
			if n >= 5 {
				why = fx.ErrOpen
			}
			assert.ErrorIs(t, err, why, "and it says why")
			time.Sleep(50 * time.Millisecond)
		}
		assert.EqualValues(t, 5, store.gets.Load())
		assert.Equal(t, "boom", said[4])
		assert.True(t, strings.HasPrefix(said[5], `fx: circuit breaker "cache store" is open`), said[5])
		time.Sleep(10 * time.Second)
		_, _ = c.Recall("a")(t.Context())
		assert.EqualValues(t, 6, store.gets.Load(), "then it is asked again")
	})
}

func TestPartsTellTheirAgeAtOnce(t *testing.T) {
	c := &fx.Cache[int, int]{}
	for k := range 8 {
		_, err := fx.Remember(fx.Value(k), c, k)(t.Context())
		require.NoError(t, err)
	}
	for range 100 {
		parts := make([]fx.Op[int], 8)
		for k := range parts {
			parts[k] = fx.WithFallback(fx.Fail[int](errBoom), c.Recall(k))
		}
		r, err := fx.WithDegraded(fx.All(parts...))(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, r.Value)
		assert.True(t, r.Degraded)
		assert.Equal(t, 8, strings.Count(r.Cause.Error(), "boom"))

		for k := range parts {
			parts[k] = c.Recall(k)
		}
		_, err = fx.WithDegraded(fx.All(parts...))(t.Context())
		require.NoError(t, err)
	}
}

func TestManyRecallAtOnce(t *testing.T) {
	c := &fx.Cache[int, int]{Size: 4}
	for k := range 4 {
		_, err := fx.Remember(fx.Value(k), c, k)(t.Context())
		require.NoError(t, err)
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 100 {
				v, err := c.Recall((g + i) % 4)(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, (g+i)%4, v)
			}
		})
	}
	all.Wait()
	assert.Equal(t, 800, c.Counts().Hits)
}
