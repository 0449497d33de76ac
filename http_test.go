package fx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
)

// A dependency is a real server on 127.0.0.1 that can be made sick.
type dependency struct {
	*httptest.Server
	ill   atomic.Pointer[http.HandlerFunc]
	calls atomic.Int64
	well  chan struct{} // closed at the end, so that no stalled handler outlives the test
}

func newDependency(t *testing.T) *dependency {
	d := &dependency{well: make(chan struct{})}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.calls.Add(1)
		if h := d.ill.Load(); h != nil {
			(*h)(w, r)
			return
		}
		_, _ = io.WriteString(w, "fresh")
	}))
	t.Cleanup(func() {
		close(d.well)
		d.Close()
		d.Client().CloseIdleConnections()
	})
	return d
}

// become makes the server answer with h, or well again with nil.
func (d *dependency) become(h http.HandlerFunc) {
	if h == nil {
		d.ill.Store(nil)
		return
	}
	d.ill.Store(&h)
}

func overloaded(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

// drops sends a part of its answer, then closes the connection.
func drops(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, "half an ans")
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// resets closes the connection without a word.
func resets(w http.ResponseWriter, _ *http.Request) {
	conn, _, _ := w.(http.Hijacker).Hijack()
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// stalls answers nothing until the client or the test is gone.
func (d *dependency) stalls(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-d.well:
	}
}

// get is the whole call, the body included, so that the policies see what happens to it.
func (d *dependency) get(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL, nil)
	if err != nil {
		return "", err
	}
	resp, err := d.Client().Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode >= 500 {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(body), nil
}

// patience is short for a stall, and long for a healthy answer on a busy machine.
const patience = 500 * time.Millisecond

// faults are the ways to be sick, and what tells one from another.
func (d *dependency) faults() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{"503": overloaded, "drops": drops, "resets": resets, "stalls": d.stalls}
}

func TestBreakerOpensOnRealFaultsAndCloses(t *testing.T) {
	for name := range (&dependency{}).faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDependency(t)
			opened := make(chan fx.Change, 10)
			b := &fx.Breaker{Name: "prices", Failures: 3, Cooldown: patience, Probes: 1,
				OnChange: func(c fx.Change) { opened <- c }}
			op := fx.WithBreaker(fx.WithTimeout(d.get, patience), b)

			v, err := op(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "fresh", v)

			d.become(d.faults()[name])
			for range 3 {
				_, err = op(t.Context())
				require.Error(t, err)
				assert.NotErrorIs(t, err, fx.ErrOpen)
			}
			change := <-opened
			assert.Equal(t, fx.StateOpen, change.To)
			assert.Equal(t, name == "stalls", errors.Is(change.Cause, fx.ErrTimeout), "it says why: %v", change.Cause)
			_, err = op(t.Context())
			assert.ErrorIs(t, err, fx.ErrOpen)

			d.become(nil)
			for b.State() != fx.StateClosed { // the first probe after the cooldown closes it
				<-time.After(time.Millisecond)
				_, _ = op(t.Context())
			}
			v, err = op(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "fresh", v)
		})
	}
}

func TestBulkheadHoldsARealStallBack(t *testing.T) {
	d := newDependency(t)
	d.become(d.stalls)
	b := &fx.Bulkhead{Limit: 4}
	op := fx.WithBulkhead(fx.WithTimeout(d.get, time.Minute), b)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _, _ = op(ctx) })
	}
	for d.calls.Load() < 4 {
		<-time.After(time.Millisecond)
	}
	for range 100 {
		_, err := op(t.Context())
		assert.ErrorIs(t, err, fx.ErrFull)
	}
	assert.EqualValues(t, 4, d.calls.Load(), "the rest never reach it")
	cancel()
	wg.Wait()
	inUse(t, b, 0, 0)
}

func TestFallbackServesThroughRealFaults(t *testing.T) {
	d := newDependency(t)
	b := &fx.Breaker{Failures: 2}
	op := fx.WithDegraded(fx.WithBreaker(fx.WithTimeout(d.get, patience), b), fx.Value("stale"))
	r, err := op(t.Context())
	require.NoError(t, err)
	assert.Equal(t, fx.Result[string]{Value: "fresh"}, r)
	for _, fault := range d.faults() {
		b.Reset()
		d.become(fault)
		for range 4 {
			r, err := op(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "stale", r.Value)
			assert.True(t, r.Degraded)
			assert.Error(t, r.Cause)
		}
		assert.Equal(t, fx.StateOpen, b.State())
	}
}

func TestRetryMendsARealDrop(t *testing.T) {
	for name, lost := range map[string]bool{"503": false, "drops": true, "resets": true, "stalls": true} {
		d := newDependency(t)
		fault := d.faults()[name]
		var first atomic.Bool
		d.become(func(w http.ResponseWriter, r *http.Request) {
			if first.CompareAndSwap(false, true) {
				fault(w, r)
				return
			}
			_, _ = io.WriteString(w, "fresh")
		})
		var cause error
		v, err := fx.WithRetry(fx.WithTimeout(d.get, patience), fx.Retry{
			Backoff: fx.Constant(0),
			OnRetry: func(_ context.Context, a fx.Attempt) { cause = a.Err },
		})(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, "fresh", v)
		require.Error(t, cause, name)
		assert.Equal(t, lost, fx.MayBeDone(cause), "%s: %v", name, cause)
		assert.Equal(t, lost, fx.Transient(cause), "%s: %v", name, cause)
	}
}

func TestRefusedConnectionIsCertainlyNotDone(t *testing.T) {
	d := newDependency(t)
	d.Close()
	_, err := d.get(t.Context())
	require.Error(t, err)
	assert.False(t, fx.MayBeDone(err))
	assert.True(t, fx.Transient(err))
}
