package fxtest

import (
	"log/slog"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
)

// Virtual runs f in virtual time: in a bubble of testing/synctest, where time stands still while anybody works and leaps
// ahead when all wait. It is for programs; a test has synctest.Test. It returns when f and all goroutines that f started
// have ended. Several may run at once, each in a time of its own, which begins with the year 2000.
//
// A panic of f reaches the caller with its value, and its stack is logged with slog; a Goexit is a Goexit. It panics when
// a goroutine is left that waits for ever, as time stands still once f has returned, and when called within a bubble.
// f must not wait for anything that somebody outside does: no channel, no lock, no network.
func Virtual(f func()) {
	end := virtualEnd{exited: true}
	// A bubble belongs to a test. This one is nobody's: nothing is asked of it, and f fails in other ways. The testing
	// package does not promise that this works; it does with Go 1.25 and 1.26, and the tests of Virtual watch over it.
	synctest.Test(new(testing.T), func(*testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			end.of(f)
		}()
		<-done
	})
	switch {
	case end.panicked != nil:
		panic(end.panicked)
	case end.exited:
		runtime.Goexit()
	}
}

// A virtualEnd is how a function ended.
type virtualEnd struct {
	panicked any
	exited   bool
}

func (e *virtualEnd) of(f func()) {
	defer func() {
		if e.panicked = recover(); e.panicked != nil {
			slog.Error("fxtest: panic in virtual time", "panic", e.panicked, "stack", string(debug.Stack()))
		}
	}()
	f()
	e.exited = false
}
