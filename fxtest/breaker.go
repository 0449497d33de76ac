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

// An Allower asks whether a call may be made, and hears of its end: an *fx.Breaker is one, and a policy becomes one by
// [AllowerOf].
type Allower interface {
	Allow(context.Context) (done func(error), err error)
}

// Breaking says how a circuit breaker behaves that opens at so many failures in a row. The zero value is that of
// fx.Breaker.
type Breaking struct {
	// Failures is how many in a row open it. 0 means 5.
	Failures int
	// Slow is the time beyond which a call is a failure however it ends. 0 means that it makes no difference.
	Slow time.Duration
	// Cooldown is how long it stays open. 0 means 10s.
	Cooldown time.Duration
	// Probes is how many successful probes close it. 0 means 2.
	Probes int
	// AtOnce is how many probes may be out at the same time. 0 means 1.
	AtOnce int
	// ProbeLimit is how long a probe may be out before another takes its place, and its answer is ignored. 0 means
	// Cooldown.
	ProbeLimit time.Duration
	// Open is matched by the error of those who are refused. nil means that any error will do.
	Open error
}

// CheckBreaker proves that a circuit breaker equals its model under any sequence of calls that end well or badly, whose
// callers leave, that end late, twice or never, and of times between them: it opens at Failures in a row and not before,
// for Cooldown; then it lets one probe through at a time, and closes after Probes successes; results from an earlier time
// change nothing; callers who leave and calls that are refused count for nothing; a probe that hangs holds nobody up for
// longer than ProbeLimit.
//
// The breaker is made afresh for each play, within its synctest bubble:
//
//	fxtest.CheckBreaker(t, func() fxtest.Allower { return &fx.Breaker{Failures: 3} }, fxtest.Breaking{Failures: 3, Open: fx.ErrOpen})
//
// No time is played to the nanosecond: whether a cooldown of 10 s is over after 10 s or just after them is open.
func CheckBreaker(t *testing.T, newBreaker func() Allower, want Breaking) {
	t.Helper()
	rapid.Check(t, BreakerLaws(newBreaker, want))
}

// BreakerLaws is the property that CheckBreaker checks.
func BreakerLaws(newBreaker func() Allower, want Breaking) func(*rapid.T) {
	if newBreaker == nil || min(want.Failures, want.Probes, want.AtOnce) < 0 || min(want.Slow, want.Cooldown, want.ProbeLimit) < 0 {
		panic("fxtest: CheckBreaker needs a function that makes a breaker, and no negative settings, as in fxtest.CheckBreaker(t, newBreaker, fxtest.Breaking{Failures: 3})")
	}
	want = want.filled()
	steps := rapid.SliceOfN(rapid.Custom(want.step), 1, 50)
	return func(rt *rapid.T) {
		opened := rapid.Bool().Draw(rt, "opened")
		plan := steps.Draw(rt, "plan")
		trial(rt, func(h *history) {
			c := &breakerCheck{history: h, breaker: newBreaker(), model: breakerModel{Breaking: want}}
			defer c.clear()
			if opened {
				c.open()
			}
			for _, s := range plan {
				c.do(s)
			}
		})
	}
}

// filled is b with its defaults.
func (b Breaking) filled() Breaking {
	if b.Failures == 0 {
		b.Failures = 5
	}
	if b.Cooldown == 0 {
		b.Cooldown = 10 * time.Second
	}
	if b.Probes == 0 {
		b.Probes = 2
	}
	if b.AtOnce == 0 {
		b.AtOnce = 1
	}
	if b.ProbeLimit == 0 {
		b.ProbeLimit = b.Cooldown
	}
	return b
}

// A callStep is one thing that happens to a breaker.
type callStep struct {
	Do    string
	Times int
	Which int           // of the calls that are out
	For   time.Duration // that passes
}

