package fxotel

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"example.com/fx"
)

// Observe makes a span and a duration of every call of op, in t or in [Default] without one. It is a policy like any
// other, to be put where one wants to see: outermost it shows what callers get; inside the retry or the hedge, by the
// name of the call with "/attempt", each attempt as a child of its call.
//
//	op = fxotel.Observe(op, "users/attempt")
//	op = fx.WithRetry(op, fx.Retry{})
//	op = fxotel.Observe(op, "users")
//
// What follows the first slash is the attribute fx.point, "call" if there is none. Inside a call of the same name, a
// point's spans are numbered (fx.attempt, from 1) and linked: a retry to the attempt before it, a copy of a hedge
// (fx.hedge) to the one that still runs.
//
// The span's status is an error when the call failed, but not when its caller left. As OpenTelemetry's conventions on
// recording errors have it, the error's text is the status description, and no span event. An error that was retried or
// answered by a fallback shows on the attempt alone.
//
// A name stands for a dependency, never for a user or a request: of more than 1000 names the further ones count as
// "other". Observe panics if op is nil or name has nothing before its slash.
func Observe[T any](op fx.Op[T], name string, in ...*Telemetry) fx.Op[T] {
	if op == nil || name == "" || name[0] == '/' {
		panic(`fxotel: Observe needs an op and a name, as in fxotel.Observe(op, "users") or "users/attempt"`)
	}
	p := pick(in).point(name)
	graded := isGraded[T]()
	return func(ctx context.Context) (v T, err error) {
		c, returned := p.begin(ctx), false
		defer func() {
			if !returned {
				c.end(panicked, fx.ErrNoReturn)
			}
		}()
		v, err = op(c.ctx)
		returned = true
		switch {
		case err != nil:
			c.end(outcome(ctx, err), err)
		case graded:
			c.grade(v)
		default:
			c.end(success, nil)
		}
		return v, err
	}
}

func pick(in []*Telemetry) *Telemetry {
	switch {
	case len(in) == 0:
		return Default
	case len(in) > 1 || in[0] == nil:
		panic("fxotel: Observe needs one Telemetry that is not nil, or none for fxotel.Default")
	}
	return in[0]
}

// graded is an fx.Result of any type.
type graded interface {
	Quality() (degraded bool, age time.Duration, cause error)
}

func isGraded[T any]() bool {
	_, ok := any(*new(T)).(graded)
	return ok
}

// A call is one call of an observed op.
type call struct {
	at    *point
	ctx   context.Context // for op
	span  trace.Span
	visit *visit // nil if the span records nothing, and so for most calls under a sampler
	since time.Time
}

// begin starts the span. Its times are given to it, so that the clock is read twice in all, and the span and the
// histogram say the same.
func (p *point) begin(ctx context.Context) call {
	c := call{at: p, visit: p.enter(ctx), since: time.Now()}
	if c.visit == nil {
		c.ctx, c.span = p.tracer.Start(ctx, p.name, p.start, trace.WithTimestamp(c.since))
	} else {
		c.ctx, c.span = p.tracer.Start(ctx, p.name, c.visit.options(c.since)...)
	}
	if c.visit != nil || c.span.IsRecording() {
		c.visit = c.visit.began(p, c.ctx, c.span)
		c.ctx = c.visit
	}
	return c
}

// end tells how the call ended.
func (c *call) end(outcome string, err error) {
	took := time.Since(c.since)
	e := c.at.ends[outcome]
	c.at.duration.Record(c.ctx, took.Seconds(), e.metric...)
	if c.visit != nil {
		c.visit.ended(c.span)
	}
	if !c.span.IsRecording() {
		c.span.End()
		return
	}
	c.span.SetAttributes(e.span...)
	if e.failed {
		c.span.SetStatus(codes.Error, text(err))
	}
	c.span.End(trace.WithTimestamp(c.since.Add(took)))
}

// grade ends a call whose success may be second best.
func (c *call) grade(v any) {
	second, age, _ := v.(graded).Quality()
	if age > 0 {
		c.span.SetAttributes(keyAge.Float64(age.Seconds()))
	}
	if !second {
		c.end(success, nil)
		return
	}
	c.span.SetAttributes(keyDegraded.Bool(true))
	c.at.age.Record(c.ctx, age.Seconds(), c.at.plain...)
	c.end(degraded, nil)
}

// maxText is how many bytes of an error's text a span keeps; some errors quote a whole response.
const maxText = 1000

// text is what err says, if it can: an Error method that panics is no reason to lose the call.
func text(err error) string {
	s := fmt.Sprint(err)
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
