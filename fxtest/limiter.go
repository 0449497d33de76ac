package fxtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"example.com/fx"
)

// A Limiter bounds how many run at once: an *fx.Bulkhead is one, and a policy becomes one by [LimiterOf].
type Limiter interface {
	Acquire(context.Context) error
	Release()
}

// Limits says what a Limiter promises.
type Limits struct {
	// Limit is how many have a place at once. 0 means 10.
	Limit int
	// Queue is how many more may wait. 0 means none, a negative number any number.
	Queue int
	// MaxWait is how long one waits at most. 0 means until the context ends.
	MaxWait time.Duration
	// Unfair says that those who wait may get their places in any order, not the one who came first.
	Unfair bool
	// Full is matched by the error of those for whom there is no room, and of those who waited for MaxWait. nil means
	// that any error will do.
	Full error
}

// CheckLimiter proves that a Limiter keeps its limits whoever comes, waits, leaves and finishes in any order: there are
// never more than Limit at once, and Queue who wait; a place that is free is taken in that instant, by the one who came
// first; who leaves the queue leaves at once, with his context's error and cause, and costs nobody's place; a context that
// has ended gets nothing; and in the end all places are there again.
//
// The Limiter is made afresh for each play, within its synctest bubble:
//
//	fxtest.CheckLimiter(t, func() fxtest.Limiter { return &fx.Bulkhead{Limit: 2, Queue: 3} },
//		fxtest.Limits{Limit: 2, Queue: 3, Full: fx.ErrFull})
func CheckLimiter(t *testing.T, newLimiter func() Limiter, want Limits) {
	t.Helper()
	rapid.Check(t, LimiterLaws(newLimiter, want))
}

// LimiterLaws is the property that CheckLimiter checks.
func LimiterLaws(newLimiter func() Limiter, want Limits) func(*rapid.T) {
	if newLimiter == nil || want.Limit < 0 || want.MaxWait < 0 {
		panic("fxtest: CheckLimiter needs a function that makes a Limiter, and no negative Limit or MaxWait, as in fxtest.CheckLimiter(t, newQueue, fxtest.Limits{Limit: 2})")
	}
	if want.Limit == 0 {
		want.Limit = 10
	}
	steps := rapid.SliceOfN(rapid.Custom(want.step), 1, 40)
	return func(rt *rapid.T) {
		plan := steps.Draw(rt, "plan")
		trial(rt, func(h *history) {
			c := &limiterCheck{history: h, want: want, limiter: newLimiter()}
			defer c.clear()
			for _, s := range plan {
				c.do(s)
			}
			c.end()
		})
	}
}

// A seatStep is one thing that happens to a Limiter.
type seatStep struct {
	Do       string
	Callers  int           // who come at once
	Patience time.Duration // of those who come: how long until their deadline; 0 means for ever
	Which    int           // of those whom it could be
	For      time.Duration // that passes
}

// step draws a step that suits the limits: waits that last about as long as deadlines do, and crowds that fill the queue.
func (l Limits) step(rt *rapid.T) seatStep {
	s := seatStep{Do: rapid.SampledFrom([]string{"come", "come", "finish", "finish", "leave", "wait", "crowd", "dead", "cut", "rush", "swap"}).Draw(rt, "do")}
	span := func(name string) time.Duration {
		return time.Duration(rapid.IntRange(1, 30).Draw(rt, name)) * 100 * time.Millisecond
	}
	switch s.Do {
	case "come", "crowd", "rush":
		if s.Callers = 1; s.Do != "come" {
			s.Callers = rapid.IntRange(2, l.Limit+max(l.Queue, 2)+2).Draw(rt, "callers")
		}
		if rapid.Bool().Draw(rt, "hasty") {
			s.Patience = span("patience")
		}
	case "wait":
		s.For = span("for") + 1 // not to the instant
		if l.MaxWait > 0 && rapid.Bool().Draw(rt, "MaxWait") {
			s.For = l.MaxWait + 1
		}
	case "finish", "leave", "swap", "cut":
		s.Which = rapid.IntRange(0, 20).Draw(rt, "which")
	}
	return s
}

// A seeker is one caller.
type seeker struct {
	number  int
	group   int // those who came at the same moment share it
	came    time.Time
	ctx     context.Context
	leave   context.CancelCauseFunc
	cause   error
	free    func()
	state   seekerState
	err     error
	decided time.Time // when it was no longer waiting
	told    bool      // it has been looked at since then
}

type seekerState int

const (
	waiting seekerState = iota
	seated
	sentAway // with err
	finished
)

// limiterCheck is one play.
type limiterCheck struct {
	*history
	want    Limits
	limiter Limiter

	mu      sync.Mutex // guards what seekers learn on their goroutines
	seekers []*seeker
	groups  int
}

