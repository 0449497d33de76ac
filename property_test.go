package fx_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// property checks prop on many examples, each in a bubble of virtual time of its own. A goroutine that an example
// leaves behind fails it.
func property(t *testing.T, prop func(*rapid.T)) { rapid.Check(t, bubbled(prop)) }

func bubbled(prop func(*rapid.T)) func(*rapid.T) {
	return func(rt *rapid.T) { rapid.SyncTest(rt, prop) }
}

// --- the laws of every policy, which package fxtest knows ---

// A member is a policy, and in which ways it is not the identity. Its holders are made when it is applied.
type member struct {
	name   string
	calls  int // of op at most; 0 means one
	policy fx.Policy[int]
	terms  []fxtest.Term
}

var (
	thrice  = fxtest.Calls(3, "two more attempts or copies")
	cuts    = fxtest.Cuts("its timeout ends op's context, or a copy won")
	waits   = fxtest.Waits("it waits between attempts, or for a place")
	refuses = fxtest.Refuses("it may be open, full or spent")
	rejects = fxtest.Rejects("odd numbers")
	answers = fxtest.Answers("there is an alternative")
	adapts  = fxtest.Adapts("budgets and estimates remember")
	leaves  = fxtest.Leaves("nobody waits for it")
	prompt  = fxtest.Prompt("it obeys for an op that does not")
	shares  = fxtest.Shares("one call serves all")
)

// core is every With of the core, with settings that differ where the machine does.
var core = []member{
	{"identity", 0, func(op fx.Op[int]) fx.Op[int] { return op }, nil},
	{"timeout", 0, func(op fx.Op[int]) fx.Op[int] { return fx.WithTimeout(op, time.Second) }, []fxtest.Term{cuts}},
	{"detached", 0, func(op fx.Op[int]) fx.Op[int] { return fx.Detached(op) }, []fxtest.Term{leaves, prompt}},
	{"check", 0, func(op fx.Op[int]) fx.Op[int] { return fx.WithCheck(op, notOdd) }, []fxtest.Term{rejects}},
	{"limit", 0, func(op fx.Op[int]) fx.Op[int] { return fx.WithLimit(op, waiter(nil)) }, nil},
	{"spent limit", 0, func(op fx.Op[int]) fx.Op[int] { return fx.WithLimit(op, waiter(errCause)) }, []fxtest.Term{refuses}},
	{"retry", 3, func(op fx.Op[int]) fx.Op[int] { return fx.WithRetry(op, fx.Retry{}) }, []fxtest.Term{thrice, waits}},
	{"retry of all, with a budget", 3, func(op fx.Op[int]) fx.Op[int] {
		return fx.WithRetry(op, fx.Retry{Budget: &fx.Budget{}, If: func(error) bool { return true }})
	}, []fxtest.Term{thrice, waits, adapts}},
	{"breaker", 0, func(op fx.Op[int]) fx.Op[int] { return fx.WithBreaker(op, &fx.Breaker{}) }, []fxtest.Term{refuses}},
	{"breaker by rate", 0, func(op fx.Op[int]) fx.Op[int] {
		return fx.WithBreaker(op, &fx.Breaker{Trip: fx.FailureRate(0.5, 5), Slow: 2 * time.Second, MaxCooldown: time.Minute})
	}, []fxtest.Term{refuses}},
	{"breaker of the last eight", 0, func(op fx.Op[int]) fx.Op[int] {
		return fx.WithBreaker(op, &fx.Breaker{Trip: fx.FailureRate(0.3, 4), Last: 8, Probes: 1, ProbeLimit: time.Second})
	}, []fxtest.Term{refuses}},
	{"bulkhead", 0, func(op fx.Op[int]) fx.Op[int] { return fx.WithBulkhead(op, &fx.Bulkhead{}) }, []fxtest.Term{refuses}},
	{"bulkhead with a queue", 0, func(op fx.Op[int]) fx.Op[int] {
		return fx.WithBulkhead(op, &fx.Bulkhead{Limit: 2, Queue: 5, MaxWait: 2 * time.Second})
	}, []fxtest.Term{refuses, waits}},
	{"fallback", 0, func(op fx.Op[int]) fx.Op[int] { return fx.WithFallback(op, fx.Value(7)) }, []fxtest.Term{answers}},
	{"recover", 0, func(op fx.Op[int]) fx.Op[int] {
		return fx.WithRecover(op, func(context.Context, error) (int, error) { return 8, nil })
	}, []fxtest.Term{answers}},
	{"degraded", 0, func(op fx.Op[int]) fx.Op[int] { return valueOf(fx.WithDegraded(op, fx.Value(9))) }, []fxtest.Term{answers}},
	{"remember", 0, func(op fx.Op[int]) fx.Op[int] { return fx.Remember(op, &fx.Cache[string, int]{}, "k") }, nil},
	{"cache", 0, func(op fx.Op[int]) fx.Op[int] {
		return valueOf(fx.WithCache(op, &fx.Cache[string, int]{Fresh: time.Second}, "k"))
	}, []fxtest.Term{shares, leaves, prompt}},
	{"hedge", 3, func(op fx.Op[int]) fx.Op[int] {
		return fx.WithHedge(op, &fx.Hedge{After: 50 * time.Millisecond, Max: 2})
	},
		[]fxtest.Term{thrice, cuts, leaves, prompt, adapts}},
	{"hedge by quantile", 2, func(op fx.Op[int]) fx.Op[int] { return fx.WithHedge(op, &fx.Hedge{}) },
		[]fxtest.Term{fxtest.Calls(2, "one copy"), cuts, leaves, prompt, adapts}},
}

