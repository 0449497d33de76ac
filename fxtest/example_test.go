package fxtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// A Bucket holds up to Burst tokens and gets PerSecond new ones.
type Bucket struct {
	Burst, PerSecond float64
	mu               sync.Mutex
	spent            float64
	since            time.Time
}

func WithBucket[T any](op fx.Op[T], b *Bucket) fx.Op[T] {
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, fmt.Errorf("not started: %w: %w", ctx.Err(), context.Cause(ctx))
		}
		if !b.take() {
			return v, errors.New("no token left")
		}
		return op(ctx)
	}
}

func (b *Bucket) take() (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-b.PerSecond*time.Since(b.since).Seconds())
	b.since = time.Now()
	if ok = b.spent+1 <= b.Burst; ok {
		b.spent++
	}
	return ok
}

func TestBucketKeepsTheLaws(t *testing.T) {
	policy := func(op fx.Op[int]) fx.Op[int] {
		return WithBucket(op, &Bucket{Burst: 3, PerSecond: 1})
	}
	fxtest.Check(t, policy, fxtest.Refuses("the bucket may be empty"))
}

func ExampleScript() {
	op := &fxtest.Script[int]{Turns: []fxtest.Turn[int]{{Err: errors.New("connection reset")}, {Value: 42}}}
	v, err := fx.WithRetry(op.Op, fx.Retry{Backoff: fx.Constant(time.Millisecond)})(context.Background())
	fmt.Println(v, err, op.Calls())
	// Output: 42 <nil> 2
}
