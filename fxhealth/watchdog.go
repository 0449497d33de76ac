package fxhealth

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Watchdog notices a part of the process that is stuck: one that does not [Watchdog.Beat], or, with Try, a function
// that does not come back. /livez looks at it, without ever waiting for it. It is safe for concurrent use and must not
// be copied after first use. The zero value, with a Name, waits for its first beat.
//
// It is there for what only a restart mends. So it must never depend on anything outside of the process: a loop that
// beats between calls to a dependency needs a Limit well beyond their timeouts.
//
// What is merely slow is not restarted. A watchdog that is found late must be found late again after [Health.Hold],
// so that a process which was stopped, or had no CPU, has that time to catch up; one beat heals it.
//
// # The built-in one, and what no watchdog can see
//
// Each /livez also tries, with a Limit of a minute, whether a new goroutine runs and a waiting one is woken. That a
// handler answers at all shows that the scheduler, the network and the server work: if they do not, there is no answer,
// and the orchestrator's own timeout is the watchdog. No watchdog here sees a mutex, channel or goroutine that it was
// not given, nor tells slow from stuck within its Limit.
type Watchdog struct {
	// Name appears in answers and logs.
	Name string
	// Limit is how long it may go without a beat, or Try may take. 0 or less means 1m.
	Limit time.Duration
	// Try, where set, is called on a goroutine of its own when a probe comes and no other call of it is under way;
	// nobody beats then. It is the way to watch a mutex: func() { mu.Lock(); defer mu.Unlock() }. A panic in it is
	// logged, and is no reason for a restart.
	Try func()

	beat atomic.Int64 // when, by clock; 0 while nothing is expected
	mu   sync.Mutex
	seen damper
}

// Beat says that the watched goroutine is at work. The first beat sets the watchdog going. It costs a few nanoseconds
// beside the reading of a clock.
func (w *Watchdog) Beat() { w.beat.Store(clock()) }

// Rest says that no beat is to be expected until the next one, as before waiting for work or at the end of a loop.
func (w *Watchdog) Rest() { w.beat.Store(0) }

// base is the instant that clock counts from.
var base = time.Now()

// clock is never 0. In a synctest bubble, whose time began in the year 2000, it is negative.
func clock() int64 {
	if now := int64(time.Since(base)); now != 0 {
		return now
	}
	return 1
}

func (w *Watchdog) limit() time.Duration {
	if w.Limit <= 0 {
		return time.Minute
	}
	return w.Limit
}

// look says what a probe finds.
func (w *Watchdog) look(hold time.Duration) Result {
	if w.Try != nil {
		w.try()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	beat := w.beat.Load()
	behind := time.Duration(clock() - beat)
	late := beat != 0 && behind > w.limit()
	if !w.seen.known {
		w.seen = damper{known: true, up: true}
	}
	if !late {
		hold = 0 // one beat heals
	}
	was := w.seen.up
	if w.seen.see(!late, time.Now(), hold) {
		return Result{Name: w.Name, Status: OK}
	}
	if was {
		go slog.Error("fxhealth: stuck", "watchdog", w.Name, "since", behind) // a log that hangs hangs no probe
	}
	return Result{Name: w.Name, Status: Failed, Error: "stuck for " + behind.Round(time.Millisecond).String()}
}

// try begins a Try if none is under way. It beats at its beginning and rests at its end.
func (w *Watchdog) try() {
	if !w.beat.CompareAndSwap(0, clock()) {
		return
	}
	begin("watchdog "+w.Name, func() error {
		defer w.Rest()
		w.Try()
		return nil
	})
}

// breathe is the Try of the built-in watchdog. It sets no timer: at the end of a synctest bubble none fires any more.
func breathe() {
	woken := make(chan struct{})
	go close(woken)
	<-woken
}