func notOdd(v int) error {
	if v%2 != 0 {
		return errors.New("odd")
	}
	return nil
}

// drawStack draws two to six of them and puts them around one another in the order drawn, with the terms of all.
func drawStack(rt *rapid.T) (fx.Policy[int], []fxtest.Term) {
	var policies []fx.Policy[int]
	var terms []fxtest.Term
	calls := 1
	for range rapid.IntRange(2, 6).Draw(rt, "depth") {
		m := core[rapid.IntRange(0, len(core)-1).Draw(rt, "member")]
		policies = append(policies, m.policy)
		terms = append(terms, m.terms...)
		calls *= max(m.calls, 1)
	}
	if calls > 1 {
		terms = append(terms, fxtest.Calls(calls, "each repeats the others"))
	}
	return fx.Compose(policies...), terms
}

func TestEveryWithKeepsTheLaws(t *testing.T) {
	for _, m := range core {
		t.Run(m.name, func(t *testing.T) { fxtest.Check(t, m.policy, m.terms...) })
	}
}

func TestEveryStackKeepsTheLaws(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy, terms := drawStack(rt)
		fxtest.Laws(policy, terms...)(rt)
	})
}

func FuzzEveryStackKeepsTheLaws(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(rt *rapid.T) {
		policy, terms := drawStack(rt)
		fxtest.Laws(policy, terms...)(rt)
	}))
}

func TestEveryTypeIsTreatedAlike(t *testing.T) {
	type user struct {
		Name  string
		Spent float64
	}
	fxtest.CheckTypes(t, everything[int], everything[*user], thrice, waits, cuts, refuses, answers)
	fxtest.CheckTypes(t, everything[struct{}], everything[[]string], thrice, waits, cuts, refuses, answers)
	fxtest.CheckTypes(t, everything[any], everything[user], thrice, waits, cuts, refuses, answers)
}

// everything is a stack for any type.
func everything[T any](op fx.Op[T]) fx.Op[T] {
	var none T
	op = fx.WithTimeout(op, time.Second)
	op = fx.WithRetry(op, fx.Retry{})
	op = fx.WithBreaker(op, &fx.Breaker{Trip: fx.FailureRate(0.5, 5)})
	op = fx.WithBulkhead(op, &fx.Bulkhead{})
	op = fx.WithCheck(op, func(T) error { return nil })
	return fx.WithFallback(op, fx.Value(none))
}

// --- the algebra: two ways to write the same ---

// A script is what a dependency does to one call after the other; the last line repeats.
type script []line

