package main

import (
	"context"
	"time"

	"example.com/fx"
)

func bulkheadRows() []row {
	return []row{bulkheadFree(), bulkheadContended(), bulkheadReject()}
}

// Why the target of a contended bulkhead is missed, and peers are ahead.
const (
	reasonContended = "Who has to wait makes a place in the queue and a channel to be woken by, and the scheduler parks and wakes a goroutine. *x/sync*, which is made in the same way, is at the target too or beyond it. A channel keeps to it, because the runtime holds its queue in places that it uses again."
	aheadChannel    = "the runtime holds the queue of a channel, in places that it uses again. But it has no bound, and `Close` could not reach who is in it"
	aheadSemaphore  = "it is made in the same way, but bounds neither the queue nor the time in it, so it does not count who waits: two atomic changes less. That is not all of the difference; what else it is has not been found"
	aheadTry        = "it does not look at the context, which in fx comes before all else"
)

// seats is the limit of the bulkheads that have a place for everybody.
const seats = 10

func bulkheadFree() row {
	return row{
		name:   "bulkhead free",
		op:     same(answer),
		target: target{ns: 8, reason: "It takes a seat and gives it back by one compare-and-swap each, which no other semaphore here does for less; beside them stand the look at the context and the deferred call that gives the seat back when the op panics."},
		contenders: []contender{
			{lib: libFx, build: func() policy { return fxBulkhead(&fx.Bulkhead{Limit: seats}) }},
			{lib: "x/sync", build: func() policy { return xsyncSemaphore(seats) }},
			{lib: "channel", build: func() policy { return channelSemaphore(seats) }, note: "first in, first out, but cannot bound its queue"},
			{lib: "eapache", build: func() policy { return eapacheSemaphore(seats, time.Minute) }, note: "no context; makes a timer for each call"},
			{lib: "failsafe", build: func() policy { return failsafeExecutor(failsafeBulkhead(seats, 0)) }, note: "no context"},
			{lib: "failsafe permit", build: func() policy { return failsafeSeats(failsafeBulkhead(seats, 0)) }},
		},
	}
}

// bulkheadContended has eight times as many callers as seats, and calls that let others run.
func bulkheadContended() row {
	const few, callers = 4, 32
	return row{
		name:   "bulkhead contended, 32 callers, 4 seats",
		op:     same(yield),
		crowd:  callers,
		target: target{ns: 300, objects: anyObjects, reason: reasonContended},
		contenders: []contender{
			bare(),
			{lib: libFx, build: func() policy { return fxBulkhead(&fx.Bulkhead{Limit: few, Queue: callers}) }},
			{lib: "x/sync", build: func() policy { return xsyncSemaphore(few) }, note: "its queue has no bound", ahead: aheadSemaphore},
			{lib: "channel", build: func() policy { return channelSemaphore(few) }, note: "its queue has no bound", ahead: aheadChannel},
			{lib: "eapache", build: func() policy { return eapacheSemaphore(few, time.Minute) }, note: "no context; makes a timer for each call"},
			{lib: "failsafe", build: func() policy { return failsafeExecutor(failsafeBulkhead(few, time.Minute)) }, note: "bounds the time in its queue too"},
			{lib: "failsafe permit", build: func() policy { return failsafeSeats(failsafeBulkhead(few, 0)) }, note: "a channel: its queue has no bound", ahead: aheadChannel},
		},
	}
}

func bulkheadReject() row {
	return row{
		name: "bulkhead reject",
		op:   same(answer),
		contenders: []contender{
			{lib: libFx, build: func() policy { return fxBulkhead(filled(&fx.Bulkhead{Limit: 1})) }},
			{lib: "x/sync", build: func() policy { return fullWith(xsyncTry) }, note: "no context", ahead: aheadTry},
			{lib: "channel", build: func() policy { return fullWith(channelTry) }, note: "no context", ahead: aheadTry},
			{lib: "eapache", build: func() policy { return fullWith(func(n int) policy { return eapacheSemaphore(n, 0) }) }, note: "no context; waits on a timer of 0"},
			{lib: "failsafe", build: func() policy {
				return fullWith(func(n int) policy { return failsafeExecutor(failsafeBulkhead(n, 0)) })
			}, note: "no context"},
		},
	}
}

// fullWith makes a bulkhead for one and lets a call sit in it for good.
func fullWith(bulkhead func(limit int) policy) policy {
	p, inside := bulkhead(1), make(chan struct{})
	sit := p(func(context.Context) (int, error) {
		close(inside)
		select {}
	})
	go func() {
		for { // eapache's may refuse although it is free, when it may not wait
			_, _ = sit(context.Background())
		}
	}()
	<-inside
	return p
}
