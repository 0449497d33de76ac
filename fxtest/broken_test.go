package fxtest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// A suspect is a policy that the kit has to judge: one of broken, or one of honest.
type suspect struct {
	name   string                         // of a broken one: its only mistake
	seen   string                         // where that mistake was made
	policy func(op fx.Op[int]) fx.Op[int] //
	terms  []fxtest.Term                  // what an honest policy of its kind declares
	race   bool                           // only the race detector can see it
	hangs  bool                           // it waits for a mutex, which stops virtual time and the test with it
}

// broken is what the kit is judged by: policies of 10 to 30 lines as users write them, each with one mistake that a
// real library, or much copied code, has made. They were written before the laws, and from those mistakes alone.
var broken = slices.Concat(brokenRetries, brokenBreakers, brokenBulkheads, brokenTimeouts, brokenHedges, brokenCaches,
	brokenLimits, brokenOthers)

var (
	errOpen     = errors.New("open")
	errFull     = errors.New("full")
	errLimited  = errors.New("rate limit")
	errTooLate  = errors.New("took too long")
	errGivenUp  = errors.New("gave up")
	errPanicked = errors.New("op panicked")
)

// gone says that a caller's context has ended, and why.
func gone(ctx context.Context) error { return fmt.Errorf("%w: %w", ctx.Err(), context.Cause(ctx)) }

// awake does not call op for a caller whose context has ended already.
func awake(op fx.Op[int]) fx.Op[int] {
	return func(ctx context.Context) (int, error) {
		if ctx.Err() != nil {
			return 0, gone(ctx)
		}
		return op(ctx)
	}
}

// pause waits for d, or says why ctx ended first.
func pause(ctx context.Context, d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return gone(ctx)
	}
	return nil
}

// An ending is how a call on another goroutine ended.
type ending struct {
	v        int
	err      error
	panicked any
	exited   bool
}

// elsewhere calls op and sends how that ended, whatever op does. It is to be run on a goroutine of its own.
func elsewhere(ctx context.Context, op fx.Op[int], ends chan<- ending) {
	e := ending{exited: true}
	defer func() {
		if e.panicked = recover(); e.panicked != nil {
			e.exited = false
		}
		ends <- e
	}()
	e.v, e.err = op(ctx)
	e.exited = false
}

// deliver ends the caller's goroutine as the other one ended.
func (e ending) deliver() (int, error) {
	if e.panicked != nil {
		panic(e.panicked)
	}
	if e.exited {
		runtime.Goexit()
	}
	return e.v, e.err
}

// A gate is an honest circuit breaker, but for the mistakes named by its fields: three failures in a row open it for
// ten seconds, then one probe at a time decides; a probe that is not back after ten seconds holds nobody up.
type gate struct {
	crowd   bool // half-open, it lets everyone in
	patient bool // it waits for its probe however long that takes
	ageless bool // it takes the results of any period for news

	mu       sync.Mutex
	failures int
	open     bool
	until    time.Time // end of the cooldown
	probing  bool
	lease    time.Time // until when the probe holds the others up
	period   int       // results of earlier ones do not count
}

type verdict int

const (
	bad verdict = iota // also that of a panic, and of a goroutine that exits
	good
	neutral
)

// judge says what the end of a call tells of the dependency.
func judge(ctx context.Context, err error) verdict {
	switch {
	case err == nil:
		return good
	case ctx.Err() != nil:
		return neutral
	}
	return bad
}

func (g *gate) enter() (period int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch {
	case !g.open:
		return g.period, nil
	case now.Before(g.until):
		return 0, errOpen
	case g.probing && g.crowd:
		return g.period, nil
	case g.probing && (g.patient || now.Before(g.lease)):
		return 0, errOpen
	}
	g.probing, g.lease = true, now.Add(10*time.Second)
	g.period++
	return g.period, nil
}

func (g *gate) leave(period int, v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if period != g.period && !g.ageless {
		return
	}
	switch v {
	case neutral:
		g.probing = false
	case good:
		if g.failures = 0; g.open {
			g.open, g.probing = false, false
			g.period++
		}
	case bad:
		if g.failures++; g.open || g.failures >= 3 {
			g.open, g.probing, g.until = true, false, time.Now().Add(10*time.Second)
			g.period++
		}
	}
}

// guard is the honest policy around a gate.
func (g *gate) guard(op fx.Op[int]) fx.Op[int] {
	return awake(func(ctx context.Context) (v int, err error) {
		period, err := g.enter()
		if err != nil {
			return 0, err
		}
		result := bad
		defer func() { g.leave(period, result) }()
		v, err = op(ctx)
		result = judge(ctx, err)
		return v, err
	})
}

// A line is an honest semaphore with a queue, first in, first out, but for the mistakes named by its fields.
type line struct {
	stack bool // last in, first out
	ghost bool // who leaves the queue is not taken out of it, and gets a place
	mute  bool // who leaves the queue is not taken out of it, and nobody else is called in his stead

	mu      sync.Mutex
	free    int
	waiting []*ticket
}

type ticket struct {
	called chan struct{} // closed when its place is free
	left   bool
}

func (l *line) enter(ctx context.Context) error {
	l.mu.Lock()
	if l.free > 0 {
		l.free--
		l.mu.Unlock()
		return nil
	}
	t := &ticket{called: make(chan struct{})}
	l.waiting = append(l.waiting, t)
	l.mu.Unlock()
	select {
	case <-t.called:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		l.quit(t)
		return gone(ctx)
	}
	return nil
}

// quit leaves the queue, and passes on a place that came in the same moment.
func (l *line) quit(t *ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.left = true
	if l.ghost || l.mute {
		return
	}
	if i := slices.Index(l.waiting, t); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		return
	}
	l.next()
}

func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next()
}

// next gives a place to the one whose turn it is. mu is held.
func (l *line) next() {
	if len(l.waiting) == 0 {
		l.free++
		return
	}
	i := 0
	if l.stack {
		i = len(l.waiting) - 1
	}
	t := l.waiting[i]
	l.waiting = slices.Delete(l.waiting, i, i+1)
	if t.left && l.mute {
		l.free++
		return
	}
	close(t.called)
}

// guard is the honest policy around a line.
func (l *line) guard(op fx.Op[int]) fx.Op[int] {
	return awake(func(ctx context.Context) (int, error) {
		if err := l.enter(ctx); err != nil {
			return 0, err
		}
		defer l.leave()
		return op(ctx)
	})
}