// step draws a step. Times are around those of the settings, and never at the instant where they end.
func (b Breaking) step(rt *rapid.T) callStep {
	s := callStep{Do: rapid.SampledFrom([]string{"ask", "ask", "succeed", "fail", "fail", "leave", "wait", "wait", "fail in a row", "ask often", "dead", "twice", "panic"}).Draw(rt, "do")}
	switch s.Do {
	case "wait":
		unit := rapid.SampledFrom([]time.Duration{b.Cooldown, b.ProbeLimit, max(b.Slow, time.Millisecond)}).Draw(rt, "unit")
		percent := rapid.OneOf(rapid.SampledFrom([]int{100, 50, 10, 95, 200}), rapid.IntRange(1, 250)).Draw(rt, "percent")
		s.For = unit/100*time.Duration(percent) + 1
	case "ask often":
		s.Times = rapid.IntRange(2, 5).Draw(rt, "callers")
	case "fail in a row":
		s.Times = rapid.IntRange(1, b.Failures).Draw(rt, "times")
	case "succeed", "fail", "leave", "twice", "panic":
		s.Which = rapid.IntRange(0, 20).Draw(rt, "which")
	}
	return s
}

// --- the model ---

// A breakerModel is the breaker in a few lines: what the real one is compared with.
type breakerModel struct {
	Breaking
	state     fx.State
	row, good int // failures in a row while closed, successful probes while half-open
	openUntil time.Time
	probes    []*pass // that are out
	period    int
}

// A pass is a call that was let through.
type pass struct {
	period int
	begin  time.Time
	probe  bool
}

func (m *breakerModel) turn(s fx.State) {
	m.state, m.row, m.good, m.probes = s, 0, 0, nil
	m.period++
	m.openUntil = time.Now().Add(m.Cooldown)
}

// allow lets a call through, or says why not.
func (m *breakerModel) allow() (*pass, string) {
	if m.state == fx.StateOpen && !time.Now().Before(m.openUntil) {
		m.turn(fx.StateHalfOpen)
	}
	p := &pass{period: m.period, begin: time.Now(), probe: m.state == fx.StateHalfOpen}
	switch {
	case m.state == fx.StateOpen:
		return nil, fmt.Sprintf("it is open for another %v", time.Until(m.openUntil))
	case p.probe && len(m.probes) == m.AtOnce:
		if age := time.Since(m.probes[0].begin); age < m.ProbeLimit {
			return nil, fmt.Sprintf("it is half-open, and its probe has been out for %v", age)
		}
		m.probes = m.probes[1:] // overtaken
	}
	if p.probe {
		m.probes = append(m.probes, p)
	}
	return p, ""
}

// end takes the result of a call: "success", "failure", or "neutral".
func (m *breakerModel) end(p *pass, result string) {
	out := slices.Index(m.probes, p)
	if p.period != m.period || p.probe && out < 0 {
		return // of an earlier time, or overtaken
	}
	if m.Slow > 0 && time.Since(p.begin) > m.Slow {
		result = "failure"
	}
	if p.probe {
		m.probes = slices.Delete(m.probes, out, out+1)
	}
	switch {
	case result == "neutral":
	case result == "failure":
		if m.row++; p.probe || m.row == m.Failures {
			m.turn(fx.StateOpen)
		}
	case p.probe:
		if m.good++; m.good == m.Probes {
			m.turn(fx.StateClosed)
		}
	default:
		m.row = 0
	}
}

// --- the play ---

// A ticket is a call that is out, in the breaker and in its model.
type ticket struct {
	number int
	*pass
	done  func(error)
	leave context.CancelFunc
}

var (
	errCallFailed = errors.New("the call failed")
	errCallPanics = errors.New("the call panics") // asks an AllowerOf for a panic in op
)

// breakerCheck is one play.
type breakerCheck struct {
	*history
	breaker Allower
	model   breakerModel
	calls   int
	out     []*ticket
	ended   []*ticket
}

