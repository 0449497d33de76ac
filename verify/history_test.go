package verify

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

var (
	seedFlag      = flag.Uint64("seed", 0, "run the plan of this one history, again and again; 0 draws the plans afresh")
	failedFlag    = flag.String("failed", filepath.Join("testdata", "failed"), "the folder for pictures of failing histories")
	historiesFlag = flag.Int("histories", 0, "how many histories of each kind; 0 means as many as the kind says")
)

// A plan is one history before it happens: what each client will do, and the specification of what may come of it.
type plan struct {
	about   string // the settings of the holder
	before  []func(*client)
	clients [][]func(*client) // all at the same time
	after   []func(*client)
	spec    func([]porcupine.Operation) porcupine.Model
}

// A client is one goroutine of a history, or what that goroutine has started. It notes what it did.
type client struct {
	id   int
	tick *atomic.Int64 // the logical clock of the history
	born time.Time
	mu   sync.Mutex
	done []porcupine.Operation
	fell []porcupine.Operation // the steps that panicked
}

// A mark is an instant: by the logical clock, which orders the operations, and by the real one, for what depends on it.
type mark struct {
	tick int64
	real time.Duration
}

// A span is the stretch of real time in which an operation had its effect.
type span struct{ from, to time.Duration }

// An entry is what porcupine knows of as the input of an operation.
type entry struct {
	in any
	at span
}

// before is a mark that is not later than what follows, after one that is not earlier than what it follows: hence the
// order in which the two clocks are read.
func (c *client) before() mark {
	real := time.Since(c.born)
	return mark{c.tick.Add(1), real}
}

func (c *client) after() mark {
	tick := c.tick.Add(1)
	return mark{tick, time.Since(c.born)}
}

// note writes down an operation that had its effect between two marks.
func (c *client) note(from, to mark, in, out any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, porcupine.Operation{
		ClientId: c.id, Input: entry{in, span{from.real, to.real}}, Call: from.tick, Output: out, Return: to.tick,
	})
}

// do does an operation and notes it.
func (c *client) do(in any, op func() any) {
	from := c.before()
	out := op()
	c.note(from, c.after(), in, out)
}

// pause shifts a client against the others by up to n yields or turns of an empty loop.
func pause(rng *rand.Rand) func(*client) {
	yields, turns := rng.IntN(3), rng.IntN(200)
	return func(*client) {
		for range yields {
			runtime.Gosched()
		}
		for range turns {
			_ = spun.Load()
		}
	}
}

var spun atomic.Int64

// wait lets real time pass. What it is for allows for any delay, so no verdict depends on how long it really takes.
func wait(d time.Duration) func(*client) {
	return func(*client) { <-time.After(d) }
}

// run lets p happen and returns its operations, and the steps that panicked.
func run(p plan) (ops, fell []porcupine.Operation) {
	var tick atomic.Int64
	born := time.Now()
	all := make([]*client, len(p.clients))
	for i := range all {
		all[i] = &client{id: i, tick: &tick, born: born}
	}
	follow(all[0], p.before)
	var ready atomic.Int64
	var group sync.WaitGroup
	for i, c := range all {
		group.Go(func() {
			for ready.Add(1); ready.Load() < int64(len(all)); {
				runtime.Gosched()
			}
			follow(c, p.clients[i])
		})
	}
	group.Wait()
	follow(all[0], p.after)
	for _, c := range all {
		ops, fell = append(ops, c.done...), append(fell, c.fell...)
	}
	return ops, fell
}

func follow(c *client, steps []func(*client)) {
	for _, step := range steps {
		c.take(step)
	}
}

// take takes a step. If the step panics the client goes on, so that nobody waits for it in vain.
func (c *client) take(step func(*client)) {
	from := c.before()
	defer func() {
		if why := recover(); why != nil {
			out := panicked(fmt.Sprintf("panicked: %v\n%s", why, debug.Stack()))
			c.fell = append(c.fell, porcupine.Operation{ClientId: c.id, Call: from.tick, Output: out, Return: c.after().tick})
		}
	}()
	step(c)
}

// A panicked is what came of a step that no specification allows.
type panicked string

// model makes of a specification what porcupine understands. step returns the states that an operation of this input,
// output and time may lead to; none if it cannot be.
func model[S comparable, I interface{ describe(O) string }, O any](start S, step func(s S, in I, out O, at span) []S) porcupine.Model {
	nondeterministic := porcupine.NondeterministicModel{
		Init: func() []any { return []any{start} },
		Step: func(s, in, out any) (next []any) {
			if _, fell := out.(panicked); fell {
				return nil
			}
			e := in.(entry)
			for _, n := range step(s.(S), e.in.(I), out.(O), e.at) {
				next = append(next, n)
			}
			return next
		},
		DescribeOperation: func(in, out any) string {
			if why, fell := out.(panicked); fell {
				return string(why)
			}
			return in.(entry).in.(I).describe(out.(O))
		},
		DescribeState: func(s any) string { return fmt.Sprintf("%+v", s) },
	}
	return nondeterministic.ToModel()
}

