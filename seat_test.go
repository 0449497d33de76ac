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
