package fxtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// honest is what the kit must never accuse: right policies as users write them, each with the terms that it needs.
var honest = slices.Concat(honestLimits, honestObservers, honestCallers, honestSharers, honestTwins)

var honestLimits = []suspect{
	{
		name: "token bucket that waits", terms: []fxtest.Term{fxtest.Waits("a token a second, and up to three at once")},
		policy: func(op fx.Op[int]) fx.Op[int] { return Metered(op, time.Second, 3) },
	}, {
		name: "token bucket that refuses", terms: []fxtest.Term{fxtest.Refuses("a token a second, and up to three at once")},
		policy: func(op fx.Op[int]) fx.Op[int] { return new(bucket).refusing(op) },
	}, {
		name:  "token bucket as an fx.Waiter",
		terms: []fxtest.Term{fxtest.Waits("a token a second, and up to three at once"), fxtest.Refuses("a wait can be too long")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return fx.WithLimit(op, &bucket{queue: line{free: 1}})
		},
	}, {
		name: "breaker for each tenant", terms: []fxtest.Term{fxtest.Refuses("a tenant's breaker may be open")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return WithTenants(op, &Tenants{Max: 100})
		},
	}, {
		name: "breaker with a long cooldown", terms: []fxtest.Term{fxtest.Refuses("one failure opens it"), fxtest.Adapts("it stays open for half a day")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return fx.WithBreaker(op, &fx.Breaker{Failures: 1, Cooldown: 12 * time.Hour, Probes: 1})
		},
	}, {
		name: "one at a time", terms: []fxtest.Term{fxtest.Waits("the client is not safe for concurrent use")},
		policy: func(op fx.Op[int]) fx.Op[int] { return (&line{free: 1}).guard(op) },
	}, {
		name: "semaphore by a channel", terms: []fxtest.Term{fxtest.Waits("two at once, the others queue")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
					return 0, gone(ctx)
				}
				defer func() { <-places }()
				if ctx.Err() != nil { // both at once
					return 0, gone(ctx)
				}
				return op(ctx)
			}
		},
	}, {
		name: "semaphore that refuses", terms: []fxtest.Term{fxtest.Refuses("two at once, and no queue")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			places := make(chan struct{}, 2)
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				select {
				case places <- struct{}{}:
					defer func() { <-places }()
					return op(ctx)
				default:
					return 0, errFull
				}
			}
		},
	}, {
		name: "load shedding by priority", terms: []fxtest.Term{fxtest.Refuses("eight at once, four of them for anybody")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			var running atomic.Int32
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				limit := int32(4)
				if urgent, _ := ctx.Value(urgentKey{}).(bool); urgent {
					limit = 8
				}
				defer running.Add(-1)
				if running.Add(1) > limit {
					return 0, errFull
				}
				return op(ctx)
			}
		},
	}, {
		name: "additive increase, multiplicative decrease", policy: func(op fx.Op[int]) fx.Op[int] { return (&aimd{limit: 10}).guard(op) },
		terms: []fxtest.Term{
			fxtest.Refuses("as many at once as went well"),
			fxtest.Adapts("the limit halves with each failure, and grows by one with each success"),
		},
	},
}

// Metered lets a call of op begin every so often, and up to burst at once after a rest. The others wait their turn.
func Metered[T any](op fx.Op[T], every time.Duration, burst int) fx.Op[T] {
	turn := make(chan time.Time, 1) // who is next takes from it when the bucket will be full again
	turn <- time.Time{}
	return func(ctx context.Context) (v T, err error) {
		select {
		case full := <-turn:
			if now := time.Now(); full.Before(now) {
				full = now
			}
			token := time.NewTimer(time.Until(full) - time.Duration(burst-1)*every)
			defer token.Stop()
			select {
			case <-token.C:
			case <-ctx.Done():
			}
			if ctx.Err() == nil {
				full = full.Add(every)
			}
			turn <- full
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return v, fmt.Errorf("no token: %w: %w", ctx.Err(), context.Cause(ctx))
		}
		return op(ctx)
	}
}

// A bucket gets a token a second, and holds three.
type bucket struct {
	queue line // of those who wait, of whom one at a time looks for a token
	mu    sync.Mutex
	full  time.Time // when it will be full again
}

// take takes a token, or says how long it would have to be waited for.
func (b *bucket) take() (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.full.Before(now) {
		b.full = now
	}
	if wait = b.full.Sub(now) - 2*time.Second; wait > 0 {
		return wait
	}
	b.full = b.full.Add(time.Second)
	return 0
}

