package main

import (
	"fmt"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// An order is where the breaker stands, and which budget the retries have.
type order struct {
	name    string
	breaker func() *fx.Breaker // nil: there is none
	inside  bool               // the retry, so that it sees each attempt
	budget  func() *fx.Budget
}

func (o order) stack(c *fxtest.Client, call fx.Op[int]) fx.Op[int] {
	again := fx.Retry{Backoff: patience(c), Budget: o.budget()}
	op := fx.WithTimeout(call, time.Second)
	switch {
	case o.breaker == nil:
		return fx.WithRetry(op, again)
	case o.inside:
		return fx.WithRetry(fx.WithBreaker(op, o.breaker()), again)
	default:
		return fx.WithBreaker(fx.WithRetry(op, again), o.breaker())
	}
}

// orders are all arrangements of one kind of breaker.
func orders(breaker func() *fx.Breaker) []order {
	return []order{
		{"no breaker", nil, false, none},
		{"inside", breaker, true, none},
		{"outside", breaker, false, none},
		{"no breaker, budget", nil, false, tenPercent},
		{"inside, budget", breaker, true, tenPercent},
		{"outside, budget", breaker, false, tenPercent},
		{"inside, fx.Budget{}", breaker, true, zeroBudget},
		{"outside, fx.Budget{}", breaker, false, zeroBudget},
	}
}

func zeroBudget() *fx.Budget { return &fx.Budget{} }

func zeroBreaker() *fx.Breaker { return &fx.Breaker{} }

func tenFailures() *fx.Breaker { return &fx.Breaker{Failures: 10} }

// halfOf20 opens when half of the last 20 outcomes are failures.
func halfOf20() *fx.Breaker {
	return &fx.Breaker{Trip: fx.FailureRate(0.5, 20), Last: 20, Cooldown: 5 * time.Second, Probes: 1}
}

// ruled are the orders to choose from, with what each needs: inside, more failures in a row.
func ruled() []order {
	return []order{
		{patient, tenFailures, true, zeroBudget},
		{"outside, 2 in a row, fx.Budget{}", func() *fx.Breaker { return &fx.Breaker{Failures: 2} }, false, zeroBudget},
	}
}

// patient is the order that comes out best: see the claims.
const patient, usual = "inside, 10 in a row, fx.Budget{}", "outside, fx.Budget{}"

// breakerOrder is experiment (e): the server of the retry storm, and the breaker inside or outside the retry.
func breakerOrder(s storm, fast bool) []experiment {
	s.length = 80 * time.Second
	rates := []int{500, 800}
	if fast {
		s.length, rates = 50*time.Second, []int{500}
	}
	return []experiment{windowOrder(s, rates), zeroOrder(s, rates), refusals(s), ailing(s), oneProcess(s)}
}

func windowOrder(s storm, rates []int) experiment {
	e := orderExperiment("e1", "The order of breaker and retry, 50 % of the last 20", s, rates, orders(halfOf20))
	e.about = "The server and the stop of (a), three attempts. Each of the hundred clients has a breaker that opens when half of the\n" +
		"last 20 outcomes it saw are failures, for 5 s, and closes after one good probe. \"Inside\" the retry it sees each\n" +
		"attempt, \"outside\" each call with all its attempts. \"Budget\" is 10 %; fx.Budget{} is 20 % and one a second."
	e.compare = "Expected: a model with four attempts, and with one budget of 10 % of the successes for all clients. With four attempts\n" +
		"a call outside takes longer to fail, so its breaker hears of it later."
	e.models(map[string]string{
		"500/s, no breaker": "1635, never", "500/s, inside": "223, 4 s", "500/s, outside": "1249, 13 s",
		"500/s, inside, budget": "160, 5 s", "500/s, outside, budget": "516, 8 s",
		"800/s, no breaker": "2666, never", "800/s, inside": "266, 3 s", "800/s, outside": "1822, 20 s",
		"800/s, inside, budget": "200, 4 s", "800/s, outside, budget": "807, 34 s",
	})
	e.picture = &picture{file: "order.svg", title: "A stop of 10 s under 500 calls a second: attempts", unit: "attempts a second",
		lanes: []string{"500/s, no breaker", "500/s, outside", "500/s, inside", "500/s, inside, budget"},
		value: func(b fxtest.Bucket) float64 { return float64(b.Attempts) }}
	return e
}

func zeroOrder(s storm, rates []int) experiment {
	e := orderExperiment("e2", "The same with the zero fx.Breaker", s, rates, append(orders(zeroBreaker), ruled()...))
	e.about = "As before, with the breaker that opens at 5 failures in a row, for 10 s, and closes after two good probes. At the end\n" +
		"of each half stand 10 failures in a row inside, and 2 outside."
	for _, rate := range rates {
		at := fmt.Sprintf("%d/s, ", rate)
		e.claims = append(e.claims, claim{at + patient + ": at most three quarters of the attempts of " + usual + " while the server is down", func(r results) bool {
			return r.below(at+patient, at+usual, stormColumns[0].name, 0.75)
		}})
	}
	return e
}

func orderExperiment(key, title string, s storm, rates []int, orders []order) experiment {
	e := experiment{key: key, title: title, columns: append(stormColumns[:3:3], column{"calls that succeeded", percent})}
	for _, rate := range rates {
		for _, o := range orders {
			e.lanes = append(e.lanes, lane{name: fmt.Sprintf("%d/s, %s", rate, o.name), play: s.play(float64(rate), o.stack)})
		}
		at := fmt.Sprintf("%d/s, ", rate)
		e.claims = append(e.claims,
			claim{at + "inside: at most half of the attempts of outside while the server is down", func(r results) bool {
				return r.below(at+"inside", at+"outside", stormColumns[0].name, 0.5)
			}},
			claim{at + "inside recovers with and without a budget", func(r results) bool {
				return r.every(at+"inside", stormColumns[2].name, atMost(25)) && r.every(at+"inside, budget", stormColumns[2].name, atMost(25))
			}})
	}
	return e
}

// models puts what was expected beside the lanes.
func (e *experiment) models(of map[string]string) {
	for i, l := range e.lanes {
		e.lanes[i].model = of[l.name]
	}
}

// below says whether one lane stays at or below a share of another's, with every seed.
func (r results) below(lane, other, column string, share float64) bool {
	most := r.of(other, column)
	for seed, v := range r.of(lane, column) {
		if v > share*most[seed] {
			return false
		}
	}
	return true
}

// refusals is the outage that one hears of at once.
func refusals(s storm) experiment {
	s.stop.Mode = fxtest.Refusing
	e := experiment{key: "e3", title: "The same with a server that refuses",
		about:   "As before with the zero fx.Breaker, 500 calls a second, and a server that refuses connections for 10 s.",
		columns: append(stormColumns[:3:3], column{"calls that succeeded", percent})}
	for _, o := range append(orders(zeroBreaker), ruled()...) {
		e.lanes = append(e.lanes, lane{name: o.name, play: s.play(500, o.stack)})
	}
	e.claims = []claim{{"inside: at most half of the attempts of outside while the server is down", func(r results) bool {
		return r.below("inside", "outside", stormColumns[0].name, 0.5)
	}}}
	return e
}

// ailing is where the order costs something: a server that fails now and then, for good.
func ailing(s storm) experiment {
	e := experiment{key: "e4", title: "A server that ails",
		about: "Each attempt fails at once with the same probability, all the time; 500 calls a second, up to three attempts. How many\n" +
			"calls succeed, by that probability?",
		columns: []column{{"1 in 10 fails", percent}, {"1 in 5", percent}, {"1 in 3", percent}, {"attempts a call, 1 in 3", hundredth}},
		compare: "A breaker inside takes five attempts in a row that fail for an outage, which chance brings about often enough when one\n" +
			"in three fails; ten are rare enough. Outside it takes five calls in a row that failed with all their attempts. A budget\n" +
			"that is too small for so many retries leaves calls to fail, and then chance opens it there, too.",
	}
	put := func(name string, o order) {
		e.lanes = append(e.lanes, lane{name: name, play: func(seed uint64) played { return playAiling(seed, s.length, o) }})
	}
	put("no breaker", order{budget: none})
	put("inside", order{breaker: zeroBreaker, inside: true, budget: none})
	put("outside", order{breaker: zeroBreaker, budget: none})
	put("no breaker, fx.Budget{}", order{budget: zeroBudget})
	put("inside, fx.Budget{}", order{breaker: zeroBreaker, inside: true, budget: zeroBudget})
	put("outside, fx.Budget{}", order{breaker: zeroBreaker, budget: zeroBudget})
	put("inside, 50 % of 20", order{breaker: halfOf20, inside: true, budget: none})
	put("outside, 50 % of 20", order{breaker: halfOf20, budget: none})
	put("inside, 10 in a row", order{breaker: tenFailures, inside: true, budget: none})
	for _, o := range ruled() {
		put(o.name, o)
	}
	e.claims = []claim{
		{"outside: the breaker takes no more than one call in a hundred that would have succeeded, where 1 in 3 fails", func(r results) bool {
			return r.atWorst("outside", "no breaker", 0.01)
		}},
		{patient + ": no fewer calls succeed than with " + usual + ", but for one in a hundred", func(r results) bool {
			return r.atWorst(patient, usual, 0.01)
		}},
		{"inside: it takes more than one in ten", func(r results) bool { return !r.atWorst("inside", "no breaker", 0.1) }},
	}
	return e
}

// atWorst says whether a lane succeeds as often as another, less at most that share of the calls, where 1 in 3 fails.
func (r results) atWorst(lane, other string, less float64) bool {
	return r.atWorstIn("1 in 3", lane, other, less)
}

func (r results) atWorstIn(column, lane, other string, less float64) bool {
	best := r.of(other, column)
	for seed, v := range r.of(lane, column) {
		if v < best[seed]-less {
			return false
		}
	}
	return true
}

func playAiling(seed uint64, length time.Duration, o order) (p played) {
	for _, fails := range []float64{1.0 / 10, 1.0 / 5, 1.0 / 3} {
		server := &fxtest.Dependency{Workers: 10, Queue: -1, Latency: fxtest.Exponential(10 * time.Millisecond), Seed: seed,
			Brownouts: []fxtest.Brownout{{Fails: fails}}}
		p.report = fxtest.Fleet{Clients: 100, Rate: 500, For: length, Seed: seed,
			Client: func(c *fxtest.Client) fx.Op[int] { return o.stack(c, c.Call(server)) }}.Run(server)
		p.values = append(p.values, p.report.Total.Success())
	}
	p.values = append(p.values, p.report.Total.AttemptsPerCall())
	return p
}

// oneProcess is the same through one breaker and one budget: there chance has a hundred times as many tries.
func oneProcess(s storm) experiment {
	e := experiment{key: "e5", title: "All through one breaker",
		about: "A single process makes the 500 calls a second of (e1) to (e4), with one breaker and one fx.Budget{}: how many succeed\n" +
			"where one attempt in three fails, and what the breaker does when the server stands still for 10 s.",
		columns: []column{{"1 in 3 fails", percent}, {"attempts/s while down", whole}, {"well again after", seconds}},
		compare: "At 650 attempts a second five failures in a row come up by chance more than once a second, and ten every minute or two:\n" +
			"with one seed they did. A busy process wants a rate over time: it is slower to see an outage, and does not mistake for\n" +
			"one a server of which two attempts in three succeed.",
	}
	rate := func() *fx.Breaker { return &fx.Breaker{Trip: fx.FailureRate(0.5, 20)} }
	for _, o := range []order{
		{"no breaker", nil, false, zeroBudget},
		{"inside", zeroBreaker, true, zeroBudget}, {"outside", zeroBreaker, false, zeroBudget},
		{"inside, 10 in a row", tenFailures, true, zeroBudget}, {"outside, 10 in a row", tenFailures, false, zeroBudget},
		{"inside, 50 % of 10 s", rate, true, zeroBudget}, {"outside, 50 % of 10 s", rate, false, zeroBudget},
	} {
		e.lanes = append(e.lanes, lane{name: o.name, play: func(seed uint64) played { return playProcess(seed, s, o) }})
	}
	const ailing, down = "1 in 3 fails", "attempts/s while down"
	e.claims = []claim{
		{"five in a row, inside or outside: not a quarter of the calls succeed where 1 attempt in 3 fails", func(r results) bool {
			return r.every("inside", ailing, atMost(0.25)) && r.every("outside", ailing, atMost(0.25))
		}},
		{"50 % of 10 s, inside or outside: as many succeed as without a breaker", func(r results) bool {
			return r.atWorstIn(ailing, "inside, 50 % of 10 s", "no breaker", 0.01) && r.atWorstIn(ailing, "outside, 50 % of 10 s", "no breaker", 0.01)
		}},
		{"inside lets fewer attempts through than outside while the server is down", func(r results) bool {
			return r.below("inside", "outside", down, 0.75) && r.below("inside, 10 in a row", "outside, 10 in a row", down, 0.75) &&
				r.below("inside, 50 % of 10 s", "outside, 50 % of 10 s", down, 0.95)
		}},
	}
	return e
}

func playProcess(seed uint64, s storm, o order) played {
	run := func(server *fxtest.Dependency) fxtest.Report {
		return fxtest.Fleet{Clients: 1, Rate: 500, For: s.length, Seed: seed,
			Client: func(c *fxtest.Client) fx.Op[int] { return o.stack(c, c.Call(server)) }}.Run(server)
	}
	ails := s.server(seed)
	ails.Outages, ails.Brownouts = nil, []fxtest.Brownout{{Fails: 1.0 / 3}}
	success := run(ails).Total.Success()
	report := run(s.server(seed))
	down := report.Between(s.stop.From, s.stop.Until)
	return played{report: report, values: []float64{success,
		float64(down.Attempts) / (s.stop.Until - s.stop.From).Seconds(), recovery(report, s.stop.Until)}}
}
