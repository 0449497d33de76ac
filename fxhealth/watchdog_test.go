package fxhealth_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx/fxhealth"
)

// probed asks /livez every 10 s, as the kubelet does, n times, and returns the statuses.
func probed(h *fxhealth.Health, n int) (codes []int) {
	for range n {
		time.Sleep(10 * time.Second)
		codes = append(codes, codeOf(h, "/livez"))
	}
	return codes
}

func TestWatchdogNoticesALoopThatIsStuck(t *testing.T) {
	logged.clear()
	synctest.Test(t, func(t *testing.T) {
		loop := &fxhealth.Watchdog{Name: "consumer", Limit: 25 * time.Second}
		h := &fxhealth.Health{Watchdogs: []*fxhealth.Watchdog{loop}}
		assert.Equal(t, []int{200, 200, 200, 200}, probed(h, 4), "not begun yet")
		loop.Beat()
		assert.Equal(t, []int{200, 200, 200, 503, 503}, probed(h, 5), "30 s are late, and 40 s still")
		assert.Equal(t, "[+]process ok\n[-]consumer failed: stuck for 50s\nlivez check failed\n", get(served(h), "/livez").Body.String())
		loop.Beat()
		assert.Equal(t, 200, codeOf(h, "/livez"), "one beat heals")
		loop.Rest()
		assert.Equal(t, []int{200, 200, 200, 200}, probed(h, 4), "nothing is expected of one that rests")
		synctest.Wait()
		assert.Equal(t, 1, logged.about("level=ERROR", "fxhealth: stuck", "watchdog=consumer", "since=40s"))
		assert.Equal(t, 1, logged.about("fxhealth: stuck"), "once")
	})
}

func TestNothingIsExpectedOfAWatchdogThatRests(t *testing.T) {
	loop := &fxhealth.Watchdog{Name: "consumer", Limit: time.Nanosecond}
	h := &fxhealth.Health{Watchdogs: []*fxhealth.Watchdog{loop}, Hold: -1}
	assert.Equal(t, 200, codeOf(h, "/livez"), "not begun")
	loop.Beat()
	require.Eventually(t, func() bool { return codeOf(h, "/livez") == 503 }, 10*time.Second, time.Millisecond)
	loop.Rest()
	assert.Equal(t, 200, codeOf(h, "/livez"))
}

func TestLoopThatIsMerelySlowIsNotRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop := &fxhealth.Watchdog{Name: "consumer", Limit: 25 * time.Second}
		h := &fxhealth.Health{Watchdogs: []*fxhealth.Watchdog{loop}}
		for range 10 { // starved: each beat 9 s late
			loop.Beat()
			assert.Equal(t, []int{200, 200, 200}, probed(h, 3))
			time.Sleep(4 * time.Second)
		}
	})
}

func TestProcessThatWasStoppedHasTimeToCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop := &fxhealth.Watchdog{Name: "consumer", Limit: 25 * time.Second}
		h := &fxhealth.Health{Watchdogs: []*fxhealth.Watchdog{loop}}
		loop.Beat()
		assert.Equal(t, 200, codeOf(h, "/livez"))
		time.Sleep(time.Hour) // neither beats nor probes: SIGSTOP
		assert.Equal(t, 200, codeOf(h, "/livez"), "the probe came before the beat")
		time.Sleep(time.Second)
		loop.Beat()
		assert.Equal(t, []int{200, 200, 200}, probed(h, 3))
	})
}

func TestWatchdogNoticesAMutexThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seat := make(chan struct{}, 1) // a mutex that a bubble can wait for
		var tries atomic.Int64
		h := &fxhealth.Health{Watchdogs: []*fxhealth.Watchdog{{Name: "accounts", Try: func() {
			tries.Add(1)
			seat <- struct{}{}
			<-seat
		}}}}
		assert.Equal(t, []int{200, 200, 200}, probed(h, 3))
		synctest.Wait()
		assert.EqualValues(t, 3, tries.Load())
		seat <- struct{}{}
		assert.Equal(t, []int{200, 200, 200, 200, 200, 200, 200, 200, 503}, probed(h, 9), "late after a minute, stuck 10 s later")
		assert.EqualValues(t, 4, tries.Load(), "no second try while one hangs")
		<-seat
		synctest.Wait()
		assert.Equal(t, []int{200, 200}, probed(h, 2))
		synctest.Wait()
		assert.EqualValues(t, 6, tries.Load())
	})
}

func TestWatchdogNoticesARealMutex(t *testing.T) {
	var mu sync.Mutex
	tried := make(chan struct{}, 100)
	h := &fxhealth.Health{Hold: -1, Watchdogs: []*fxhealth.Watchdog{{Name: "accounts", Limit: time.Millisecond, Try: func() {
		mu.Lock()
		defer mu.Unlock()
		tried <- struct{}{}
	}}}}
	mu.Lock()
	require.Eventually(t, func() bool { return codeOf(h, "/livez") == 503 }, 10*time.Second, time.Millisecond)
	mu.Unlock()
	<-tried
	require.Eventually(t, func() bool { return codeOf(h, "/livez") == 200 }, 10*time.Second, time.Millisecond)
}

func TestPanicOrGoexitInATryIsNoReasonForARestart(t *testing.T) {
	logged.clear()
	synctest.Test(t, func(t *testing.T) {
		h := &fxhealth.Health{Watchdogs: []*fxhealth.Watchdog{
			{Name: "bad-try", Try: func() { panic("oops") }}, {Name: "gone", Try: runtime.Goexit},
		}}
		for _, code := range probed(h, 20) {
			assert.Equal(t, 200, code)
		}
		synctest.Wait()
		assert.Equal(t, 20, logged.about("panic in watchdog bad-try", "oops"))
	})
}

// A process that gets little CPU answers late, but says that it is alive.
func TestStarvedProcessIsAlive(t *testing.T) {
	loop := &fxhealth.Watchdog{Name: "consumer"}
	h := &fxhealth.Health{Watchdogs: []*fxhealth.Watchdog{loop}, Hold: -1}
	mux := served(h)
	var stop atomic.Bool
	var all sync.WaitGroup
	defer all.Wait()
	defer stop.Store(true)
	for range 2 * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for !stop.Load() { // burns what there is
			}
		})
	}
	all.Go(func() {
		for !stop.Load() {
			loop.Beat()
			runtime.Gosched()
		}
	})
	for range 10 {
		assert.Equal(t, 200, get(mux, "/livez").Code)
		runtime.Gosched()
	}
}