func (b *bucket) refusing(op fx.Op[int]) fx.Op[int] {
	return func(ctx context.Context) (int, error) {
		if ctx.Err() != nil {
			return 0, gone(ctx)
		}
		if wait := b.take(); wait > 0 {
			return 0, fmt.Errorf("%w: a token in %v", errLimited, wait)
		}
		return op(ctx)
	}
}

// Wait makes it an fx.Waiter: it waits for a token, but not when the caller's time would run out before.
func (b *bucket) Wait(ctx context.Context) error {
	if err := b.queue.enter(ctx); err != nil {
		return err
	}
	defer b.queue.leave()
	for wait := b.take(); wait > 0; wait = b.take() {
		if at, ok := ctx.Deadline(); ok && time.Until(at) <= wait {
			return fmt.Errorf("%w: a token in %v is too late", errLimited, wait)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

// Tenants gives each tenant a breaker of its own, so that the failures of one do not stop the others. It knows Max of
// them at most; beyond that it forgets any one, and learns it anew when it comes back.
type Tenants struct {
	Max int

	mu       sync.Mutex
	breakers map[string]*fx.Breaker
}

// WithTenants calls op while the breaker of its tenant is not open.
func WithTenants[T any](op fx.Op[T], t *Tenants) fx.Op[T] {
	return func(ctx context.Context) (T, error) {
		tenant, _ := ctx.Value(tenantKey{}).(string)
		return fx.WithBreaker(op, t.breaker(tenant))(ctx)
	}
}

func (t *Tenants) breaker(tenant string) *fx.Breaker {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.breakers[tenant]; b != nil {
		return b
	}
	for any := range t.breakers {
		if len(t.breakers) < t.Max {
			break
		}
		delete(t.breakers, any)
	}
	if t.breakers == nil {
		t.breakers = map[string]*fx.Breaker{}
	}
	b := &fx.Breaker{Name: tenant}
	t.breakers[tenant] = b
	return b
}

type (
	tenantKey struct{}
	urgentKey struct{}
	spanKey   struct{}
)

// aimd is a limit that follows what the dependency bears: from 1 to 20 at once.
type aimd struct {
	mu             sync.Mutex
	running, limit int
}

func (a *aimd) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running >= a.limit {
		return false
	}
	a.running++
	return true
}

func (a *aimd) leave(v verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	switch v {
	case good:
		a.limit = min(a.limit+1, 20)
	case bad:
		a.limit = max(a.limit/2, 1)
	}
}

func (a *aimd) guard(op fx.Op[int]) fx.Op[int] {
	return func(ctx context.Context) (v int, err error) {
		if ctx.Err() != nil {
			return 0, gone(ctx)
		}
		if !a.enter() {
			return 0, errFull
		}
		result := bad
		defer func() { a.leave(result) }()
		v, err = op(ctx)
		result = judge(ctx, err)
		return v, err
	}
}

var honestObservers = []suspect{
	{
		name: "logging", policy: func(op fx.Op[int]) fx.Op[int] {
			log := slog.New(slog.NewTextHandler(io.Discard, nil))
			return func(ctx context.Context) (v int, err error) {
				began, how := time.Now(), "did not return"
				defer func() {
					log.InfoContext(ctx, "call "+how, "took", time.Since(began), "err", err)
				}()
				if v, err = op(ctx); err != nil {
					how = "failed"
				} else {
					how = "succeeded"
				}
				return v, err
			}
		},
	}, {
		name: "tracing", policy: func(op fx.Op[int]) fx.Op[int] {
			var spans atomic.Int64
			return func(ctx context.Context) (int, error) {
				parent, _ := ctx.Value(spanKey{}).(*span)
				s := &span{id: spans.Add(1), parent: parent, began: time.Now()}
				defer s.end()
				return op(context.WithValue(ctx, spanKey{}, s))
			}
		},
	}, {
		name: "metrics", policy: func(op fx.Op[int]) fx.Op[int] {
			var running, calls, failures atomic.Int64
			return func(ctx context.Context) (v int, err error) {
				calls.Add(1)
				running.Add(1)
				failed := true
				defer func() {
					running.Add(-1)
					if failed {
						failures.Add(1)
					}
				}()
				v, err = op(ctx)
				failed = err != nil
				return v, err
			}
		},
	},
}

// A span is a call seen from outside.
type span struct {
	id     int64
	parent *span
	began  time.Time
	took   time.Duration
}

func (s *span) end() { s.took = time.Since(s.began) }

var honestCallers = []suspect{
	{
		name: "retry by hand", terms: threeTries,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				var all error
				for n := 0; ; n++ {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					if all = errors.Join(all, err); n == 2 {
						return 0, fmt.Errorf("gave up: %w", all)
					}
					timer := time.NewTimer(time.Second << n)
					select {
					case <-timer.C:
					case <-ctx.Done():
						timer.Stop()
					}
					if ctx.Err() != nil {
						return 0, errors.Join(all, gone(ctx))
					}
				}
			}
		},
	}, {
		name:  "patient retry by hand",
		terms: []fxtest.Term{fxtest.Calls(200, "two hundred attempts"), fxtest.Waits("up to five seconds between them")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				var all error
				for n := 1; ; n++ {
					v, err := op(ctx)
					if err == nil {
						return v, nil
					}
					if all = errors.Join(all, err); n == 200 {
						return 0, all
					}
					if err := pause(ctx, min(time.Duration(n)*time.Second, 5*time.Second)); err != nil {
						return 0, errors.Join(all, err)
					}
				}
			}
		},
	}, {
		name: "hedge by hand", terms: twoCopies,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				ends := make(chan ending, 2)
				return raceCopies(ctx, ends, func() { go elsewhere(own, op, ends) }, settled)
			}
		},
	}, {
		name: "timeout by hand", terms: cutsOp,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				v, err := op(own)
				if err != nil && own.Err() != nil && ctx.Err() == nil {
					return 0, fmt.Errorf("%w: %w", errTooLate, err)
				}
				return v, err
			}
		},
	}, {
		name: "timeout that does not wait", terms: append([]fxtest.Term{fxtest.Prompt("the call returns with its caller's end")}, leavesOp...),
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				own, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				ends := make(chan ending, 1)
				go elsewhere(own, op, ends)
				select {
				case e := <-ends:
					return e.deliver()
				case <-own.Done():
				}
				select {
				case e := <-ends: // both at once
					return e.deliver()
				default:
					return 0, tooLate(ctx, own.Err())
				}
			}
		},
	}, {
		name: "nine tenths of the caller's time", terms: []fxtest.Term{fxtest.Cuts("a tenth is for the answer")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				at, ok := ctx.Deadline()
				if !ok {
					return op(ctx)
				}
				own, cancel := context.WithDeadline(ctx, at.Add(-time.Until(at)/10))
				defer cancel()
				return op(own)
			}
		},
	}, {
		name: "a delay put in on purpose", terms: []fxtest.Term{fxtest.Waits("the network of a phone")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if err := pause(ctx, 80*time.Millisecond); err != nil {
					return 0, err
				}
				return op(ctx)
			}
		},
	}, {
		name: "second server", terms: []fxtest.Term{fxtest.Calls(2, "the second when the first fails")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				v, first := op(ctx)
				if first == nil {
					return v, nil
				}
				if ctx.Err() != nil {
					return 0, errors.Join(first, gone(ctx))
				}
				v, second := op(ctx)
				if second == nil {
					return v, nil
				}
				return 0, errors.Join(first, second)
			}
		},
	}, {
		name: "default value", terms: hasDefault,
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				v, err := op(ctx)
				switch {
				case err == nil:
					return v, nil
				case ctx.Err() != nil:
					return 0, errors.Join(err, gone(ctx))
				}
				return -1, nil
			}
		},
	}, {
		name: "recover", terms: []fxtest.Term{fxtest.Recovers("a panic becomes an error")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (v int, err error) {
				defer func() {
					switch p := recover().(type) {
					case nil:
					case error:
						v, err = 0, fmt.Errorf("%w: %w", errPanicked, p)
					default:
						v, err = 0, fmt.Errorf("%w: %v", errPanicked, p)
					}
				}()
				return op(ctx)
			}
		},
	}, {
		name: "translation of errors", terms: []fxtest.Term{fxtest.Hides("callers know our errors only")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				v, err := op(ctx)
				switch {
				case err == nil:
					return v, nil
				case ctx.Err() != nil:
					return 0, gone(ctx)
				}
				return 0, errGivenUp
			}
		},
	}, {
		name: "a name in front of errors", policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				if err != nil {
					err = fmt.Errorf("users: %w", err)
				}
				return v, err
			}
		},
	}, {
		name: "check of the answer", terms: []fxtest.Term{fxtest.Rejects("negative numbers are not answers")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				if err == nil && v < 0 {
					return 0, fmt.Errorf("%w: %d", errGivenUp, v)
				}
				return v, err
			}
		},
	}, {
		name: "op on a goroutine of its own", policy: func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				ends := make(chan ending, 1)
				go elsewhere(ctx, op, ends)
				return (<-ends).deliver()
			}
		},
	},
}

