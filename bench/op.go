package main

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"

	"example.com/fx"
)

// An operation is what is guarded, and what a guarded call looks like: both have the shape of an fx.Op, so that every
// library pays for the same indirect calls.
type operation = fx.Op[int]

// A policy guards an operation.
type policy = fx.Policy[int]

// sink takes what calls return, lest the compiler find out that nobody wants it.
var sink atomic.Int64

var errDown = errors.New("down")

func answer(context.Context) (int, error) { return 1, nil }

func refuse(context.Context) (int, error) { return 0, errDown }

// yield answers after it has let another goroutine run, as a call that waits for the network does.
func yield(context.Context) (int, error) {
	runtime.Gosched()
	return 1, nil
}

// same makes an op for each goroutine, which is op for all of them.
func same(op operation) func() operation {
	return func() operation { return op }
}

// A counter counts the calls of one goroutine. It fills its cache lines, so as not to slow down another's.
type counter struct {
	n int
	_ [120]byte
}

// next counts up to most, and then from 1 again.
func (c *counter) next(most int) int {
	if c.n++; c.n > most {
		c.n = 1
	}
	return c.n
}

// failsOnceIn makes ops that fail once in n calls. Each counts for itself, so one op is for one goroutine.
func failsOnceIn(n int, op operation) func() operation {
	return func() operation {
		calls := new(counter)
		return func(ctx context.Context) (int, error) {
			if calls.next(n) == n {
				return 0, errDown
			}
			return op(ctx)
		}
	}
}

// thirdTry makes ops that fail twice and then answer, again and again; one op is for one goroutine.
func thirdTry() operation {
	calls := new(counter)
	return func(context.Context) (int, error) {
		if calls.next(3) != 3 {
			return 0, errDown
		}
		return 1, nil
	}
}

// repeat calls op n times. It is not inlined, so that every op is called through its func value.
//
//go:noinline
func repeat(ctx context.Context, op operation, n int) (sum int) {
	for range n {
		v, _ := op(ctx)
		sum += v
	}
	return sum
}
