package fxotel

import (
	"context"
	"errors"

	"example.com/fx"
)

// The outcomes of a call, which are also the values of error.type where it failed.
const (
	success  = "success"
	degraded = "degraded" // second best, see fx.Result
	failure  = "failure"  // any error that is none of the others
	timeout  = "timeout"  // fx.ErrTimeout, or a deadline
	canceled = "canceled" // the caller has left
	panicked = "panic"    // a panic or a Goexit
	open     = "open"     // refused by a circuit breaker
	full     = "full"     // refused by a bulkhead
	closed   = "closed"   // refused by a bulkhead that is closed
	limited  = "limited"  // refused by a rate limit
)

var outcomes = []string{success, degraded, failure, timeout, canceled, panicked, open, full, closed, limited}

// The causes of a breaker's change, beside the outcomes.
const (
	slow      = "slow"      // a call longer than Slow
	forced    = "forced"    // Force or Reset
	cooldown  = "cooldown"  // it was over
	recovered = "recovered" // enough probes were good
)

// outcome is the class of the error of a call.
func outcome(ctx context.Context, err error) string {
	if ctx.Err() == context.Canceled {
		return canceled
	}
	return class(err)
}

// class is the class of an error. A call that was retried is what its first attempt was.
func class(err error) string {
	for again := (*fx.RetryError)(nil); errors.As(err, &again) && len(again.Errs) > 0; {
		err = again.Errs[0]
	}
	for _, c := range classes {
		if errors.Is(err, c.target) {
			return c.name
		}
	}
	return failure
}

var classes = []struct {
	target error
	name   string
}{
	{fx.ErrSlow, slow},
	{fx.ErrNoReturn, panicked},
	{fx.ErrOpen, open},
	{fx.ErrFull, full},
	{fx.ErrClosed, closed},
	{fx.ErrLimit, limited},
	{context.DeadlineExceeded, timeout},
}

// cause is the class of what has changed a breaker.
func cause(c fx.Change) string {
	switch {
	case c.Cause != nil:
		return class(c.Cause)
	case c.From == fx.StateOpen && c.To == fx.StateHalfOpen:
		return cooldown
	case c.From == fx.StateHalfOpen && c.To == fx.StateClosed:
		return recovered
	}
	return forced
}