var honestSharers = []suspect{
	{
		name: "request collapsing", terms: collapses,
		policy: func(op fx.Op[int]) fx.Op[int] { return new(Flights[int]).Collapse(op) },
	}, {
		name: "result cache", terms: remembers,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var last int
			var until time.Time
			recall := func() (int, bool) {
				mu.Lock()
				defer mu.Unlock()
				return last, time.Now().Before(until)
			}
			keep := func(v int) {
				mu.Lock()
				defer mu.Unlock()
				last, until = v, time.Now().Add(time.Minute)
			}
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				if v, ok := recall(); ok {
					return v, nil
				}
				v, err := op(ctx)
				if err == nil {
					keep(v)
				}
				return v, err
			}
		},
	}, {
		name: "last good answer in place of an error", terms: []fxtest.Term{
			fxtest.Answers("the last good one"), fxtest.Shares("another caller's answer serves too"),
		},
		policy: func(op fx.Op[int]) fx.Op[int] {
			var last atomic.Pointer[int]
			return func(ctx context.Context) (int, error) {
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				v, err := op(ctx)
				if err == nil {
					last.Store(&v)
					return v, nil
				}
				if old := last.Load(); old != nil && ctx.Err() == nil {
					return *old, nil
				}
				return 0, err
			}
		},
	},
}

