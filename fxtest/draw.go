package fxtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"example.com/fx"
)

// drawer draws stories for policies of T.
type drawer[T any] struct {
	values *rapid.Generator[T]
	made   int // errors and panic values, each unlike the others
}

// newDrawer makes a drawer of any values that can be made; of a type with interfaces, functions or channels in it, it
// draws the zero value alone.
func newDrawer[T any]() (d drawer[T]) {
	defer func() {
		if recover() != nil {
			d.values = rapid.Custom(func(rt *rapid.T) T {
				v, _ := any(rapid.Int().Draw(rt, "number")).(T) // as T may be any
				return v
			})
		}
	}()
	return drawer[T]{values: rapid.Make[T]()}
}

// story draws one of the shapes that policies have been seen to fail in. One call in seventeen is left out, so that a
// story shrinks by leaving out any.
func (d *drawer[T]) story(rt *rapid.T) Story[T] {
	shapes := []func(*rapid.T) []Call[T]{d.anything, d.anything, d.joiners, d.leavers, d.troubleAndRest, d.hungAfterTrouble}
	calls := shapes[rapid.IntRange(0, len(shapes)-1).Draw(rt, "shape")](rt)
	return Story[T]{Calls: slices.DeleteFunc(calls, func(Call[T]) bool { return rapid.Uint64().Draw(rt, "stays") == 0 })}
}

// anything is a few callers of all kinds.
func (d *drawer[T]) anything(rt *rapid.T) []Call[T] {
	calls := make([]Call[T], rapid.IntRange(1, 5).Draw(rt, "calls"))
	for i := range calls {
		calls[i] = whole(rt, "call", d.caller)
	}
	return calls
}

func (d *drawer[T]) caller(rt *rapid.T) Call[T] {
	c := Call[T]{
		At:    moment.Draw(rt, "at"),
		Times: rapid.SampledFrom([]int{0, 0, 0, 0, 2, 3, 12}).Draw(rt, "times"),
		Turns: d.turns(rt),
	}
	c.Every = d.every(rt, c.Times)
	d.patience(rt, &c)
	return c
}

// whole draws something as one piece, so that a story shrinks by leaving all of it out.
func whole[V any](rt *rapid.T, label string, draw func(*rapid.T) V) V {
	return rapid.Custom(draw).Draw(rt, label)
}

// joiners is one caller after the other while op is still at work for the first, who mostly does not wait for it.
func (d *drawer[T]) joiners(rt *rapid.T) []Call[T] {
	calls := make([]Call[T], rapid.IntRange(2, 4).Draw(rt, "calls"))
	for i := range calls {
		calls[i] = Call[T]{At: time.Duration(i) * 20 * time.Millisecond, Turns: []Turn[T]{d.turn(rt)}}
		d.patience(rt, &calls[i])
	}
	first := &calls[0].Turns[0]
	first.Take, first.Deaf = 300*time.Millisecond, true
	return calls
}

// leavers is callers who give up soon or come too late, and then one or many who stay.
func (d *drawer[T]) leavers(rt *rapid.T) []Call[T] {
	var calls []Call[T]
	at := time.Duration(0)
	for range rapid.IntRange(1, 3).Draw(rt, "calls") {
		c := Call[T]{At: at, Times: rapid.IntRange(0, 30).Draw(rt, "times"), Every: 20 * time.Millisecond}
		switch rapid.IntRange(0, 3).Draw(rt, "how") {
		case 0:
			c.Dead = true
		case 1:
			c.Turns = []Turn[T]{{Value: d.value(rt)}}
		default:
			c.Cancel = rapid.SampledFrom([]time.Duration{time.Millisecond, 5 * time.Millisecond}).Draw(rt, "cancel")
			c.Turns = []Turn[T]{{Value: d.value(rt), Take: 15 * time.Millisecond}}
		}
		calls = append(calls, c)
		at = c.last() + 20*time.Millisecond
	}
	return append(calls, d.stay(rt, at))
}

// troubleAndRest is trouble, a rest, a few good calls one by one, and then one or many at once.
func (d *drawer[T]) troubleAndRest(rt *rapid.T) []Call[T] {
	calls := d.trouble(rt)
	at := calls[len(calls)-1].last() + rest
	good := Call[T]{At: at, Times: 10, Every: 10 * time.Second, Turns: []Turn[T]{{Value: d.value(rt)}}}
	return append(calls, good, d.stay(rt, good.last()+10*time.Second))
}

// hungAfterTrouble is trouble, a rest, a call that hangs, another rest, and then good calls while it still does.
func (d *drawer[T]) hungAfterTrouble(rt *rapid.T) []Call[T] {
	calls := d.trouble(rt)
	at := calls[len(calls)-1].last() + rest
	hung := Call[T]{At: at, Turns: []Turn[T]{{Take: 3 * rest, Deaf: true}}}
	good := Call[T]{At: at + rest, Times: 10, Every: 10 * time.Second, Turns: []Turn[T]{{Value: d.value(rt)}}}
	return append(calls, hung, good, d.stay(rt, good.last()+10*time.Second))
}

