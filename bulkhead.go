package fx

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Bulkhead bounds how many calls to a dependency run at once, so that one which hangs cannot take every goroutine
// and connection with it. Callers beyond the limit wait in a queue, first in, first out, or are refused when that is
// full too. It is a counter and a list: it starts no goroutines.
//
// The zero value runs 10 at once and queues none. It is safe for concurrent use and must not be copied after first
// use. For the limit, see Little's law in the README: calls a second times seconds a call.
type Bulkhead struct {
	// Name appears in errors.
	Name string
	// Limit is how many run at once. 0 means 10, a negative number 1; more than 2^30 means 2^30.
	Limit int
	// Queue is how many more may wait. 0 or less means none; more than 2^30 means 2^30.
	Queue int
	// MaxWait is how long one waits at most. 0 means until its context ends, a negative duration not at all.
	MaxWait time.Duration

	state   atomic.Uint64 // running, waiting and closed in one word, see seats
	mu      sync.Mutex    // guards what follows, and every change of state while someone waits
	first   *waiter
	last    *waiter
	drained chan struct{} // closed when a closed bulkhead runs nothing any more
}

// A waiter is a place in the queue. seat is closed when the place is left for a seat, or because of Close.
type waiter struct {
	seat       chan struct{}
	err        error // why there is no seat; written before seat is closed
	prev, next *waiter
	gone       bool // no longer in the queue
}

// seats is the state of a bulkhead: running in the low bits, then waiting, then one bit for closed.
type seats uint64

const (
	oneRunning seats = 1
	oneWaiting seats = 1 << 31
	shut       seats = 1 << 62
	most             = 1 << 30
)

func (s seats) running() int { return int(s % oneWaiting) }
func (s seats) waiting() int { return int(s % shut / oneWaiting) }
func (s seats) closed() bool { return s >= shut }

// free says whether a newcomer may take a seat: not if it is someone else's turn.
func (s seats) free(limit int) bool { return s < oneWaiting && s.running() < limit }

// full says whether a newcomer can neither run nor wait.
func (s seats) full(limit, queue int) bool {
	return !s.closed() && s.running() >= limit && s.waiting() >= queue
}

// WithBulkhead calls op when b has a seat for it, and gives the seat back however op ends. A refusal matches
// [ErrFull], or [ErrClosed] after Close.
func WithBulkhead[T any](op Op[T], b *Bulkhead) Op[T] {
	if op == nil || b == nil {
		panic("fx: WithBulkhead needs an op and a bulkhead, as in fx.WithBulkhead(op, &fx.Bulkhead{Limit: 32})")
	}
	return func(ctx context.Context) (v T, err error) {
		if err = b.Acquire(ctx); err != nil {
			return v, err
		}
		defer b.Release()
		return op(ctx)
	}
}

// Acquire takes a seat, waiting in the queue if need be; the caller owes a Release. Without a seat the error matches
// [ErrFull], [ErrClosed] or, when ctx ended first, ctx.Err() and its cause.
func (b *Bulkhead) Acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if b.try() {
		return nil
	}
	if seats(b.state.Load()).full(b.limit(), b.queue()) {
		return (*fullError)(b)
	}
	w, err := b.enqueue()
	if w == nil {
		return err
	}
	return b.wait(ctx, w)
}

// try takes a seat if one is free and nobody else is at it.
func (b *Bulkhead) try() bool {
	s := seats(b.state.Load())
	return s.free(b.limit()) && b.swap(s, s+oneRunning)
}

// Release gives a seat back, to the one who has waited longest if there is one. It panics without an Acquire.
func (b *Bulkhead) Release() {
	if s := seats(b.state.Load()); s < oneWaiting && s > 0 && b.swap(s, s-oneRunning) {
		return
	}
	b.releaseSlowly()
}

func (b *Bulkhead) releaseSlowly() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.release()
}

// InUse is how many run and how many wait at this moment.
func (b *Bulkhead) InUse() (running, waiting int) {
	s := seats(b.state.Load())
	return s.running(), s.waiting()
}

// Close refuses newcomers and those who wait with [ErrClosed], then waits until nothing runs any more or ctx ends; in
// the latter case the error matches ctx.Err() and its cause. It may be called again, to wait again.
func (b *Bulkhead) Close(ctx context.Context) error {
	drained := b.shut()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-drained: // both at once
		return nil
	default:
		running, _ := b.InUse()
		return fmt.Errorf("fx: closing %s: %d still running: %w", named("bulkhead", b.Name), running, over(ctx))
	}
}

