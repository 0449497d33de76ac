package main

import (
	"context"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/cachepolicy"
	"golang.org/x/sync/singleflight"

	"example.com/fx"
)

func cacheRows() []row { return []row{cacheHit(), cacheRemember(), cacheMiss()} }

// key is the one that all calls of a row ask for.
const key = "42"

func cacheHit() row {
	return row{
		name: "cache, fresh hit",
		op:   same(answer),
		contenders: []contender{
			{lib: libByHand, build: mapHit, note: "a map under a lock, with the age; forgets nothing"},
			{lib: libFx, build: func() policy { return fxCache(&fx.Cache[string, int]{Fresh: far}) }},
			{lib: "failsafe", build: failsafeCached, note: "brings no store, so it has a map under a lock, without the age; no context"},
		},
	}
}

func cacheRemember() row {
	return row{
		name: "cache, remember a success",
		op:   same(answer),
		contenders: []contender{
			{lib: libByHand, build: mapRemember, note: "a map under a lock, with the time; forgets nothing"},
			{lib: libFx, build: func() policy {
				c := &fx.Cache[string, int]{}
				return func(op operation) operation { return fx.Remember(op, c, key) }
			}},
		},
	}
}

// cacheMiss lets many callers miss at once: a value is too old as soon as it is remembered.
func cacheMiss() row {
	return row{
		name:   "cache, 32 callers miss at once",
		op:     same(yield),
		crowd:  32,
		target: target{objects: anyObjects},
		contenders: []contender{
			bare(),
			{lib: libFx, build: func() policy { return fxCache(&fx.Cache[string, int]{Stale: 1}) }, note: "one call for all, which ends when the last of them has left"},
			{lib: "x/sync", build: singleflightChan, note: "one call for all, by DoChan; keeps no value; the call does not end when all have left; a panic ends the process",
				ahead: "it keeps no value, and gives the call no context that could end"},
			{lib: "x/sync, Do", build: singleflightDo, note: "nobody can leave", unlike: true},
		},
	}
}

func fxCache(c *fx.Cache[string, int]) policy {
	return func(op operation) operation {
		cached := fx.WithCache(op, c, key)
		return func(ctx context.Context) (int, error) {
			r, err := cached(ctx)
			return r.Value, err
		}
	}
}

func failsafeCached() policy {
	return failsafeExecutor(cachepolicy.NewBuilder[int](new(lockedMap)).WithKey(key).Build())
}

// A lockedMap is a cache as one writes it without a library.
type lockedMap struct {
	mu     sync.Mutex
	values map[string]timed
}

type timed struct {
	v  int
	at time.Duration // since the start of the process
}

// Get and Set make it a cache for failsafe.
func (m *lockedMap) Get(key string) (int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	return v.v, ok
}

func (m *lockedMap) Set(key string, v int) { m.set(key, v, 0) }

func (m *lockedMap) set(key string, v int, at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string]timed)
	}
	m.values[key] = timed{v, at}
}

func (m *lockedMap) fresh(key string) (int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	return v.v, ok && time.Since(start)-v.at < far
}

func mapHit() policy {
	m := new(lockedMap)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			if v, ok := m.fresh(key); ok {
				return v, nil
			}
			return m.remember(ctx, op)
		}
	}
}

func mapRemember() policy {
	m := new(lockedMap)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) { return m.remember(ctx, op) }
	}
}

func (m *lockedMap) remember(ctx context.Context, op operation) (int, error) {
	v, err := op(ctx)
	if err == nil {
		m.set(key, v, time.Since(start))
	}
	return v, err
}

// singleflightChan lets callers leave.
func singleflightChan() policy {
	flights := new(singleflight.Group)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			end := flights.DoChan(key, func() (any, error) { return op(context.WithoutCancel(ctx)) })
			select {
			case r := <-end:
				return r.Val.(int), r.Err
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
}

func singleflightDo() policy {
	flights := new(singleflight.Group)
	return func(op operation) operation {
		return func(ctx context.Context) (int, error) {
			v, err, _ := flights.Do(key, func() (any, error) { return op(ctx) })
			return v.(int), err
		}
	}
}
