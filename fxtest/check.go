package fxtest

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"example.com/fx"
)

// Check proves that policy keeps the laws of every policy, but for the terms: it plays random stories in virtual time,
// with callers who wait, leave, come too late or come all at once, and operations that succeed, fail, panic, exit,
// hang, and ignore their context. A law that is broken fails the test with the shortest story that breaks it, as Go
// code to paste beside Replay.
//
// The policy is applied afresh for each story, within the story's synctest bubble. So what it keeps has to be made when
// it is applied:
//
//	fxtest.Check(t, func(op fx.Op[int]) fx.Op[int] { return WithTenants(op, &Tenants{}) })
//
// The number of stories is that of rapid: 100, or as -rapid.checks or RAPID_CHECKS say.
func Check[T any](t *testing.T, policy fx.Policy[T], terms ...Term) {
	t.Helper()
	rapid.Check(t, Laws(policy, terms...))
}

// Laws is the property that Check checks, for rapid.MakeFuzz or a rapid.Check of one's own.
func Laws[T any](policy fx.Policy[T], terms ...Term) func(*rapid.T) {
	mustPolicy("Check", policy)
	locks := sync.OnceValue(func() bool { return holdsLock(policy) })
	return func(rt *rapid.T) {
		d := newDrawer[T]()
		story, spelling := d.story(rt), rapid.IntRange(0, len(spellings[T]())-1).Draw(rt, "spelling")
		if locks() {
			rt.Fatalf("fxtest: law broken: no lock is held while op runs\n  a second call, whose context had ended, waited until the first had returned")
		}
		defer watch(story, terms)()
		var broken string
		func() {
			defer deadlocked(&broken, story, terms)
			rapid.SyncTest(rt, func(*rapid.T) { broken = judge(spellings[T]()[spelling](policy), story, terms) })
		}()
		if broken != "" {
			rt.Fatalf("%s", broken)
		}
	}
}

func mustPolicy[T any](name string, policy fx.Policy[T]) {
	if policy == nil {
		panic("fxtest: " + name + " needs a policy, a func(fx.Op[T]) fx.Op[T] such as guarded[int]")
	}
}

// Replay plays one story, as it stands in the report of a broken law, and checks the laws on it.
func Replay[T any](t *testing.T, policy fx.Policy[T], story Story[T], terms ...Term) {
	t.Helper()
	defer watch(story, terms)()
	var broken string
	func() {
		defer deadlocked(&broken, story, terms)
		synctest.Test(t, func(*testing.T) { broken = judge(policy, story, terms) })
	}()
	if broken != "" {
		t.Fatal(broken)
	}
}

// judge plays the story and says which law it breaks, or "".
func judge[T any](policy fx.Policy[T], story Story[T], terms contract) string {
	s := play(terms, policy, story)
	if s.early {
		return report("applying a policy calls nothing", "op was called before anybody had called", story, terms)
	}
	for _, l := range laws[T]() {
		for _, r := range s.runs {
			if why := l.check(terms, s, r); why != "" {
				return report(l.name, fmt.Sprintf("caller %d, at %v: %s", r.number+1, r.begin, why), story, terms)
			}
		}
	}
	if s.left != "" {
		return report("no goroutine is left behind", "when all was over there was still\n"+indent(s.left), story, terms)
	}
	for _, l := range comparisons[T]() {
		if why := l.check(terms, policy, s, story); why != "" {
			return report(l.name, why, story, terms)
		}
	}
	return ""
}

// spellings are equal ways to write one policy: composition has an identity, and is associative.
func spellings[T any]() []func(fx.Policy[T]) fx.Policy[T] {
	id := func(op fx.Op[T]) fx.Op[T] { return op }
	return []func(fx.Policy[T]) fx.Policy[T]{
		func(p fx.Policy[T]) fx.Policy[T] { return p },
		func(p fx.Policy[T]) fx.Policy[T] { return fx.Compose(p) },
		func(p fx.Policy[T]) fx.Policy[T] { return fx.Compose(id, fx.Compose(p, id)) },
		func(p fx.Policy[T]) fx.Policy[T] { return fx.Compose(fx.Compose(id, p), id) },
	}
}

// report says which law was broken and how, and gives the story to paste.
func report[T any](law, how string, story Story[T], terms contract) string {
	return fmt.Sprintf("fxtest: law broken: %s\n  %s\nThe story, to paste into a test:\n\n\tfxtest.Replay(t, policy, %s%#v)\n", law, how, indent(fmt.Sprintf("%#v", story))[1:], terms)
}

func indent(text string) string {
	return "\t" + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n\t")
}

// deadlocked turns the panic of a bubble that could not end into the law that explains it, unless one was found.
func deadlocked[T any](broken *string, story Story[T], terms contract) {
	switch p := recover(); {
	case p == nil || *broken != "":
	case strings.Contains(fmt.Sprint(p), "deadlock:"):
		*broken = report("no goroutine is left behind", fmt.Sprint(p), story, terms)
	default:
		panic(p)
	}
}

// watch ends the process if it is not stopped in ten seconds of real time: where virtual time stands still, nothing
// else can.
func watch[T any](story Story[T], terms contract) (stop func() bool) {
	return time.AfterFunc(10*time.Second, func() {
		debug.SetTraceback("all")
		panic(report("time goes on", "a goroutine waits in a way that virtual time cannot see: for a sync.Mutex whose holder waits, in a system call, or on a channel from outside", story, terms))
	}).Stop
}

// holdsLock tells whether a second call gets stuck while op runs for the first, even when its context has ended. It
// does so in real time, as nothing that waits for a sync.Mutex can be seen in virtual time.
func holdsLock[T any](policy fx.Policy[T]) bool {
	type second struct{}
	var guarded fx.Op[T]
	var asked, stuck atomic.Bool
	guarded = policy(func(ctx context.Context) (none T, err error) {
		if ctx.Value(second{}) != nil || asked.Swap(true) {
			return none, nil
		}
		ctx, leave := context.WithCancel(context.WithValue(context.Background(), second{}, true))
		defer leave()
		stuck.Store(!returns(20*time.Millisecond, func() { _, _ = guarded(ctx) }, leave))
		return none, nil
	})
	returns(time.Minute, func() { _, _ = guarded(context.Background()) }, func() {})
	return stuck.Load()
}

// returns calls f, and leave if f has not returned after d, and tells whether f returns then.
func returns(d time.Duration, f, leave func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		f()
	}()
	for _, wait := range []time.Duration{d, 5 * time.Second} {
		select {
		case <-done:
			return true
		case <-time.After(wait):
			leave()
		}
	}
	return false
}
