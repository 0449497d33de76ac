package fxhealth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxhealth"
)

func TestZeroHealthIsAliveStartedAndReady(t *testing.T) {
	for _, path := range []string{"/livez", "/readyz", "/startupz"} {
		w := get(served(&fxhealth.Health{}), path)
		assert.Equal(t, 200, w.Code, path)
		assert.Equal(t, "ok\n", w.Body.String(), path)
	}
}

// A dependency is a check that can be made sick. It counts its calls and those of them that run.
type dependency struct {
	ill     atomic.Pointer[func(context.Context) error]
	calls   atomic.Int64
	running atomic.Int64
}

func (d *dependency) become(f func(context.Context) error) {
	d.ill.Store(&f)
}

func (d *dependency) ping(ctx context.Context) error {
	d.calls.Add(1)
	d.running.Add(1)
	defer d.running.Add(-1)
	if f := d.ill.Load(); f != nil {
		return (*f)(ctx)
	}
	return nil
}

func well(context.Context) error   { return nil }
func fails(context.Context) error  { return errBoom }
func panics(context.Context) error { panic("postgres://u:secret@db") }
func exits(context.Context) error  { runtime.Goexit(); return nil }

// hangs obeys nothing but the release.
func hangs(release <-chan struct{}) func(context.Context) error {
	return func(context.Context) error { <-release; return nil }
}

func obeys(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestOnlyWhatIsNeededMakesItNotReady(t *testing.T) {
	for _, needed := range []bool{false, true} {
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Needed: needed, Run: fails}, {Name: "disk", Needed: true, Run: well}}}
		r := h.Ready(ctx)
		if needed {
			assert.Equal(t, fxhealth.Failed, r.Status)
			assert.Equal(t, 503, codeOf(h, "/readyz"))
		} else {
			assert.Equal(t, fxhealth.Degraded, r.Status)
			assert.Equal(t, 200, codeOf(h, "/readyz"))
		}
		assert.Equal(t, r.Status, r.Checks[0].Status)
		assert.Equal(t, fxhealth.Result{Name: "disk", Status: fxhealth.OK}, r.Checks[1])
		assert.Equal(t, 200, codeOf(h, "/livez"))
		assert.Equal(t, 200, codeOf(h, "/startupz"))
	}
}

func TestOpenBreakerIsDegradedAndNotReadyOnlyIfNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fx.Breaker{Name: "catalog"}
		spare := &fxhealth.Health{Checks: []fxhealth.Check{{Breaker: b}}, Hold: -1, Share: -1}
		strict := &fxhealth.Health{Checks: []fxhealth.Check{{Breaker: b, Needed: true}}, Hold: -1, Share: -1}
		assert.Equal(t, "ok\n", get(served(spare), "/readyz").Body.String())
		call := fx.WithBreaker(fx.Fail[int](errBoom), b)
		for range 5 {
			_, _ = call(ctx)
		}
		w := get(served(spare), "/readyz")
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, "degraded\n", w.Body.String())
		assert.Equal(t, "[~]catalog degraded: circuit breaker is open\nreadyz check passed: degraded\n", verbose(spare, "/readyz"))
		assert.Equal(t, 503, codeOf(strict, "/readyz"))
		// No request comes any more. The cooldown alone has to bring it back.
		time.Sleep(10 * time.Second)
		assert.Equal(t, fx.StateHalfOpen, b.State())
		assert.Equal(t, "ok\n", get(served(spare), "/readyz").Body.String())
		assert.Equal(t, 200, codeOf(strict, "/readyz"))
	})
}

func TestChecksRunAtOnceEachWithItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := func(d time.Duration) func(context.Context) error {
			return func(ctx context.Context) error {
				select {
				case <-time.After(d):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		h := &fxhealth.Health{Checks: []fxhealth.Check{
			{Name: "a", Run: takes(400 * time.Millisecond)},
			{Name: "b", Run: takes(400 * time.Millisecond), Timeout: 100 * time.Millisecond},
			{Name: "c", Run: takes(900 * time.Millisecond), Timeout: time.Second},
			{Name: "d", Run: takes(time.Hour)},
		}}
		began := time.Now()
		text := verbose(h, "/readyz")
		assert.Equal(t, 900*time.Millisecond, time.Since(began))
		assert.Equal(t, "[+]a ok\n[~]b degraded: timed out after 100ms\n[+]c ok\n[~]d degraded: timed out after 500ms\nreadyz check passed: degraded\n", text)
	})
}

func TestHungCheckNeitherHangsTheProbeNorPilesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		db := new(dependency)
		db.become(hangs(release))
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Needed: true, Run: db.ping}, {Name: "disk", Run: well}}}
		began := time.Now()
		assert.Equal(t, 503, codeOf(h, "/readyz"))
		assert.Equal(t, 500*time.Millisecond, time.Since(began))
		for range 100 {
			time.Sleep(2 * time.Second)
			began := time.Now()
			assert.Equal(t, 503, codeOf(h, "/readyz"))
			assert.Zero(t, time.Since(began), "what hangs already is not waited for")
		}
		assert.EqualValues(t, 1, db.calls.Load())
		assert.Contains(t, verbose(h, "/readyz"), "[-]db failed: still running after 3m20.5s\n[+]disk ok\n")

		close(release)
		db.become(well)
		time.Sleep(2 * time.Second)
		assert.Contains(t, verbose(h, "/readyz"), "[+]db ok\n")
		assert.EqualValues(t, 2, db.calls.Load(), "the answer that came too late is not used")
	})
}

func TestLateAnswerIsNotTakenForTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		db := new(dependency)
		db.become(hangs(release)) // comes back with nil
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Run: db.ping}}}
		h.Ready(ctx)
		close(release)
		db.become(fails)
		time.Sleep(2 * time.Second)
		assert.Equal(t, fxhealth.Degraded, h.Ready(ctx).Status)
	})
}

func TestCheckThatObeysItsTimeoutIsToldAsTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Run: obeys}}}
		for range 3 {
			r := h.Ready(ctx)
			assert.Equal(t, "timed out after 500ms", r.Checks[0].Error)
			time.Sleep(time.Minute)
		}
	})
}

func TestManyProbesMakeOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := new(dependency)
		db.become(func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil })
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Run: db.ping}}}
		mux := served(h)
		crowd := func() {
			var all sync.WaitGroup
			for range 1000 {
				all.Go(func() { assert.Equal(t, 200, get(mux, "/readyz").Code) })
			}
			all.Wait()
		}
		crowd()
		assert.EqualValues(t, 1, db.calls.Load())
		time.Sleep(time.Second - 1)
		crowd()
		assert.EqualValues(t, 1, db.calls.Load(), "shared for a second")
		time.Sleep(time.Nanosecond)
		crowd()
		assert.EqualValues(t, 2, db.calls.Load(), "and not longer")
	})
}

func TestShareIsASetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := new(dependency)
		eager := &fxhealth.Health{Share: -1, Checks: []fxhealth.Check{{Name: "db", Run: db.ping}}}
		for range 5 {
			eager.Ready(ctx)
		}
		assert.EqualValues(t, 5, db.calls.Load())
		lazy := &fxhealth.Health{Share: time.Minute, Checks: []fxhealth.Check{{Name: "db", Run: db.ping}}}
		for range 59 {
			lazy.Ready(ctx)
			time.Sleep(time.Second)
		}
		assert.EqualValues(t, 6, db.calls.Load())
	})
}

func TestProbeThatLeavesFailsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := new(dependency)
		db.become(func(ctx context.Context) error {
			time.Sleep(300 * time.Millisecond)
			return ctx.Err()
		})
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Needed: true, Run: db.ping}}}
		impatient, cancel := context.WithTimeoutCause(ctx, 100*time.Millisecond, errors.New("the kubelet has hung up"))
		defer cancel()
		stays := make(chan fxhealth.Report)
		left := h.Ready
		go func() { time.Sleep(50 * time.Millisecond); stays <- h.Ready(ctx) }()
		assert.Equal(t, fxhealth.Report{Status: fxhealth.Failed, Reason: "not known: the kubelet has hung up"}, left(impatient))
		assert.Equal(t, fxhealth.OK, (<-stays).Status)
		assert.EqualValues(t, 1, db.calls.Load())
	})
}

func TestPanicAndGoexitAreFailures(t *testing.T) {
	logged.clear()
	h := &fxhealth.Health{Share: -1, Checks: []fxhealth.Check{
		{Name: "panics", Run: panics}, {Name: "exits", Run: exits}, {Name: "well", Run: well},
	}}
	for range 3 {
		assert.Equal(t, "[~]panics degraded: panicked\n[~]exits degraded: ended its goroutine\n[+]well ok\nreadyz check passed: degraded\n", verbose(h, "/readyz"))
	}
	require.Eventually(t, func() bool { return logged.about("panic in check panics", "secret@db", "stack=") == 3 }, 10*time.Second, time.Millisecond)
}

func TestErrorsAreShownOnlyWhenAsked(t *testing.T) {
	secret := errors.New("dial postgres://u:secret@db:\nrefused")
	broken := func(context.Context) error { return secret }
	hidden := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Run: broken, Needed: true}, {Name: "queue", Run: panics}}}
	shown := &fxhealth.Health{Checks: hidden.Checks, ShowErrors: true}
	for _, accept := range []string{"*/*", "application/json"} {
		assert.NotContains(t, get(served(hidden), "/readyz?verbose", "Accept: "+accept).Body.String(), "secret")
		assert.Contains(t, get(served(shown), "/readyz?verbose", "Accept: "+accept).Body.String(), "secret")
	}
	assert.Equal(t, "[-]db failed: reason withheld\n[~]queue degraded: panicked\nreadyz check failed\n", verbose(hidden, "/readyz"))
	assert.Equal(t, "[-]db failed: dial postgres://u:secret@db: refused\n[~]queue degraded: panicked: postgres://u:secret@db\nreadyz check failed\n", verbose(shown, "/readyz"))
}

func TestErrorThatWrapsOneOfOursIsStillWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("secret: %w", ctx.Err())
		}}}}
		assert.Equal(t, "timed out after 500ms", h.Ready(ctx).Checks[0].Error)
	})
}

func TestEachChangeIsLoggedOnce(t *testing.T) {
	logged.clear()
	synctest.Test(t, func(t *testing.T) {
		db := new(dependency)
		h := &fxhealth.Health{Hold: -1, Checks: []fxhealth.Check{{Name: "log-once", Needed: true, Run: db.ping}}}
		for _, f := range []func(context.Context) error{well, fails, fails, fails, well, well} {
			db.become(f)
			h.Ready(ctx)
			time.Sleep(2 * time.Second)
		}
		assert.Equal(t, 1, logged.about("level=WARN", "check fails", "log-once", "err=boom"))
		assert.Equal(t, 1, logged.about("level=INFO", "check passes again", "log-once"))
	})
}

func TestWarmUpHoldsStartupAndReadinessBack(t *testing.T) {
	db := new(dependency)
	h := &fxhealth.Health{WarmUp: true, Checks: []fxhealth.Check{{Name: "db", Run: db.ping}}}
	assert.Equal(t, 503, codeOf(h, "/startupz"))
	assert.Equal(t, "readyz check failed: warming up\n", verbose(h, "/readyz"))
	assert.Equal(t, 200, codeOf(h, "/livez"))
	assert.Zero(t, db.calls.Load())
	h.Warm()
	h.Warm()
	assert.Equal(t, 200, codeOf(h, "/startupz"))
	assert.Equal(t, 200, codeOf(h, "/readyz"), "at once, without a Hold")
}

func TestDrainTurnsReadinessOffAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := new(dependency)
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Run: db.ping}}}
		assert.Equal(t, 200, codeOf(h, "/readyz"))
		db.become(obeys)
		time.Sleep(time.Minute)
		h.Drain()
		h.Drain()
		began := time.Now()
		assert.Equal(t, "readyz check failed: draining\n", get(served(h), "/readyz").Body.String())
		assert.Equal(t, 503, codeOf(h, "/readyz"))
		assert.Zero(t, time.Since(began), "no check is waited for")
		assert.Equal(t, 200, codeOf(h, "/livez"), "or it would be killed while it drains")
		assert.Equal(t, 200, codeOf(h, "/startupz"))
	})
}

func TestDrainIsSeenByAProbeThatWaitsAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "slow", Run: func(context.Context) error { time.Sleep(time.Millisecond); return nil }}}}
		waits := make(chan int)
		go func() { waits <- codeOf(h, "/readyz") }()
		synctest.Wait()
		h.Drain()
		assert.Equal(t, 503, <-waits)
	})
}

func TestDependencyNeverFailsLivenessOrStartup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		db := new(dependency)
		b := &fx.Breaker{Name: "catalog"}
		b.Force(fx.StateOpen)
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Needed: true, Run: db.ping}, {Breaker: b, Needed: true}}}
		mux := served(h)
		for _, ill := range []func(context.Context) error{fails, obeys, panics, exits, hangs(release)} {
			db.become(ill)
			go get(mux, "/readyz") // which may hang
			for range 100 {
				began := time.Now()
				assert.Equal(t, 200, get(mux, "/livez").Code)
				assert.Equal(t, 200, get(mux, "/startupz").Code)
				assert.Zero(t, time.Since(began), "and takes no time")
				time.Sleep(100 * time.Millisecond)
			}
		}
	})
}

func TestSingleBlipFlipsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := new(dependency)
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Needed: true, Run: db.ping}}}
		at := func(d time.Duration, f func(context.Context) error) fxhealth.Report {
			time.Sleep(d)
			db.become(f)
			return h.Ready(ctx)
		}
		assert.Equal(t, fxhealth.OK, at(0, well).Status)
		r := at(10*time.Second, fails)
		assert.Equal(t, fxhealth.Degraded, r.Status)
		assert.Equal(t, "not ready if this lasts 5s", r.Reason)
		assert.Equal(t, fxhealth.Failed, r.Checks[0].Status, "the check itself is not damped")
		assert.Equal(t, fxhealth.OK, at(10*time.Second, well).Status)
		assert.Equal(t, fxhealth.Degraded, at(10*time.Second, fails).Status, "a new blip, not the second part of the old one")
		assert.Equal(t, fxhealth.Degraded, at(5*time.Second-1, fails).Status)
		assert.Equal(t, fxhealth.Degraded, at(1, fails).Status, "shared, not looked at anew")
		assert.Equal(t, fxhealth.Failed, at(2*time.Second, fails).Status)
		r = at(10*time.Second, well)
		assert.Equal(t, fxhealth.Failed, r.Status)
		assert.Equal(t, "ready again if this lasts 5s", r.Reason)
		assert.Equal(t, fxhealth.Failed, at(10*time.Second, fails).Status)
		assert.Equal(t, fxhealth.Failed, at(10*time.Second, well).Status)
		assert.Equal(t, fxhealth.OK, at(5*time.Second, well).Status)
	})
}

