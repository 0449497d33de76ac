package fx

import (
	"context"
	"errors"
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
	if op == nil || anyNil(alts) {
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

// anyNil is written out to be inlined: what is not cannot be composed in every call for nothing.
func anyNil[T any](ops []Op[T]) bool {
	for _, op := range ops {
		if op == nil {
			return true
		}
	}
	return false
}

// fallBack tries the alternatives after op has failed with err.
func fallBack[T any](ctx context.Context, alts []Op[T], v T, err error) (T, error) {
	if len(alts) == 0 {
		return v, err
	}
	outer, failed := noteIn(ctx), fallbackError{first: err}
	for _, alt := range alts {
		if ctx.Err() != nil {
			failed.then = append(failed.then, over(ctx))
			break
		}
		own, n := outer.below(ctx)
		if v, err = alt(own); err == nil {
			outer.add(n, &failed)
			return v, nil
		}
		failed.then = append(failed.then, err)
	}
	return none[T](), failed.keep()
}

func none[T any]() (v T) { return v }

// fallbackError is what op and its alternatives said, in turn.
type fallbackError struct {
	first error
	then  []error
}

func (e *fallbackError) Error() string {
	texts := make([]string, 0, 1+len(e.then))
	for _, err := range e.Unwrap() {
		texts = append(texts, text(err))
	}
	return "fx: no answer: " + strings.Join(texts, "; then: ")
}

func (e *fallbackError) Unwrap() []error { return append([]error{e.first}, e.then...) }

// keep moves e to the heap, which only an error that is returned has to pay for.
func (e fallbackError) keep() error { return &e }

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
	Age      time.Duration // how old the oldest part of the answer is; 0 if it is fresh or none of its sources told
	Cause    error         // why the best answer was not to be had; nil if it was
}

// WithDegraded is [WithFallback] that says what it served. The Result also tells of fallbacks further inside, so that
// no degradation is silent.
func WithDegraded[T any](op Op[T], alts ...Op[T]) Op[Result[T]] {
	if op == nil || anyNil(alts) {
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
		noteIn(ctx).add(n, nil)
		return resultOf(v, n), nil
	}
}

// A note travels in a context to learn of the degradations below it. A nil note learns nothing.
type note struct {
	mu     sync.Mutex
	causes []error // why fallbacks answered; empty if none did
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

// add takes over what part has learned, and that it is second best if something failed before it.
func (n *note) add(part *note, before *fallbackError) {
	if n == nil {
		return
	}
	part.mu.Lock()
	learned := part.causes
	part.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if before != nil {
		n.causes = append(n.causes, before.Unwrap()...)
	}
	n.causes = append(n.causes, learned...)
}

func resultOf[T any](v T, n *note) Result[T] {
	n.mu.Lock()
	defer n.mu.Unlock()
	cause := errors.Join(n.causes...)
	if len(n.causes) == 1 {
		cause = n.causes[0]
	}
	return Result[T]{Value: v, Degraded: len(n.causes) > 0, Cause: cause}
}
