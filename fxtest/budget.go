package fxtest

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"example.com/fx"
)

// Allowance says how many calls a policy may add of its own: in any Window, at most Ratio of the first calls in it, plus
// PerSecond for each of its seconds. The zero value is that of fx.Budget.
type Allowance struct {
	Ratio     float64       // 0 means 0.2, a negative number none
	PerSecond float64       // 0 means 1, a negative number none
	Window    time.Duration // 0 means 10s
}

// CheckBudget proves that a policy which repeats calls under a budget stays within the allowance, as op sees it and under
// concurrency; that it never stops a first call; and that it does repeat while there is clearly room: when what it has
// added in the last two Windows would fit with the first calls of the last half Window.
//
// The policy must be willing to repeat every call that fails, once at least and without a wait, for a wait would move
// calls from one window to the next. It is applied afresh for each play, within its synctest bubble:
//
//	fxtest.CheckBudget(t, func(op fx.Op[int]) fx.Op[int] {
//		return fx.WithRetry(op, fx.Retry{Budget: &fx.Budget{}, Backoff: fx.Constant(0)})
//	}, fxtest.Allowance{})
func CheckBudget(t *testing.T, policy fx.Policy[int], want Allowance) {
	t.Helper()
	rapid.Check(t, BudgetLaws(policy, want))
}

// BudgetLaws is the property that CheckBudget checks.
func BudgetLaws(policy fx.Policy[int], want Allowance) func(*rapid.T) {
	mustPolicy("CheckBudget", policy)
	if want.Window < 0 || math.IsNaN(want.Ratio) || math.IsNaN(want.PerSecond) {
		panic("fxtest: CheckBudget needs an allowance of numbers and a Window of 0 or more, as in fxtest.CheckBudget(t, retried, fxtest.Allowance{Ratio: 0.1})")
	}
	want = want.filled()
	steps := rapid.SliceOfN(rapid.Custom(want.step), 1, 30)
	return func(rt *rapid.T) {
		plan := steps.Draw(rt, "plan")
		trial(rt, func(h *history) {
			c := &budgetCheck{history: h, want: want}
			c.guarded = policy(c.run)
			for _, s := range plan {
				c.do(s)
			}
		})
	}
}

// filled is a with its defaults.
func (a Allowance) filled() Allowance {
	if a.Ratio == 0 {
		a.Ratio = 0.2
	}
	if a.PerSecond == 0 {
		a.PerSecond = 1
	}
	if a.Window == 0 {
		a.Window = 10 * time.Second
	}
	a.Ratio, a.PerSecond = max(a.Ratio, 0), max(a.PerSecond, 0)
	return a
}

// of is how many calls may be added where there are so many first ones.
func (a Allowance) of(firsts int) float64 {
	return a.Ratio*float64(firsts) + a.PerSecond*a.Window.Seconds() + 1e-9
}

// A spendStep is one thing that happens to a budget.
type spendStep struct {
	Do      string
	Callers int
	Fails   int           // how many calls of op fail for each caller
	For     time.Duration // that passes
}

func (a Allowance) step(rt *rapid.T) spendStep {
	s := spendStep{Do: rapid.SampledFrom([]string{"call", "wait", "call at once"}).Draw(rt, "do")}
	if s.Do == "wait" {
		s.For = a.Window/20*time.Duration(rapid.IntRange(1, 25).Draw(rt, "twentieths")) + 1
		return s
	}
	s.Callers = rapid.IntRange(1, 40).Draw(rt, "callers")
	s.Fails = rapid.SampledFrom([]int{1, 0, 2, 100}).Draw(rt, "fails")
	return s
}

// budgetCheck is one play. It keeps the instants of all calls of op.
type budgetCheck struct {
	*history
	want    Allowance
	guarded fx.Op[int]

	mu     sync.Mutex
	firsts []time.Time
	added  []time.Time
}

// A spender is one call of the policy, known to op by its context.
type spender struct{ fails, calls int }

type spenderKey struct{}

// run is the op.
func (c *budgetCheck) run(ctx context.Context) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := ctx.Value(spenderKey{}).(*spender)
	if !ok {
		return 0, errors.New("fxtest: the caller's values are missing in the context that op was given")
	}
	s.calls++
	if s.calls == 1 {
		c.firsts = append(c.firsts, time.Now())
	} else {
		c.added = append(c.added, time.Now())
	}
	if s.calls <= s.fails {
		return 0, errCallFailed
	}
	return 0, nil
}

// within counts the instants of the last d.
func within(instants []time.Time, d time.Duration) (n int) {
	for i := len(instants) - 1; i >= 0 && time.Since(instants[i]) < d; i-- {
		n++
	}
	return n
}

func (c *budgetCheck) do(s spendStep) {
	switch s.Do {
	case "wait":
		c.add("%v pass", s.For)
		time.Sleep(s.For)
	case "call":
		for range s.Callers {
			c.call(s.Fails, 1)
		}
	default:
		c.call(s.Fails, s.Callers)
	}
}

// call lets callers call at once, and looks at what the policy added.
func (c *budgetCheck) call(fails, callers int) {
	room := c.want.of(within(c.firsts, c.want.Window/2)) - float64(within(c.added, 2*c.want.Window))
	before := len(c.added)
	spenders := make([]spender, callers)
	var all sync.WaitGroup
	begin := time.Now()
	for i := range spenders {
		spenders[i].fails = fails
		all.Go(func() { _, _ = c.guarded(context.WithValue(context.Background(), spenderKey{}, &spenders[i])) })
	}
	all.Wait()
	synctest.Wait()
	added := len(c.added) - before
	c.add("%d calls, of which the first %d fail each: %d calls added", callers, fails, added)
	c.must(time.Since(begin) == 0, "the policy repeats without a wait, for this check", "it took %v", time.Since(begin))
	for i := range spenders {
		c.must(spenders[i].calls > 0, "a first call is never stopped", "op was not called for one of them")
	}
	firsts, more := within(c.firsts, c.want.Window), within(c.added, c.want.Window)
	c.must(float64(more) <= c.want.of(firsts) || added == 0, "in no Window are more calls added than the allowance",
		"in the last %v there were %d first calls and %d more, and %.1f may be", c.want.Window, firsts, more, c.want.of(firsts))
	c.must(fails == 0 || float64(added) >= min(math.Floor(room), float64(callers)), "what clearly fits is added",
		"there was room for %.1f, and %d were added", room, added)
}
