package main

import (
	"fmt"
	"math"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// A storm is the world of experiment (a), and of those that build on it.
type storm struct {
	queue  int               // of the server; negative means any number
	budget func() *fx.Budget // of a client, where it has one
	stop   fxtest.Outage     // of the server
	length time.Duration
	rates  []int // calls a second, of all clients
}

func newStorm(fast bool) storm {
	s := storm{queue: -1, budget: tenPercent, length: 150 * time.Second, rates: []int{300, 500, 800},
		stop: fxtest.Outage{From: 20 * time.Second, Until: 30 * time.Second, Mode: fxtest.Hanging}}
	if fast {
		s.length, s.stop.From, s.stop.Until, s.rates = 60*time.Second, 10*time.Second, 20*time.Second, []int{300, 500}
	}
	return s
}

// tenPercent lets one call in ten be repeated, and nothing else.
func tenPercent() *fx.Budget { return &fx.Budget{Ratio: 0.1, PerSecond: -1} }

// server works off 1000 calls a second.
func (s storm) server(seed uint64) *fxtest.Dependency {
	return &fxtest.Dependency{Workers: 10, Queue: s.queue, Latency: fxtest.Exponential(10 * time.Millisecond), Seed: seed,
		Outages: []fxtest.Outage{s.stop}}
}

// A stack puts the layers of one client around its call.
type stack func(c *fxtest.Client, call fx.Op[int]) fx.Op[int]

func plainAttempts(n int) stack {
	return func(c *fxtest.Client, call fx.Op[int]) fx.Op[int] { return plainRetry(c, call, n, time.Second) }
}

// retrying is fx with three attempts. budget may make none.
func retrying(budget func() *fx.Budget) stack {
	return func(c *fxtest.Client, call fx.Op[int]) fx.Op[int] {
		op := fx.WithTimeout(call, time.Second)
		return fx.WithRetry(op, fx.Retry{Backoff: patience(c), Budget: budget()})
	}
}

func none() *fx.Budget { return nil }

// play runs a hundred clients against the server.
func (s storm) play(rate float64, of stack) func(seed uint64) played {
	return func(seed uint64) played {
		server := s.server(seed)
		report := fxtest.Fleet{Clients: 100, Rate: rate, For: s.length, Seed: seed,
			Client: func(c *fxtest.Client) fx.Op[int] { return of(c, c.Call(server)) }}.Run(server)
		end := report.Between(s.length-20*time.Second, s.length)
		down := report.Between(s.stop.From, s.stop.Until)
		return played{report: report, values: []float64{
			float64(down.Attempts) / (s.stop.Until - s.stop.From).Seconds(),
			float64(end.Goodput) / 20,
			recovery(report, s.stop.Until),
			report.Total.Success(),
		}}
	}
}

func recovery(report fxtest.Report, end time.Duration) float64 {
	after, ok := report.Recovery(end)
	if !ok {
		return math.Inf(1)
	}
	return after.Seconds()
}

var stormColumns = []column{
	{"attempts/s while down", whole},
	{"goodput/s at the end", whole},
	{"well again after", seconds},
}

func retryStorm(s storm) experiment {
	e := experiment{
		key: "a", title: "The retry storm",
		about: "A server with 10 workers, 10 ms a call on average, and a queue without end stands still for 10 s. A hundred\n" +
			"clients go on to call it, as often as before. Each attempt has a timeout of 1 s.",
		columns: stormColumns,
		compare: "Expected: a model with four attempts in place of three, of a kind that Bronson and others (HotOS 2021) and Huang\n" +
			"and others (OSDI 2022) call metastable: the cause is gone, and the failure stays. Three attempts of 300 calls a\n" +
			"second are 900, which the server can bear: it does recover, slowly. With four it cannot. The model's budget is a tenth\n" +
			"of the successes, of which there are none while the storm lasts; that of fx is a tenth of the calls. Near the limit\n" +
			"this makes it slower: 880 of about 1000 leave the server little more than half of the room that 800 do.",
		picture: &picture{file: "storm.svg", title: "A stop of 10 s under 500 calls a second: calls that succeed", unit: "calls a second",
			lanes: []string{"500/s, plain, 1 attempt", "500/s, plain, 3 attempts", "500/s, fx, 3 with a budget"}, value: goodput},
	}
	for _, rate := range s.rates {
		e.add(s, rate)
	}
	return e
}

// add adds the lanes of one rate.
func (e *experiment) add(s storm, rate int) {
	models := map[int][2]string{500: {"8 s", "9 s"}, 800: {"35 s", "36 s"}}
	at := fmt.Sprintf("%d/s, ", rate)
	once, insists, guarded := at+"plain, 1 attempt", at+"plain, 3 attempts", at+"fx, 3 with a budget"
	put := func(name, model string, of stack) {
		e.lanes = append(e.lanes, lane{name, model, s.play(float64(rate), of)})
	}
	put(once, models[rate][0], plainAttempts(1))
	if rate == 300 {
		put(insists, "", plainAttempts(3))
		insists = at + "plain, 4 attempts"
		put(insists, "never", plainAttempts(4))
	} else {
		put(insists, "never", plainAttempts(3))
	}
	if rate == 500 {
		put(at+"fx, 3 without a budget", "", retrying(none))
	}
	put(guarded, models[rate][1], retrying(s.budget))
	put(at+"fx, 3 with fx.Budget{}", "", retrying(zeroBudget))
	e.claims = append(e.claims, stormClaims(insists, once, guarded, rate)...)
}

// stormClaims lets the guarded take half as long again as those who make no retries; near the limit of what the server
// can do, where a tenth more is half of the room that is left, two and a half times.
func stormClaims(insists, once, guarded string, rate int) []claim {
	times := 1.5
	if rate >= 800 {
		times = 2.5
	}
	return []claim{
		{insists + " never recovers", func(r results) bool { return r.every(insists, "well again after", never) }},
		{fmt.Sprintf("%s recovers in no more than %.1f times the time without retries, and 3 s", guarded, times), func(r results) bool {
			pace := r.of(once, "well again after")
			for seed, took := range r.of(guarded, "well again after") {
				if !(took <= times*pace[seed]+3) {
					return false
				}
			}
			return true
		}},
	}
}

func goodput(b fxtest.Bucket) float64 { return float64(b.Goodput) }
