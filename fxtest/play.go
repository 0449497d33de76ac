package fxtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"example.com/fx"
)

const (
	never   = time.Duration(math.MaxInt64)
	rest    = 10 * time.Minute // after which what has ended must be forgotten
	hang    = time.Minute      // an operation that hangs; it ends at last, as a bubble has to
	endless = 3 * time.Hour    // for each time that op may be called; a call that has not returned then never will
)

// stage is where a story was played against one application of a policy, with everything that was seen.
type stage[T any] struct {
	start  time.Time
	mu     sync.Mutex  // guards what follows, and is held for no longer than a line of book-keeping
	runs   []*run[T]   // by the order of the story
	strays []*visit[T] // calls of op under a context that comes from no caller
	open   int         // calls and visits that are not over
	idle   chan struct{}
	early  bool   // op was called while the policy was applied
	left   string // the stack of a goroutine that was left behind
}

// run is one call of the policy.
type run[T any] struct {
	call   Call[T]
	group  int // which of the story's Calls
	number int // which of all callers
	begin  time.Duration

	ctx     context.Context
	cause   error
	end     time.Duration // when ctx ends
	release func()        // of ctx, when all is over: a caller may go on with it

	visits  []*visit[T]
	running int // visits that were not over when the call returned
	loose   int // contexts of op that was over which were not released then

	outcome[T]
	done  bool
	ended time.Duration
}

// visit is one call of op.
type visit[T any] struct {
	ctx          context.Context
	turn         Turn[T]
	began, ended time.Duration
	dead         bool          // the caller's context had ended before
	late         bool          // the call had returned before
	left         bool          // it still ran when the call returned
	ctxErr       error         // when it ended
	ctxEnd       time.Duration // when its context ended, if that was before
	release      func() bool

	outcome[T]
	over bool
}

// outcome is how a function ended: it returned, or panicked, or exited its goroutine.
type outcome[T any] struct {
	value    T
	err      error
	panicked any
	exited   bool
}

func (o outcome[T]) returned() bool  { return o.panicked == nil && !o.exited }
func (o outcome[T]) succeeded() bool { return o.returned() && o.err == nil }

func (o outcome[T]) String() string {
	switch {
	case o.panicked != nil:
		return fmt.Sprintf("panicked with %v", o.panicked)
	case o.exited:
		return "exited its goroutine"
	case o.err != nil:
		return fmt.Sprintf("failed with %q", o.err)
	}
	return fmt.Sprintf("returned %v", o.value)
}

type callerKey struct{}

// play plays the story in the bubble it is called in, from the application of the policy to the end of all it started.
func play[T any](c contract, policy fx.Policy[T], story Story[T]) *stage[T] {
	s := &stage[T]{start: time.Now(), idle: make(chan struct{}, 1)}
	before := runtime.NumGoroutine()
	op := policy(s.visit)
	s.mu.Lock()
	s.early = len(s.strays) > 0
	s.mu.Unlock()
	for group, c := range story.Calls {
		for i := range c.times() {
			r := &run[T]{call: c, group: group, number: len(s.runs), begin: c.At + time.Duration(i)*c.Every}
			s.runs = append(s.runs, r)
		}
	}
	s.mu.Lock()
	s.open += len(s.runs)
	s.mu.Unlock()
	for _, r := range s.runs {
		go s.call(op, r)
	}
	s.settle(c)
	if c.has(leaves, shares) { // what was left behind may wait before it goes on
		time.Sleep(rest)
		s.settle(c)
	}
	if runtime.NumGoroutine() > before {
		s.left = leftGoroutine()
	}
	for _, r := range s.runs {
		r.release()
	}
	time.Sleep(rest) // for what a forgotten timer does
	synctest.Wait()
	return s
}

// settle waits until every call and every visit is over, and what they woke too.
func (s *stage[T]) settle(c contract) {
	limit := time.NewTimer(time.Duration(c.calls()) * endless)
	defer limit.Stop()
	for s.busy() {
		select {
		case <-s.idle:
			synctest.Wait()
		case <-limit.C:
			return
		}
	}
}

func (s *stage[T]) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open > 0
}

func (s *stage[T]) now() time.Duration { return time.Since(s.start) }

