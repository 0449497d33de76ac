package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestOrdersStartOnScheduleWhateverBecameOfTheEarlierOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, got := time.Now(), &record{}
		var mu sync.Mutex
		var began []time.Duration
		l := newLoad(100, 1)
		l.patience, l.ended = 6*time.Second, got.ended
		l.place = func(ctx context.Context, o order) (receipt, error) {
			mu.Lock()
			began = append(began, time.Since(start))
			mu.Unlock()
			<-ctx.Done() // a shop that hangs
			return receipt{}, ctx.Err()
		}
		l.run(t.Context(), start, 2*time.Second)
		assert.Len(t, began, 200)
		for i, at := range began {
			assert.Equal(t, time.Duration(i)*10*time.Millisecond, at)
		}
		for _, o := range got.orders {
			assert.Equal(t, 6*time.Second, o.took)
			assert.False(t, o.ok)
		}
		assert.Len(t, got.orders, 200)
	})
}

func TestLatencyCountsFromTheScheduledInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, got := newLoad(100, 1), &record{}
		l.patience, l.ended = time.Second, got.ended
		l.place = func(context.Context, order) (receipt, error) { return receipt{Stale: true}, nil }
		start := time.Now()
		time.Sleep(50 * time.Millisecond) // the generator comes late
		l.run(t.Context(), start, 10*time.Millisecond)
		assert.Equal(t, []outcome{{took: 50 * time.Millisecond, ok: true, stale: true}}, got.orders)
	})
}

func TestShoppersLeaveWhenTheLaneEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, got := newLoad(100, 1), &record{}
		l.patience, l.ended = time.Hour, got.ended
		l.place = func(ctx context.Context, _ order) (receipt, error) {
			<-ctx.Done()
			return receipt{}, context.Cause(ctx)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second-1, func() { cancel(errors.New("closing time")) })
		start := time.Now()
		l.run(ctx, start, time.Minute)
		assert.Equal(t, time.Second-1, time.Since(start))
		assert.Len(t, got.orders, 100)
	})
}

func TestOneSeedMakesOneLoad(t *testing.T) {
	assert.Equal(t, newLoad(100, 7).wishes, newLoad(100, 7).wishes)
	assert.NotEqual(t, newLoad(100, 7).wishes, newLoad(100, 8).wishes)
}
