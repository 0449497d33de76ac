package fxtest_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var (
	onePerMinute = []fxtest.Term{fxtest.Refuses("one a minute, and up to three at once")}
	onePerSecond = []fxtest.Term{fxtest.Waits("one a second, and up to three at once")}
)

// A pail is an honest token bucket, but for the mistakes named by its fields. It holds three tokens and gets one every
// so often.
type pail struct {
	every  time.Duration
	debts  bool // refused callers take a token too
	floor  bool // it throws away the part of a token that it has not got yet, at every look
	flood  bool // it fills up beyond three
	mu     sync.Mutex
	tokens float64
	seen   time.Time
}

// take takes a token if there is one, and says how long to wait for it if there is none.
func (p *pail) take() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.seen.IsZero() {
		p.tokens, p.seen = 3, now
	}
	fresh := float64(now.Sub(p.seen)) / float64(p.every)
	if p.floor {
		fresh = float64(int(fresh))
	}
	if p.tokens, p.seen = p.tokens+fresh, now; !p.flood {
		p.tokens = min(p.tokens, 3)
	}
	if p.tokens > 1-1e-9 {
		p.tokens--
		return 0
	}
	wait := time.Duration((1 - p.tokens) * float64(p.every))
	if p.debts {
		p.tokens--
	}
	return max(wait, time.Nanosecond)
}

// refusing is the honest policy that refuses without a token.
func (p *pail) refusing(op fx.Op[int]) fx.Op[int] {
	return awake(func(ctx context.Context) (int, error) {
		if p.take() > 0 {
			return 0, errLimited
		}
		return op(ctx)
	})
}

var brokenLimits = []suspect{
	{
		name: "takes a token from those whom it refuses", seen: "article code: tokens--; if tokens < 0 { return errLimit }", terms: onePerMinute,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&pail{every: time.Minute, debts: true}).refusing(op) },
	}, {
		name: "starves who looks often", seen: "article code: tokens += int(elapsed / every); last = now", terms: onePerMinute,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&pail{every: time.Minute, floor: true}).refusing(op) },
	}, {
		name: "fills up beyond its burst", seen: "article code: no min(tokens, burst) after the refill", terms: onePerMinute,
		policy: func(op fx.Op[int]) fx.Op[int] { return (&pail{every: time.Minute, flood: true}).refusing(op) },
	}, {
		name: "takes a token for a caller who had left", seen: "songzhibin97/gkit #134", terms: onePerMinute,
		policy: func(op fx.Op[int]) fx.Op[int] {
			p := &pail{every: time.Minute}
			return func(ctx context.Context) (int, error) {
				wait := p.take()
				switch {
				case ctx.Err() != nil:
					return 0, gone(ctx)
				case wait > 0:
					return 0, errLimited
				}
				return op(ctx)
			}
		},
	}, {
		name: "sleeps for its token whatever the caller does", seen: "uber-go/ratelimit #73: Take without a context", terms: onePerSecond,
		policy: func(op fx.Op[int]) fx.Op[int] {
			p, turn := &pail{every: time.Second}, make(chan struct{}, 1)
			token := func() {
				turn <- struct{}{}
				defer func() { <-turn }()
				for wait := p.take(); wait > 0; wait = p.take() {
					time.Sleep(wait)
				}
			}
			return awake(func(ctx context.Context) (int, error) {
				token()
				if ctx.Err() != nil {
					return 0, gone(ctx)
				}
				return op(ctx)
			})
		},
	}, {
		name: "calls op for one whose time ran out in the queue", seen: "uber-go/ratelimit #73: Take, then the call", terms: onePerSecond,
		policy: func(op fx.Op[int]) fx.Op[int] {
			p, turn := &pail{every: time.Second}, make(chan struct{}, 1)
			token := func() {
				turn <- struct{}{}
				defer func() { <-turn }()
				for wait := p.take(); wait > 0; wait = p.take() {
					time.Sleep(wait)
				}
			}
			return awake(func(ctx context.Context) (int, error) {
				token()
				return op(ctx)
			})
		},
	}, {
		name: "keeps the token of one who left while he waited", seen: "blampe/rreading-glasses #452, golang/go #56924", terms: onePerSecond,
		policy: func(op fx.Op[int]) fx.Op[int] {
			var mu sync.Mutex
			var next time.Time
			reserve := func() time.Duration {
				mu.Lock()
				defer mu.Unlock()
				now := time.Now()
				if next.Before(now.Add(-2 * time.Second)) {
					next = now.Add(-2 * time.Second)
				}
				wait := next.Sub(now)
				next = next.Add(time.Second)
				return wait
			}
			return awake(func(ctx context.Context) (int, error) {
				if err := pause(ctx, reserve()); err != nil {
					return 0, err
				}
				return op(ctx)
			})
		},
	}, {
		name: "refuses without a word why the wait was cut short", seen: "temporalio/temporal clocked_rate_limiter.go: %w of its own error, %v of the context's", terms: onePerSecond,
		policy: func(op fx.Op[int]) fx.Op[int] {
			p, turn := &pail{every: time.Second}, &line{free: 1}
			token := func(ctx context.Context) error {
				if err := turn.enter(ctx); err != nil {
					return err
				}
				defer turn.leave()
				for wait := p.take(); wait > 0; wait = p.take() {
					if err := pause(ctx, wait); err != nil {
						return err
					}
				}
				return nil
			}
			return awake(func(ctx context.Context) (int, error) {
				if token(ctx) != nil {
					return 0, errLimited
				}
				return op(ctx)
			})
		},
	}, {
		name: "refills by a ticker that nobody stops", seen: "L20: ticker-driven windows; article code: go func() { for range ticker.C { … } }()", terms: onePerMinute,
		policy: func(op fx.Op[int]) fx.Op[int] {
			tokens := make(chan struct{}, 3)
			for range 3 {
				tokens <- struct{}{}
			}
			go func() {
				for range time.Tick(time.Minute) {
					select {
					case tokens <- struct{}{}:
					default:
					}
				}
			}()
			return awake(func(ctx context.Context) (int, error) {
				select {
				case <-tokens:
					return op(ctx)
				default:
					return 0, errLimited
				}
			})
		},
	}, {
		name: "leaves a goroutine for each call in its window", seen: "afex/hystrix-go #95; article code: go func() { time.Sleep(window); count-- }()",
		terms: []fxtest.Term{fxtest.Refuses("three in any ten seconds")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			var recent atomic.Int32
			return awake(func(ctx context.Context) (int, error) {
				if recent.Add(1) > 3 {
					recent.Add(-1)
					return 0, errLimited
				}
				go func() {
					time.Sleep(10 * time.Second)
					recent.Add(-1)
				}()
				return op(ctx)
			})
		},
	}, {
		name: "looks first and counts later", seen: "SandeepVashishtha/Eventra #18544: read, check, write", race: true,
		terms: []fxtest.Term{fxtest.Refuses("three in any minute")},
		policy: func(op fx.Op[int]) fx.Op[int] {
			var count int
			var window time.Time
			return awake(func(ctx context.Context) (int, error) {
				if now := time.Now(); now.Sub(window) >= time.Minute {
					window, count = now, 0
				}
				if count >= 3 {
					return 0, errLimited
				}
				count++
				return op(ctx)
			})
		},
	},
}