// call calls the policy as the story says, and writes down how that ended.
func (s *stage[T]) call(op fx.Op[T], r *run[T]) {
	time.Sleep(r.begin)
	r.cause = fmt.Errorf("caller %d left", r.number+1)
	ctx := r.context()
	returned := false
	defer func() {
		if p := recover(); p != nil {
			r.panicked = p
		} else {
			r.exited = !returned
		}
		s.finish(r)
	}()
	r.value, r.err = op(ctx)
	returned = true
}

// context makes the caller's context. Its end comes some nanoseconds later than the story says, other ones for each
// caller and for a deadline and a cancel, so that nothing else happens in that instant.
func (r *run[T]) context() context.Context {
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), callerKey{}, r))
	r.release = func() { cancel(context.Canceled) }
	apart := time.Duration(2*r.number + 1)
	r.end = never
	if r.call.Limit > 0 {
		r.end = r.begin + r.call.Limit + apart
		deadline, drop := context.WithDeadlineCause(ctx, time.Now().Add(r.call.Limit+apart), r.cause)
		ctx, r.release = deadline, func() { drop(); cancel(context.Canceled) }
	}
	if r.call.Cancel > 0 {
		r.end = min(r.end, r.begin+r.call.Cancel+apart+1)
		time.AfterFunc(r.call.Cancel+apart+1, func() { cancel(r.cause) })
	}
	if r.call.Dead {
		r.end = r.begin
		cancel(r.cause)
	}
	r.ctx = ctx
	return ctx
}

// finish closes the books of a call.
func (s *stage[T]) finish(r *run[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.done, r.ended = true, s.now()
	for _, v := range r.visits {
		if !v.over {
			r.running++
			v.left = true
		} else if v.ctx.Err() == nil && v.ctx.Done() != r.ctx.Done() {
			r.loose++
		}
	}
	s.closed()
}

// visit is the op that the policy is applied to.
func (s *stage[T]) visit(ctx context.Context) (T, error) {
	v := s.enter(ctx)
	returned := false
	defer func() {
		if !returned && v.turn.Goexit && v.turn.Panic == nil {
			v.exited = true
		} else if !returned {
			v.panicked = v.turn.Panic
		}
		s.leave(v)
	}()
	v.value, v.err = v.turn.Play(ctx)
	returned = true
	return v.value, v.err
}

func (s *stage[T]) enter(ctx context.Context) *visit[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &visit[T]{ctx: ctx, began: s.now(), ctxEnd: never}
	v.release = context.AfterFunc(ctx, func() { s.cut(v) })
	s.open++
	r, known := ctx.Value(callerKey{}).(*run[T])
	if !known {
		s.strays = append(s.strays, v)
		return v
	}
	v.turn = r.call.turn(len(r.visits))
	if v.turn.Take > 0 {
		v.turn.Take += time.Microsecond // so that no timer of the policy fires in the same instant
	}
	v.dead, v.late = !r.done && r.ctx.Err() != nil, r.done
	r.visits = append(r.visits, v)
	return v
}

// cut writes down when the context of a visit ended.
func (s *stage[T]) cut(v *visit[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.ctxEnd = s.now()
}

func (s *stage[T]) leave(v *visit[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.over, v.ended, v.ctxErr = true, s.now(), v.ctx.Err()
	v.release()
	s.closed()
}

// closed counts down what is open.
func (s *stage[T]) closed() {
	if s.open--; s.open == 0 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// leftGoroutine is the stack of a goroutine of this bubble other than the one that asks, or "".
func leftGoroutine() string {
	text := make([]byte, 1<<20)
	stacks := strings.Split(string(text[:runtime.Stack(text, true)]), "\n\n")
	_, bubble, found := strings.Cut(firstLine(stacks[0]), "synctest bubble ")
	if !found {
		return ""
	}
	for _, stack := range stacks[1:] {
		head := firstLine(stack)
		if strings.HasSuffix(head, "synctest bubble "+bubble) && !strings.Contains(stack, "\ntesting/synctest.testingSynctestTest(") && !strings.Contains(head, "synctest.Run") {
			return stack
		}
	}
	return ""
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// matches tells whether err says that ctx has ended, and why.
func matches(err error, ctx context.Context) bool {
	return errors.Is(err, ctx.Err()) && errors.Is(err, context.Cause(ctx))
}
