package fxtest

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// A history is what one play of a model has seen, to be shown when it breaks a promise.
type history struct {
	start  time.Time
	lines  []string
	broken string
}

// errBroken ends a play that has seen enough.
var errBroken = fmt.Errorf("fxtest: broken")

// trial plays once, in a bubble of virtual time of its own, and fails rt if a promise is broken. All that is random must
// have been drawn before.
func trial(rt *rapid.T, play func(h *history)) {
	h := &history{}
	defer h.watch()()
	func() {
		defer h.deadlocked()
		rapid.SyncTest(rt, func(*rapid.T) {
			defer func() {
				if p := recover(); p != nil && p != any(errBroken) {
					panic(p)
				}
			}()
			h.start = time.Now()
			play(h)
		})
	}()
	if h.broken != "" {
		rt.Fatalf("%s", h.broken)
	}
}

// add notes what happened at this moment.
func (h *history) add(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf("%-10v ", time.Since(h.start))+fmt.Sprintf(format, args...))
}

// fail ends the play because of a broken promise.
func (h *history) fail(promise, how string, args ...any) {
	h.broken = h.report(promise, fmt.Sprintf(how, args...))
	panic(errBroken)
}

// must fails unless ok.
func (h *history) must(ok bool, promise, how string, args ...any) {
	if !ok {
		h.fail(promise, how, args...)
	}
}

func (h *history) report(promise, how string) string {
	what := strings.Join(h.lines, "\n")
	if what == "" {
		what = "nothing yet"
	}
	return fmt.Sprintf("fxtest: promise broken: %s\n  %s\nWhat happened, by the clock:\n\n%s\n", promise, how, indent(what))
}

// deadlocked turns the panic of a bubble that could not end into the promise that explains it, unless one was found.
func (h *history) deadlocked() {
	switch p := recover(); {
	case p == nil || h.broken != "":
	case strings.Contains(fmt.Sprint(p), "deadlock:"):
		h.broken = h.report("no goroutine is left behind", fmt.Sprint(p))
	default:
		panic(p)
	}
}

// watch ends the process if it is not stopped in ten seconds of real time, see the watch of Check.
func (h *history) watch() (stop func() bool) {
	return time.AfterFunc(10*time.Second, func() {
		debug.SetTraceback("all")
		panic("fxtest: promise broken: time goes on\n  a goroutine waits in a way that virtual time cannot see: for a sync.Mutex whose holder waits, in a system call, on a channel from outside, or it never waits at all")
	}).Stop
}