// TestDampingEqualsItsModel: ready follows the latest stretch of equal findings that lasted for Hold, and flips in no
// other moment.
func TestDampingEqualsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			hold := time.Duration(rapid.IntRange(-1, 6).Draw(rt, "hold")) * time.Second
			lasts := hold
			if hold == 0 {
				lasts = 5 * time.Second
			}
			var up bool
			h := &fxhealth.Health{Share: -1, Hold: hold, Checks: []fxhealth.Check{{Name: "db", Needed: true, Run: func(context.Context) error {
				if up {
					return nil
				}
				return errBoom
			}}}}
			type finding struct {
				at time.Time
				up bool
			}
			var all []finding
			ready := false
			for range rapid.IntRange(1, 30).Draw(rt, "probes") {
				time.Sleep(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "pause")) * time.Millisecond)
				up = rapid.Bool().Draw(rt, "up")
				all = append(all, finding{time.Now(), up})
				if len(all) == 1 {
					ready = up
				}
				first := len(all) - 1 // of the stretch that ends now
				for first > 0 && all[first-1].up == up {
					first--
				}
				if time.Since(all[first].at) >= lasts {
					ready = up
				}
				r := h.Ready(ctx)
				if got := r.Status != fxhealth.Failed; got != ready {
					rt.Fatalf("after %v: ready is %v, want %v", all, got, ready)
				}
			}
		})
	})
}

func TestOneHealthServesManyBubbles(t *testing.T) {
	db := new(dependency)
	db.become(fails)
	h := &fxhealth.Health{Share: -1, Checks: []fxhealth.Check{{Name: "db", Needed: true, Run: db.ping}}}
	assert.Equal(t, 503, codeOf(h, "/readyz"))
	db.become(well)
	assert.Equal(t, 503, codeOf(h, "/readyz"), "held, since a moment of real time")
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			db.become(well)
			h.Ready(ctx)
			time.Sleep(5 * time.Second)
			assert.Equal(t, fxhealth.OK, h.Ready(ctx).Status)
			db.become(fails)
			h.Ready(ctx)
			time.Sleep(5 * time.Second)
			assert.Equal(t, fxhealth.Failed, h.Ready(ctx).Status)
		})
	}
}

func TestResultsMayOutliveTheirBubble(t *testing.T) {
	h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Run: well}}}
	for range 3 { // all in the same virtual instant
		synctest.Test(t, func(t *testing.T) { assert.Equal(t, fxhealth.OK, h.Ready(ctx).Status) })
	}
}

func TestDeadContextStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := new(dependency)
		h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Run: db.ping}}}
		dead, cancel := context.WithCancelCause(ctx)
		cancel(errBoom)
		assert.Equal(t, "not known: boom", h.Ready(dead).Reason)
		synctest.Wait()
		assert.Zero(t, db.calls.Load())
	})
}

func TestReportMayBeChangedByItsOwner(t *testing.T) {
	h := &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Run: well}}}
	h.Ready(ctx).Checks[0].Name = "mine"
	assert.Equal(t, "db", h.Ready(ctx).Checks[0].Name)
}

func TestMisusePanicsWhenRegistered(t *testing.T) {
	for want, h := range map[string]*fxhealth.Health{
		"fxhealth: check 2, \"db\", needs either Run or Breaker": {Checks: []fxhealth.Check{{Name: "a", Run: well}, {Name: "db"}}},
		"needs either Run or Breaker, as in":                     {Checks: []fxhealth.Check{{Name: "a", Run: well, Breaker: &fx.Breaker{}}}},
		"fxhealth: check 1 needs a name":                         {Checks: []fxhealth.Check{{Run: well}}},
		"fxhealth: two checks are named \"a\"":                   {Checks: []fxhealth.Check{{Name: "a", Run: well}, {Breaker: &fx.Breaker{Name: "a"}}}},
		"fxhealth: each watchdog needs a name":                   {Watchdogs: []*fxhealth.Watchdog{{}}},
	} {
		t.Run(strings.ReplaceAll(want, " ", "-"), func(t *testing.T) {
			defer func() { assert.Contains(t, fmt.Sprint(recover()), want) }()
			h.Register(http.NewServeMux())
		})
	}
	assert.Panics(t, func() { (&fxhealth.Health{Checks: []fxhealth.Check{{}}}).Ready(ctx) })
}
