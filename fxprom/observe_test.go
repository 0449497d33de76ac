package fxprom_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxprom"
	"example.com/fx/fxtest"
)

var errBoom = errors.New("boom")

// registry is a fresh Metrics, registered.
func registry(t testing.TB) (*fxprom.Metrics, *prometheus.Registry) {
	m, r := &fxprom.Metrics{}, prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(m))
	return m, r
}

// value is that of the series with these labels, in the order of the table. It fails if there is no such series.
func value(t testing.TB, r *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got := map[string]bool{}
			for _, l := range m.GetLabel() {
				got[l.GetValue()] = true
			}
			all := len(got) == len(labels)
			for _, l := range labels {
				all = all && got[l]
			}
			switch {
			case !all:
			case f.GetName() == name && m.GetCounter() != nil:
				return m.GetCounter().GetValue()
			case f.GetName() == name && m.GetGauge() != nil:
				return m.GetGauge().GetValue()
			case f.GetName()+"_count" == name && m.GetHistogram() != nil:
				return float64(m.GetHistogram().GetSampleCount())
			case f.GetName()+"_sum" == name && m.GetHistogram() != nil:
				return m.GetHistogram().GetSampleSum()
			}
		}
	}
	require.Failf(t, "no such series", "%s%v", name, labels)
	return 0
}

func TestObserveKeepsTheLaws(t *testing.T) {
	fxtest.Check(t, func(op fx.Op[int]) fx.Op[int] { return fxprom.Observe(op, "users", &fxprom.Metrics{}) })
}

func TestEveryOutcomeIsCounted(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	full := &fx.Bulkhead{Limit: 1}
	require.NoError(t, full.Acquire(t.Context()))
	closed := &fx.Bulkhead{}
	require.NoError(t, closed.Close(t.Context()))
	open := &fx.Breaker{Name: "open"}
	open.Force(fx.StateOpen)
	fails := fx.Fail[int](errBoom)
	for _, c := range []struct {
		outcome string
		op      fx.Op[int]
		ctx     context.Context
	}{
		{"failure", fails, t.Context()},
		{"failure", fx.WithRetry(fx.Fail[int](errBoom), fx.Retry{Backoff: fx.Constant(0)}), t.Context()},
		{"failure", fx.WithRetry(firstThen(fails, fx.WithBreaker(fails, open)), fx.Retry{Backoff: fx.Constant(0)}), t.Context()},
		{"failure", fx.WithRetry(fx.WithRetry(firstThen(fails, fx.WithBreaker(fails, open)), fx.Retry{Backoff: fx.Constant(0)}), fx.Retry{Backoff: fx.Constant(0)}), t.Context()},
		{"failure", fx.Fail[int](context.Canceled), t.Context()}, // not by the caller
		{"timeout", fx.WithTimeout(hang, time.Nanosecond), t.Context()},
		{"timeout", hang, late},
		{"timeout", fx.Fail[int](fmt.Errorf("users: %w", context.DeadlineExceeded)), t.Context()},
		{"canceled", hang, gone},
		{"canceled", fails, gone},
		{"open", fx.WithBreaker(fails, open), t.Context()},
		{"full", fx.WithBulkhead(fails, full), t.Context()},
		{"closed", fx.WithBulkhead(fails, closed), t.Context()},
		{"limited", fx.WithLimit(fails, never{}), t.Context()},
		{"panic", func(context.Context) (int, error) { panic("bad") }, t.Context()},
		{"panic", func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, t.Context()},
	} {
		m, r := registry(t)
		op := fxprom.Observe(c.op, "users", m)
		apart(func() { _, _ = op(c.ctx) })
		for _, outcome := range []string{"degraded", "failure", "timeout", "canceled", "panic", "open", "full", "closed", "limited"} {
			want := 0.0
			if outcome == c.outcome {
				want = 1
			}
			assert.Equal(t, want, value(t, r, "fx_call_problems_total", "users", "call", outcome), "%s: %s", c.outcome, outcome)
		}
		assert.EqualValues(t, 1, value(t, r, "fx_call_duration_seconds_count", "users", "call"), c.outcome)
	}
}

func TestSuccessIsOneHistogramAndNoProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := registry(t)
		op := fxprom.Observe(func(context.Context) (int, error) { time.Sleep(3 * time.Second); return 7, nil }, "users", m)
		v, err := op(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 7, v)
		assert.EqualValues(t, 1, value(t, r, "fx_call_duration_seconds_count", "users", "call"))
		assert.EqualValues(t, 3, value(t, r, "fx_call_duration_seconds_sum", "users", "call"))
		n, err := testutil.GatherAndCount(r, "fx_call_problems_total")
		require.NoError(t, err)
		assert.Equal(t, 9, n, "all there from the start")
	})
}

func TestDegradedAnswersTellTheirAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := registry(t)
		c := &fx.Cache[string, int]{}
		_, _ = fx.Remember(fx.Value(7), c, "a")(t.Context())
		time.Sleep(time.Minute)
		op := fxprom.Observe(fx.WithDegraded(fx.Fail[int](errBoom), c.Recall("a")), "price", m)
		_, err := op(t.Context())
		require.NoError(t, err)
		_, err = fxprom.Observe(fx.WithDegraded(fx.Value(8)), "price", m)(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 2, value(t, r, "fx_call_duration_seconds_count", "price", "call"))
		assert.EqualValues(t, 1, value(t, r, "fx_call_problems_total", "price", "call", "degraded"))
		assert.EqualValues(t, 1, value(t, r, "fx_degraded_age_seconds_count", "price", "call"))
		assert.EqualValues(t, 60, value(t, r, "fx_degraded_age_seconds_sum", "price", "call"))
	})
}

func TestAttemptsAreCountedInsideTheRetry(t *testing.T) {
	m, r := registry(t)
	op := fxprom.Observe(fx.Fail[int](errBoom), "users/attempt", m)
	op = fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(0)})
	op = fxprom.Observe(op, "users", m)
	for range 5 {
		_, _ = op(t.Context())
	}
	assert.EqualValues(t, 5, value(t, r, "fx_call_duration_seconds_count", "users", "call"))
	assert.EqualValues(t, 15, value(t, r, "fx_call_duration_seconds_count", "users", "attempt"))
	assert.EqualValues(t, 15, value(t, r, "fx_call_problems_total", "users", "attempt", "failure"))
}

func TestOpsOfOneNameShareTheirSeries(t *testing.T) {
	m, r := registry(t)
	_, _ = fxprom.Observe(fx.Value(1), "users", m)(t.Context())
	_, _ = fxprom.Observe(fx.Value("one"), "users/", m)(t.Context())
	assert.EqualValues(t, 2, value(t, r, "fx_call_duration_seconds_count", "users", "call"))
}

func TestNamesMadeFromIdsAreBounded(t *testing.T) {
	m, r := registry(t)
	for id := range 1500 {
		_, _ = fxprom.Observe(fx.Value(1), fmt.Sprintf("user-%d", id), m)(t.Context())
	}
	assert.EqualValues(t, 1, value(t, r, "fx_call_duration_seconds_count", "user-999", "call"))
	assert.EqualValues(t, 500, value(t, r, "fx_call_duration_seconds_count", "other", "call"))
}

func TestScrapesAndCallsAtOnce(t *testing.T) {
	m, r := registry(t)
	b := &fx.Breaker{Name: "users", Failures: 2, Cooldown: time.Nanosecond}
	m.Breakers(b)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			op := fxprom.Observe(fx.WithBreaker(fx.Fail[int](errBoom), b), "users", m)
			for range 250 {
				_, _ = op(t.Context())
			}
		})
		wg.Go(func() {
			for range 20 {
				_, err := r.Gather()
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1000, value(t, r, "fx_call_duration_seconds_count", "users", "call"))
}

func TestOwnBuckets(t *testing.T) {
	m := &fxprom.Metrics{Buckets: []float64{1, 2}}
	_, _ = fxprom.Observe(fx.Value(1), "users", m)(t.Context())
	text := exposition(t, m, "fx_call_duration_seconds")
	assert.Equal(t, 3, strings.Count(text, "fx_call_duration_seconds_bucket"), text)
}

func TestDefaultIsUsedWithoutMetrics(t *testing.T) {
	_, _ = fxprom.Observe(fx.Value(1), "default")(t.Context())
	assert.Contains(t, exposition(t, fxprom.Default, "fx_call_duration_seconds"), `fx_call_duration_seconds_count{call="default",point="call"}`)
}

func TestMisuseOfObservePanics(t *testing.T) {
	assert.PanicsWithValue(t, `fxprom: Observe needs an op and a name, as in fxprom.Observe(op, "users")`, func() { fxprom.Observe[int](nil, "users") })
	assert.PanicsWithValue(t, `fxprom: Observe needs an op and a name, as in fxprom.Observe(op, "users")`, func() { fxprom.Observe(fx.Value(1), "") })
	assert.PanicsWithValue(t, `fxprom: Observe needs one Metrics that is not nil, or none for fxprom.Default`, func() { fxprom.Observe(fx.Value(1), "users", nil) })
}

// --- helpers ---

// firstThen is first for the first call, then then.
func firstThen(first, then fx.Op[int]) fx.Op[int] {
	var begun atomic.Bool
	return func(ctx context.Context) (int, error) {
		if begun.CompareAndSwap(false, true) {
			return first(ctx)
		}
		return then(ctx)
	}
}

func hang(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

type never struct{}

func (never) Wait(context.Context) error { return errBoom }

// apart runs f where a panic or Goexit ends nothing else.
func apart(f func()) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer func() { _ = recover() }()
		f()
	}()
	wg.Wait()
}

// exposition is what a scrape sees.
func exposition(t testing.TB, c prometheus.Collector, name string) string {
	require.NoError(t, prometheus.NewPedanticRegistry().Register(c))
	text, err := testutil.CollectAndFormat(c, expfmt.TypeTextPlain, name)
	require.NoError(t, err)
	return string(text)
}