func (c *breakerCheck) do(s callStep) {
	switch s.Do {
	case "ask":
		c.ask()
	case "ask often":
		if c.model.AtOnce > 1 { // of several probes that are let through at once, nobody knows which will be overtaken first
			for range s.Times {
				c.ask()
			}
			return
		}
		c.rush(s.Times)
	case "dead":
		c.dead()
	case "wait":
		c.add("%v pass", s.For)
		time.Sleep(s.For)
	case "fail in a row":
		for range s.Times {
			if t := c.ask(); t != nil {
				c.end(t, "failure", errCallFailed)
			}
		}
	case "twice":
		if len(c.ended) > 0 {
			c.again(c.ended[s.Which/2%len(c.ended)], []error{errCallFailed, nil}[s.Which%2])
		}
	default:
		if len(c.out) > 0 {
			c.finish(c.out[s.Which%len(c.out)], s.Do)
		}
	}
	synctest.Wait()
}

// open opens the breaker and lets the cooldown go by: what happens then is worth most of the looks.
func (c *breakerCheck) open() {
	c.do(callStep{Do: "fail in a row", Times: c.model.Failures})
	c.do(callStep{Do: "wait", For: c.model.Cooldown + 1})
}

// finish ends a call that is out.
func (c *breakerCheck) finish(t *ticket, how string) {
	_, policy := c.breaker.(*allowerOf)
	switch {
	case how == "succeed":
		c.end(t, "success", nil)
	case how == "leave":
		t.leave()
		c.end(t, "neutral", context.Canceled)
	case how == "panic" && policy:
		c.end(t, "failure", errCallPanics)
	default:
		c.end(t, "failure", errCallFailed)
	}
}

func (c *breakerCheck) end(t *ticket, result string, err error) {
	verb := map[string]string{"success": "succeeds", "failure": "fails", "neutral": "ends as its caller has left"}[result]
	if err == errCallPanics {
		verb = "panics"
	}
	c.add("call %d %s", t.number, verb)
	c.out = slices.DeleteFunc(c.out, func(other *ticket) bool { return other == t })
	c.ended = append(c.ended, t)
	c.model.end(t.pass, result)
	t.done(err)
	synctest.Wait()
}

// again tells the breaker of an end that it has been told of before: the first word counts.
func (c *breakerCheck) again(t *ticket, err error) {
	c.add("call %d is said to have ended once more, with %v", t.number, err)
	t.done(err)
}

// ask asks for one call, and compares.
func (c *breakerCheck) ask() *ticket {
	t, err := c.allow()
	if t.done != nil {
		c.add("call %d is let through", t.number)
	} else {
		c.add("call %d is refused: %v", t.number, err)
	}
	state := c.model.state
	pass, why := c.model.allow()
	c.compare(t, pass, why, state)
	if pass == nil {
		t.leave()
		c.must(c.model.Open == nil || errors.Is(err, c.model.Open), "a refusal matches Open", "it is %q", err)
		return nil
	}
	t.pass = pass
	c.out = append(c.out, t)
	return t
}

// allow asks the breaker alone.
func (c *breakerCheck) allow() (*ticket, error) {
	c.calls++
	t := &ticket{number: c.calls}
	ctx, leave := context.WithCancel(context.Background())
	t.leave = leave
	done, err := c.breaker.Allow(ctx)
	t.done = done
	c.either(t, err)
	return t, err
}

// either checks that there is a done or an error, and not both.
func (c *breakerCheck) either(t *ticket, err error) {
	c.must((t.done == nil) == (err != nil), "who is let through gets a done, who is not an error", "for call %d done is nil: %v, and the error is %v", t.number, t.done == nil, err)
}

// compare says which promise is broken where breaker and model differ.
func (c *breakerCheck) compare(t *ticket, pass *pass, why string, before fx.State) {
	switch through := t.done != nil; {
	case through == (pass != nil):
	case through && c.model.state == fx.StateOpen:
		c.fail("an open breaker refuses until its cooldown is over", "call %d is let through, and %s", t.number, why)
	case through:
		c.fail("half-open, no more than AtOnce probes are out", "call %d is let through, and %s", t.number, why)
	case !pass.probe:
		c.fail("a closed breaker lets calls through", "call %d is refused with %d failures in a row, and it opens at %d", t.number, c.model.row, c.model.Failures)
	case before == fx.StateOpen:
		c.fail("when the cooldown is over, a probe is let through", "call %d is refused, %v after it", t.number, time.Since(c.model.openUntil.Add(-c.model.Cooldown)))
	default:
		c.fail("half-open, the next probe is let through when the last is back, or too long out", "call %d is refused, and no probe is in its way", t.number)
	}
}

