package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// bin is the time in which a server feels calls as one blow.
const bin = 10 * time.Millisecond

// herd is experiment (c): a fleet that begins at one moment, against a server that has room for a hundredth of it.
func herd(fast bool) experiment {
	clients := 10_000
	if fast {
		clients = 3_000
	}
	e := experiment{
		key: "c1", title: "The herd",
		about: fmt.Sprintf("%d clients call at one moment a server of 10 workers, 10 ms a call on average, and 100 places in its queue. It\n"+
			"refuses the rest, who come again after 100 ms, 200 ms, 400 ms and so on, 5 s at most, until they are served.", clients),
		columns: []column{{"attempts a call", hundredth}, {"all served after", seconds}, {"most in 10 ms, after the first blow", whole}},
		compare: "Expected: the shape of \"Exponential Backoff And Jitter\" (AWS Architecture Blog, 2015), where full jitter more than\n" +
			"halves the calls and cuts the time even more. Its clients compete for a row in a database; these for a queue, which\n" +
			"serves a whole queueful with each wave: without jitter the waves are what takes so long.",
		picture: &picture{file: "herd.svg", title: fmt.Sprintf("%d clients that began at one moment: attempts", clients), unit: "attempts in 100 ms",
			lanes: []string{"plain, no jitter", "fx, full jitter"}, value: func(b fxtest.Bucket) float64 { return float64(b.Attempts) }},
	}
	e.lanes = []lane{
		{name: "plain, no jitter", play: func(seed uint64) played { return playHerd(seed, clients, 0) }},
		{name: "fx, half jitter", play: func(seed uint64) played { return playHerd(seed, clients, 0.5) }},
		{name: "fx, full jitter", play: func(seed uint64) played { return playHerd(seed, clients, 1) }},
	}
	const attempts, after = "attempts a call", "all served after"
	e.claims = []claim{
		{"full jitter at least halves the attempts", func(r results) bool {
			return slices.Max(r.of("fx, full jitter", attempts)) <= slices.Min(r.of("plain, no jitter", attempts))/2
		}},
		{"full jitter is done in a fifth of the time", func(r results) bool {
			return slices.Max(r.of("fx, full jitter", after)) <= slices.Min(r.of("plain, no jitter", after))/5
		}},
	}
	return e
}

func playHerd(seed uint64, clients int, jitter float64) played {
	server := &fxtest.Dependency{Workers: 10, Queue: 100, Latency: fxtest.Exponential(10 * time.Millisecond), Seed: seed}
	report := fxtest.Fleet{Clients: clients, Once: true, For: time.Minute, Every: bin, Seed: seed,
		Client: func(c *fxtest.Client) fx.Op[int] {
			again := fx.Retry{Attempts: 1000, Backoff: c.Jitter(fx.Exponential(100*time.Millisecond).Cap(5*time.Second), jitter)}
			return fx.WithRetry(c.Call(server), again)
		}}.Run(server)
	p := played{values: []float64{report.Total.AttemptsPerCall(), report.Took.Seconds(), float64(mostAttempts(report.Buckets[1:]))}}
	p.report = coarse(report, 10)
	return p
}

func mostAttempts(buckets []fxtest.Bucket) (attempts int) {
	for _, b := range buckets {
		attempts = max(attempts, b.Attempts)
	}
	return attempts
}

// coarse is the report with n buckets made one.
func coarse(r fxtest.Report, n int) fxtest.Report {
	wide := fxtest.Report{Every: r.Every * time.Duration(n), Total: r.Total, Outages: r.Outages, Took: r.Took}
	for i := range len(r.Buckets) / n {
		from := time.Duration(i) * wide.Every
		wide.Buckets = append(wide.Buckets, r.Between(from, from+wide.Every))
	}
	return wide
}

// atTheCap is the rest of experiment (c): where the waits of a fleet lie that has reached the cap.
func atTheCap() experiment {
	e := experiment{
		key: "c2", title: "The spike at the cap",
		about:   "The tenth wait of 10,000 clients: it would be 51 s, and may be 10 s at most. Is it first cut and then made random,\nor the other way round? An even spread puts 10 of them into each 10 ms.",
		columns: []column{{"in the fullest 10 ms", whole}},
		compare: "Expected: arithmetic. Jitter of the upper half puts all of them on the cap when the raw wait is twice the cap or more.\nfx's default and its documentation cut first.",
		lanes: []lane{
			{"half jitter, then the cap", "10000", func(seed uint64) played {
				return playCap(seed, func(u func() float64) fx.Backoff { return doubling().JitterBy(0.5, u).Cap(10 * time.Second) })
			}},
			{"full jitter, then the cap", "8050", func(seed uint64) played {
				return playCap(seed, func(u func() float64) fx.Backoff { return doubling().JitterBy(1, u).Cap(10 * time.Second) })
			}},
			{"the cap, then full jitter", "10 on average", func(seed uint64) played {
				return playCap(seed, func(u func() float64) fx.Backoff { return doubling().Cap(10*time.Second).JitterBy(1, u) })
			}},
		},
	}
	e.claims = []claim{
		{"jitter before the cap: 80 % of the fleet in one instant", func(r results) bool {
			return r.every("full jitter, then the cap", e.columns[0].name, atLeast(7_500))
		}},
		{"jitter after the cap: no 10 ms have more than three times their share", func(r results) bool {
			return r.every("the cap, then full jitter", e.columns[0].name, atMost(30))
		}},
	}
	return e
}

func doubling() fx.Backoff { return fx.Exponential(100 * time.Millisecond) }

// playCap draws the tenth wait of each of 10,000 clients.
func playCap(seed uint64, backoff func(u func() float64) fx.Backoff) played {
	bins := map[time.Duration]int{}
	for n := range uint64(10_000) {
		var tenth time.Duration
		for d := range backoff(rand.New(rand.NewPCG(seed, n)).Float64).Take(10) {
			tenth = d
		}
		bins[tenth/bin]++
	}
	fullest := 0.0
	for _, n := range bins {
		fullest = math.Max(fullest, float64(n))
	}
	return played{values: []float64{fullest}}
}