func (c *limiterCheck) do(s seatStep) {
	switch s.Do {
	case "come", "crowd":
		for range s.Callers {
			c.come(1, s.Patience)
			c.settle()
		}
		return
	case "rush": // nobody knows who of them is first
		c.come(s.Callers, s.Patience)
	case "dead":
		c.dead()
	case "finish":
		c.finish(s.Which)
	case "leave":
		c.leave(s.Which, waiting)
	case "cut":
		c.leave(s.Which, seated)
	case "swap": // one leaves the queue in the instant in which a place becomes free
		if c.pick(s.Which, waiting) != nil && c.pick(0, seated) != nil {
			c.start(c.pick(s.Which, waiting), "leaves, in the same instant")
			c.finish(0)
			return
		}
	case "wait":
		c.add("%v pass", s.For)
		time.Sleep(s.For)
	}
	c.settle()
}

// come lets callers ask for a place at the same moment.
func (c *limiterCheck) come(callers int, patience time.Duration) {
	c.groups++
	for range callers {
		s := &seeker{number: len(c.seekers) + 1, group: c.groups, came: time.Now()}
		s.cause = fmt.Errorf("caller %d has left", s.number)
		ctx, leave := context.WithCancelCause(context.Background())
		s.ctx, s.leave, s.free = ctx, leave, func() {}
		patient := ""
		if patience > 0 {
			s.ctx, s.free = context.WithTimeout(ctx, patience)
			patient = fmt.Sprintf(", and has %v", patience)
		}
		c.add("caller %d comes%s", s.number, patient)
		c.seekers = append(c.seekers, s)
		go c.ask(s)
	}
}