type line struct {
	Takes time.Duration
	Ends  string // "value", "error", "permanent", "hang" until the context ends, "panic"
}

var scripts = rapid.Custom(func(rt *rapid.T) script {
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) line {
		return line{
			Takes: time.Duration(rapid.IntRange(0, 5).Draw(rt, "takes")) * 100 * time.Millisecond,
			Ends:  rapid.SampledFrom([]string{"value", "value", "error", "error", "permanent", "hang", "panic"}).Draw(rt, "ends"),
		}
	}), 1, 6).Draw(rt, "lines")
})

// A trace is all that can be seen of one call.
type trace struct {
	Value    int
	Err      string
	Classes  []bool // which of the known errors it matches
	Panic    any
	Starts   []time.Duration // when the dependency was called
	Finished time.Duration
}

var classes = []error{errBoom, errCause, context.Canceled, context.DeadlineExceeded, fx.ErrTimeout, fx.ErrOpen, fx.ErrFull}

// play makes one call through p to a dependency that follows s, and returns what was seen.
func play(ctx context.Context, p fx.Policy[int], s script) (tr trace) {
	began := time.Now()
	var mu sync.Mutex
	var starts []time.Duration
	op := p(func(ctx context.Context) (int, error) {
		mu.Lock()
		l := s[min(len(starts), len(s)-1)]
		starts = append(starts, time.Since(began))
		n := len(starts)
		mu.Unlock()
		return l.play(ctx, n)
	})
	defer func() {
		tr.Panic, tr.Finished = recover(), time.Since(began)
		synctest.Wait() // for what a layer left behind
		mu.Lock()
		defer mu.Unlock()
		tr.Starts = starts
	}()
	v, err := op(ctx)
	tr.Value = v
	if err != nil {
		tr.Err = instant.ReplaceAllString(err.Error(), "then") // one play begins after the other
	}
	for _, class := range classes {
		tr.Classes = append(tr.Classes, errors.Is(err, class))
	}
	return tr
}

