package fxtest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// drawBulkhead draws a bulkhead with what it promises.
func drawBulkhead(rt *rapid.T) (func() fxtest.Limiter, fxtest.Limits) {
	want := fxtest.Limits{Limit: rapid.IntRange(0, 4).Draw(rt, "Limit"), Queue: rapid.IntRange(-1, 4).Draw(rt, "Queue"), Full: fx.ErrFull}
	want.MaxWait = time.Duration(rapid.IntRange(0, 3).Draw(rt, "MaxWait")) * 450 * ms
	queue := want.Queue
	if queue < 0 {
		queue = 1 << 20
	}
	return func() fxtest.Limiter { return &fx.Bulkhead{Limit: want.Limit, Queue: queue, MaxWait: want.MaxWait} }, want
}

func bulkheadKeepsItsLimits(rt *rapid.T) {
	made, want := drawBulkhead(rt)
	fxtest.LimiterLaws(made, want)(rt)
}

func TestBulkheadKeepsItsLimits(t *testing.T) { rapid.Check(t, bulkheadKeepsItsLimits) }

func FuzzLimiterModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(bulkheadKeepsItsLimits)) }

// A policy is judged by the same machine.
func TestBulkheadsPolicyKeepsItsLimits(t *testing.T) {
	fxtest.CheckLimiter(t, func() fxtest.Limiter {
		return fxtest.LimiterOf(func(op fx.Op[int]) fx.Op[int] { return fx.WithBulkhead(op, &fx.Bulkhead{Limit: 2, Queue: 3}) })
	}, fxtest.Limits{Limit: 2, Queue: 3, Full: fx.ErrFull})
}

// policyOf finds a policy of the tables by its name.
func policyOf(t require.TestingT, table []suspect, name string) fx.Policy[int] {
	i := slices.IndexFunc(table, func(s suspect) bool { return s.name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return table[i].policy
}

var (
	twoAndNone = fxtest.Limits{Limit: 2, Full: errFull}
	twoAndLine = fxtest.Limits{Limit: 2, Queue: -1}
)

func TestHonestPoliciesKeepTheirLimits(t *testing.T) {
	for name, want := range map[string]fxtest.Limits{
		"semaphore that refuses": twoAndNone,
		"queue by hand":          twoAndLine,
		"semaphore by a channel": twoAndLine,
		"one at a time":          {Limit: 1, Queue: -1},
	} {
		t.Run(name, func(t *testing.T) {
			fxtest.CheckLimiter(t, func() fxtest.Limiter { return fxtest.LimiterOf(policyOf(t, honest, name)) }, want)
		})
	}
}

func TestPoliciesThatBreakTheirLimitsAreCaught(t *testing.T) {
	for name, c := range map[string]struct {
		want   fxtest.Limits
		broken string
	}{
		"frees the place of a call that still runs":         {twoAndNone, "there are never more than Limit at once"},
		"lets the last in first":                            {twoAndLine, "who came first gets a place first"},
		"looks for a free place once a second":              {twoAndLine, "a free place is taken at once"},
		"counts whom it refused as running":                 {twoAndNone, ""},
		"leaks a place to a caller who had left before":     {twoAndNone, ""},
		"gives a place to one who has left its queue":       {twoAndLine, ""},
		"wakes nobody when the first in the queue has left": {twoAndLine, ""},
		"lets nobody leave its queue":                       {twoAndLine, "who leaves the queue leaves at once"},
		"starts a call whose caller left in the queue":      {twoAndLine, "who leaves the queue leaves at once"},
		"keeps a goroutine for each caller in its queue":    {twoAndLine, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := caught(t, func(t *testing.T) {
				fxtest.CheckLimiter(t, func() fxtest.Limiter { return fxtest.LimiterOf(policyOf(t, broken, name)) }, c.want)
			}, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: promise broken: "+c.broken)
		})
	}
}

// A desk is an honest Limiter of two places and a queue of two, but for the mistakes named by its fields.
type desk struct {
	generous bool          // it has a third place
	endless  bool          // it lets any number queue
	short    bool          // its queue has one place less
	deadToo  bool          // it gives places to those whose context has ended
	mute     bool          // it says that a context has ended, and not why
	polite   bool          // it refuses after a second's thought
	twice    bool          // it gives two places back where there is a queue
	impolite time.Duration // it sends those who wait away after so long

	mu   sync.Mutex
	busy int
	line []chan struct{}
}

func (d *desk) Acquire(ctx context.Context) error {
	if ctx.Err() != nil && !d.deadToo {
		return gone(ctx)
	}
	seat, err := d.ask()
	if err != nil && d.polite {
		time.Sleep(time.Second)
	}
	if seat == nil {
		return err
	}
	late := make(<-chan time.Time)
	if d.impolite > 0 {
		timer := time.NewTimer(d.impolite)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-seat:
		return nil
	case <-late:
		err = errFull
	case <-ctx.Done():
		if err = gone(ctx); d.mute {
			err = ctx.Err()
		}
	}
	d.quit(seat)
	return err
}

func (d *desk) ask() (seat chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	places, queue := 2, 2
	if d.generous {
		places = 3
	}
	if d.short {
		queue = 1
	}
	switch {
	case d.busy < places && len(d.line) == 0:
		d.busy++
		return nil, nil
	case len(d.line) >= queue && !d.endless:
		return nil, errFull
	}
	seat = make(chan struct{})
	d.line = append(d.line, seat)
	return seat, nil
}

func (d *desk) quit(seat chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.line, seat); i >= 0 {
		d.line = slices.Delete(d.line, i, i+1)
		return
	}
	d.next()
}

func (d *desk) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next(); d.twice && len(d.line) > 0 {
		d.next()
	}
}

