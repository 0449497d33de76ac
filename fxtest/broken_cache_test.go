package fxtest_test

import (
	"context"
	"sync"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var (
	collapses = []fxtest.Term{
		fxtest.Shares("calls at the same time are one call"),
		fxtest.Leaves("who leaves does not wait for it to end"),
	}
	remembers = []fxtest.Term{fxtest.Shares("an answer serves for a minute")}
)

// A flight is one call of op that several callers wait for.
type flight struct {
	done    chan struct{} // closed when it is over
	end     ending
	waiting int
	cancel  context.CancelFunc
}

// A sharing is an honest collapsing of calls at the same time into one, but for the mistakes named by its fields. Who
// leaves returns at once; when the last has left, the call is cancelled, and the next caller starts another.
type sharing struct {
	lost    func(ending) bool // such an end is told to nobody
	blank   bool              // a panic is told to the first caller only, and the others get zero and nil
	stale   bool              // a newcomer joins a call that was cancelled
	endless bool              // nobody cancels the call
	captive bool              // nobody can leave
	bound   bool              // the call ends with the first caller's context

	mu      sync.Mutex
	current *flight
}

func (s *sharing) guard(op fx.Op[int]) fx.Op[int] {
	return awake(func(ctx context.Context) (int, error) {
		f, first := s.board(ctx, op)
		left := ctx.Done()
		if s.captive {
			left = nil
		}
		select {
		case <-f.done:
			if s.blank && !first && f.end.panicked != nil {
				return 0, nil
			}
			return f.end.deliver()
		case <-left:
			s.quit(f)
			return 0, gone(ctx)
		}
	})
}

// board joins the flight in the air, or starts one.
func (s *sharing) board(ctx context.Context, op fx.Op[int]) (f *flight, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.current; f == nil {
		own := ctx
		if !s.bound {
			own = context.WithoutCancel(ctx)
		}
		own, cancel := context.WithCancel(own)
		f = &flight{done: make(chan struct{}), cancel: cancel}
		s.current = f
		first = true
		go s.fly(own, op, f)
	}
	f.waiting++
	return f, first
}

func (s *sharing) fly(ctx context.Context, op fx.Op[int], f *flight) {
	ends := make(chan ending, 1)
	defer func() {
		f.cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		if f.end = <-ends; s.lost == nil || !s.lost(f.end) {
			s.land(f)
			close(f.done)
		}
	}()
	elsewhere(ctx, op, ends)
}

func (s *sharing) quit(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiting--; f.waiting > 0 || s.endless {
		return
	}
	if f.cancel(); !s.stale {
		s.land(f)
	}
}

// land makes room for the next flight. mu is held.
func (s *sharing) land(f *flight) {
	if s.current == f {
		s.current = nil
	}
}

var brokenCaches = []suspect{
	{
		name: "fails everybody when the first caller leaves", seen: "authzed/spicedb #925; golang.org/x/sync/singleflight with the first caller's context", terms: collapses,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&sharing{bound: true}).guard(op) },
	}, {
		name: "lets the others wait for ever after a panic", seen: "golang/go #41133, Lychee-Technology/forma #467, erpc/erpc #1060", terms: collapses,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return (&sharing{lost: func(e ending) bool { return e.panicked != nil }}).guard(op)
		},
	}, {
		name: "lets the others wait for ever after a Goexit", seen: "golang/go #67087, minio/minio-go #2275", terms: collapses,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return (&sharing{lost: func(e ending) bool { return e.exited }}).guard(op)
		},
	}, {
		name: "serves nil and zero to those who wait, after a panic", seen: "zeromicro/go-zero core/syncx/singleflight.go: the deferred Done of a call that has no result", terms: collapses,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&sharing{blank: true}).guard(op) },
	}, {
		name: "lets nobody leave who waits for another's call", seen: "zeromicro/go-zero core/syncx/singleflight.go: wg.Wait; anthony-chaudhary/fak #11924", terms: collapses,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&sharing{captive: true}).guard(op) },
	}, {
		name: "lets a newcomer join a call that was cancelled", seen: "tailscale/tailscale #18919", terms: collapses,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&sharing{stale: true}).guard(op) },
	}, {
		name: "drops the values of the context of a shared call", seen: "authzed/spicedb #925, janos/singleflight #6: context.Background() for the shared call", terms: collapses,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return new(sharing).guard(func(ctx context.Context) (int, error) {
				own, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
				return op(own)
			})
		},
	}, {
		name: "flies on when all who waited have left, and does not say so", seen: "WithoutCancel for the shared call, and nobody to cancel it",
		terms:  []fxtest.Term{fxtest.Shares("calls at the same time are one call")},
		policy: func(op fx.Op[int]) fx.Op[int] { return (&sharing{endless: true}).guard(op) },
	}, {
		name: "remembers an error", seen: "article code: cache.Set(key, result{v, err})", terms: remembers,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return cached(op, func(ctx context.Context, _ error) bool { return ctx.Err() == nil })
		},
	}, {
		name: "remembers that a caller had left", seen: "ethersphere/bee #1866: the context of the first caller, and its error for all others", terms: remembers,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return cached(op, func(ctx context.Context, err error) bool { return err == nil || ctx.Err() != nil })
		},
	}, {
		name: "serves an entry before its value is there", seen: "article code: the entry goes into the map first, to keep others from calling", terms: remembers,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var v int
			var until time.Time
			return awake(func(ctx context.Context) (int, error) {
				mu.Lock()
				if time.Now().Before(until) {
					defer mu.Unlock()
					return v, nil
				}
				until = time.Now().Add(time.Minute)
				mu.Unlock()
				kept := false
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					if !kept {
						until = time.Time{}
					}
				}()
				fresh, err := op(ctx)
				mu.Lock()
				defer mu.Unlock()
				if kept = err == nil; kept {
					v = fresh
				}
				return fresh, err
			})
		},
	}, {
		name: "answers one caller with another's answer, and does not say so", seen: "O14: a cache whose key lacks the tenant", terms: nil,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return cached(op, func(_ context.Context, err error) bool { return err == nil })
		},
	}, {
		name: "holds its lock while it fetches", seen: "article code: mu.Lock(); defer mu.Unlock() around get or load", terms: remembers, hangs: true,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var v int
			var until time.Time
			return awake(func(ctx context.Context) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				if time.Now().Before(until) {
					return v, nil
				}
				fresh, err := op(ctx)
				if err == nil {
					v, until = fresh, time.Now().Add(time.Minute)
				}
				return fresh, err
			})
		},
	}, {
		name: "returns what it remembers together with the error", seen: "L13: stale-if-error whose caller is told neither", terms: []fxtest.Term{},
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var last int
			return awake(func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					last = v
				}
				return last, err
			})
		},
	},
}

// cached serves what op returned for a minute, if keep says so.
func cached(op fx.Op[int], keep func(context.Context, error) bool) fx.Op[int] {
	var mu sync.Mutex
	var last ending
	var until time.Time
	recall := func() (ending, bool) {
		mu.Lock()
		defer mu.Unlock()
		return last, time.Now().Before(until)
	}
	return awake(func(ctx context.Context) (int, error) {
		if e, ok := recall(); ok {
			return e.v, e.err
		}
		v, err := op(ctx)
		if keep(ctx, err) {
			mu.Lock()
			defer mu.Unlock()
			last, until = ending{v: v, err: err}, time.Now().Add(time.Minute)
		}
		return v, err
	})
}