// only is what a step returns that leads to s if ok, and else is impossible.
func only[S any](s S, ok bool) []S {
	if !ok {
		return nil
	}
	return []S{s}
}

// A kind of history.
type kind struct {
	name        string
	long, short int // how many make a long and a short run
	atOnce      int // how many run at the same time; more than one where they mostly wait
	draw        func(*rand.Rand) plan
}

// check runs histories of one kind and fails at the first that is not linearizable.
func check(t *testing.T, k kind) {
	count := k.long
	if testing.Short() {
		count = k.short
	}
	if *historiesFlag > 0 {
		count = *historiesFlag
	}
	first := *seedFlag
	if first == 0 {
		first = rand.Uint64()>>1 + 1
	}
	t.Logf("%s: %d histories, first seed %d", k.name, count, first)
	r := runner{kind: k, first: first, count: int64(count), start: time.Now()}
	var group sync.WaitGroup
	for range k.atOnce {
		group.Go(func() { r.work(t) })
	}
	group.Wait()
	if bad := r.failed.Load(); bad != nil {
		t.Fatal(bad.keep(t))
	}
	t.Logf("%s: %d histories of %d operations are linearizable, %.1f s", k.name, count, r.ops.Load(), time.Since(r.start).Seconds())
}

// A runner runs the histories of one kind.
type runner struct {
	kind
	first  uint64
	count  int64
	start  time.Time
	begun  atomic.Int64
	ops    atomic.Int64
	failed atomic.Pointer[violation]
}

// patience is how long a history may take, and porcupine over it; some microseconds are usual.
const patience = 30 * time.Second

func (r *runner) work(t *testing.T) {
	for i := r.begun.Add(1) - 1; i < r.count && r.failed.Load() == nil; i = r.begun.Add(1) - 1 {
		if i > 0 && i%max(r.count/5, 1) == 0 {
			t.Logf("%s: %d of %d, %.1f s", r.name, i, r.count, time.Since(r.start).Seconds())
		}
		seed := r.first
		if *seedFlag == 0 {
			seed += uint64(i)
		}
		r.one(seed)
	}
}

func (r *runner) one(seed uint64) {
	p := r.draw(rand.New(rand.NewPCG(seed, 0)))
	hangs := time.AfterFunc(patience, func() { panic(fmt.Sprintf("a history of %s hangs, seed %d\n%s", r.name, seed, p.about)) })
	ops, fell := run(p)
	hangs.Stop()
	r.ops.Add(int64(len(ops)))
	m := p.spec(ops)
	ops = append(ops, fell...)
	result, info := porcupine.CheckOperationsVerbose(m, ops, patience)
	if result != porcupine.Ok {
		r.failed.CompareAndSwap(nil, &violation{r.name, seed, p, m, ops, result, info})
	}
}

// A violation is a history that is not linearizable, or that porcupine could not decide.
type violation struct {
	name   string
	seed   uint64
	plan   plan
	model  porcupine.Model
	ops    []porcupine.Operation
	result porcupine.CheckResult
	info   porcupine.LinearizationInfo
}

// keep draws the picture of the history and says all there is to say.
func (f *violation) keep(t *testing.T) string {
	file := filepath.Join(*failedFlag, fmt.Sprintf("%s-%d.html", f.name, f.seed))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, porcupine.VisualizePath(f.model, f.info, file))
	verdict := "not linearizable"
	if f.result == porcupine.Unknown {
		verdict = "undecided after " + patience.String()
	}
	file, err := filepath.Abs(file)
	require.NoError(t, err)
	return fmt.Sprintf("%s: a history of %s, seed %d\n%s\npicture: %s\nits plan again: go test -run '^%s$' . -seed %d -histories 10000\n%s",
		verdict, f.name, f.seed, f.plan.about, file, t.Name(), f.seed, f.text())
}

// text lists the operations by their calls.
func (f *violation) text() string {
	slices.SortStableFunc(f.ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var lines strings.Builder
	for _, op := range f.ops {
		fmt.Fprintf(&lines, "  client %d  [%3d, %3d]  %s\n", op.ClientId, op.Call, op.Return, f.model.DescribeOperation(op.Input, op.Output))
	}
	return lines.String()
}