// ask waits for s's place, on its goroutine.
func (c *limiterCheck) ask(s *seeker) {
	err := c.limiter.Acquire(s.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	s.decided, s.err = time.Now(), err
	if s.state = seated; err != nil {
		s.state = sentAway
	}
}

// dead asks for a place with a context that has ended.
func (c *limiterCheck) dead() {
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("left before")
	cancel(cause)
	c.add("a caller comes whose context has ended")
	begin := time.Now()
	err := c.limiter.Acquire(ctx)
	const promise = "a context that has ended gets nothing"
	c.must(err != nil, promise, "it got a place")
	c.must(errors.Is(err, context.Canceled) && errors.Is(err, cause), promise, "its error %q does not match both context.Canceled and its cause", err)
	c.must(time.Since(begin) == 0, promise, "it waited for %v", time.Since(begin))
}

// pick is the which-th of those in the state, or nil.
func (c *limiterCheck) pick(which int, state seekerState) *seeker {
	in := c.in(state)
	if len(in) == 0 {
		return nil
	}
	return in[which%len(in)]
}

func (c *limiterCheck) in(state seekerState) (in []*seeker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seekers {
		if s.state == state {
			in = append(in, s)
		}
	}
	return in
}

// finish gives the place of a caller back.
func (c *limiterCheck) finish(which int) {
	s := c.pick(which, seated)
	if s == nil {
		return
	}
	c.add("caller %d finishes", s.number)
	c.mu.Lock()
	s.state = finished
	c.mu.Unlock()
	c.limiter.Release()
	c.settle()
}

// leave ends the context of a caller who waits, or of one who has his place and keeps it.
func (c *limiterCheck) leave(which int, state seekerState) {
	if s := c.pick(which, state); s != nil {
		c.start(s, "leaves")
	}
}

func (c *limiterCheck) start(s *seeker, how string) {
	if s.state == seated {
		how = "has no time any more, and keeps its place"
	}
	c.add("caller %d %s", s.number, how)
	s.leave(s.cause)
}

// settle lets all happen that happens now, and looks at what has become of everybody.
func (c *limiterCheck) settle() {
	synctest.Wait()
	c.tell()
	running, queue := c.in(seated), c.in(waiting)
	c.must(len(running) <= c.want.Limit, "there are never more than Limit at once", "%d have a place, Limit is %d", len(running), c.want.Limit)
	c.must(len(running) == c.want.Limit || len(queue) == 0, "a free place is taken at once", "%s with %d of %d places taken", numbers("waits", queue), len(running), c.want.Limit)
	c.must(c.want.Queue < 0 || len(queue) <= c.want.Queue, "there are never more than Queue who wait", "%s, Queue is %d", numbers("waits", queue), c.want.Queue)
	for _, s := range queue {
		c.must(s.ctx.Err() == nil, "who leaves the queue leaves at once", "caller %d still waits", s.number)
		c.must(c.want.MaxWait == 0 || time.Since(s.came) < c.want.MaxWait, "nobody waits longer than MaxWait", "caller %d has waited for %v", s.number, time.Since(s.came))
	}
}

// tell notes what has become of those who do not wait any more, and judges it.
func (c *limiterCheck) tell() {
	queue := c.in(waiting)
	full := len(c.in(seated)) >= c.want.Limit && c.want.Queue >= 0 && len(queue) >= c.want.Queue
	var news []*seeker
	for _, s := range c.seekers {
		if s.told || s.state == waiting {
			continue
		}
		s.told = true
		news = append(news, s)
		if s.state == sentAway {
			c.add("caller %d is sent away: %v", s.number, s.err)
		} else {
			c.add("caller %d has a place", s.number)
		}
	}
	for _, s := range news {
		if s.state == sentAway {
			c.judge(s, full)
		} else {
			c.inTurn(s, queue)
		}
	}
}

// inTurn checks that nobody who came before s still waits.
func (c *limiterCheck) inTurn(s *seeker, queue []*seeker) {
	for _, other := range queue {
		c.must(c.want.Unfair || other.group >= s.group, "who came first gets a place first", "caller %d has got one, and caller %d still waits", s.number, other.number)
	}
}

// judge checks the reason for which s was sent away.
func (c *limiterCheck) judge(s *seeker, full bool) {
	waited := s.decided.Sub(s.came)
	end, limited := s.ctx.Deadline()
	left := s.ctx.Err() != nil && errors.Is(s.err, s.ctx.Err())
	switch {
	case left:
		c.must(errors.Is(s.err, context.Cause(s.ctx)), "who leaves is told the cause", "caller %d got %q, which does not match %q", s.number, s.err, context.Cause(s.ctx))
		c.must(!limited || !s.decided.After(end), "who leaves the queue leaves at once", "caller %d left %v after its deadline", s.number, s.decided.Sub(end))
	case c.want.MaxWait > 0 && waited == c.want.MaxWait:
		c.full(s)
	case s.ctx.Err() != nil && !(limited && s.decided.Before(end)):
		c.fail("who leaves is told why", "caller %d got %q, which does not match %q", s.number, s.err, s.ctx.Err())
	case waited > 0:
		c.fail("who waits is not sent away", "caller %d was after %v: %v", s.number, waited, s.err)
	default:
		c.must(full, "nobody is sent away while there is room", "caller %d was: %v", s.number, s.err)
		c.full(s)
	}
}

func (c *limiterCheck) full(s *seeker) {
	c.must(c.want.Full == nil || errors.Is(s.err, c.want.Full), "a refusal matches Full", "caller %d got %q", s.number, s.err)
}

// end lets everybody finish, and then sees whether all places are there.
func (c *limiterCheck) end() {
	for c.pick(0, seated) != nil {
		c.finish(0)
	}
	c.must(len(c.in(waiting)) == 0, "a free place is taken at once", "%s, and everybody has finished", numbers("waits", c.in(waiting)))
	c.add("all have finished, and as many come as there are places")
	for range c.want.Limit {
		c.come(1, 0)
		synctest.Wait()
		c.tell()
	}
	c.must(len(c.in(seated)) == c.want.Limit, "in the end all places are there again", "%d of %d are", len(c.in(seated)), c.want.Limit)
	c.come(1, 0)
	c.settle()
	for c.pick(0, seated) != nil {
		c.finish(0)
	}
}

// clear lets all go, so that nobody is left behind by a play that ended early.
func (c *limiterCheck) clear() {
	defer func() { _ = recover() }() // of a Limiter that is broken, and has been found out
	for _, s := range c.seekers {
		s.leave(s.cause)
		s.free()
	}
	synctest.Wait()
	for range c.in(seated) {
		c.limiter.Release()
	}
}

func numbers(does string, seekers []*seeker) string {
	var list []string
	for _, s := range seekers {
		list = append(list, fmt.Sprint(s.number))
	}
	return fmt.Sprintf("%s: caller %v", does, list)
}

// LimiterOf makes a Limiter of a policy that bounds how many calls run at once: Acquire begins a call and returns when op
// runs, or with the call's error if op is not called; Release lets op return, in the order in which they began. Make it
// within the synctest bubble, as CheckLimiter does.
//
//	fxtest.CheckLimiter(t, func() fxtest.Limiter { return fxtest.LimiterOf(queued) }, fxtest.Limits{Limit: 2, Queue: -1})
func LimiterOf(policy fx.Policy[int]) Limiter {
	mustPolicy("LimiterOf", policy)
	c := &limiterOf{}
	c.op = policy(c.run)
	return c
}

type limiterOf struct {
	op      fx.Op[int]
	mu      sync.Mutex
	running []chan struct{} // to be closed when the op is to return
}

type startedKey struct{}

func (l *limiterOf) Acquire(ctx context.Context) error {
	started, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		_, err := l.op(context.WithValue(ctx, startedKey{}, started))
		ended <- err
	}()
	select {
	case <-started:
		return nil
	case err := <-ended:
		select {
		case <-started: // both at once: op has run
			return nil
		default:
			if err == nil {
				err = errors.New("fxtest: the policy succeeded without a call of op")
			}
			return err
		}
	}
}

// run is the op: it runs until Release, whatever its context does.
func (l *limiterOf) run(ctx context.Context) (int, error) {
	started, ok := ctx.Value(startedKey{}).(chan struct{})
	if !ok {
		return 0, errors.New("fxtest: the caller's values are missing in the context that op was given")
	}
	select {
	case started <- struct{}{}:
	default:
		return 0, nil // it had been called before
	}
	end := make(chan struct{})
	l.mu.Lock()
	l.running = append(l.running, end)
	l.mu.Unlock()
	<-end
	return 0, nil
}

func (l *limiterOf) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.running[0])
	l.running = slices.Delete(l.running, 0, 1)
}
