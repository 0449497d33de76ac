package main

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eapache/go-resiliency/breaker"
	"github.com/eapache/go-resiliency/semaphore"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"example.com/fx"
)

func TestRowsAndContendersHaveNamesOfTheirOwn(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range rows() {
		for _, c := range r.contenders {
			if name := r.name + ": " + c.lib; seen[name] {
				t.Error(name, "is there twice")
			} else {
				seen[name] = true
			}
		}
	}
}

// What is compared has to do the work: all contenders of a row answer alike, or refuse alike.
func TestContendersAgree(t *testing.T) {
	for _, r := range rows() {
		ctx, cancel := r.context()
		defer cancel()
		want, ok := r.contender(libFx)
		if !ok {
			continue
		}
		for _, c := range r.contenders {
			if c.lib == libBare {
				continue
			}
			if got, want := answers(ctx, r, c), answers(ctx, r, want); got != want {
				t.Errorf("%s: %s gave %d good answers of 300, fx %d", r.name, c.lib, got, want)
			}
		}
	}
}

func answers(ctx context.Context, r row, c contender) (good int) {
	op := c.build()(r.op())
	for range 300 {
		if _, err := op(ctx); err == nil {
			good++
		}
	}
	return good
}

func TestMatchingKeepsTheBareCall(t *testing.T) {
	var names []string
	for _, r := range matching(rows(), regexp.MustCompile("^fallback taken$")) {
		names = append(names, r.name)
	}
	if len(names) != 2 || names[0] != "bare call" || names[1] != "fallback taken" {
		t.Error(names)
	}
}

// calls is how often an op is called for a hundred calls, where that is not a hundred.
var calls = map[string]int{
	"breaker open":                    0,
	"bulkhead reject":                 0,
	"retry, third try good, no delay": 300,
	"cache, fresh hit":                0,
	"saga of three steps, all good":   300,
}

// None does less, or more, than it should: the op is called as often as the row says.
func TestContendersCallTheOp(t *testing.T) {
	for _, r := range rows() {
		want, ok := calls[r.name]
		if !ok {
			want = 100
		}
		for _, c := range r.contenders {
			if got := opCalls(r, c); got != want {
				t.Errorf("%s: %s called the op %d times, want %d", r.name, c.lib, got, want)
			}
		}
	}
}

// opCalls counts, after the first call, how often the op is called in a hundred calls.
func opCalls(r row, c contender) (n int) {
	ctx, cancel := r.context()
	defer cancel()
	op := r.op()
	guarded := c.build()(func(ctx context.Context) (int, error) { n++; return op(ctx) })
	_, _ = guarded(ctx)
	n = 0
	repeat(ctx, guarded, 100)
	return n
}

// A refusal is the holder's own error, and no failure of the op or of the caller.
func TestRefusalsAreRefusals(t *testing.T) {
	want := map[string][]error{
		"breaker open": {
			fx.ErrOpen, breaker.ErrBreakerOpen, gobreaker.ErrOpenState, circuitbreaker.ErrOpen,
		},
		"bulkhead reject": {
			fx.ErrFull, errFull, semaphore.ErrNoTickets, bulkhead.ErrFull,
		},
	}
	for _, r := range rows() {
		for _, c := range r.contenders {
			refusals, ok := want[r.name]
			if !ok {
				continue
			}
			_, err := c.build()(r.op())(context.Background())
			if !slices.ContainsFunc(refusals, func(refusal error) bool { return errors.Is(err, refusal) }) {
				t.Errorf("%s: %s said %v", r.name, c.lib, err)
			}
		}
	}
}

// Those who miss at the same time share one call: the op waits until all of them have asked.
func TestMissesShareOneCall(t *testing.T) {
	for _, c := range cacheMiss().contenders {
		if c.lib == libBare {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			var called atomic.Int64
			guarded := c.build()(func(context.Context) (int, error) {
				called.Add(1)
				time.Sleep(time.Second) // of the bubble
				return 1, nil
			})
			var callers sync.WaitGroup
			for range 32 {
				callers.Go(func() {
					if v, err := guarded(t.Context()); v != 1 || err != nil {
						t.Error(v, err)
					}
				})
			}
			callers.Wait()
			if n := called.Load(); n != 1 {
				t.Errorf("%s called the op %d times for 32 callers", c.lib, n)
			}
		})
	}
}

var leaked atomic.Pointer[int]

func TestGuardFindsACallThatAllocates(t *testing.T) {
	leaky := func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			leaked.Store(new(int))
			return op(ctx)
		}
	}
	seldom := func(op operation) operation {
		calls := 0
		return func(ctx context.Context) (int, error) {
			if calls++; calls%1000 == 0 {
				leaked.Store(new(int))
			}
			return op(ctx)
		}
	}
	clean := func(op operation) operation { return op }
	for _, c := range []struct {
		name   string
		policy policy
		want   int
	}{{"each call", leaky, 1}, {"one call in a thousand", seldom, 1}, {"none", clean, 0}} {
		planted := row{name: c.name, op: same(answer), contenders: []contender{
			{lib: libFx, build: func() policy { return c.policy }},
		}}
		if found := guard([]row{planted}, io.Discard); len(found) != c.want {
			t.Errorf("%s: found %v", c.name, found)
		}
	}
}

func TestGuardFailsOnACallThatAllocates(t *testing.T) {
	leaky := contender{lib: libFx, build: func() policy {
		return func(op operation) operation {
			return func(ctx context.Context) (int, error) {
				leaked.Store(new(int))
				return op(ctx)
			}
		}
	}}
	planted := []row{bareRow(), {name: "leaky", op: same(answer), contenders: []contender{leaky}}}
	var said strings.Builder
	err := runGuard(planted, &said, &progress{to: io.Discard})
	if exitCode(err) != 1 || !strings.Contains(said.String(), "TOO MANY") {
		t.Errorf("%v, after:\n%s", err, said.String())
	}
	if err := runGuard(planted[:1], io.Discard, &progress{to: io.Discard}); exitCode(err) != 0 {
		t.Error(err)
	}
}

func TestGuardIsContentWithFx(t *testing.T) {
	slack := 0.0
	if raceEnabled { // the race detector makes objects of its own
		slack = 1
	}
	for _, b := range guard(rows(), io.Discard) {
		if b.objects > b.limit+slack {
			t.Error(b)
		}
	}
}
