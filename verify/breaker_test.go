package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"example.com/fx"
)

func TestBreakerHistories(t *testing.T) {
	check(t, kind{name: "breaker", long: 60_000, short: 5_000, atOnce: 1, draw: drawBreaker})
}

// A lapse is how long a time is, as histories see it: over at once, over at some unknown instant, or never over.
type lapse int

const (
	never lapse = iota
	soon
	none
)

func (l lapse) String() string { return [...]string{"never over", "over soon", "none"}[l] }

// drawLapse draws one of them, and a duration that is so.
func drawLapse(rng *rand.Rand, from ...lapse) (lapse, time.Duration) {
	l := from[rng.IntN(len(from))]
	return l, map[lapse]time.Duration{never: time.Hour, soon: drawUpTo(rng, 20*time.Microsecond), none: -1}[l]
}

func drawUpTo(rng *rand.Rand, d time.Duration) time.Duration {
	return 1 + time.Duration(rng.Int64N(int64(d)))
}

var (
	errDown   = errors.New("down")
	errAnswer = errors.New("no such user")
	errLast   = errors.New("the failure that ends a history")
)

// A breakerRun is a breaker in the course of a history.
type breakerRun struct {
	*fx.Breaker
	halves  func(e ending) []string // further operations that the end of a call is made of
	calls   [maxCalls]breakerCall
	changes chan fx.Change
}

// A breakerCall is a call that Allow let through and that whoever takes it may end.
type breakerCall struct {
	done  func(error)
	leave context.CancelFunc
	out   atomic.Bool
}

func drawBreaker(rng *rand.Rand) plan {
	b, m := drawSettings(rng)
	m.failures = 1 + rng.IntN(3)
	b.Failures = m.failures
	r := &breakerRun{Breaker: b}
	p := r.plan(rng, drawSteps)
	p.about = fmt.Sprintf("Failures %d, %v", m.failures, m)
	p.spec = func(ops []porcupine.Operation) porcupine.Model {
		m.changes = changesOf(ops)
		return model(breakerState{}, func(s breakerState, in breakerOp, out breakerOut, _ span) []breakerState {
			next, ok := m.step(s, in, out)
			return only(next, ok && m.heardAs(next))
		})
	}
	return p
}

// drawSettings draws what a breaker with Trip and one without have in common.
func drawSettings(rng *rand.Rand) (*fx.Breaker, breakerSpec) {
	m := breakerSpec{probes: 1 + rng.IntN(2)}
	b := &fx.Breaker{Name: "b", Probes: m.probes, Failure: func(err error) bool { return !errors.Is(err, errAnswer) }}
	m.cooldown, b.Cooldown = drawLapse(rng, never, never, soon, none)
	m.probeLimit, b.ProbeLimit = drawLapse(rng, never, never, soon)
	return b, m
}

func (m breakerSpec) String() string {
	return fmt.Sprintf("Probes %d, cooldown %v, time of a probe %v", m.probes, m.cooldown, m.probeLimit)
}

// plan draws what the clients do: three or four at the same time, three to six steps each.
func (r *breakerRun) plan(rng *rand.Rand, steps func(*rand.Rand, *breakerRun, int) []func(*client)) (p plan) {
	r.changes = make(chan fx.Change, 1000)
	r.OnChange = func(c fx.Change) { r.changes <- c }
	calls := 0
	for range rng.IntN(4) {
		p.before = append(p.before, r.call(calls, fails))
		calls++
	}
	if rng.IntN(2) == 0 {
		p.before = append(p.before, r.force(fx.StateHalfOpen))
	}
	for range 3 + rng.IntN(2) {
		var client []func(*client)
		for range 3 + rng.IntN(4) {
			client = append(client, pause(rng))
			client = append(client, steps(rng, r, calls)...)
			calls++
		}
		p.clients = append(p.clients, client)
	}
	p.after = []func(*client){r.counts, r.reset, r.heard}
	return p
}

// drawSteps draws one operation, or a call from its beginning to its end.
func drawSteps(rng *rand.Rand, r *breakerRun, call int) []func(*client) {
	how, other := ending(rng.IntN(int(endings))), rng.IntN(call+1)
	if rng.IntN(2) == 0 { // the ends that matter most
		how = [...]ending{succeeds, fails}[rng.IntN(2)]
	}
	switch n := rng.IntN(20); {
	case n < 5:
		return []func(*client){r.allow(call)}
	case n < 8:
		return []func(*client){r.allow(call), pause(rng), r.end(call, how)}
	case n < 12:
		return []func(*client){r.end(other, how)}
	case n < 14:
		return []func(*client){r.call(call, how)}
	case n < 16:
		return []func(*client){r.state}
	case n < 18:
		return []func(*client){r.counts}
	case n < 19:
		return []func(*client){r.force(fx.State(rng.IntN(3)))}
	}
	return []func(*client){r.reset}
}

