package main

import (
	"context"
	"regexp"
	"slices"
	"time"
)

// A row is one thing to do, done by several libraries.
type row struct {
	name       string
	op         func() operation // the op inside, made for each goroutine
	near       bool             // the caller has a deadline nearer than any timeout of the row
	crowd      int              // goroutines that it takes; 0 means alone and the usual number in parallel
	target     target
	contenders []contender
}

// A contender does the row's work by means of one library.
type contender struct {
	lib    string
	build  func() policy // makes the holders, which all goroutines share
	note   string        // what it does less or more than fx
	ahead  string        // where it is cheaper than fx: the reason
	unlike bool          // it does so much less, or more, that the ratio to it says nothing
}

// A target is what the core's author has set out to reach.
type target struct {
	ns      float64 // CPU time on a machine whose bare call takes targetBare; 0 means none
	beside  string  // a library to come within five percent of, instead
	objects int     // heap objects a call may make: a number, or one of the constants below
	reason  string  // where it is missed: the measured reason
}

// Limits on objects that are no number.
const (
	anyObjects = -1 // a call is free to allocate
	asContext  = -2 // as many as the row's contender libContext makes
)

// targetBare is the bare call of the machine that targets are meant for, in ns.
const targetBare = 1.4

// The contenders with a part of their own. All others are peers.
const (
	libFx      = "fx"
	libBare    = "bare" // the row's op alone: the baseline
	libByHand  = "by hand"
	libCareful = "by hand, careful" // with a look at the context wherever fx has one: the price of that promise
	libContext = "context"
)

// near is how far off the deadline of a caller with a deadline is, and far is the timeouts around it.
const (
	near = time.Hour
	far  = 2 * time.Hour
)

// rows lists all of them. A new case is a row in one of these functions, or a contender in one of their rows.
func rows() []row {
	return slices.Concat(
		[]row{bareRow()},
		breakerRows(),
		retryRows(),
		bulkheadRows(),
		fallbackRows(),
		hedgeRows(),
		cacheRows(),
		sagaRows(),
		timeoutRows(),
		stackRows(),
	)
}

// bareRow is what everything else is compared with.
func bareRow() row {
	return row{name: "bare call", op: same(answer), contenders: []contender{bare()}}
}

// bare is the contender that guards nothing.
func bare() contender {
	return contender{lib: libBare, build: func() policy { return func(op operation) operation { return op } }}
}

// matching returns the rows whose name matches, and the bare call, without which nothing can be compared.
func matching(all []row, name *regexp.Regexp) []row {
	return slices.DeleteFunc(all, func(r row) bool {
		return r.name != bareRow().name && !name.MatchString(r.name)
	})
}

// contender finds one of the row's by its library.
func (r row) contender(lib string) (contender, bool) {
	i := slices.IndexFunc(r.contenders, func(c contender) bool { return c.lib == lib })
	if i < 0 {
		return contender{}, false
	}
	return r.contenders[i], true
}

// context is that of the row's callers.
func (r row) context() (context.Context, context.CancelFunc) {
	if r.near {
		return context.WithTimeout(context.Background(), near)
	}
	return context.Background(), func() {}
}

// peer says whether the ratio to c tells something: neither fx, nor a baseline, nor something else altogether.
func (c contender) peer() bool {
	return c.lib != libFx && !c.baseline() && !c.unlike
}

// baseline says whether c is no library, but what one would do without.
func (c contender) baseline() bool {
	return c.lib == libBare || c.lib == libByHand || c.lib == libCareful
}

// ownRows returns the rows with nothing in them but fx and what its targets are measured by.
func ownRows(all []row) []row {
	for i, r := range all {
		all[i].contenders = slices.DeleteFunc(slices.Clone(r.contenders), func(c contender) bool {
			return c.lib != libFx && c.lib != libBare && c.lib != libContext
		})
	}
	return all
}