// Flights makes one call of those that are under way at the same time.
type Flights[T any] struct {
	mu      sync.Mutex
	current *shared[T]
}

// shared is a call of op that several callers wait for.
type shared[T any] struct {
	done     chan struct{} // closed when it is over, and the rest is written
	v        T
	err      error
	panicked any
	exited   bool

	callers int
	cancel  context.CancelFunc
}

// Collapse calls op for the first caller, and gives what it returns to those too who come before it has returned. The
// call keeps the values of the first caller's context. Who leaves fails nobody; when the last leaves it is cancelled.
func (f *Flights[T]) Collapse(op fx.Op[T]) fx.Op[T] {
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, gone(ctx)
		}
		s := f.join(ctx, op)
		select {
		case <-s.done:
			return s.deliver()
		case <-ctx.Done():
			f.leave(s)
			return v, gone(ctx)
		}
	}
}

func (f *Flights[T]) join(ctx context.Context, op fx.Op[T]) *shared[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f.current = &shared[T]{done: make(chan struct{}), cancel: cancel}
		go f.fly(own, op, f.current)
	}
	f.current.callers++
	return f.current
}

func (f *Flights[T]) fly(ctx context.Context, op fx.Op[T], s *shared[T]) {
	s.exited = true
	defer func() {
		if s.panicked = recover(); s.panicked != nil {
			s.exited = false
		}
		s.cancel()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.forget(s)
		close(s.done)
	}()
	s.v, s.err = op(ctx)
	s.exited = false
}

// leave is what a caller does who waits no more. The next one must not join a call that was cancelled.
func (f *Flights[T]) leave(s *shared[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.callers--; s.callers == 0 {
		f.forget(s)
		s.cancel()
	}
}

// forget lets the next caller start a call. mu is held.
func (f *Flights[T]) forget(s *shared[T]) {
	if f.current == s {
		f.current = nil
	}
}

func (s *shared[T]) deliver() (T, error) {
	if s.panicked != nil {
		panic(s.panicked)
	}
	if s.exited {
		runtime.Goexit()
	}
	return s.v, s.err
}

// honestTwins are the machines of the broken ones, without a mistake.
var honestTwins = []suspect{
	{name: "breaker by hand", terms: opens, policy: func(op fx.Op[int]) fx.Op[int] { return new(gate).guard(op) }},
	{name: "queue by hand", terms: twoQueued, policy: func(op fx.Op[int]) fx.Op[int] { return (&line{free: 2}).guard(op) }},
	{name: "bucket by hand", terms: onePerMinute, policy: func(op fx.Op[int]) fx.Op[int] { return (&pail{every: time.Minute}).refusing(op) }},
	{name: "sharing by hand", terms: collapses, policy: func(op fx.Op[int]) fx.Op[int] { return new(sharing).guard(op) }},
	{
		name: "cache by hand", terms: remembers, policy: func(op fx.Op[int]) fx.Op[int] {
			return cached(op, func(_ context.Context, err error) bool { return err == nil })
		},
	},
}