// What a bulkhead's refusal matches.
var (
	ErrFull   error = &refusal{"fx: bulkhead is full"}
	ErrClosed error = &refusal{"fx: bulkhead is closed"}
)

// refused names the bulkhead that did not run a call, when it was not full at once.
type refused struct {
	b   *Bulkhead
	why error
}

func (e *refused) Error() string {
	return "fx: " + named("bulkhead", e.b.Name) + ": not started: " + text(e.why)
}

func (e *refused) Unwrap() error   { return e.why }
func (e *refused) MayBeDone() bool { return false }
func (e *refused) neverLeft() bool { return true }

// fullError is the bulkhead itself seen as an error, so that to refuse costs nothing.
type fullError Bulkhead

func (e *fullError) Error() string   { return "fx: " + named("bulkhead", e.Name) + " is full" }
func (e *fullError) Unwrap() error   { return ErrFull }
func (e *fullError) MayBeDone() bool { return false }

func (b *Bulkhead) limit() int {
	if b.Limit == 0 {
		return 10
	}
	return min(max(b.Limit, 1), most)
}

func (b *Bulkhead) queue() int {
	if b.MaxWait < 0 {
		return 0
	}
	return min(max(b.Queue, 0), most)
}

func (b *Bulkhead) swap(from, to seats) bool {
	return b.state.CompareAndSwap(uint64(from), uint64(to))
}

// change applies f to the state. mu is held; those who need no lock may still come and go, hence the loop.
func (b *Bulkhead) change(f func(seats) seats) {
	for {
		s := seats(b.state.Load())
		if b.swap(s, f(s)) {
			return
		}
	}
}

// enqueue takes a seat (nil, nil), or a place in the queue, or says why there is neither.
func (b *Bulkhead) enqueue() (*waiter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		s := seats(b.state.Load())
		switch {
		case s.closed():
			return nil, &refused{b, ErrClosed}
		case s.free(b.limit()):
			if b.swap(s, s+oneRunning) {
				return nil, nil
			}
		case s.full(b.limit(), b.queue()):
			return nil, (*fullError)(b)
		case b.swap(s, s+oneWaiting):
			return b.push(), nil
		}
	}
}

// wait waits for w's seat.
func (b *Bulkhead) wait(ctx context.Context, w *waiter) error {
	var late <-chan time.Time
	if b.MaxWait > 0 {
		t := time.NewTimer(b.MaxWait)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-w.seat:
		if w.err == nil && ctx.Err() != nil { // both at once: pass the seat on
			b.Release()
			return &refused{b, over(ctx)}
		}
		return w.err
	case <-late:
		return b.giveUp(w, (*fullError)(b))
	case <-ctx.Done():
		return b.giveUp(w, &refused{b, over(ctx)})
	}
}

// giveUp leaves the queue. If w has been called in the meantime it passes its seat on, and if it has been refused that
// came first.
func (b *Bulkhead) giveUp(w *waiter, why error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !w.gone:
		b.remove(w)
		b.change(func(s seats) seats { return s - oneWaiting })
	case w.err == nil:
		b.release()
	default:
		return w.err
	}
	return why
}

// release passes a seat on or frees it. mu is held.
func (b *Bulkhead) release() {
	if w := b.first; w != nil {
		b.remove(w)
		b.change(func(s seats) seats { return s - oneWaiting })
		close(w.seat)
		return
	}
	b.change(func(s seats) seats {
		if s.running() == 0 {
			panic("fx: Release of " + named("bulkhead", b.Name) + " without Acquire")
		}
		return s - oneRunning
	})
	b.drain()
}

// shut closes the bulkhead, once, and returns what tells that it runs nothing any more.
func (b *Bulkhead) shut() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.drained == nil {
		b.drained = make(chan struct{})
		b.change(func(s seats) seats { return s%oneWaiting + shut })
		for w := b.first; w != nil; w = b.first {
			w.err = &refused{b, ErrClosed}
			b.remove(w)
			close(w.seat)
		}
		b.drain()
	}
	return b.drained
}

// drain tells those who wait in Close, when it is time: once, as nobody gets in after that. mu is held.
func (b *Bulkhead) drain() {
	if seats(b.state.Load()) == shut {
		close(b.drained)
	}
}

// push adds a waiter at the end of the queue.
func (b *Bulkhead) push() *waiter {
	w := &waiter{seat: make(chan struct{}), prev: b.last}
	if b.last != nil {
		b.last.next = w
	} else {
		b.first = w
	}
	b.last = w
	return w
}

// remove takes w out of the queue.
func (b *Bulkhead) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		b.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		b.last = w.prev
	}
	w.prev, w.next, w.gone = nil, nil, true
}
