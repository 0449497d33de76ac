package fxtest

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Story is what happens to a policy: who calls, when, with which patience, and what the operation does then. Printed
// with %#v it is Go code.
type Story[T any] struct {
	Calls []Call[T]
}

// Call is one caller, or Times of them, and what the operation does for each.
type Call[T any] struct {
	At     time.Duration // when the call begins, from the start of the story
	Times  int           // so many callers do the same; 0 means 1
	Every  time.Duration // from one of them to the next; 0 means all at once
	Limit  time.Duration // the caller's deadline, from the beginning of the call; 0 means none
	Cancel time.Duration // when the caller gives up, with a cause of its own, from the beginning; 0 means never
	Dead   bool          // the caller's context has ended before the call begins
	Turns  []Turn[T]     // what op does for this call the first, second, … time; the last again and again
}

// turn is what op does the n-th time for this call, counted from 0.
func (c Call[T]) turn(n int) Turn[T] {
	if len(c.Turns) == 0 {
		return Turn[T]{}
	}
	return c.Turns[min(n, len(c.Turns)-1)]
}

// times is how many callers the call stands for.
func (c Call[T]) times() int { return max(c.Times, 1) }

// left tells whether every caller gives up before op could have ended by itself.
func (c Call[T]) left() bool {
	t := c.turn(0)
	return !c.Dead && c.Cancel > 0 && (c.Limit == 0 || c.Limit > c.Cancel) && c.Cancel < t.Take && !t.Deaf
}

// good tells whether op succeeds at its first turn for a caller who waits for it.
func (c Call[T]) good() bool {
	t := c.turn(0)
	return !c.Dead && c.Cancel == 0 && c.Limit == 0 && t.Err == nil && t.Panic == nil && !t.Goexit
}

// end is the instant in which the last of its callers begins.
func (c Call[T]) last() time.Duration { return c.At + time.Duration(c.times()-1)*c.Every }

// GoString is the story as Go code, without what is zero.
func (s Story[T]) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fxtest.Story[%s]{Calls: []fxtest.Call[%[1]s]{\n", typeName[T]())
	for _, c := range s.Calls {
		fmt.Fprintf(&b, "\t{%s},\n", c.fields())
	}
	return b.String() + "}}"
}

func (c Call[T]) fields() string {
	var fs fields
	fs.duration("At", c.At)
	fs.add(c.Times != 0, "Times: %d", c.Times)
	fs.duration("Every", c.Every)
	fs.duration("Limit", c.Limit)
	fs.duration("Cancel", c.Cancel)
	fs.add(c.Dead, "Dead: true")
	turns := make([]string, len(c.Turns))
	for i, t := range c.Turns {
		turns[i] = "{" + t.fields() + "}"
	}
	fs.add(len(turns) > 0, "Turns: []fxtest.Turn[%s]{%s}", typeName[T](), strings.Join(turns, ", "))
	return fs.String()
}

func (t Turn[T]) fields() string {
	var fs fields
	fs.add(!reflect.ValueOf(&t.Value).Elem().IsZero(), "Value: %s", code(t.Value))
	fs.add(t.Err != nil, "Err: %s", code(t.Err))
	fs.add(t.Panic != nil, "Panic: %s", code(t.Panic))
	fs.add(t.Goexit, "Goexit: true")
	fs.duration("Take", t.Take)
	fs.add(t.Deaf, "Deaf: true")
	return fs.String()
}

// fields collects the fields of a literal.
type fields []string

func (fs *fields) add(set bool, format string, args ...any) {
	if set {
		*fs = append(*fs, fmt.Sprintf(format, args...))
	}
}

func (fs *fields) duration(name string, d time.Duration) { fs.add(d != 0, "%s: %s", name, span(d)) }

func (fs fields) String() string { return strings.Join(fs, ", ") }

// span is d as Go code in the largest unit that divides it.
func span(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{time.Hour, "time.Hour"}, {time.Minute, "time.Minute"}, {time.Second, "time.Second"}, {time.Millisecond, "time.Millisecond"}, {time.Microsecond, "time.Microsecond"}} {
		if n := d / unit.of; n == 1 && d%unit.of == 0 {
			return unit.name
		} else if d%unit.of == 0 && n != 0 {
			return fmt.Sprintf("%d * %s", n, unit.name)
		}
	}
	return fmt.Sprintf("%d", int64(d))
}

// coded is an error that knows the Go expression which makes it.
type coded struct {
	error
	expression string
}

func (c *coded) Unwrap() error { return c.error }

// code is v as a Go expression, as well as that can be told.
func code(v any) string {
	switch v := v.(type) {
	case *coded:
		return v.expression
	case error:
		return fmt.Sprintf("errors.New(%q)", v.Error())
	}
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && !p.IsNil() {
		return fmt.Sprintf("&%#v", p.Elem().Interface())
	}
	return fmt.Sprintf("%#v", v)
}

func typeName[T any]() string { return reflect.TypeFor[T]().String() }
