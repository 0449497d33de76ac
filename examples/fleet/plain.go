package main

import (
	"context"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// plainRetry repeats a call as careful people write it by hand: each attempt with a timeout, and waits that double and
// are random. What it lacks is that it does not ask how the others fare.
func plainRetry(c *fxtest.Client, call fx.Op[int], attempts int, timeout time.Duration) fx.Op[int] {
	return func(ctx context.Context) (v int, err error) {
		wait := 100 * time.Millisecond
		for n := range attempts {
			if n > 0 {
				time.Sleep(time.Duration(c.Float64() * float64(wait)).Round(fxtest.Classes))
				wait = min(2*wait, 2*time.Second)
			}
			once, cancel := context.WithTimeout(ctx, timeout)
			v, err = call(once)
			cancel()
			if err == nil {
				break
			}
		}
		return v, err
	}
}

// patience is the wait between the attempts of fx in all experiments: the same as plainRetry's.
func patience(c *fxtest.Client) fx.Backoff {
	return c.Jitter(fx.Exponential(100*time.Millisecond).Cap(2*time.Second), 1)
}
