package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"example.com/fx"
)

func TestBulkheadHistories(t *testing.T) {
	check(t, kind{name: "bulkhead", long: 60_000, short: 5_000, atOnce: 1, draw: drawBulkhead})
}

// A bulkheadRun is a bulkhead in the course of a history.
type bulkheadRun struct {
	*fx.Bulkhead
	ctx    [maxCalls]context.Context
	leave  [maxCalls]context.CancelFunc
	latest atomic.Int64 // the call that came last
}

// A guest is a client and the seat that it may have. It takes no second one, so that somebody always can go on.
type guest struct{ seated bool }

func drawBulkhead(rng *rand.Rand) plan {
	m := bulkheadSpec{limit: 1 + rng.IntN(2), queue: rng.IntN(4)}
	r := &bulkheadRun{Bulkhead: &fx.Bulkhead{Name: "b", Limit: m.limit, Queue: m.queue}}
	if m.maxWait, r.MaxWait = drawLapse(rng, never, never, never, soon, none); m.maxWait == none {
		m.queue = 0
	}
	for i := range r.ctx {
		r.ctx[i], r.leave[i] = context.WithCancel(context.Background())
	}
	p := plan{about: fmt.Sprintf("Limit %d, Queue %d, the longest wait is %v", r.Limit, r.Queue, m.maxWait)}
	calls := 0
	for range 3 + rng.IntN(2) {
		g := &guest{}
		var client []func(*client)
		for range 3 + rng.IntN(4) {
			client = append(client, pause(rng), r.drawStep(rng, g, calls))
			calls++
		}
		p.clients = append(p.clients, append(client, pause(rng), r.release(g)))
	}
	p.after = []func(*client){r.inUse, r.close(&guest{}, false), r.inUse, r.leaveAll}
	p.spec = func([]porcupine.Operation) porcupine.Model { return model(bulkheadState{}, m.step) }
	return p
}

func (r *bulkheadRun) drawStep(rng *rand.Rand, g *guest, call int) func(*client) {
	switch n := rng.IntN(40); {
	case n < 16:
		return r.acquireOrRelease(g, call)
	case n < 20:
		return r.call(g, call)
	case n < 32:
		return r.inUse
	case n < 37:
		return r.endContext(rng.IntN(2*call+1) - call)
	case n < 39:
		return r.close(g, true)
	}
	return r.close(g, false)
}

func (r *bulkheadRun) acquireOrRelease(g *guest, call int) func(*client) {
	return func(c *client) {
		if g.seated {
			r.release(g)(c)
			return
		}
		r.latest.Store(int64(call))
		dead, from := r.ctx[call].Err() != nil, c.before()
		err := r.Acquire(r.ctx[call])
		r.noteAcquire(c, call, dead, from, err)
		g.seated = err == nil
	}
}

func (r *bulkheadRun) noteAcquire(c *client, call int, dead bool, from mark, err error) {
	to, out := c.after(), bulkheadOut{result: resultOf(err)}
	c.note(from, to, bulkheadOp{do: "enter", call: call, dead: dead}, out)
	c.note(from, to, bulkheadOp{do: "leave", call: call}, out)
}

func resultOf(err error) string {
	switch {
	case err == nil:
		return "seat"
	case errors.Is(err, fx.ErrFull):
		return "full"
	case errors.Is(err, fx.ErrClosed):
		return "closed"
	case errors.Is(err, context.Canceled):
		return "left"
	}
	return err.Error()
}

func (r *bulkheadRun) release(g *guest) func(*client) {
	return func(c *client) {
		if g.seated {
			g.seated = false
			c.do(bulkheadOp{do: "release"}, func() any { r.Release(); return bulkheadOut{} })
		}
	}
}

// call makes a call through WithBulkhead, which panics now and then.
func (r *bulkheadRun) call(g *guest, call int) func(*client) {
	return func(c *client) {
		if g.seated {
			return
		}
		r.latest.Store(int64(call))
		dead, from, seated := r.ctx[call].Err() != nil, c.before(), false
		err := returned(r.ctx[call], fx.WithBulkhead(func(context.Context) (int, error) {
			r.noteAcquire(c, call, dead, from, nil)
			seated = true
			if from = c.before(); call%4 == 0 {
				panic(errDown)
			}
			return 0, nil
		}, r.Bulkhead))
		if seated {
			c.note(from, c.after(), bulkheadOp{do: "release"}, bulkheadOut{})
			return
		}
		r.noteAcquire(c, call, dead, from, err)
	}
}

func (r *bulkheadRun) inUse(c *client) {
	c.do(bulkheadOp{do: "in use"}, func() any {
		running, waiting := r.InUse()
		return bulkheadOut{running: running, waiting: waiting}
	})
}

// endContext ends the context of a call that may be before, in, or after its Acquire; a negative one means the latest.
func (r *bulkheadRun) endContext(call int) func(*client) {
	return func(c *client) {
		if call < 0 {
			call = int(r.latest.Load())
		}
		c.do(bulkheadOp{do: "end context", call: call}, func() any { r.leave[call](); return bulkheadOut{} })
	}
}

func (r *bulkheadRun) leaveAll(*client) {
	for _, leave := range r.leave {
		leave()
	}
}

// close closes the bulkhead, and waits only if its client has no seat itself.
func (r *bulkheadRun) close(g *guest, dead bool) func(*client) {
	return func(c *client) {
		ctx, leave := context.WithTimeout(context.Background(), time.Hour)
		defer leave()
		dead := dead || g.seated
		if dead {
			leave()
		}
		from, out := c.before(), bulkheadOut{result: "drained"}
		if err := r.Close(ctx); err != nil {
			out.result = resultOf(err)
		}
		to := c.after()
		c.note(from, to, bulkheadOp{do: "shut"}, out)
		c.note(from, to, bulkheadOp{do: "drain", dead: dead}, out)
	}
}
