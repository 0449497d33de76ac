package fxtest

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// Forever is a Take that no test sees the end of: 10,000 hours.
const Forever = 10_000 * time.Hour

// Turn is what an operation does when it is called once. The zero Turn returns the zero T at once.
type Turn[T any] struct {
	Value  T             // returned, together with Err
	Err    error         // nil for a success
	Panic  any           // if not nil, the turn ends in this panic
	Goexit bool          // the turn ends its goroutine, as testing.T.FailNow does
	Take   time.Duration // how long the turn takes; it ends earlier, with ctx.Err(), if ctx does
	Deaf   bool          // the turn ignores ctx and takes all of Take
}

// Play plays the turn: it waits, in virtual time within a synctest bubble, and ends as the turn says.
func (t Turn[T]) Play(ctx context.Context) (T, error) {
	if err := t.pass(ctx); err != nil {
		var none T
		return none, err
	}
	if t.Panic != nil {
		panic(t.Panic)
	}
	if t.Goexit {
		runtime.Goexit()
	}
	return t.Value, t.Err
}

// pass lets the time of the turn go by. Its error is that of a ctx which ended first.
func (t Turn[T]) pass(ctx context.Context) error {
	switch {
	case t.Deaf:
		time.Sleep(t.Take)
		return nil
	case t.Take <= 0:
		return ctx.Err()
	}
	timer := time.NewTimer(t.Take)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Script is an operation that plays its Turns one after the other, a turn a call, and the last one again and again.
// Without Turns it returns the zero T. A Script is safe for concurrent use and must not be copied.
//
//	op := &fxtest.Script[int]{Turns: []fxtest.Turn[int]{{Err: errDown}, {Value: 42, Take: time.Second}}}
//	v, err := fx.WithRetry(op.Op, fx.Retry{})(ctx) // 42, nil
//	op.Calls()                                     // 2
type Script[T any] struct {
	Turns []Turn[T]

	calls atomic.Int64
}

// Op plays the next turn. The method value s.Op is an fx.Op.
func (s *Script[T]) Op(ctx context.Context) (T, error) {
	n := int(s.calls.Add(1))
	if len(s.Turns) == 0 {
		return Turn[T]{}.Play(ctx)
	}
	return s.Turns[min(n, len(s.Turns))-1].Play(ctx)
}

// Calls tells how often Op was called.
func (s *Script[T]) Calls() int { return int(s.calls.Load()) }