// trouble is some calls in a row or at once which mostly go wrong.
func (d *drawer[T]) trouble(rt *rapid.T) []Call[T] {
	var calls []Call[T]
	at := time.Duration(0)
	for range rapid.IntRange(1, 3).Draw(rt, "calls") {
		c := Call[T]{At: at, Times: rapid.SampledFrom([]int{0, 1, 2, 5, 10, 30}).Draw(rt, "times"), Turns: d.turns(rt)}
		c.Every = d.every(rt, c.Times)
		d.patience(rt, &c)
		calls = append(calls, c)
		at = c.last() + moment.Draw(rt, "gap")
	}
	return calls
}

// stay is one or many callers who wait for a good answer.
func (d *drawer[T]) stay(rt *rapid.T, at time.Duration) Call[T] {
	times := rapid.SampledFrom([]int{0, 0, 3, 40, 120}).Draw(rt, "times")
	return Call[T]{At: at, Times: times, Turns: []Turn[T]{{Value: d.value(rt), Take: time.Second}}}
}

func (d *drawer[T]) turns(rt *rapid.T) []Turn[T] {
	turns := make([]Turn[T], rapid.IntRange(1, 4).Draw(rt, "turns"))
	for i := range turns {
		turns[i] = whole(rt, "turn", d.turn)
	}
	return turns
}

// turn draws one ending. The simple ones come first, as it is these that a story shrinks to.
func (d *drawer[T]) turn(rt *rapid.T) Turn[T] {
	t := Turn[T]{Take: moment.Draw(rt, "take")}
	switch rapid.SampledFrom(endings).Draw(rt, "ending") {
	case "value":
		t.Value = d.value(rt)
	case "error":
		t.Err = d.failure(rt)
	case "panic":
		t.Panic = d.panic(rt)
	case "goexit":
		t.Goexit = true
	case "hang":
		t.Take = hang
	}
	t.Deaf = t.Take > 0 && rapid.SampledFrom([]bool{false, false, false, true}).Draw(rt, "deaf")
	return t
}

var endings = []string{"value", "value", "value", "error", "error", "error", "panic", "goexit", "hang"}

// value draws a value, the zero one included.
func (d *drawer[T]) value(rt *rapid.T) T { return d.values.Draw(rt, "value") }

// failure draws an error that is unlike any other, of one of the kinds that policies tell apart.
func (d *drawer[T]) failure(rt *rapid.T) error {
	d.made++
	name := fmt.Sprintf("e%d", d.made)
	plain := errors.New(name)
	switch rapid.SampledFrom(classes).Draw(rt, "error") {
	case "permanent":
		return &coded{fx.Permanent(plain), fmt.Sprintf("fx.Permanent(errors.New(%q))", name)}
	case "unsure":
		return &coded{fx.Unsure(plain), fmt.Sprintf("fx.Unsure(errors.New(%q))", name)}
	case "canceled": // by the other side: the caller still waits
		return &coded{fmt.Errorf("%w: %w", plain, context.Canceled), fmt.Sprintf(`fmt.Errorf("%s: %%w", context.Canceled)`, name)}
	case "deadline":
		return &coded{fmt.Errorf("%w: %w", plain, context.DeadlineExceeded), fmt.Sprintf(`fmt.Errorf("%s: %%w", context.DeadlineExceeded)`, name)}
	case "full":
		return &coded{fmt.Errorf("%w: %w", plain, fx.ErrFull), fmt.Sprintf(`fmt.Errorf("%s: %%w", fx.ErrFull)`, name)}
	}
	return &coded{plain, fmt.Sprintf("errors.New(%q)", name)}
}

var classes = []string{"plain", "plain", "plain", "plain", "permanent", "unsure", "canceled", "deadline", "full"}

// panic draws a value to panic with, mostly one that does not survive being printed.
func (d *drawer[T]) panic(rt *rapid.T) any {
	d.made++
	name := fmt.Sprintf("p%d", d.made)
	if rapid.SampledFrom([]bool{true, true, false}).Draw(rt, "error") {
		return &coded{errors.New(name), fmt.Sprintf("errors.New(%q)", name)}
	}
	return name
}

// every draws how far apart some callers of a kind are.
func (d *drawer[T]) every(rt *rapid.T, times int) time.Duration {
	if times < 2 {
		return 0
	}
	return moment.Draw(rt, "every")
}

// patience draws how long the caller waits.
func (d *drawer[T]) patience(rt *rapid.T, c *Call[T]) {
	switch rapid.SampledFrom(patiences).Draw(rt, "patience") {
	case "deadline":
		c.Limit = length.Draw(rt, "limit")
	case "leaves":
		c.Cancel = length.Draw(rt, "cancel")
	case "both":
		c.Limit, c.Cancel = length.Draw(rt, "limit"), length.Draw(rt, "cancel")
	case "dead":
		c.Dead = true
	}
}

var patiences = []string{"waits", "waits", "waits", "deadline", "leaves", "leaves", "both", "dead"}

var (
	lengths = []time.Duration{
		time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond,
		time.Second, 3 * time.Second, 15 * time.Second, time.Minute,
	}
	length = rapid.SampledFrom(lengths)                                            // a while
	moment = rapid.SampledFrom(append([]time.Duration{0, 0, 0, 0, 0}, lengths...)) // a while or nothing
)
