package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// probes is experiment (f): a fleet whose breakers have opened at one moment, and open and close by the same rules.
func probes(fast bool) experiment {
	clients := 10_000
	if fast {
		clients = 2_000
	}
	const fixed, grown = "cooldowns of 5 s", "MaxCooldown of 30 s"
	e := experiment{
		key: "f", title: "Probes in step",
		about: fmt.Sprintf("The breakers of %d clients open at one moment. The server is down for a minute more; then 10 workers do 10 ms\n"+
			"a call on average, with 100 places in the queue. Each client has one call that it insists on, and makes it as soon as\n"+
			"its breaker lets it.", clients),
		columns: []column{{"most in 10 ms", whole}, {"÷ the mean of the first wave", hundredth}, {"attempts while down", whole}, {"served within 60 s", percent}},
		lanes: []lane{
			{fixed, fmt.Sprint(clients), func(seed uint64) played { return playProbes(seed, clients, 0) }},
			{grown, "at most 3 × the mean", func(seed uint64) played { return playProbes(seed, clients, 30*time.Second) }},
		},
		compare: "Expected: a model. The first wave with MaxCooldown lasts from 2.5 to 5 s, as the cooldowns are random in their upper\n" +
			"half; the next are wider. What fx draws there comes from a source of its own, so these figures differ a little from\n" +
			"run to run even with one seed.",
	}
	e.picture = &picture{file: "probes.svg", title: fmt.Sprintf("The probes of %d breakers that opened together", clients), unit: "attempts in 100 ms",
		lanes: []string{fixed, grown}, value: func(b fxtest.Bucket) float64 { return float64(b.Attempts) }}
	e.claims = []claim{
		{"fixed cooldowns: the whole fleet probes in the same 10 ms", func(r results) bool {
			return r.every(fixed, "most in 10 ms", atLeast(0.95*float64(clients)))
		}},
		{"MaxCooldown: no 10 ms have more than three times the mean of the first wave", func(r results) bool {
			return r.every(grown, "÷ the mean of the first wave", atMost(3))
		}},
		{"MaxCooldown: after a minute more are served than with fixed cooldowns", func(r results) bool {
			return slices.Min(r.of(grown, "served within 60 s")) > slices.Max(r.of(fixed, "served within 60 s"))
		}},
	}
	return e
}

func playProbes(seed uint64, clients int, most time.Duration) played {
	down := fxtest.Outage{Until: time.Minute, Mode: fxtest.Refusing}
	server := &fxtest.Dependency{Workers: 10, Queue: 100, Latency: fxtest.Exponential(10 * time.Millisecond), Seed: seed, Outages: []fxtest.Outage{down}}
	report := fxtest.Fleet{Clients: clients, Once: true, For: 2 * time.Minute, Every: bin, Seed: seed, Client: func(c *fxtest.Client) fx.Op[int] {
		b := &fx.Breaker{Cooldown: 5 * time.Second, MaxCooldown: most, Probes: 1}
		open(b)
		// An open breaker says how long to wait; who insists waits for that long, and not for a backoff of its own.
		op := fx.WithRetry(fx.WithBreaker(c.Call(server), b), fx.Retry{Attempts: 1000, If: always, MaxWait: time.Hour, Backoff: fx.Constant(0)})
		return fx.WithTimeout(op, 2*time.Minute)
	}}.Run(server)
	wave := report.Between(2500*time.Millisecond, 5*time.Second+bin)
	peak, served := float64(mostAttempts(report.Buckets)), report.Between(0, 2*time.Minute).Goodput
	return played{report: coarse(report, 10), values: []float64{
		peak,
		peak / (float64(wave.Attempts) * bin.Seconds() / 2.5),
		float64(report.Between(0, down.Until).Attempts),
		float64(served) / float64(clients),
	}}
}

func always(error) bool { return true }

// open lets a breaker see the failures that open it.
func open(b *fx.Breaker) {
	for range 5 {
		if done, err := b.Allow(context.Background()); err == nil {
			done(errors.New("connection refused"))
		}
	}
}
