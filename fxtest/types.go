package fxtest

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"example.com/fx"
)

// CheckTypes proves that a generic policy does the same for values of two types: that it looks at no value which it was
// not given for that. Choose types that are unlike, such as int and *User:
//
//	fxtest.CheckTypes(t, guarded[int], guarded[*User], terms...)
//
// What the policy keeps has to be made when it is applied, as for Check.
func CheckTypes[A, B any](t *testing.T, a fx.Policy[A], b fx.Policy[B], terms ...Term) {
	t.Helper()
	rapid.Check(t, TypeLaws(a, b, terms...))
}

// TypeLaws is the property that CheckTypes checks.
func TypeLaws[A, B any](a fx.Policy[A], b fx.Policy[B], terms ...Term) func(*rapid.T) {
	mustPolicy("CheckTypes", a)
	mustPolicy("CheckTypes", b)
	return func(rt *rapid.T) {
		da, db := newDrawer[A](), newDrawer[B]()
		one := Story[A]{Calls: da.anything(rt)[:1]}
		call := &one.Calls[0]
		call.Times = 0
		if contract(terms).has(waits) { // a wait may be random, and a deadline then cut it at any point
			call.Limit, call.Cancel = 0, 0
		}
		other := translate(rt, one, db)
		defer watch(one, terms)()
		var seenA, seenB string
		rapid.SyncTest(rt, func(*rapid.T) {
			seenA, seenB = play(terms, a, one).trace(), play(terms, b, other).trace()
		})
		if seenA != seenB {
			rt.Fatalf("%s\nand for the other type:\n\n\t%#v\n", report("a policy does the same for every type", fmt.Sprintf("for %s it was: %s\n  for %s it was: %s", typeName[A](), seenA, typeName[B](), seenB), one, terms), other)
		}
	}
}

// translate is the story for values of another type.
func translate[A, B any](rt *rapid.T, s Story[A], d drawer[B]) (other Story[B]) {
	for _, c := range s.Calls {
		turned := Call[B]{At: c.At, Times: c.Times, Every: c.Every, Limit: c.Limit, Cancel: c.Cancel, Dead: c.Dead}
		for _, t := range c.Turns {
			turned.Turns = append(turned.Turns, Turn[B]{Value: d.value(rt), Err: t.Err, Panic: t.Panic, Goexit: t.Goexit, Take: t.Take, Deaf: t.Deaf})
		}
		other.Calls = append(other.Calls, turned)
	}
	return other
}

// trace is what the first call did, but for values.
func (s *stage[T]) trace() string {
	r := s.runs[0]
	ended := "a value"
	if !r.succeeded() {
		ended = r.outcome.String()
	}
	return fmt.Sprintf("op called %d times, the call ended in %s", len(r.visits), ended)
}
