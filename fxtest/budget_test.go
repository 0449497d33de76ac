package fxtest_test

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// budgetKeepsItsAllowance draws a budget with what it promises.
func budgetKeepsItsAllowance(rt *rapid.T) {
	ratio := rapid.SampledFrom([]float64{0, -1, 0.1, 0.29, 0.5, 1, 3}).Draw(rt, "Ratio")
	per := rapid.IntRange(-1, 3).Draw(rt, "PerSecond")
	window := rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(rt, "Window")
	attempts := rapid.IntRange(2, 4).Draw(rt, "Attempts")
	fxtest.BudgetLaws(func(op fx.Op[int]) fx.Op[int] {
		return fx.WithRetry(op, fx.Retry{Attempts: attempts, Backoff: fx.Constant(0), Budget: &fx.Budget{Ratio: ratio, PerSecond: per, Window: window}})
	}, fxtest.Allowance{Ratio: ratio, PerSecond: float64(per), Window: window})(rt)
}

func TestBudgetKeepsItsAllowance(t *testing.T) { rapid.Check(t, budgetKeepsItsAllowance) }

func FuzzBudgetModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(budgetKeepsItsAllowance)) }

// A purse repeats a call once where its rule allows it; firsts and spent are those of the last ten seconds.
type purse struct {
	may    func(firsts, spent int) bool
	charge bool // firsts are charged too
	window time.Duration
	mu     sync.Mutex
	firsts []time.Time
	spent  []time.Time
}

func (p *purse) guard(op fx.Op[int]) fx.Op[int] {
	return awake(func(ctx context.Context) (int, error) {
		if !p.first() {
			return 0, errLimited
		}
		v, err := op(ctx)
		if err == nil || !p.spend() {
			return v, err
		}
		return op(ctx)
	})
}

func (p *purse) first() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.firsts = append(p.firsts, time.Now())
	return !p.charge || len(p.firsts)%50 > 0
}

func (p *purse) spend() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	recent := func(ts []time.Time) (n int) {
		for _, t := range ts {
			if time.Since(t) < p.window {
				n++
			}
		}
		return n
	}
	if !p.may(recent(p.firsts), recent(p.spent)) {
		return false
	}
	p.spent = append(p.spent, time.Now())
	return true
}

func spends(p *purse) fx.Policy[int] {
	return func(op fx.Op[int]) fx.Op[int] {
		fresh := purse{may: p.may, charge: p.charge, window: p.window}
		if fresh.window == 0 {
			fresh.window = 10 * time.Second
		}
		return fresh.guard(op)
	}
}

func byTheRule(firsts, spent int) bool { return float64(spent+1) <= 0.2*float64(firsts)+10 }

func TestHonestPurseKeepsItsAllowance(t *testing.T) {
	fxtest.CheckBudget(t, spends(&purse{may: byTheRule}), fxtest.Allowance{})
}

func TestBrokenBudgetsAreCaught(t *testing.T) {
	const most, least = "in no Window are more calls added than the allowance", "what clearly fits is added"
	for name, c := range map[string]struct {
		policy fx.Policy[int]
		broken string
	}{
		"has no budget":           {func(op fx.Op[int]) fx.Op[int] { return fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(0)}) }, most},
		"lets one more through":   {spends(&purse{may: func(firsts, spent int) bool { return byTheRule(firsts, spent-1) }}), most},
		"never repeats":           {spends(&purse{may: func(int, int) bool { return false }}), least},
		"has no reserve":          {spends(&purse{may: func(firsts, spent int) bool { return byTheRule(firsts, spent+10) }}), least},
		"forgets too early":       {spends(&purse{may: byTheRule, window: 5 * time.Second}), most},
		"never forgets":           {spends(&purse{may: byTheRule, window: math.MaxInt64}), ""},
		"charges first calls too": {spends(&purse{may: byTheRule, charge: true}), "a first call is never stopped"},
		"reckons for each call": {func(op fx.Op[int]) fx.Op[int] {
			return func(ctx context.Context) (int, error) {
				return fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(0), Budget: &fx.Budget{}})(ctx)
			}
		}, most},
		"counts only what it has seen fail": {func(op fx.Op[int]) fx.Op[int] {
			var failed, added atomic.Int64
			return func(ctx context.Context) (int, error) {
				v, err := op(ctx)
				if err == nil || float64(added.Add(1)) > 0.2*float64(failed.Add(1))+10 {
					return v, err
				}
				return op(ctx)
			}
		}, least},
		"waits before it repeats": {func(op fx.Op[int]) fx.Op[int] {
			return fx.WithRetry(op, fx.Retry{Budget: &fx.Budget{}})
		}, "the policy repeats without a wait, for this check"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := caught(t, func(t *testing.T) { fxtest.CheckBudget(t, c.policy, fxtest.Allowance{}) }, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: promise broken: "+c.broken)
		})
	}
}

func TestMisuseOfCheckBudget(t *testing.T) {
	const want = "fxtest: CheckBudget needs an allowance of numbers and a Window of 0 or more, as in fxtest.CheckBudget(t, retried, fxtest.Allowance{Ratio: 0.1})"
	one := func(op fx.Op[int]) fx.Op[int] { return op }
	assert.PanicsWithValue(t, want, func() { fxtest.BudgetLaws(one, fxtest.Allowance{Window: -1}) })
	assert.PanicsWithValue(t, want, func() { fxtest.BudgetLaws(one, fxtest.Allowance{Ratio: math.NaN()}) })
	assert.PanicsWithValue(t, "fxtest: CheckBudget needs a policy, a func(fx.Op[T]) fx.Op[T] such as guarded[int]", func() { fxtest.BudgetLaws(nil, fxtest.Allowance{}) })
}
