package fxtest_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var opens = []fxtest.Term{fxtest.Refuses("three failures in a row open it for ten seconds")}

// circuits is a registry of breakers by name, as some libraries keep for the whole process.
var circuits sync.Map

var brokenBreakers = []suspect{
	{
		name: "stays half-open when its probe panics", seen: "article code: afterRequest without defer", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			g := &gate{patient: true}
			return awake(func(ctx context.Context) (int, error) {
				period, err := g.enter()
				if err != nil {
					return 0, err
				}
				v, err := op(ctx)
				g.leave(period, judge(ctx, err))
				return v, err
			})
		},
	}, {
		name: "stays half-open when its probe's goroutine exits", seen: "sony/gobreaker: Execute asks recover, which a Goexit passes by", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			g := &gate{patient: true}
			return awake(func(ctx context.Context) (int, error) {
				period, err := g.enter()
				if err != nil {
					return 0, err
				}
				defer func() {
					if p := recover(); p != nil {
						g.leave(period, bad)
						panic(p)
					}
				}()
				v, err := op(ctx)
				g.leave(period, judge(ctx, err))
				return v, err
			})
		},
	}, {
		name: "stays half-open as long as its probe hangs", seen: "App-vNext/Polly v8, sony/gobreaker, resilience4j without maxWaitDurationInHalfOpenState", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&gate{patient: true}).guard(op) },
	}, {
		name: "stays half-open when its probe's caller leaves", seen: "resilience4j/resilience4j #544, App-vNext/Polly #1979", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			g := &gate{patient: true}
			return awake(func(ctx context.Context) (v int, err error) {
				period, err := g.enter()
				if err != nil {
					return 0, err
				}
				result := bad
				defer func() {
					if result != neutral {
						g.leave(period, result)
					}
				}()
				v, err = op(ctx)
				result = judge(ctx, err)
				return v, err
			})
		},
	}, {
		name: "lets everyone in when it is half-open", seen: "Skyscanner/pyfailsafe #31, OpenLiberty/open-liberty #7080, App-vNext/Polly #216", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&gate{crowd: true}).guard(op) },
	}, {
		name: "closes for everyone before its probe is back", seen: "alkem-io/server #5969: check() closes the circuit when the cooldown is over", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var failures int
			var until time.Time
			refused := func() bool {
				mu.Lock()
				defer mu.Unlock()
				if failures >= 3 && !time.Now().Before(until) {
					failures = 0
				}
				return failures >= 3
			}
			count := func(result verdict) {
				mu.Lock()
				defer mu.Unlock()
				if result == good {
					failures = 0
				} else if result == bad {
					failures++
					until = time.Now().Add(10 * time.Second)
				}
			}
			return awake(func(ctx context.Context) (v int, err error) {
				if refused() {
					return 0, errOpen
				}
				result := bad
				defer func() { count(result) }()
				v, err = op(ctx)
				result = judge(ctx, err)
				return v, err
			})
		},
	}, {
		name: "counts a caller who leaves as a failure", seen: "sony/gobreaker, rubyist/circuitbreaker #42, zeromicro/go-zero #1545", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var g gate
			return awake(func(ctx context.Context) (v int, err error) {
				period, err := g.enter()
				if err != nil {
					return 0, err
				}
				result := bad
				defer func() { g.leave(period, result) }()
				if v, err = op(ctx); err == nil {
					result = good
				}
				return v, err
			})
		},
	}, {
		name: "counts a caller who leaves as a success", seen: "App-vNext/Polly, the cure of #1979: what is not handled closes", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var g gate
			return awake(func(ctx context.Context) (v int, err error) {
				period, err := g.enter()
				if err != nil {
					return 0, err
				}
				result := bad
				defer func() { g.leave(period, result) }()
				if v, err = op(ctx); err == nil || ctx.Err() != nil {
					result = good
				}
				return v, err
			})
		},
	}, {
		name: "takes old results for news", seen: "App-vNext/Polly #217, #218; Hystrix; resilience4j", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&gate{ageless: true}).guard(op) },
	}, {
		name: "counts its own refusals as failures", seen: "article code: recordFailure in a middleware around the breaker itself", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var g gate
			return awake(func(ctx context.Context) (v int, err error) {
				period, err := g.enter()
				if err != nil {
					g.mu.Lock()
					g.until = time.Now().Add(10 * time.Second)
					g.mu.Unlock()
					return 0, err
				}
				result := bad
				defer func() { g.leave(period, result) }()
				v, err = op(ctx)
				result = judge(ctx, err)
				return v, err
			})
		},
	}, {
		name: "never forgets a failure", seen: "article code: failureCount is not reset by a success; auth0/disyuntor #6", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var failures int
			var until time.Time
			count := func(result verdict) {
				mu.Lock()
				defer mu.Unlock()
				if result == bad {
					if failures++; failures >= 3 {
						until = time.Now().Add(10 * time.Second)
					}
				}
			}
			refused := func() bool {
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Before(until)
			}
			return awake(func(ctx context.Context) (v int, err error) {
				if refused() {
					return 0, errOpen
				}
				result := bad
				defer func() { count(result) }()
				v, err = op(ctx)
				result = judge(ctx, err)
				return v, err
			})
		},
	}, {
		name: "never closes again", seen: "article code: open is set, and nothing clears it", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var row atomic.Int32
			var open atomic.Bool
			return awake(func(ctx context.Context) (v int, err error) {
				if open.Load() {
					return 0, errOpen
				}
				result := bad
				defer func() {
					if result == good {
						row.Store(0)
					} else if result == bad && row.Add(1) >= 3 {
						open.Store(true)
					}
				}()
				v, err = op(ctx)
				result = judge(ctx, err)
				return v, err
			})
		},
	}, {
		name: "says that it is open in place of the error that opened it", seen: "App-vNext/Polly #218: pass on the failure, or throw for the broken circuit?", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var g gate
			return awake(func(ctx context.Context) (v int, err error) {
				period, err := g.enter()
				if err != nil {
					return 0, err
				}
				result := bad
				defer func() { g.leave(period, result) }()
				v, err = op(ctx)
				if result = judge(ctx, err); result == bad {
					g.mu.Lock()
					last := g.open || g.failures == 2
					g.mu.Unlock()
					if last {
						return 0, errOpen
					}
				}
				return v, err
			})
		},
	}, {
		name: "holds its lock while op runs", seen: "article code: mu.Lock(); defer mu.Unlock() at the top of Call", terms: opens, hangs: true,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var failures int
			var until time.Time
			return awake(func(ctx context.Context) (v int, err error) {
				mu.Lock()
				defer mu.Unlock()
				if time.Now().Before(until) {
					return 0, errOpen
				}
				result := bad
				defer func() {
					if result == good {
						failures = 0
					} else if result == bad {
						if failures++; failures >= 3 {
							until = time.Now().Add(10 * time.Second)
						}
					}
				}()
				v, err = op(ctx)
				result = judge(ctx, err)
				return v, err
			})
		},
	}, {
		name: "counts a slow call although it has ended long since", seen: "article code: time.AfterFunc without Stop", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var g gate
			return awake(func(ctx context.Context) (v int, err error) {
				period, err := g.enter()
				if err != nil {
					return 0, err
				}
				time.AfterFunc(2*time.Second, func() { g.leave(period, bad) }) // a hang is a failure
				result := bad
				defer func() { g.leave(period, result) }()
				v, err = op(ctx)
				result = judge(ctx, err)
				return v, err
			})
		},
	}, {
		name: "leaves a goroutine to turn it half-open", seen: "eapache/go-resiliency breaker: go b.timer() sleeps out the cooldown", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var failures int
			var open bool
			count := func(result verdict) {
				mu.Lock()
				defer mu.Unlock()
				if result == good {
					failures = 0
				} else if result == bad && !open {
					if failures++; failures >= 3 {
						open = true
						go func() {
							time.Sleep(10 * time.Second)
							mu.Lock()
							defer mu.Unlock()
							open = false
						}()
					}
				}
			}
			refused := func() bool {
				mu.Lock()
				defer mu.Unlock()
				return open
			}
			return awake(func(ctx context.Context) (v int, err error) {
				if refused() {
					return 0, errOpen
				}
				result := bad
				defer func() { count(result) }()
				v, err = op(ctx)
				result = judge(ctx, err)
				return v, err
			})
		},
	}, {
		name: "is one breaker with all others of its name", seen: "afex/hystrix-go: GetCircuit(name)", terms: opens,
		policy: func(op fx.Op[int]) fx.Op[int] {
			shared, _ := circuits.LoadOrStore("users", new(gate))
			return shared.(*gate).guard(op)
		},
	}, {
		name: "races on its count of failures", seen: "afex/hystrix-go #36", terms: opens, race: true,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var failures int
			var until time.Time
			return awake(func(ctx context.Context) (v int, err error) {
				if time.Now().Before(until) {
					return 0, errOpen
				}
				result := bad
				defer func() {
					if result == good {
						failures = 0
					} else if result == bad {
						if failures++; failures >= 3 {
							failures, until = 0, time.Now().Add(10*time.Second)
						}
					}
				}()
				v, err = op(ctx)
				result = judge(ctx, err)
				return v, err
			})
		},
	},
}
