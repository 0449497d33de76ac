package main

import (
	"context"
	"sync/atomic"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// shards is experiment (g): ten shards, of which one is dead.
func shards(fast bool) experiment {
	length := time.Minute
	if fast {
		length = 40 * time.Second
	}
	e := experiment{
		key: "g", title: "One dead shard of ten",
		about: "A hundred clients make 1000 calls a second to ten shards, each call to any of them. One hangs from the tenth second\n" +
			"on; calls have a timeout of 500 ms. The figures are of the last 20 s.",
		columns: []column{{"calls that succeeded", percent}, {"attempts/s at the dead shard", whole}, {"p99", millis}},
		compare: "Expected: a model, after Marc Brooker (\"Will circuit breakers solve my problems?\", 2022): a breaker for all either never\n" +
			"opens, or makes the failure of a tenth that of the whole.",
	}
	nobody := func() []*fx.Breaker { return nil }
	half := func() []*fx.Breaker { return []*fx.Breaker{{Trip: fx.FailureRate(0.5, 20)}} }
	tenth := func() []*fx.Breaker { return []*fx.Breaker{{Trip: fx.FailureRate(0.1, 20)}} }
	each := func() (all []*fx.Breaker) {
		for range 10 {
			all = append(all, &fx.Breaker{})
		}
		return all
	}
	e.lanes = []lane{
		{"plain", "90 %", func(seed uint64) played { return playShards(seed, length, nobody) }},
		{"one breaker for all, at 50 %", "90 %, never opens", func(seed uint64) played { return playShards(seed, length, half) }},
		{"one breaker for all, at 10 %", "far below 90 %", func(seed uint64) played { return playShards(seed, length, tenth) }},
		{"fx, one for each shard", "90 %, no attempts", func(seed uint64) played { return playShards(seed, length, each) }},
	}
	const success, dead = "calls that succeeded", "attempts/s at the dead shard"
	e.claims = []claim{
		{"one for all at 50 % protects nobody: the dead shard gets all its calls", func(r results) bool {
			return r.every(e.lanes[1].name, dead, atLeast(90))
		}},
		{"one for all at 10 % takes most of the rest down with it", func(r results) bool {
			return r.every(e.lanes[2].name, success, atMost(0.5))
		}},
		{"one for each shard: 89 % and more succeed, and the dead shard gets a quarter of its calls at most", func(r results) bool {
			return r.every(e.lanes[3].name, success, atLeast(0.89)) && r.every(e.lanes[3].name, dead, atMost(25))
		}},
	}
	return e
}

// playShards lets shard i be guarded by the breaker number i of each client, counted around.
func playShards(seed uint64, length time.Duration, breakers func() []*fx.Breaker) played {
	const dead, down = 3, 10 * time.Second
	all := make([]*fxtest.Dependency, 10)
	for i := range all {
		all[i] = &fxtest.Dependency{Workers: 10, Queue: -1, Latency: fxtest.Exponential(10 * time.Millisecond), Seed: seed*100 + uint64(i)}
	}
	all[dead].Outages = []fxtest.Outage{{From: down, Mode: fxtest.Hanging}}
	late := length - 20*time.Second
	var before atomic.Int64
	time.AfterFunc(late, func() { before.Store(int64(all[dead].Figures().Offered)) })
	report := fxtest.Fleet{Clients: 100, Rate: 1000, For: length, Seed: seed, Client: func(c *fxtest.Client) fx.Op[int] {
		return anyOf(c, all, breakers())
	}}.Run(all...)
	atDead := float64(all[dead].Figures().Offered) - float64(before.Load())
	last := report.Between(late, length)
	return played{report: report, values: []float64{last.Success(), atDead / 20, ms(last.P99)}}
}

// anyOf calls any of the shards. There may be fewer breakers than shards, or none.
func anyOf(c *fxtest.Client, shards []*fxtest.Dependency, breakers []*fx.Breaker) fx.Op[int] {
	ops := make([]fx.Op[int], len(shards))
	for i, shard := range shards {
		ops[i] = fx.WithTimeout(c.Call(shard), 500*time.Millisecond)
		if len(breakers) > 0 {
			ops[i] = fx.WithBreaker(ops[i], breakers[i%len(breakers)])
		}
	}
	return func(ctx context.Context) (int, error) { return ops[int(c.Float64()*float64(len(ops)))](ctx) }
}
