package fxotel_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"example.com/fx"
	"example.com/fx/fxotel"
)

// setting is an SDK, and how many objects a call may cost beyond those of the bare tracer and histogram: the start of
// the span in all, and where it is recorded its end (two) and the context by which attempts find their call.
type setting struct {
	name string
	t    *fxotel.Telemetry
	more float64
}

func settings() []setting {
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	return []setting{
		{"no SDK", &fxotel.Telemetry{TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider()}, 1},
		{"metrics alone", &fxotel.Telemetry{TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: meters}, 1},
		{"unsampled", &fxotel.Telemetry{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())), MeterProvider: meters}, 1},
		{"sampled", &fxotel.Telemetry{TracerProvider: sdktrace.NewTracerProvider(), MeterProvider: meters}, 4},
	}
}

// bare is what one would write by hand around op: a span with two attributes and the outcome, and a histogram.
func bare[T any](op fx.Op[T], in *fxotel.Telemetry) fx.Op[T] {
	tracer := in.TracerProvider.Tracer("bare")
	duration, _ := in.MeterProvider.Meter("bare").Float64Histogram("bare")
	attrs := []attribute.KeyValue{attribute.String("fx.call", "users"), attribute.String("fx.point", "call")}
	begin := trace.WithAttributes(attrs...)
	outcome := []attribute.KeyValue{attribute.String("fx.outcome", "success")}
	record := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(append(attrs, outcome...)...))}
	return func(ctx context.Context) (T, error) {
		start := time.Now()
		ctx, span := tracer.Start(ctx, "users", begin)
		defer span.End()
		v, err := op(ctx)
		if span.IsRecording() {
			span.SetAttributes(outcome...)
		}
		duration.Record(ctx, time.Since(start).Seconds(), record...)
		return v, err
	}
}

func TestObservedSuccessAllocatesHardlyMoreThanTheBareTracer(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	for _, s := range settings() {
		count := func(op fx.Op[int]) float64 { return testing.AllocsPerRun(1000, func() { _, _ = op(ctx) }) }
		by, op := count(bare(fx.Value(1), s.t)), fxotel.Observe(fx.Value(1), "users/attempt", s.t)
		alone, inside := count(op), count(fxotel.Observe(op, "users", s.t))
		t.Logf("%s: bare %v, observed %v, call with one attempt %v", s.name, by, alone, inside)
		assert.LessOrEqual(t, alone, by+s.more, s.name)
	}
}

// BenchmarkObserve beside what one would write by hand.
func BenchmarkObserve(b *testing.B) {
	ctx := b.Context()
	for _, s := range settings() {
		b.Run(s.name+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for op := bare(fx.Value(1), s.t); b.Loop(); {
				_, _ = op(ctx)
			}
		})
		b.Run(s.name+"/observed", func(b *testing.B) {
			b.ReportAllocs()
			for op := fxotel.Observe(fx.Value(1), "users", s.t); b.Loop(); {
				_, _ = op(ctx)
			}
		})
		b.Run(s.name+"/attempt", func(b *testing.B) {
			b.ReportAllocs()
			for op := fxotel.Observe(fxotel.Observe(fx.Value(1), "users/attempt", s.t), "users", s.t); b.Loop(); {
				_, _ = op(ctx)
			}
		})
	}
}

// The span and the histogram share two looks at the clock, so in real time too they agree to the nanosecond.
func TestSpanAndHistogramSayTheSame(t *testing.T) {
	l := newLab()
	_, _ = fxotel.Observe(fx.Value(1), "users", l.Telemetry)(t.Context())
	span := l.spans.GetSpans()[0]
	want := fmt.Sprintf("1 calls %vs\n", span.EndTime.Sub(span.StartTime).Seconds())
	assert.Contains(t, l.metrics(t, "fx.call.duration"), want)
}

// The bounds are those of fxprom, so that both draw the same picture. Those that SDKs begin with are made for milliseconds.
func TestHistogramsHaveBoundsInSeconds(t *testing.T) {
	l := newLab()
	_, _ = fxotel.Observe(fx.WithDegraded(fx.Fail[int](errBoom), fx.Value(1)), "users", l.Telemetry)(t.Context())
	var all metricdata.ResourceMetrics
	require.NoError(t, l.reader.Collect(t.Context(), &all))
	for _, m := range all.ScopeMetrics[0].Metrics {
		want := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
		if m.Name == "fx.degraded.age" {
			want = []float64{1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600}
		}
		assert.Equal(t, want, m.Data.(metricdata.Histogram[float64]).DataPoints[0].Bounds, m.Name)
		assert.Equal(t, "s", m.Unit)
	}
}

func TestCallOfManyAttemptsKeepsFew(t *testing.T) {
	tracer := &countingTracer{}
	in := &fxotel.Telemetry{TracerProvider: countingProvider{tracer: tracer}}
	const most, kept = 2000, 20
	attempts := 0
	op := fxotel.Observe(func(context.Context) (int, error) {
		if attempts++; attempts == most {
			require.Eventually(t, func() bool { runtime.GC(); return tracer.freed.Load() > most-kept }, 10*time.Second, time.Millisecond)
		}
		return 0, errBoom
	}, "users/attempt", in)
	op = fx.WithRetry(op, fx.Retry{Attempts: most, Backoff: fx.Constant(0)})
	_, err := fxotel.Observe(op, "users", in)(t.Context())
	require.ErrorIs(t, err, errBoom)
	assert.Equal(t, most, attempts)
}

type countingProvider struct {
	embedded.TracerProvider
	tracer *countingTracer
}

func (c countingProvider) Tracer(string, ...trace.TracerOption) trace.Tracer { return c.tracer }

// countingTracer makes spans that record, and counts those that nothing holds any more.
type countingTracer struct {
	embedded.Tracer
	freed atomic.Int64
}

func (c *countingTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	s := &countedSpan{context: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})}
	runtime.AddCleanup(s, func(int) { c.freed.Add(1) }, 0)
	return trace.ContextWithSpan(ctx, s), s
}

type countedSpan struct {
	tracenoop.Span
	context trace.SpanContext
}

func (*countedSpan) IsRecording() bool                { return true }
func (s *countedSpan) SpanContext() trace.SpanContext { return s.context }
