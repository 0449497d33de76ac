package fxotel_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"example.com/fx"
	"example.com/fx/fxotel"
)

var errBoom = errors.New("boom")

// lab is a Telemetry whose signals stay in memory.
type lab struct {
	*fxotel.Telemetry
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
	events *events
}

func newLab() *lab {
	l := &lab{spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader(), events: &events{}}
	l.Telemetry = &fxotel.Telemetry{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(l.spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(l.reader)),
		LoggerProvider: sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(l.events))),
	}
	return l
}

// events keeps log records.
type events struct {
	mu  sync.Mutex
	all []sdklog.Record
}

func (e *events) Export(_ context.Context, records []sdklog.Record) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range records {
		e.all = append(e.all, r.Clone())
	}
	return nil
}

func (*events) Shutdown(context.Context) error   { return nil }
func (*events) ForceFlush(context.Context) error { return nil }

// String has a line for each.
func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var b strings.Builder
	for _, r := range e.all {
		var attrs []attribute.KeyValue
		r.WalkAttributes(func(kv attribute.KeyValue) bool { attrs = append(attrs, kv); return true })
		level := map[log.Severity]string{log.SeverityInfo: "INFO", log.SeverityWarn: "WARN"}[r.Severity()]
		fmt.Fprintf(&b, "%s %s %s %q%s\n", r.Timestamp().UTC().Format("15:04:05"), level, r.EventName(), r.Body().AsString(), spelled(attrs))
	}
	return b.String()
}

// tree is the spans as text: a line each, children below their parent in the order they began, links by "->" to the
// line that bears that name. Times are since the first span, so they are exact in a synctest bubble.
func (l *lab) tree() string {
	spans := l.spans.GetSpans()
	slices.SortStableFunc(spans, func(a, b tracetest.SpanStub) int {
		return cmp.Or(a.StartTime.Compare(b.StartTime), cmp.Compare(label(a), label(b)))
	})
	known, labels := map[trace.SpanID]bool{}, map[trace.SpanID]string{}
	for _, s := range spans {
		known[s.SpanContext.SpanID()], labels[s.SpanContext.SpanID()] = true, label(s)
	}
	var b strings.Builder
	var print func(parent trace.SpanID, indent string)
	print = func(parent trace.SpanID, indent string) {
		for _, s := range spans {
			if up := s.Parent.SpanID(); up != parent && (parent.IsValid() || known[up]) {
				continue
			}
			fmt.Fprintf(&b, "%s%s %v+%v%s", indent, label(s), s.StartTime.Sub(spans[0].StartTime), s.EndTime.Sub(s.StartTime), spelled(rest(s.Attributes)))
			if s.Status.Code != codes.Unset {
				fmt.Fprintf(&b, " %v %q", s.Status.Code, s.Status.Description)
			}
			for _, link := range s.Links {
				fmt.Fprintf(&b, " -> %s", labels[link.SpanContext.SpanID()])
			}
			for _, e := range s.Events {
				fmt.Fprintf(&b, " event %s", e.Name)
			}
			b.WriteString("\n")
			print(s.SpanContext.SpanID(), indent+"  ")
		}
	}
	print(trace.SpanID{}, "")
	return b.String()
}

// label is the name of a span with its number.
func label(s tracetest.SpanStub) string {
	for _, kv := range s.Attributes {
		if kv.Key == "fx.attempt" {
			return fmt.Sprintf("%s#%d", s.Name, kv.Value.AsInt64())
		}
	}
	return s.Name
}

// rest is the attributes that the label does not tell.
func rest(attrs []attribute.KeyValue) []attribute.KeyValue {
	return slices.DeleteFunc(slices.Clone(attrs), func(kv attribute.KeyValue) bool {
		return kv.Key == "fx.call" || kv.Key == "fx.point" || kv.Key == "fx.attempt"
	})
}

// spelled is attributes as text, in order of their keys.
func spelled(attrs []attribute.KeyValue) string {
	set := attribute.NewSet(attrs...)
	var b strings.Builder
	for _, kv := range set.ToSlice() {
		fmt.Fprintf(&b, " %s=%s", kv.Key, kv.Value.String())
	}
	return b.String()
}

// metrics are all points of the metrics whose name begins so, a line each.
func (l *lab) metrics(t testing.TB, prefix string) string {
	text, err := l.collect(prefix)
	require.NoError(t, err)
	return text
}

// show prints them.
func (l *lab) show(prefix string) {
	text, _ := l.collect(prefix)
	fmt.Print(text)
}

func (l *lab) collect(prefix string) (string, error) {
	var all metricdata.ResourceMetrics
	err := l.reader.Collect(context.Background(), &all)
	lines := map[string]string{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if strings.HasPrefix(m.Name, prefix) {
				points(m, lines)
			}
		}
	}
	var b strings.Builder
	for _, series := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&b, "%s %s\n", series, lines[series])
	}
	return b.String(), err
}

// points adds a line for each point of m.
func points(m metricdata.Metrics, lines map[string]string) {
	add := func(attrs attribute.Set, value string) { lines[m.Name+spelled(attrs.ToSlice())] = value }
	switch data := m.Data.(type) {
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, fmt.Sprint(p.Value))
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, fmt.Sprint(p.Value))
		}
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, fmt.Sprint(p.Value))
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, fmt.Sprintf("%d calls %v%s", p.Count, p.Sum, m.Unit))
		}
	}
}

// --- ops ---

// turns is the ops one after the other, the last for good.
func turns[T any](ops ...fx.Op[T]) fx.Op[T] {
	var n atomic.Int64
	return func(ctx context.Context) (T, error) {
		return ops[min(int(n.Add(1)), len(ops))-1](ctx)
	}
}

// takes is op after a while.
func takes[T any](d time.Duration, op fx.Op[T]) fx.Op[T] {
	return func(ctx context.Context) (T, error) {
		time.Sleep(d)
		return op(ctx)
	}
}

func hang(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func panics(context.Context) (int, error) { panic("bad") }

func exits(context.Context) (int, error) { runtime.Goexit(); return 0, nil }

type never struct{}

func (never) Wait(context.Context) error { return errBoom }

// apart runs f where a panic or Goexit ends nothing else, and returns the panic.
func apart(f func()) (panicked any) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer func() { panicked = recover() }()
		f()
	}()
	wg.Wait()
	return panicked
}
