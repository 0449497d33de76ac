package fx

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A waiter that has been refused and then gives up, before it has looked: only from inside can the order be made sure.
func TestRefusalThatCameFirstIsTold(t *testing.T) {
	for name, why := range map[string]error{"the caller left": context.Canceled, "MaxWait": ErrFull} {
		b := &Bulkhead{Limit: 1, Queue: 1}
		require.NoError(t, b.Acquire(t.Context()))
		w, err := b.enqueue()
		require.NoError(t, err)
		b.shut()
		assert.ErrorIs(t, b.giveUp(w, why), ErrClosed, name)
		running, waiting := b.InUse()
		assert.Equal(t, [2]int{1, 0}, [2]int{running, waiting}, name)
	}
}

// A waiter whose seat comes while it gives up passes it on.
func TestSeatThatComesTooLateIsPassedOn(t *testing.T) {
	b := &Bulkhead{Limit: 1, Queue: 2}
	require.NoError(t, b.Acquire(t.Context()))
	first, err := b.enqueue()
	require.NoError(t, err)
	second, err := b.enqueue()
	require.NoError(t, err)
	b.Release()
	assert.ErrorIs(t, b.giveUp(first, context.Canceled), context.Canceled)
	<-second.seat
	assert.ErrorIs(t, b.giveUp(second, context.Canceled), context.Canceled)
	running, waiting := b.InUse()
	assert.Equal(t, [2]int{0, 0}, [2]int{running, waiting})
}

// Between the look for a free seat and the queue others may come and go.
func TestQueueLooksOnceMore(t *testing.T) {
	b := &Bulkhead{Limit: 1, Queue: 1}
	w, err := b.enqueue()
	require.NoError(t, err)
	assert.Nil(t, w, "a seat has become free: nobody has to wait")
	running, waiting := b.InUse()
	require.Equal(t, [2]int{1, 0}, [2]int{running, waiting})

	w, err = b.enqueue()
	require.NoError(t, err)
	require.NotNil(t, w)
	_, err = b.enqueue()
	assert.ErrorIs(t, err, ErrFull, "the queue has become full")
	running, waiting = b.InUse()
	assert.Equal(t, [2]int{1, 1}, [2]int{running, waiting})
}
