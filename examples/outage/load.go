package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// A load plays shoppers at a steady rate. It is open-loop: each order starts at its scheduled instant whatever became
// of the earlier ones, as shoppers do, and its latency counts from that instant. Only impatience ends an order early.
type load struct {
	place    func(context.Context, order) (receipt, error)
	ended    func(outcome)
	rate     int // orders a second
	patience time.Duration
	wishes   []int // the products, in the order in which they are asked for
}

func newLoad(rate int, seed uint64) *load {
	return &load{rate: rate, wishes: rand.New(rand.NewPCG(seed, 0)).Perm(products)}
}

// An outcome is how an order went.
type outcome struct {
	at    time.Duration // when it was due, from the start of the story
	took  time.Duration // from then to its end
	ok    bool
	stale bool
}

// run places orders from start on, for as long as that, and returns when all of them have ended.
func (l *load) run(ctx context.Context, start time.Time, during time.Duration) {
	var orders sync.WaitGroup
	defer orders.Wait()
	for n := 0; ; n++ {
		at := time.Duration(n) * time.Second / time.Duration(l.rate)
		if at >= during || !sleepUntil(ctx, start.Add(at)) {
			return
		}
		orders.Go(func() { l.order(ctx, n, start, at) })
	}
}

func (l *load) order(ctx context.Context, n int, start time.Time, at time.Duration) {
	ctx, cancel := context.WithDeadline(ctx, start.Add(at+l.patience))
	defer cancel()
	got, err := l.place(ctx, order{ID: n, Product: product(l.wishes[n%len(l.wishes)])})
	l.ended(outcome{at: at, took: time.Since(start) - at, ok: err == nil, stale: got.Stale})
}

// sleepUntil says whether it slept so long, and was not woken by the end of ctx.
func sleepUntil(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