// rush lets callers ask at the same time.
func (c *breakerCheck) rush(callers int) {
	tickets, errs := make([]*ticket, callers), make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		ctx, leave := context.WithCancel(context.Background())
		c.calls++
		tickets[i] = &ticket{number: c.calls, leave: leave}
		all.Go(func() { tickets[i].done, errs[i] = c.breaker.Allow(ctx) })
	}
	all.Wait()
	for i, t := range tickets {
		c.either(t, errs[i])
	}
	through := slices.DeleteFunc(slices.Clone(tickets), func(t *ticket) bool { return t.done == nil })
	c.add("calls %d to %d at once: %d are let through", tickets[0].number, c.calls, len(through))
	passed := 0
	for range callers {
		state := c.model.state
		p, why := c.model.allow()
		if t := tickets[0]; p != nil && passed == len(through) { // one too few
			c.compare(&ticket{number: t.number}, p, why, state)
		} else if p != nil {
			through[passed].pass = p
			passed++
		} else if passed < len(through) {
			c.compare(through[passed], nil, why, state)
		}
	}
	c.out = append(c.out, through...)
	for _, t := range tickets {
		if t.done == nil {
			t.leave()
		}
	}
}

// dead asks with a context that has ended.
func (c *breakerCheck) dead() {
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("left before")
	cancel(cause)
	c.add("a caller asks whose context has ended")
	done, err := c.breaker.Allow(ctx)
	const promise = "a context that has ended gets nothing"
	c.must(done == nil && err != nil, promise, "it is let through")
	c.must(errors.Is(err, context.Canceled) && errors.Is(err, cause), promise, "its error %q does not match both context.Canceled and its cause", err)
}

// clear ends all that is out, so that nobody is left behind.
func (c *breakerCheck) clear() {
	for _, t := range c.out {
		t.leave()
		t.done(context.Canceled)
	}
	synctest.Wait()
	for _, t := range c.ended {
		t.leave()
	}
}

// AllowerOf makes an Allower of a policy that refuses calls: Allow begins a call and returns when op runs, or with the
// call's error if op is not called; done lets op return what it is told. Make it within the synctest bubble, as
// CheckBreaker does.
//
//	fxtest.CheckBreaker(t, func() fxtest.Allower { return fxtest.AllowerOf(tripping) }, fxtest.Breaking{Failures: 3})
func AllowerOf(policy fx.Policy[int]) Allower {
	mustPolicy("AllowerOf", policy)
	a := &allowerOf{}
	a.op = policy(a.run)
	return a
}

type allowerOf struct{ op fx.Op[int] }

// A running is one call of the op of an allowerOf.
type running struct {
	started chan struct{}
	ends    chan error
}

type runningKey struct{}

func (a *allowerOf) Allow(ctx context.Context) (done func(error), err error) {
	r := &running{make(chan struct{}, 1), make(chan error, 1)}
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil && p != any(errCallPanics) {
				panic(p)
			}
		}()
		_, err := a.op(context.WithValue(ctx, runningKey{}, r))
		ended <- err
	}()
	select {
	case <-r.started:
	case err := <-ended:
		select {
		case <-r.started: // both at once: op has run
		default:
			if err == nil {
				err = errors.New("fxtest: the policy succeeded without a call of op")
			}
			return nil, err
		}
	}
	return func(err error) {
		select {
		case r.ends <- err:
		default: // it has been told
		}
	}, nil
}

// run is the op: it runs until done is told how it ends, whatever its context does.
func (a *allowerOf) run(ctx context.Context) (int, error) {
	r, ok := ctx.Value(runningKey{}).(*running)
	if !ok {
		return 0, errors.New("fxtest: the caller's values are missing in the context that op was given")
	}
	select {
	case r.started <- struct{}{}:
	default:
		return 0, errCallFailed // it had been called before
	}
	err := <-r.ends
	if err == errCallPanics {
		panic(err)
	}
	return 0, err
}
