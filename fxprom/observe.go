package fxprom

import (
	"context"
	"errors"
	"time"

	"example.com/fx"
	"example.com/fx/fxprom/internal/table"
)

// Observe counts and times the calls of op in m, or in [Default] without one. It is a policy like any other, to be put
// where the figures are wanted: outermost it tells what callers see; inside the retry, by the name of the call with
// "/attempt", what the dependency sees.
//
//	op = fxprom.Observe(op, "users/attempt")
//	op = fx.WithRetry(op, fx.Retry{})
//	op = fxprom.Observe(op, "users")
//
// What follows the first slash is the label point, "call" if there is none. Ops with one name share their series. A
// name stands for a dependency, never for a user or a request: of more than 1000 names the further ones count as
// "other".
//
// A healthy call costs two looks at the clock and one histogram. It panics if op is nil or name is empty.
func Observe[T any](op fx.Op[T], name string, m ...*Metrics) fx.Op[T] {
	if op == nil || name == "" {
		panic(`fxprom: Observe needs an op and a name, as in fxprom.Observe(op, "users")`)
	}
	p := pick(m).point(name)
	graded := isGraded[T]()
	return func(ctx context.Context) (v T, err error) {
		start, returned := time.Now(), false
		defer func() {
			if !returned {
				p.end(time.Since(start), table.Panicked)
			}
		}()
		v, err = op(ctx)
		returned = true
		took := time.Since(start)
		switch {
		case err != nil:
			p.end(took, outcome(ctx, err))
		case graded:
			p.grade(took, v)
		default:
			p.duration.Observe(took.Seconds())
		}
		return v, err
	}
}

func pick(m []*Metrics) *Metrics {
	switch {
	case len(m) == 0:
		return Default
	case len(m) > 1 || m[0] == nil:
		panic(`fxprom: Observe needs one Metrics that is not nil, or none for fxprom.Default`)
	}
	return m[0]
}

// graded is an fx.Result of any type.
type graded interface {
	Quality() (degraded bool, age time.Duration, cause error)
}

func isGraded[T any]() bool {
	_, ok := any(*new(T)).(graded)
	return ok
}

// end counts a call that did not end in a success.
func (p *point) end(took time.Duration, outcome string) {
	p.duration.Observe(took.Seconds())
	p.problems[outcome].Inc()
}

// grade counts a success that may be second best.
func (p *point) grade(took time.Duration, v any) {
	degraded, age, _ := v.(graded).Quality()
	if !degraded {
		p.duration.Observe(took.Seconds())
		return
	}
	p.end(took, table.Degraded)
	p.age.Observe(age.Seconds())
}

// outcome is the class of the error of a call.
func outcome(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return table.Canceled
	}
	return class(err)
}

// class is the class of an error. A call that was retried is what its first attempt was.
func class(err error) string {
	for again := (*fx.RetryError)(nil); errors.As(err, &again) && len(again.Errs) > 0; {
		err = again.Errs[0]
	}
	for _, c := range classes {
		if errors.Is(err, c.target) {
			return c.name
		}
	}
	return table.Failure
}

var classes = []struct {
	target error
	name   string
}{
	{fx.ErrSlow, table.Slow},
	{fx.ErrNoReturn, table.Panicked},
	{fx.ErrOpen, table.Open},
	{fx.ErrFull, table.Full},
	{fx.ErrClosed, table.Closed},
	{fx.ErrLimit, table.Limited},
	{context.DeadlineExceeded, table.Timeout},
}