func (d *desk) next() {
	if len(d.line) == 0 {
		d.busy--
		return
	}
	close(d.line[0])
	d.line = d.line[1:]
}

func TestHonestDeskKeepsItsLimits(t *testing.T) {
	fxtest.CheckLimiter(t, func() fxtest.Limiter { return new(desk) }, fxtest.Limits{Limit: 2, Queue: 2, Full: errFull})
}

func TestBrokenLimitersAreCaught(t *testing.T) {
	want := fxtest.Limits{Limit: 2, Queue: 2, Full: errFull}
	for name, c := range map[string]struct {
		made   func() fxtest.Limiter
		want   fxtest.Limits
		broken string
	}{
		"has a third place":         {func() fxtest.Limiter { return &desk{generous: true} }, want, "there are never more than Limit at once"},
		"lets any number queue":     {func() fxtest.Limiter { return &desk{endless: true} }, want, "there are never more than Queue who wait"},
		"has a shorter queue":       {func() fxtest.Limiter { return &desk{short: true} }, want, "nobody is sent away while there is room"},
		"gives places to the dead":  {func() fxtest.Limiter { return &desk{deadToo: true} }, want, "a context that has ended gets nothing"},
		"does not tell the cause":   {func() fxtest.Limiter { return &desk{mute: true} }, want, "who leaves is told the cause"},
		"refuses after a while":     {func() fxtest.Limiter { return &desk{polite: true} }, want, ""},
		"gives two places back":     {func() fxtest.Limiter { return &desk{twice: true} }, want, "there are never more than Limit at once"},
		"sends those away who wait": {func() fxtest.Limiter { return &desk{impolite: 150 * ms} }, want, "who waits is not sent away"},
		"forgets its MaxWait":       {func() fxtest.Limiter { return new(desk) }, fxtest.Limits{Limit: 2, Queue: 2, MaxWait: time.Second}, "nobody waits longer than MaxWait"},
		"refuses in its own words":  {func() fxtest.Limiter { return new(desk) }, fxtest.Limits{Limit: 2, Queue: 2, Full: fx.ErrFull}, "a refusal matches Full"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := caught(t, func(t *testing.T) { fxtest.CheckLimiter(t, c.made, c.want) }, "-rapid.shrinktime=0s")
			assert.Contains(t, out, "fxtest: promise broken: "+c.broken)
		})
	}
}

// What is reported is a short story that a reader can follow.
func TestReportOfALimiter(t *testing.T) {
	out := caught(t, func(t *testing.T) {
		fxtest.CheckLimiter(t, func() fxtest.Limiter { return fxtest.LimiterOf(policyOf(t, broken, "lets the last in first")) }, twoAndLine)
	}, "-rapid.seed=1", "-rapid.checks=1000")
	assert.Regexp(t, `(?s)promise broken: who came first gets a place first
\s+caller 4 has got one, and caller 3 still waits
\s+What happened, by the clock:
\s+0s +caller 1 comes
.*0s +caller \d finishes
\s+0s +caller 4 has a place
`, out)
}

func TestMisuseOfCheckLimiter(t *testing.T) {
	const want = "fxtest: CheckLimiter needs a function that makes a Limiter, and no negative Limit or MaxWait, as in fxtest.CheckLimiter(t, newQueue, fxtest.Limits{Limit: 2})"
	assert.PanicsWithValue(t, want, func() { fxtest.LimiterLaws(nil, fxtest.Limits{}) })
	assert.PanicsWithValue(t, want, func() { fxtest.LimiterLaws(func() fxtest.Limiter { return nil }, fxtest.Limits{Limit: -1}) })
	assert.PanicsWithValue(t, "fxtest: LimiterOf needs a policy, a func(fx.Op[T]) fx.Op[T] such as guarded[int]", func() { fxtest.LimiterOf(nil) })
	assert.ErrorContains(t, fxtest.LimiterOf(func(fx.Op[int]) fx.Op[int] { return fx.Value(7) }).Acquire(t.Context()), "without a call of op")
	assert.ErrorContains(t, fxtest.LimiterOf(func(op fx.Op[int]) fx.Op[int] {
		return func(context.Context) (int, error) { return op(context.Background()) }
	}).Acquire(t.Context()), "values are missing")
	assert.ErrorIs(t, fxtest.LimiterOf(func(fx.Op[int]) fx.Op[int] { return fx.Fail[int](errors.ErrUnsupported) }).Acquire(t.Context()), errors.ErrUnsupported)
}
