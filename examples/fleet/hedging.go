package main

import (
	"context"
	"math/rand/v2"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// tail is experiment (d): hedging against a service that is quick but for one call in fifty.
func tail(fast bool) experiment {
	length := 2 * time.Minute
	if fast {
		length = time.Minute
	}
	e := experiment{
		key: "d1", title: "Hedging cuts the tail",
		about: "20 clients in one process make 200 calls a second. A call takes 10 ms in the median, 20 ms at its 99th percentile;\n" +
			"one in fifty takes 200 ms longer on average. The hedge waits for the quantile that it has learned.",
		columns: []column{{"further copies", percent}, {"p50", millis}, {"p99", millis}, {"p99.9", millis}},
		compare: "Expected: a model of the same service, which waits for the exact quantile; fx follows it in\n" +
			"steps, and at 0.98 overshoots more. The promise is that of Dean and\n" +
			"Barroso (The Tail at Scale, CACM 2013), who cut a p99.9 from 1800 to 74 ms for 2 % more calls.",
		lanes: []lane{
			{"plain", "0 %, 10, 150, 624 ms", func(seed uint64) played { return playTail(seed, length, nil) }},
			{"fx, hedge at 0.95", "5 %, 10, 27, 34 ms", func(seed uint64) played { return playTail(seed, length, &fx.Hedge{Quantile: 0.95}) }},
			{"fx, hedge at 0.98", "2 %, 10, 34, 41 ms", func(seed uint64) played { return playTail(seed, length, &fx.Hedge{Quantile: 0.98}) }},
		},
	}
	e.claims = []claim{
		{"hedging at 0.95 cuts the p99 to less than a third, for 7 % more calls at most", func(r results) bool {
			plain, hedged := r.of("plain", "p99"), r.of("fx, hedge at 0.95", "p99")
			for seed := range plain {
				if hedged[seed] > plain[seed]/3 {
					return false
				}
			}
			return r.every("fx, hedge at 0.95", "further copies", atMost(0.07))
		}},
	}
	return e
}

func playTail(seed uint64, length time.Duration, h *fx.Hedge) played {
	body := fxtest.LogNormal(10*time.Millisecond, 20*time.Millisecond)
	hiccup := fxtest.Exponential(200 * time.Millisecond)
	slow := func(r *rand.Rand) time.Duration { return body(r) + hiccup(r) }
	service := &fxtest.Dependency{Latency: body.Tail(0.02, slow), Seed: seed}
	if h != nil { // a hedge keeps what it has learned, so each play has its own
		h = &fx.Hedge{Quantile: h.Quantile}
	}
	report := fxtest.Fleet{Clients: 20, Rate: 200, For: length, Seed: seed, Client: func(c *fxtest.Client) fx.Op[int] {
		if h == nil {
			return c.Call(service)
		}
		return fx.WithHedge(c.Call(service), h)
	}}.Run(service)
	b := report.Total
	return played{report: report, values: []float64{b.AttemptsPerCall() - 1, ms(b.P50), ms(b.P99), ms(b.P999)}}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// brakes is the rest of experiment (d): hedging with nothing to stop it, of calls that go on when nobody wants them.
func brakes(fast bool) experiment {
	length := 60 * time.Second
	if fast {
		length = 40 * time.Second
	}
	e := experiment{
		key: "d2", title: "Hedging without brakes",
		about: "20 replicas with one worker and a queue each work off 1430 calls a second in all, and get 860: 10 ms a call on average,\n" +
			"and one in fifty 200 ms longer on average. Who has waited for 30 ms asks a second replica. Nobody tells the loser to stop.",
		columns: []column{{"further copies", percent}, {"p99", millis}, {"answered within 1 s", percent}},
		compare: "Expected: a model, with 50 % of what the replicas can do asked of them. Here it is 60 %: at 50 % some seeds collapse and\n" +
			"some do not. How far it goes depends on how long one watches. A hedge of fx always has a budget; here one of 100 %\n" +
			"stands for none.",
	}
	const unhedged, bare, ratio1, five = "no hedge", "plain hedge after 30 ms", "fx, a budget of 100 %", "fx, a budget of 5 %"
	e.lanes = []lane{
		{unhedged, "", func(seed uint64) played {
			return playBrakes(seed, length, func(op fx.Op[int]) fx.Op[int] { return op })
		}},
		{bare, "99 %, collapse", func(seed uint64) played { return playBrakes(seed, length, plainHedge) }},
		{ratio1, "", func(seed uint64) played { return playBrakes(seed, length, hedgedWithin(1)) }},
		{five, "5 %, 639 ms", func(seed uint64) played { return playBrakes(seed, length, hedgedWithin(0.05)) }},
	}
	e.claims = []claim{
		{"without a budget the fleet collapses: not half of the calls are answered within a second", func(r results) bool {
			return r.every(bare, "answered within 1 s", atMost(0.5))
		}},
		{"with 5 % it does not: 98 % are, for 5.1 % more calls at most", func(r results) bool {
			return r.every(five, "answered within 1 s", atLeast(0.98)) && r.every(five, "further copies", atMost(0.051))
		}},
	}
	return e
}

// hedgedWithin is one hedge for the whole process, and its budget.
func hedgedWithin(ratio float64) func(fx.Op[int]) fx.Op[int] {
	h := &fx.Hedge{After: 30 * time.Millisecond, Budget: &fx.Budget{Ratio: ratio, PerSecond: -1}}
	return func(op fx.Op[int]) fx.Op[int] { return fx.WithHedge(op, h) }
}

// plainHedge asks once more after 30 ms, and takes what comes first.
func plainHedge(op fx.Op[int]) fx.Op[int] {
	return func(ctx context.Context) (int, error) {
		answers := make(chan int, 2)
		ask := func() {
			if v, err := op(ctx); err == nil {
				answers <- v
			}
		}
		go ask()
		select {
		case v := <-answers:
			return v, nil
		case <-time.After(30 * time.Millisecond):
			go ask()
		}
		return <-answers, nil
	}
}

func playBrakes(seed uint64, length time.Duration, hedged func(fx.Op[int]) fx.Op[int]) played {
	body, hiccup := fxtest.Exponential(10*time.Millisecond), fxtest.Exponential(200*time.Millisecond)
	slow := func(r *rand.Rand) time.Duration { return body(r) + hiccup(r) }
	replicas := make([]*fxtest.Dependency, 20)
	for i := range replicas {
		replicas[i] = &fxtest.Dependency{Workers: 1, Queue: -1, Seed: seed*100 + uint64(i), Latency: body.Tail(0.02, slow)}
	}
	report := fxtest.Fleet{Clients: 50, Rate: 860, For: length, Seed: seed, Client: func(c *fxtest.Client) fx.Op[int] {
		any := func(ctx context.Context) (int, error) {
			return c.Call(replicas[int(c.Float64()*20)])(context.WithoutCancel(ctx))
		}
		return hedged(any)
	}}.Run(replicas...)
	b := report.Total
	return played{report: report, values: []float64{b.AttemptsPerCall() - 1, ms(b.P99), b.Within(time.Second)}}
}