func (r *breakerRun) allow(call int) func(*client) {
	return func(c *client) {
		ctx, leave := context.WithCancel(context.Background())
		from := c.before()
		done, err := r.Allow(ctx)
		c.note(from, c.after(), breakerOp{do: "allow", call: call}, refusalOf(err))
		if err != nil {
			leave()
			return
		}
		r.calls[call].done, r.calls[call].leave = done, leave
		r.calls[call].out.Store(true)
	}
}

// refusalOf is what Allow's error says.
func refusalOf(err error) breakerOut {
	var refusal *fx.OpenError
	return breakerOut{passed: err == nil, until: errors.As(err, &refusal) && !refusal.Until.IsZero()}
}

// end ends a call if it is out.
func (r *breakerRun) end(call int, how ending) func(*client) {
	return func(c *client) {
		if !r.calls[call].out.CompareAndSwap(true, false) {
			return
		}
		r.noteEnd(c, call, how, c.before(), func() { r.calls[call].end(how) })
	}
}

func (c *breakerCall) end(how ending) {
	defer c.leave()
	switch how {
	case leaves:
		c.leave()
	case failsTwice:
		var other sync.WaitGroup
		other.Go(func() { c.done(errDown) })
		defer other.Wait()
	}
	c.done(how.err())
}

func (e ending) err() error {
	switch e {
	case succeeds:
		return nil
	case answers:
		return errAnswer
	case neverRan:
		return fx.ErrFull
	}
	return errDown
}

// noteEnd notes the end of a call that began at from.
func (r *breakerRun) noteEnd(c *client, call int, how ending, from mark, end func()) {
	end()
	to := c.after()
	c.note(from, to, breakerOp{do: "end", call: call, as: how}, breakerOut{})
	if r.halves != nil {
		for _, half := range r.halves(how) {
			c.note(from, to, breakerOp{do: half, call: call}, breakerOut{})
		}
	}
}

// call makes a call through WithBreaker.
func (r *breakerRun) call(call int, how ending) func(*client) {
	return func(c *client) {
		ctx, leave := context.WithCancel(context.Background())
		defer leave()
		from, passed := c.before(), false
		op := fx.WithBreaker(func(context.Context) (int, error) {
			c.note(from, c.after(), breakerOp{do: "allow", call: call}, breakerOut{passed: true})
			if passed = true; how == leaves {
				leave()
			}
			if from = c.before(); how == panics {
				panic(errDown)
			}
			return 0, how.err()
		}, r.Breaker)
		err := returned(ctx, op)
		if !passed {
			c.note(from, c.after(), breakerOp{do: "allow", call: call}, refusalOf(err))
			return
		}
		r.noteEnd(c, call, how, from, func() {})
	}
}

// returned calls op and takes its error, or the panic that it was told to end with.
func returned(ctx context.Context, op fx.Op[int]) (err error) {
	defer func() {
		switch why := recover(); why {
		case nil:
		case errDown:
			err = errDown
		default:
			panic(why)
		}
	}()
	_, err = op(ctx)
	return err
}

func (r *breakerRun) state(c *client) {
	c.do(breakerOp{do: "state"}, func() any { return breakerOut{state: r.State()} })
}

func (r *breakerRun) counts(c *client) {
	c.do(breakerOp{do: "counts"}, func() any { return breakerOut{counts: r.Counts()} })
}

func (r *breakerRun) force(to fx.State) func(*client) {
	return func(c *client) {
		c.do(breakerOp{do: "force", to: to}, func() any { r.Force(to); return breakerOut{} })
	}
}

func (r *breakerRun) reset(c *client) {
	c.do(breakerOp{do: "reset"}, func() any { r.Reset(); return breakerOut{} })
}

// heard notes all changes that OnChange has been told. A last failure of a breaker that was just reset makes the change
// by which it knows that there will be no more.
func (r *breakerRun) heard(c *client) {
	for r.State() == fx.StateClosed {
		done, err := r.Allow(context.Background())
		if err != nil {
			panic(err)
		}
		done(errLast)
	}
	var heard strings.Builder
	for change := range r.changes {
		if change.Cause == errLast {
			break
		}
		fmt.Fprintf(&heard, " %v→%v", change.From, change.To)
	}
	c.do(breakerOp{do: "heard"}, func() any { return breakerOut{heard: heard.String()} })
}
