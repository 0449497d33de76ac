package fxtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"example.com/fx"
)

// Rate says how many calls a rate limit lets begin: Burst at once, and one more Every so often.
type Rate struct {
	Burst int           // 0 means 1
	Every time.Duration // must be above 0
}

// CheckRate proves that a policy which limits the rate of calls is a token bucket, whether it refuses those for whom there
// is no token or lets them wait: no more calls begin than there are tokens; who comes when nobody waits and a token is
// there begins at once, whatever became of those before, who were refused or left while they waited; and who waits begins
// in the end. The bucket is full at first.
//
//	fxtest.CheckRate(t, limited, fxtest.Rate{Burst: 3, Every: time.Second})
func CheckRate(t *testing.T, policy fx.Policy[int], want Rate) {
	t.Helper()
	rapid.Check(t, RateLaws(policy, want))
}

// RateLaws is the property that CheckRate checks.
func RateLaws(policy fx.Policy[int], want Rate) func(*rapid.T) {
	mustPolicy("CheckRate", policy)
	if want.Burst < 0 || want.Every <= 0 {
		panic("fxtest: CheckRate needs a rate, as in fxtest.CheckRate(t, limited, fxtest.Rate{Burst: 3, Every: time.Second})")
	}
	want.Burst = max(want.Burst, 1)
	steps := rapid.SliceOfN(rapid.Custom(want.step), 1, 30)
	return func(rt *rapid.T) {
		plan := steps.Draw(rt, "plan")
		trial(rt, func(h *history) {
			c := &rateCheck{history: h, want: want, tokens: float64(want.Burst), since: time.Now()}
			c.guarded = policy(c.run)
			defer c.clear()
			for _, s := range plan {
				c.do(s)
			}
			c.end()
		})
	}
}

// A paceStep is one thing that happens to a rate limit.
type paceStep struct {
	Do      string
	Callers int
	Hasty   bool          // they leave soon
	For     time.Duration // that passes, after each of them where they come one by one
}

func (r Rate) step(rt *rapid.T) paceStep {
	s := paceStep{Do: rapid.SampledFrom([]string{"come", "wait", "come one by one", "dead"}).Draw(rt, "do")}
	if s.Do == "come" || s.Do == "come one by one" {
		s.Callers = rapid.IntRange(1, r.Burst+5).Draw(rt, "callers")
		s.Hasty = rapid.Bool().Draw(rt, "hasty")
	}
	if s.Do == "wait" || s.Do == "come one by one" {
		percent := rapid.OneOf(rapid.SampledFrom([]int{50, 100, 1000}), rapid.IntRange(1, 500)).Draw(rt, "percent")
		s.For = r.Every/100*time.Duration(percent) + 1
	}
	return s
}

// rateCheck is one play, with a bucket that counts the calls which have begun.
type rateCheck struct {
	*history
	want    Rate
	guarded fx.Op[int]
	leaves  []func()

	mu      sync.Mutex
	tokens  float64
	since   time.Time
	begun   int
	waiting int
	over    bool // a call began without a token
}

// nearly is what the arithmetic of a bucket may be off by.
const nearly = 1e-6

// look is how many tokens there are now. mu is held.
func (c *rateCheck) look() float64 {
	c.tokens = min(float64(c.want.Burst), c.tokens+float64(time.Since(c.since))/float64(c.want.Every))
	c.since = time.Now()
	return c.tokens
}

// run is the op.
func (c *rateCheck) run(context.Context) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.look() < 1-nearly {
		c.over = true
	}
	c.tokens--
	c.begun++
	return 0, nil
}

func (c *rateCheck) do(s paceStep) {
	switch s.Do {
	case "wait":
		c.pass(s.For)
	case "dead":
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		c.add("a caller comes whose context has ended")
		_, err := c.guarded(ctx)
		c.must(errors.Is(err, context.Canceled), "a context that has ended gets nothing", "it got %v", err)
	default:
		for range s.Callers {
			c.come(s.Hasty)
			if s.For > 0 {
				c.pass(s.For)
			}
		}
	}
	c.judge()
}

func (c *rateCheck) pass(d time.Duration) {
	c.add("%v pass", d)
	time.Sleep(d)
	synctest.Wait()
}

// come lets one caller call.
func (c *rateCheck) come(hasty bool) {
	ctx, leave := context.WithCancel(context.Background())
	if hasty {
		ctx, leave = context.WithTimeout(context.Background(), c.want.Every/10)
	}
	c.leaves = append(c.leaves, leave)
	c.mu.Lock()
	tokens, alone, before := c.look(), c.waiting == 0, c.begun
	c.waiting++
	c.mu.Unlock()
	refused := make(chan error, 1)
	go func() {
		_, err := c.guarded(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
		refused <- err
	}()
	synctest.Wait()
	begun := c.total() > before
	switch {
	case begun:
		c.add("a caller comes, and begins")
	case len(refused) > 0:
		c.add("a caller comes, and is refused: %v", <-refused)
	case hasty:
		c.add("a caller comes, and waits for %v at most", c.want.Every/10)
	default:
		c.add("a caller comes, and waits")
	}
	c.must(begun || !alone || tokens < 1+nearly, "who comes when a token is there begins at once", "%.2f tokens are there, and nobody waits", tokens)
	c.judge()
}

// total is how many calls have begun.
func (c *rateCheck) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun
}

// queue is how many calls have not returned.
func (c *rateCheck) queue() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// judge looks whether a call began that should not have.
func (c *rateCheck) judge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.must(!c.over, "no more calls begin than there are tokens", "one began too many: that was call %d", c.begun)
}

// end lets all who wait have their turn.
func (c *rateCheck) end() {
	c.pass(c.want.Every*time.Duration(c.queue()+c.want.Burst) + 1)
	c.judge()
	c.must(c.queue() == 0, "who waits begins in the end", "%d still wait", c.queue())
}

// clear lets all go who wait.
func (c *rateCheck) clear() {
	for _, leave := range c.leaves {
		leave()
	}
	synctest.Wait()
}
