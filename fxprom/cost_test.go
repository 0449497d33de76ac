package fxprom_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"

	"example.com/fx"
	"example.com/fx/fxprom"
)

func TestObservedSuccessAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	ctx, m := context.Background(), &fxprom.Metrics{}
	op := fxprom.Observe(fx.Value(1), "users", m)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = op(ctx) }))
	result := fxprom.Observe(fx.Value(fx.Result[int]{Value: 1}), "users", m)
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() { _, _ = result(ctx) }), 1.0, "a Result is looked into")
}

// BenchmarkObserve beside what it may cost: two looks at the clock and one histogram.
func BenchmarkObserve(b *testing.B) {
	ctx, op := context.Background(), fx.Value(1)
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			_, _ = op(ctx)
		}
	})
	b.Run("clock and histogram", func(b *testing.B) {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"call"}).WithLabelValues("users")
		for b.Loop() {
			start := time.Now()
			_, _ = op(ctx)
			h.Observe(time.Since(start).Seconds())
		}
	})
	b.Run("observed", func(b *testing.B) {
		observed := fxprom.Observe(op, "users", &fxprom.Metrics{})
		for b.Loop() {
			_, _ = observed(ctx)
		}
	})
}
