// Package fxtest proves policies: those of package fx, and the ones you write yourself.
//
// A policy is a func(fx.Op[T]) fx.Op[T], and one call checks it against the laws that every policy keeps: it passes on a
// context that comes from the caller's, starts nothing for a caller who has gone, lets successes, errors, panics and
// runtime.Goexit through as they are, gives back its places, leaves no goroutine behind, and forgets trouble in time.
//
//	func TestTenants(t *testing.T) {
//		fxtest.Check(t, WithTenants[int], fxtest.Refuses("the tenant's breaker may be open"))
//	}
//
// Where a policy does more than pass a call through, it says so by a [Term] with its reason. What breaks a law is
// reported with the shortest story that shows it, as Go code for [Replay].
//
// The laws are checked in virtual time, within testing/synctest bubbles: an hour of rest costs microseconds, and every
// instant is exact. Therefore what a policy keeps must be made when it is applied, not in a package-level variable.
//
// What a policy is for, its limits and rates and cooldowns, is for models to judge: [CheckBreaker], [CheckLimiter],
// [CheckRate], [CheckTrip], [CheckBackoff] and [CheckBudget] compare it with a machine of a few lines under any sequence
// of events. [Script] and [Dependency] play the other side in virtual time, [Faults] and [Listener] on real sockets.
//
// [Fleet] runs a population of clients through their real stacks in virtual time and measures it; [Virtual] gives a
// program such a time.
package fxtest
