package fxotel

import (
	"cmp"
	"reflect"
	"strings"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Telemetry is where spans, metrics and events go. The zero value sends them to the global providers of package
// otel, also if those are set later. It is safe for concurrent use and must not be copied after first use.
type Telemetry struct {
	// TracerProvider takes the spans. nil means the global one.
	TracerProvider trace.TracerProvider
	// MeterProvider takes the metrics. nil means the global one.
	MeterProvider metric.MeterProvider
	// LoggerProvider takes the events of breakers. nil means the global one.
	LoggerProvider log.LoggerProvider

	once   sync.Once
	tracer trace.Tracer
	meter  metric.Meter
	logger log.Logger

	duration metric.Float64Histogram
	age      metric.Float64Histogram
	changes  metric.Int64Counter

	mu      sync.Mutex
	points  map[string]*point
	holders map[holder]bool
}

// Default is where [Observe] sends to unless it is told otherwise.
var Default = &Telemetry{}

// maxNames is how many names are told apart. More than that are not names of dependencies.
const maxNames = 1000

// callPoint is the point of a name without a slash.
const callPoint = "call"

// The keys of the attributes.
const (
	keyCall     = attribute.Key("fx.call")
	keyPoint    = attribute.Key("fx.point")
	keyOutcome  = attribute.Key("fx.outcome")
	keyErr      = attribute.Key("error.type")
	keyAttempt  = attribute.Key("fx.attempt")
	keyHedge    = attribute.Key("fx.hedge")
	keyDegraded = attribute.Key("fx.degraded")
	keyAge      = attribute.Key("fx.age")
	keyName     = attribute.Key("fx.name")
	keyState    = attribute.Key("fx.state")
	keyFrom     = attribute.Key("fx.from")
	keyTo       = attribute.Key("fx.to")
	keyCause    = attribute.Key("fx.cause")
	keyMessage  = attribute.Key("exception.message")
)

var (
	durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	ages      = []float64{1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600}
)

// open makes what the zero value lacks.
func (t *Telemetry) open() {
	t.once.Do(func() {
		tracers, meters, loggers := t.TracerProvider, t.MeterProvider, t.LoggerProvider
		if tracers == nil {
			tracers = otel.GetTracerProvider()
		}
		if meters == nil {
			meters = otel.GetMeterProvider()
		}
		if loggers == nil {
			loggers = otel.GetLoggerProvider()
		}
		scope := reflect.TypeFor[Telemetry]().PkgPath()
		t.tracer, t.meter, t.logger = tracers.Tracer(scope), meters.Meter(scope), loggers.Logger(scope)
		t.points, t.holders = map[string]*point{}, map[holder]bool{}
		t.duration = must(t.meter.Float64Histogram("fx.call.duration", metric.WithUnit("s"),
			metric.WithDescription("How long calls took, however they ended."), metric.WithExplicitBucketBoundaries(durations...)))
		t.age = must(t.meter.Float64Histogram("fx.degraded.age", metric.WithUnit("s"),
			metric.WithDescription("How old the degraded answers were."), metric.WithExplicitBucketBoundaries(ages...)))
		t.changes = must(t.meter.Int64Counter("fx.breaker.changes", metric.WithUnit("{change}"),
			metric.WithDescription("Changes of state, and why.")))
	})
}

// must reports an error where OpenTelemetry reports its own; an instrument is there all the same.
func must[I any](instrument I, err error) I {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

// A point is a place in the stack of a call, with all that can be made ahead of it.
type point struct {
	*Telemetry
	name  string // of its spans
	call  string
	point string
	start trace.SpanStartOption // what its spans have from the start
	plain []metric.RecordOption // the same for metrics without an outcome
	ends  map[string]end        // by outcome
}

// An end is what is told of a call by its outcome.
type end struct {
	span   []attribute.KeyValue
	metric []metric.RecordOption
	failed bool
}

// point returns that of name, which may have a slash before the point of the stack.
func (t *Telemetry) point(name string) *point {
	t.open()
	name = strings.TrimSuffix(name, "/")
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.points[name] == nil && len(t.points) >= maxNames {
		name = "other"
	}
	if t.points[name] == nil {
		t.points[name] = newPoint(t, name)
	}
	return t.points[name]
}

func newPoint(t *Telemetry, name string) *point {
	call, at, _ := strings.Cut(name, "/")
	p := &point{Telemetry: t, name: name, call: call, point: cmp.Or(at, callPoint), ends: map[string]end{}}
	attrs := []attribute.KeyValue{keyCall.String(p.call), keyPoint.String(p.point)}
	p.start = trace.WithAttributes(attrs...)
	p.plain = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
	for _, outcome := range outcomes {
		p.ends[outcome] = newEnd(attrs, outcome)
	}
	return p
}

func newEnd(attrs []attribute.KeyValue, outcome string) end {
	own := []attribute.KeyValue{keyOutcome.String(outcome)}
	failed := outcome != success && outcome != degraded && outcome != canceled
	if failed {
		own = append(own, keyErr.String(outcome))
	}
	all := attribute.NewSet(append(own, attrs...)...)
	return end{span: own, metric: []metric.RecordOption{metric.WithAttributeSet(all)}, failed: failed}
}
