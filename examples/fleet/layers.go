package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// layers is experiment (b): services that call services, each of which repeats what fails.
func layers(fast bool) experiment {
	depths, length := []int{1, 2, 3, 4, 5}, 60*time.Second
	if fast {
		depths, length = []int{1, 3}, 20*time.Second
	}
	e := experiment{
		key: "b", title: "Retries in every layer",
		about: "Services stand in layers; each makes up to three attempts at the one below, and the lowest fails. How many calls\n" +
			"reach it for one call at the top? With budgets, each layer of a process has one, for 10 or 20 % of the calls.",
		columns: []column{{"calls of the lowest", hundredth}},
		compare: "Expected: the powers. 3^5 = 243 is the figure of the AWS Builders' Library (\"Timeouts, retries, and backoff with\n" +
			"jitter\"); the SRE book has 4^3 = 64. A budget stays a little below its power: it counts in whole retries, and\n" +
			"starts with nothing.",
	}
	for _, depth := range depths {
		bare, ten, twenty := fmt.Sprintf("%d deep, plain", depth), fmt.Sprintf("%d deep, fx, 10 %%", depth), fmt.Sprintf("%d deep, fx, 20 %%", depth)
		e.lanes = append(e.lanes,
			lane{bare, power(3, depth), func(seed uint64) played { return playLayers(seed, time.Second, plainLayers(depth)) }},
			lane{ten, power(1.1, depth), func(seed uint64) played { return playLayers(seed, length, budgeted(depth, 0.1)) }},
			lane{twenty, power(1.2, depth), func(seed uint64) played { return playLayers(seed, length, budgeted(depth, 0.2)) }})
		e.claims = append(e.claims,
			claim{bare + ": exactly 3^depth", func(r results) bool {
				return r.every(bare, "calls of the lowest", func(v float64) bool { return v == math.Pow(3, float64(depth)) })
			}},
			claim{twenty + ": no more than 1.2^depth, and no less than nine tenths of it", func(r results) bool {
				most := math.Pow(1.2, float64(depth))
				return r.every(twenty, "calls of the lowest", func(v float64) bool { return v <= most && v >= 0.9*most })
			}})
	}
	return e
}

func power(base float64, n int) string {
	if base == math.Trunc(base) {
		return whole(math.Pow(base, float64(n)))
	}
	return hundredth(math.Pow(base, float64(n)))
}

// playLayers runs ten processes with a hundred calls a second in all.
func playLayers(seed uint64, length time.Duration, of stack) played {
	lowest := &fxtest.Dependency{Outages: []fxtest.Outage{{Mode: fxtest.Failing}}}
	report := fxtest.Fleet{Clients: 10, Rate: 200, For: length, Seed: seed,
		Client: func(c *fxtest.Client) fx.Op[int] { return of(c, c.Call(lowest)) }}.Run(lowest)
	return played{report: report, values: []float64{report.Total.AttemptsPerCall()}}
}

func plainLayers(depth int) stack {
	return func(c *fxtest.Client, call fx.Op[int]) fx.Op[int] {
		for range depth {
			call = threeTimes(call)
		}
		return call
	}
}

// threeTimes is the least that one writes.
func threeTimes(call fx.Op[int]) fx.Op[int] {
	return func(ctx context.Context) (v int, err error) {
		for range 3 {
			if v, err = call(ctx); err == nil {
				break
			}
		}
		return v, err
	}
}

func budgeted(depth int, ratio float64) stack {
	return func(c *fxtest.Client, call fx.Op[int]) fx.Op[int] {
		for range depth {
			// The error of a layer below answers for this layer's call: to it, RetryError and ErrBudget are but failures.
			all := func(error) bool { return true }
			call = fx.WithRetry(call, fx.Retry{If: all, Backoff: patience(c), Budget: &fx.Budget{Ratio: ratio, PerSecond: -1}})
		}
		return call
	}
}
