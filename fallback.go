package fx

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// WithFallback answers a failure of op with the first of alts that succeeds, tried in turn. If all fail, the error
// unwraps to every one of theirs, op's first. After ctx has ended no alternative is tried, and a panic is not
// answered. Alternatives see the same context as op.
//
// Fall back where second best is an answer, such as the price of a minute ago. A write has no second best.
func WithFallback[T any](op Op[T], alts ...Op[T]) Op[T] {
	if op == nil || slices.ContainsFunc(alts, isNil[T]) {
		panic("fx: WithFallback needs ops that are not nil, as in fx.WithFallback(op, fx.Value(second))")
	}
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		if v, err = op(ctx); err == nil {
			return v, nil
		}
		return fallBack(ctx, alts, v, err)
	}
}

func isNil[T any](op Op[T]) bool { return op == nil }

// fallBack tries the alternatives after op has failed with err.
func fallBack[T any](ctx context.Context, alts []Op[T], v T, err error) (T, error) {
	if len(alts) == 0 {
		return v, err
	}
	outer, errs := noteIn(ctx), []error{err}
	for _, alt := range alts {
		if ctx.Err() != nil {
			errs = append(errs, over(ctx))
			break
		}
		own, n := outer.below(ctx)
		if v, err = alt(own); err == nil {
			outer.add(n, errs...)
			return v, nil
		}
		errs = append(errs, err)
	}
	return none[T](), &fallbackError{errs}
}

func none[T any]() (v T) { return v }

// fallbackError is what op and its alternatives said, in turn.
type fallbackError struct{ errs []error }

func (e *fallbackError) Error() string {
	texts := make([]string, len(e.errs))
	for i, err := range e.errs {
		texts[i] = text(err)
	}
	return "fx: no answer: " + strings.Join(texts, "; then: ")
}

func (e *fallbackError) Unwrap() []error { return e.errs }

// WithRecover answers a failure of op with what f makes of it. If f fails too, the error unwraps to both. After ctx
// has ended f is not asked, and a panic is not answered.
func WithRecover[T any](op Op[T], f func(context.Context, error) (T, error)) Op[T] {
	if op == nil || f == nil {
		panic("fx: WithRecover needs an op and a function of the error, as in fx.WithRecover(op, fromReplica)")
	}
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		if v, err = op(ctx); err == nil {
			return v, nil
		}
		return fallBack(ctx, []Op[T]{func(ctx context.Context) (T, error) { return f(ctx, err) }}, v, err)
	}
}

// A Result is an answer that says whether it is second best.
type Result[T any] struct {
	Value    T
	Degraded bool          // a fallback answered, here or in a part
	Age      time.Duration // how old the answer is, or the oldest part of it; 0 if it is fresh or nobody said
	Cause    error         // why the best answer was not to be had; nil if it was
}

// WithDegraded is [WithFallback] that says what it served. The Result also tells of fallbacks further inside, so that
// no degradation is silent.
func WithDegraded[T any](op Op[T], alts ...Op[T]) Op[Result[T]] {
	if op == nil || slices.ContainsFunc(alts, isNil[T]) {
		panic("fx: WithDegraded needs ops that are not nil, as in fx.WithDegraded(op, fx.Value(second))")
	}
	return func(ctx context.Context) (r Result[T], err error) {
		if ctx.Err() != nil {
			return r, ended(ctx)
		}
		own, n := withNote(ctx)
		v, err := op(own)
		if err != nil {
			own, n = withNote(ctx) // what a failed op noted is not part of the answer
			v, err = fallBack(own, alts, v, err)
		}
		if err != nil {
			return r, err
		}
		noteIn(ctx).add(n)
		return resultOf(v, n), nil
	}
}

// A note travels in a context to learn of the degradations below it. A nil note learns nothing.
type note struct {
	mu       sync.Mutex
	degraded bool
	age      time.Duration
	causes   []error
}

type noteKey struct{}

func noteIn(ctx context.Context) *note {
	n, _ := ctx.Value(noteKey{}).(*note)
	return n
}

func withNote(ctx context.Context) (context.Context, *note) {
	n := new(note)
	return context.WithValue(ctx, noteKey{}, n), n
}

// below gives an alternative a note of its own, so that one which fails leaves nothing on n.
func (n *note) below(ctx context.Context) (context.Context, *note) {
	if n == nil {
		return ctx, nil
	}
	return withNote(ctx)
}

// add takes over what part has learned, and that it is second best if there is a cause.
func (n *note) add(part *note, causes ...error) {
	if n == nil {
		return
	}
	part.mu.Lock()
	degraded, age := part.degraded, part.age
	causes = append(causes, part.causes...)
	part.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.degraded = n.degraded || degraded || len(causes) > 0
	n.age = max(n.age, age)
	n.causes = append(n.causes, causes...)
}

func resultOf[T any](v T, n *note) Result[T] {
	n.mu.Lock()
	defer n.mu.Unlock()
	cause := errors.Join(n.causes...)
	if len(n.causes) == 1 {
		cause = n.causes[0]
	}
	return Result[T]{Value: v, Degraded: n.degraded, Age: n.age, Cause: cause}
}
