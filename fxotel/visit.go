package fxotel

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// A visit is one observed call of an op, as the context that op is given. Points further inside find it there and
// number themselves by it, so that retries and hedges, which know nothing of spans, can be linked.
type visit struct {
	context.Context
	point *point

	up    *visit // the visit around it, if it is of the same call
	n     int    // which of the visits to its point inside up, from 1
	hedge bool   // an earlier one of them was still running
	after *visit // the one to link to; nil when that is done

	span trace.SpanContext // known once it has begun; under mu of up
	next *visit            // an earlier one that still runs; under mu of up

	mu     sync.Mutex
	inside visits
}

// visits are those to one point inside a visit, guarded by its mu.
type visits struct {
	to      *point
	n       int
	last    *visit
	running *visit  // the latest, see next
	other   *visits // those to another point
}

type visitKey struct{}

// Value answers for the key of visits and passes on the rest.
func (v *visit) Value(key any) any {
	if key == (visitKey{}) {
		return v
	}
	return v.Context.Value(key)
}

// enter is a further visit to p inside a call that p is part of. It is nil outside of one, and where p is a call of its
// own.
func (p *point) enter(ctx context.Context) *visit {
	if p.point == callPoint {
		return nil
	}
	up, _ := ctx.Value(visitKey{}).(*visit)
	if up == nil || up.point.call != p.call {
		return nil
	}
	v := &visit{up: up, point: p}
	up.mu.Lock()
	defer up.mu.Unlock()
	vs := up.inside.of(p)
	vs.n++
	v.n, v.hedge, v.after, v.next = vs.n, vs.running != nil, vs.last, vs.running
	if v.hedge {
		v.after = vs.running
	}
	vs.last, vs.running = v, v
	return v
}

// of finds those to p.
func (vs *visits) of(p *point) *visits {
	for ; ; vs = vs.other {
		if vs.to == nil {
			vs.to = p
		}
		if vs.to == p {
			return vs
		}
		if vs.other == nil {
			vs.other = new(visits)
		}
	}
}

// options are those of its span: what tells it from the others, and a link if the span to link to is there already.
func (v *visit) options(since time.Time) []trace.SpanStartOption {
	own := make([]attribute.KeyValue, 1, 2)
	own[0] = keyAttempt.Int(v.n)
	if v.hedge {
		own = append(own, keyHedge.Bool(true))
	}
	all := append(make([]trace.SpanStartOption, 0, 4), v.point.start, trace.WithTimestamp(since), trace.WithAttributes(own...))
	if link, ok := v.takeLink(); ok {
		all = append(all, trace.WithLinks(link))
	}
	return all
}

func (v *visit) takeLink() (l trace.Link, ok bool) {
	if v.after == nil {
		return l, false
	}
	v.up.mu.Lock()
	defer v.up.mu.Unlock()
	if l.SpanContext = v.after.span; !l.SpanContext.IsValid() {
		return l, false
	}
	v.after = nil // or a call of many attempts would keep them all
	return l, true
}

// began completes the visit with its span. A visit that is inside no other comes into being here.
func (v *visit) began(p *point, ctx context.Context, span trace.Span) *visit {
	if v == nil {
		return &visit{Context: ctx, point: p}
	}
	v.Context = ctx
	v.up.mu.Lock()
	defer v.up.mu.Unlock()
	v.span = span.SpanContext()
	return v
}

// ended takes it off those that run. Of two that began at once, the later finds the span to link to only now.
func (v *visit) ended(span trace.Span) {
	if v.up == nil {
		return
	}
	if link, ok := v.takeLink(); ok {
		span.AddLink(link)
	}
	v.up.mu.Lock()
	defer v.up.mu.Unlock()
	for at := &v.up.inside.of(v.point).running; *at != nil; at = &(*at).next {
		if *at == v {
			*at = v.next
			return
		}
	}
}
