package main

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"example.com/fx"
)

// reasonRate is why the target of the rate window is missed.
const reasonRate = "The op counts its calls, so it takes more than two bare calls itself (*bare* in the details), and a success is one atomic add more than without a window. A failure, one call in a hundred, takes the lock, reads the clock, sorts the successes into their tenth of the window and asks `Trip`: some hundred bare calls, so one for every call."

func breakerRows() []row {
	return []row{breakerClosed(), breakerOpen(), breakerRate(), breakerCount()}
}

func breakerClosed() row {
	return row{
		name:   "breaker closed, counting panics",
		op:     same(answer),
		target: target{ns: 9},
		contenders: []contender{
			{lib: libFx, build: func() policy { return fxBreaker(&fx.Breaker{}) }},
			{lib: "eapache", build: eapacheBreaker, note: "no context; the value goes through a captured variable; failures within a time count, not in a row"},
			{lib: "gobreaker", build: func() policy { return goBreaker(gobreaker.Settings{}) }, note: "counts successes too; reads the clock twice, under a lock"},
			{lib: "failsafe", build: func() policy { return failsafeExecutor(failsafeBreaker()) }, note: "sees values as well as errors; no context; a panic is not counted"},
			{lib: "failsafe permit", build: func() policy { return failsafePermits(failsafeBreaker()) }, note: "a panic is not counted", unlike: true},
		},
	}
}

func breakerOpen() row {
	return row{
		name:   "breaker open",
		op:     same(answer),
		target: target{ns: 30},
		contenders: []contender{
			{lib: libFx, build: func() policy { return fxBreaker(opened(&fx.Breaker{Failures: 1, Cooldown: far})) }},
			{lib: "eapache", build: func() policy { return opening(eapacheBreaker()) }, note: "no context", ahead: "it reads no clock, because a goroutine sleeps through every cooldown; fx starts none, and reads the clock"},
			{lib: "gobreaker", build: func() policy { return opening(goBreaker(gobreaker.Settings{Timeout: far})) }},
			{lib: "failsafe", build: func() policy { return opening(failsafeExecutor(failsafeBreaker())) }},
			{lib: "failsafe permit", build: func() policy { return opening(failsafePermits(failsafeBreaker())) }},
		},
	}
}

func breakerRate() row {
	tenSeconds := func() circuitbreaker.CircuitBreaker[int] {
		return circuitbreaker.NewBuilder[int]().WithFailureRateThreshold(0.5, 20, 10*time.Second).Build()
	}
	return row{
		name:   "breaker, rate window, 1 % failures",
		op:     failsOnceIn(100, answer),
		target: target{ns: 12, reason: reasonRate},
		contenders: []contender{
			bare(),
			{lib: libFx, build: func() policy { return fxBreaker(&fx.Breaker{Trip: fx.FailureRate(0.5, 20)}) }},
			{lib: "gobreaker", build: func() policy { return goBreaker(gobreakerRate()) }, note: "reads the clock twice, under a lock"},
			{lib: "failsafe", build: func() policy { return failsafeExecutor(tenSeconds()) }, note: "no context; a panic is not counted"},
			{lib: "failsafe permit", build: func() policy { return failsafePermits(tenSeconds()) }, note: "a panic is not counted", unlike: true},
		},
	}
}

func breakerCount() row {
	hundred := func() circuitbreaker.CircuitBreaker[int] {
		return circuitbreaker.NewBuilder[int]().WithFailureThresholdRatio(50, 100).Build()
	}
	return row{
		name: "breaker, last 100 calls, 1 % failures",
		op:   failsOnceIn(100, answer),
		contenders: []contender{
			bare(),
			{lib: libFx, build: func() policy { return fxBreaker(&fx.Breaker{Trip: fx.FailureRate(0.5, 20), Last: 100}) }},
			{lib: "failsafe", build: func() policy { return failsafeExecutor(hundred()) }, note: "no context; a panic is not counted"},
			{lib: "failsafe permit", build: func() policy { return failsafePermits(hundred()) }, note: "a panic is not counted", unlike: true},
		},
	}
}

// opening makes the breaker inside p trip, by failures enough for any of the breakers here.
func opening(p policy) policy {
	failing := p(refuse)
	for range 10 {
		_, _ = failing(context.Background())
	}
	return p
}