var instant = regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`)

func (l line) play(ctx context.Context, n int) (int, error) {
	if l.Ends == "hang" {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	select {
	case <-time.After(l.Takes):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	switch l.Ends {
	case "value":
		return n, nil
	case "panic":
		panic("bad")
	case "permanent":
		return 0, fx.Permanent(errBoom)
	}
	return 0, errBoom
}

var layerNames = []string{"timeout", "long timeout", "retry", "breaker", "bulkhead", "check", "fallback", "limit", "remember"}

// layer builds one policy by name, with state of its own.
func layer(name string) fx.Policy[int] {
	return func(op fx.Op[int]) fx.Op[int] {
		switch name {
		case "timeout":
			return fx.WithTimeout(op, 250*time.Millisecond)
		case "long timeout":
			return fx.WithTimeout(op, 2011*time.Millisecond)
		case "retry":
			return fx.WithRetry(op, fx.Retry{Backoff: fx.Constant(71 * time.Millisecond)})
		case "breaker":
			return fx.WithBreaker(op, &fx.Breaker{Failures: 2, Cooldown: 100 * time.Millisecond})
		case "bulkhead":
			return fx.WithBulkhead(op, &fx.Bulkhead{Limit: 1})
		case "check":
			return fx.WithCheck(op, func(int) error { return nil })
		case "fallback":
			return fx.WithFallback(op, fx.Fail[int](errors.New("no second best")))
		case "remember":
			return fx.Remember(op, &fx.Cache[string, int]{}, "a")
		}
		return fx.WithLimit(op, waiter(nil))
	}
}

func layers(names []string) []fx.Policy[int] {
	ps := make([]fx.Policy[int], len(names))
	for i, name := range names {
		ps[i] = layer(name)
	}
	return ps
}

var stacks = rapid.SliceOfN(rapid.SampledFrom(layerNames), 0, 6)

func TestComposeIsAssociativeWithAnIdentity(t *testing.T) {
	property(t, func(rt *rapid.T) {
		a, b, c := stacks.Draw(rt, "a"), stacks.Draw(rt, "b"), stacks.Draw(rt, "c")
		stack := func(names []string) fx.Policy[int] { return fx.Compose(layers(names)...) }
		flat := func() fx.Policy[int] { return stack(slices.Concat(a, b, c)) }
		s, leaves := scripts.Draw(rt, "script"), drawCaller(rt)
		want := playAs(leaves, flat(), s)
		for name, p := range map[string]fx.Policy[int]{
			"a(bc)":      fx.Compose(stack(a), fx.Compose(stack(b), stack(c))),
			"(ab)c":      fx.Compose(fx.Compose(stack(a), stack(b)), stack(c)),
			"id . abc":   fx.Compose(fx.Compose[int](), flat()),
			"abc . id":   fx.Compose(flat(), fx.Compose[int]()),
			"by nesting": func(op fx.Op[int]) fx.Op[int] { return stack(a)(stack(b)(stack(c)(op))) },
		} {
			assert.Equal(rt, want, playAs(leaves, p, s), name)
		}
	})
}

func TestTransparentLayersAreTheIdentity(t *testing.T) {
	property(t, func(rt *rapid.T) {
		s, leaves := scripts.Draw(rt, "script"), drawCaller(rt)
		want := playAs(leaves, fx.Compose[int](), s)
		for name, p := range map[string]fx.Policy[int]{
			"one attempt":           func(op fx.Op[int]) fx.Op[int] { return fx.WithRetry(op, fx.Retry{Attempts: 1}) },
			"an endless timeout":    func(op fx.Op[int]) fx.Op[int] { return fx.WithTimeout(op, math.MaxInt64) },
			"a closed breaker":      func(op fx.Op[int]) fx.Op[int] { return fx.WithBreaker(op, &fx.Breaker{}) },
			"a rate breaker":        func(op fx.Op[int]) fx.Op[int] { return fx.WithBreaker(op, &fx.Breaker{Trip: fx.FailureRate(1, 2)}) },
			"a free bulkhead":       func(op fx.Op[int]) fx.Op[int] { return fx.WithBulkhead(op, &fx.Bulkhead{}) },
			"an unspent limit":      func(op fx.Op[int]) fx.Op[int] { return fx.WithLimit(op, waiter(nil)) },
			"no alternatives":       func(op fx.Op[int]) fx.Op[int] { return fx.WithFallback(op) },
			"a check that is happy": func(op fx.Op[int]) fx.Op[int] { return fx.WithCheck(op, func(int) error { return nil }) },
		} {
			assert.Equal(rt, want, playAs(leaves, p, s), name)
		}
	})
}

func TestTwoTimeoutsAreTheShorter(t *testing.T) {
	property(t, func(rt *rapid.T) {
		ds := rapid.SliceOfN(rapid.IntRange(-1, 20), 2, 2).Draw(rt, "tenths of a second")
		const off = 17 * time.Millisecond // never at the instant of an answer
		a, b := time.Duration(ds[0])*100*time.Millisecond+off, time.Duration(ds[1])*100*time.Millisecond+off
		s, leaves := scripts.Draw(rt, "script"), drawCaller(rt)
		one := playAs(leaves, func(op fx.Op[int]) fx.Op[int] { return fx.WithTimeout(op, min(a, b)) }, s)
		two := playAs(leaves, func(op fx.Op[int]) fx.Op[int] { return fx.WithTimeout(fx.WithTimeout(op, a), b) }, s)
		one.Err, two.Err = "", "" // the layer that ran out may tell its own length
		assert.Equal(rt, one, two)
	})
}

func TestFallbackIsAMonoid(t *testing.T) {
	property(t, func(rt *rapid.T) {
		s, leaves := scripts.Draw(rt, "script"), drawCaller(rt)
		end := func(name string) fx.Op[int] {
			if rapid.Bool().Draw(rt, name) {
				return fx.Value(7)
			}
			return fx.Fail[int](errCause)
		}
		b, c := end("b answers"), end("c answers")
		alike := func(name string, p, q fx.Policy[int]) {
			one, two := playAs(leaves, p, s), playAs(leaves, q, s)
			assert.Equal(rt, one.Err == "", two.Err == "", name)
			one.Err, two.Err, one.Classes, two.Classes = "", "", nil, nil // the errors of all are joined, Fail's too
			assert.Equal(rt, one, two, name)
		}
		alike("associative",
			func(a fx.Op[int]) fx.Op[int] { return fx.WithFallback(fx.WithFallback(a, b), c) },
			func(a fx.Op[int]) fx.Op[int] { return fx.WithFallback(a, fx.WithFallback(b, c)) })
		alike("flat",
			func(a fx.Op[int]) fx.Op[int] { return fx.WithFallback(a, b, c) },
			func(a fx.Op[int]) fx.Op[int] { return fx.WithFallback(a, fx.WithFallback(b, c)) })
		alike("Fail is the unit",
			func(a fx.Op[int]) fx.Op[int] { return fx.WithFallback(fx.Fail[int](errBoom), a) },
			func(a fx.Op[int]) fx.Op[int] { return a })
	})
}

func TestRetryCallsOnceMoreThanItFails(t *testing.T) {
	property(t, func(rt *rapid.T) {
		attempts := rapid.IntRange(-2, 20).Draw(rt, "attempts")
		failures := rapid.IntRange(0, 25).Draw(rt, "failures before success")
		s := slices.Repeat(script{{Ends: "error"}}, failures)
		s = append(s, line{Ends: "value"})
		tr := play(context.Background(), func(op fx.Op[int]) fx.Op[int] {
			return fx.WithRetry(op, fx.Retry{Attempts: attempts, Backoff: fx.Constant(time.Second)})
		}, s)
		most := max(attempts, 1)
		if attempts == 0 {
			most = 3
		}
		assert.Len(rt, tr.Starts, min(most, failures+1))
		assert.Equal(rt, failures < most, tr.Err == "")
		assert.Equal(rt, time.Duration(len(tr.Starts)-1)*time.Second, tr.Finished)
	})
}

// A leaving is how a caller ends, so that it can be repeated for another policy.
type leaving struct {
	after    time.Duration
	deadline bool
}

func drawCaller(rt *rapid.T) leaving {
	if rapid.Bool().Draw(rt, "patient") {
		return leaving{time.Hour, true}
	}
	tenths := rapid.IntRange(1, 30).Draw(rt, "leaves after")
	return leaving{time.Duration(tenths)*100*time.Millisecond + 33*time.Millisecond, rapid.Bool().Draw(rt, "deadline")}
}

func playAs(l leaving, p fx.Policy[int], s script) trace {
	if l.deadline {
		ctx, cancel := context.WithTimeout(context.Background(), l.after)
		defer cancel()
		return play(ctx, p, s)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	defer time.AfterFunc(l.after, func() { cancel(errCause) }).Stop()
	return play(ctx, p, s)
}

// --- models ---

// A breakerModel is the breaker in ten lines: the specification that the real one is compared with.
type breakerModel struct {
	failures, probes     int
	cooldown, probeLimit time.Duration

	state       fx.State
	row, good   int
	openUntil   time.Time
	probe       int // number of the probe that is out, 0 if none
	probeUntil  time.Time
	period, seq int
}

func (m *breakerModel) now() fx.State {
	if m.state == fx.StateOpen && !time.Now().Before(m.openUntil) {
		m.state, m.good, m.probe = fx.StateHalfOpen, 0, 0
		m.period++
	}
	return m.state
}

// allow returns the token of a call that is let through, or false.
func (m *breakerModel) allow() (token [2]int, ok bool) {
	if m.now() == fx.StateOpen || m.state == fx.StateHalfOpen && m.probe != 0 && time.Now().Before(m.probeUntil) {
		return token, false
	}
	if m.state == fx.StateHalfOpen {
		m.seq++
		m.probe, m.probeUntil = m.seq, time.Now().Add(m.probeLimit)
	}
	return [2]int{m.period, m.probe}, true
}

func (m *breakerModel) done(token [2]int, outcome string) {
	if token != [2]int{m.period, m.probe} || m.state == fx.StateOpen {
		return // it began in another period, or was overtaken
	}
	m.probe = 0
	switch {
	case outcome == "neutral":
	case outcome == "success" && m.state == fx.StateClosed:
		m.row = 0
	case outcome == "success":
		if m.good++; m.good == m.probes {
			m.state, m.row = fx.StateClosed, 0
			m.period++
		}
	case m.state == fx.StateClosed && m.row+1 < m.failures:
		m.row++
	default:
		m.state, m.openUntil = fx.StateOpen, time.Now().Add(m.cooldown)
		m.period++
	}
}

// breakerEqualsItsModel plays any sequence of calls, ends of calls and waits against both.
func breakerEqualsItsModel(rt *rapid.T) {
	short := rapid.Custom(func(rt *rapid.T) time.Duration {
		return time.Duration(rapid.IntRange(1, 40).Draw(rt, "tenths")) * 100 * time.Millisecond
	})
	m := &breakerModel{
		failures: rapid.IntRange(1, 4).Draw(rt, "Failures"), probes: rapid.IntRange(1, 3).Draw(rt, "Probes"),
		cooldown: short.Draw(rt, "Cooldown"), probeLimit: short.Draw(rt, "ProbeLimit"),
	}
	b := &fx.Breaker{Failures: m.failures, Probes: m.probes, Cooldown: m.cooldown, ProbeLimit: m.probeLimit}
	type out struct {
		done  func(error)
		token [2]int
		leave context.CancelFunc
	}
	var calls []out
	end := func(outcome string) func(*rapid.T) {
		return func(rt *rapid.T) {
			if len(calls) == 0 {
				return
			}
			i := rapid.IntRange(0, len(calls)-1).Draw(rt, "which")
			c := calls[i]
			calls = slices.Delete(calls, i, i+1)
			switch outcome {
			case "success":
				c.done(nil)
			case "failure":
				c.done(errBoom)
			default:
				c.leave()
				c.done(errBoom)
			}
			c.leave()
			m.done(c.token, outcome)
		}
	}
	rt.Repeat(map[string]func(*rapid.T){
		"call": func(rt *rapid.T) {
			ctx, leave := context.WithCancel(context.Background())
			done, err := b.Allow(ctx)
			token, ok := m.allow()
			require.Equal(rt, ok, err == nil, "model and breaker disagree on a call: %v", err)
			if !ok {
				leave()
				require.ErrorIs(rt, err, fx.ErrOpen)
				return
			}
			calls = append(calls, out{done, token, leave})
		},
		"succeed": end("success"),
		"fail":    end("failure"),
		"leave":   end("neutral"),
		"wait":    func(rt *rapid.T) { time.Sleep(short.Draw(rt, "for")) },
		"": func(rt *rapid.T) {
			require.Equal(rt, m.now(), b.State())
			if m.state == fx.StateClosed {
				require.Equal(rt, fx.Counts{Failures: m.row, Consecutive: m.row}, b.Counts())
			}
		},
	})
	for _, c := range calls {
		c.leave()
	}
}

func TestBreakerEqualsItsModel(t *testing.T) { property(t, breakerEqualsItsModel) }

func FuzzBreakerEqualsItsModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(bubbled(breakerEqualsItsModel))) }

// windowCountsWhatHappened compares the counts that Trip is given with a log of all that happened.
func windowCountsWhatHappened(rt *rapid.T) {
	type event struct {
		at time.Time
		ok bool
	}
	const window = 10 * time.Second
	var log []event
	last := rapid.SampledFrom([]int{0, 1, 7, 64, 100}).Draw(rt, "Last")
	within := func(d time.Duration) (c fx.Counts) {
		events := log
		if last > 0 {
			events = log[max(0, len(log)-last):]
		}
		for _, e := range events {
			switch {
			case last == 0 && time.Since(e.at) >= d:
			case e.ok:
				c.Successes++
			default:
				c.Failures++
			}
		}
		return c
	}
	row := 0
	check := func(c fx.Counts) {
		least, most := within(window-window/10), within(window)
		assert.GreaterOrEqual(rt, c.Successes, least.Successes)
		assert.LessOrEqual(rt, c.Successes, most.Successes)
		assert.GreaterOrEqual(rt, c.Failures, least.Failures)
		assert.LessOrEqual(rt, c.Failures, most.Failures)
		assert.Equal(rt, row, c.Consecutive)
	}
	b := &fx.Breaker{Window: window, Last: last, Trip: func(c fx.Counts) bool { check(c); return false }}
	rt.Repeat(map[string]func(*rapid.T){
		"succeed": func(rt *rapid.T) {
			for range rapid.IntRange(1, 80).Draw(rt, "times") {
				log, row = append(log, event{time.Now(), true}), 0
				_ = call(b, fx.Value(1))
			}
		},
		"fail": func(*rapid.T) {
			log, row = append(log, event{time.Now(), false}), row+1
			_ = call(b, fx.Fail[int](errBoom))
		},
		"wait": func(rt *rapid.T) {
			time.Sleep(time.Duration(rapid.Int64Range(1, int64(window)/4).Draw(rt, "for")))
			synctest.Wait()
		},
		"": func(*rapid.T) { check(b.Counts()) },
	})
}

func TestWindowCountsWhatHappened(t *testing.T) { property(t, windowCountsWhatHappened) }

// bulkheadEqualsItsModel plays callers who come, leave the queue and finish against a list and a number.
func bulkheadEqualsItsModel(rt *rapid.T) {
	limit, queue := rapid.IntRange(1, 3).Draw(rt, "Limit"), rapid.IntRange(0, 3).Draw(rt, "Queue")
	b := &fx.Bulkhead{Limit: limit, Queue: queue}
	type party struct {
		leave context.CancelFunc
		got   chan error
	}
	var waiting []party
	running, closed := 0, false
	defer func() { // a draw may end the example at any point
		for _, p := range waiting {
			p.leave()
		}
	}()
	seated := func(p party) { require.NoError(rt, <-p.got); running++ }
	rt.Repeat(map[string]func(*rapid.T){
		"come": func(rt *rapid.T) {
			ctx, leave := context.WithCancel(context.Background())
			p := party{leave, make(chan error, 1)}
			go func() { p.got <- b.Acquire(ctx) }()
			synctest.Wait()
			switch {
			case closed:
				require.ErrorIs(rt, <-p.got, fx.ErrClosed)
			case running < limit:
				seated(p)
			case len(waiting) < queue:
				waiting = append(waiting, p)
			default:
				require.ErrorIs(rt, <-p.got, fx.ErrFull)
			}
		},
		"give up": func(rt *rapid.T) {
			if len(waiting) == 0 {
				return
			}
			i := rapid.IntRange(0, len(waiting)-1).Draw(rt, "which")
			waiting[i].leave()
			require.ErrorIs(rt, <-waiting[i].got, context.Canceled)
			waiting = slices.Delete(waiting, i, i+1)
		},
		"finish": func(rt *rapid.T) {
			if running == 0 {
				return
			}
			b.Release()
			running--
			if len(waiting) > 0 {
				seated(waiting[0])
				waiting = waiting[1:]
			}
		},
		"close": func(rt *rapid.T) {
			if rapid.IntRange(0, 9).Draw(rt, "one in ten") > 0 {
				return
			}
			closed = true
			require.Equal(rt, running == 0, b.Close(dead()) == nil)
			for _, p := range waiting {
				require.ErrorIs(rt, <-p.got, fx.ErrClosed)
			}
			waiting = nil
		},
		"": func(rt *rapid.T) {
			r, w := b.InUse()
			require.Equal(rt, fmt.Sprint(running, len(waiting)), fmt.Sprint(r, w))
		},
	})
	for ; running > 0; running-- {
		b.Release()
		if len(waiting) > 0 {
			seated(waiting[0])
			waiting = waiting[1:]
		}
	}
	r, w := b.InUse()
	require.Equal(rt, "0 0", fmt.Sprint(r, w), "it always returns to zero")
}

func TestBulkheadEqualsItsModel(t *testing.T) { property(t, bulkheadEqualsItsModel) }

func FuzzBulkheadEqualsItsModel(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(bubbled(bulkheadEqualsItsModel)))
}

// budgetKeepsItsRule checks that no window lets more through than it may, and that what surely fits is let through.
func budgetKeepsItsRule(rt *rapid.T) {
	ratio := rapid.SampledFrom([]float64{-1, 0.1, 0.2, 0.5, 1, 3}).Draw(rt, "Ratio")
	per := rapid.IntRange(-1, 3).Draw(rt, "PerSecond")
	const window = 10 * time.Second
	budget := &fx.Budget{Ratio: ratio, PerSecond: per, Window: window}
	reserve := float64(max(per, 0) * 10)
	if per == 0 {
		reserve = 10
	}
	var firsts, retries []time.Time
	since := func(ts []time.Time, d time.Duration) (n float64) {
		for _, t := range ts {
			if time.Since(t) < d {
				n++
			}
		}
		return n
	}
	may := func(firstsIn, retriesIn time.Duration) bool {
		return since(retries, retriesIn)+1 <= max(ratio, 0)*since(firsts, firstsIn)+reserve+1e-9
	}
	good := fx.WithRetry(fx.Value(1), fx.Retry{Budget: budget})
	rt.Repeat(map[string]func(*rapid.T){
		"succeed": func(rt *rapid.T) {
			for range rapid.IntRange(1, 30).Draw(rt, "times") {
				firsts = append(firsts, time.Now())
				_, _ = good(context.Background())
			}
		},
		"fail": func(rt *rapid.T) {
			firsts = append(firsts, time.Now())
			calls := 0
			_, _ = fx.WithRetry(func(context.Context) (int, error) { calls++; return 0, errBoom },
				fx.Retry{Attempts: 2, Backoff: fx.Constant(0), Budget: budget})(context.Background())
			if calls == 2 {
				require.True(rt, may(window, window), "one too many")
				retries = append(retries, time.Now())
				return
			}
			require.False(rt, may(window-window/10, window+window/10), "one was refused that fits")
		},
		"wait": func(rt *rapid.T) {
			time.Sleep(time.Duration(rapid.Int64Range(1, int64(window)/4).Draw(rt, "for")))
			synctest.Wait()
		},
	})
}

func TestBudgetKeepsItsRule(t *testing.T) { property(t, budgetKeepsItsRule) }

// --- backoff arithmetic ---

// backoffStaysInBounds builds a Backoff from random parts, the absurd included, and looks at its waits.
func backoffStaysInBounds(rt *rapid.T) {
	d := rapid.Custom(func(rt *rapid.T) time.Duration { return time.Duration(rapid.Int64().Draw(rt, "ns")) })
	base, ceiling := d.Draw(rt, "base"), d.Draw(rt, "cap")
	var b fx.Backoff
	switch rapid.IntRange(0, 2).Draw(rt, "kind") {
	case 0:
		b = fx.Constant(base)
	case 1:
		b = fx.Exponential(base)
	default:
		b = fx.Decorrelated(base, ceiling)
	}
	n := rapid.IntRange(-3, 200).Draw(rt, "Take")
	total := d.Draw(rt, "Within")
	plain := first(1000, b.Cap(ceiling).Take(n))
	f := rapid.Float64().Draw(rt, "f")
	jittered := first(1000, b.Cap(ceiling).Jitter(f).Take(n))
	require.Len(rt, plain, max(n, 0))
	require.Len(rt, jittered, max(n, 0))
	for _, w := range slices.Concat(plain, jittered) {
		require.GreaterOrEqual(rt, w, time.Duration(0))
		require.LessOrEqual(rt, w, max(ceiling, 0))
	}
	left := total
	for _, w := range first(1000, b.Within(total)) {
		require.LessOrEqual(rt, w, left, "the sum stays within")
		left -= w
	}
}

func TestBackoffStaysInBounds(t *testing.T) { rapid.Check(t, backoffStaysInBounds) }

func FuzzBackoffStaysInBounds(f *testing.F) { f.Fuzz(rapid.MakeFuzz(backoffStaysInBounds)) }
