package fx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Hedge cuts the tail of latency: when an op has not answered for a while, it starts a second copy and takes the
// answer that comes first (Dean and Barroso, The Tail at Scale, CACM 2013). Share one among all calls of one kind; it
// learns from them.
//
// The zero value waits for the 95 % quantile of recent latencies, and starts one further copy within a budget of 10 %
// of the calls and one a second. It is safe for concurrent use and must not be copied after first use.
type Hedge struct {
	// After is how long to wait before each further copy; under Quantile it is the least wait, and the whole rule
	// until 50 calls have been seen. A negative duration means no wait. Timers are good to a millisecond or so.
	After time.Duration
	// Quantile, where set, waits for that quantile of the latencies of recent first copies, so that about 1 - Quantile
	// of the calls are hedged. 0 means 0.95 if After is 0 too, else off; it is brought into [0.5, 0.9999].
	Quantile float64
	// Max is how many further copies are started. 0 means 1, a negative number none.
	Max int
	// Budget limits the further copies. nil means one of its own, of 10 % of the calls and one a second.
	Budget *Budget
	// OnHedge hears of each further copy, counted from 1, on the copy's goroutine.
	OnHedge func(ctx context.Context, n int)

	once    sync.Once
	own     Budget
	latency quantile
	started atomic.Int64 // further copies, see HedgeCounts
	won     atomic.Int64
	wasted  atomic.Int64
}

// HedgeCounts are what the further copies of a [Hedge] came to since it was made. Those that are neither won nor wasted
// still run.
type HedgeCounts struct {
	Started int           // further copies
	Won     int           // of them, those whose answer was taken
	Wasted  int           // of them, those that ended in vain
	Delay   time.Duration // how long the next call would wait for a further copy; 0 also while it hedges none
}

// Counts returns the counts of this moment.
func (h *Hedge) Counts() HedgeCounts {
	delay, _ := h.wait()
	won, wasted := int(h.won.Load()), int(h.wasted.Load())
	return HedgeCounts{Started: int(h.started.Load()), Won: won, Wasted: wasted, Delay: delay}
}

// WithHedge calls op, and calls it again while no answer comes, as h says; the first success wins. It answers slowness,
// not errors: an error never beats a copy that still runs, and when none does it is returned (of several, joined).
//
// Copies run on goroutines of their own. The losers' context is cancelled and nobody waits for them; a value that
// comes late goes to each discard once, for instance to be closed. When ctx ends, the call returns at once.
//
// Hedge what may safely run twice: a read, never a write without an idempotency key.
func WithHedge[T any](op Op[T], h *Hedge, discard ...func(T)) Op[T] {
	if op == nil || h == nil {
		panic("fx: WithHedge needs an op and a hedge, as in fx.WithHedge(op, &fx.Hedge{})")
	}
	mustDiscard("WithHedge", discard)
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		r := &race[T]{op: op, h: h, discard: discard, left: stragglersIn(ctx)}
		r.ctx, r.cancel = context.WithCancelCause(ctx)
		return r.run(ctx)
	}
}

func mustDiscard[T any](name string, discard []func(T)) {
	for _, d := range discard {
		if d == nil {
			panic("fx: " + name + " needs discards that are not nil; leave out what is not needed")
		}
	}
}

// A race is one hedged call.
type race[T any] struct {
	op      Op[T]
	h       *Hedge
	discard []func(T)
	left    *stragglers
	ctx     context.Context // of all copies
	cancel  context.CancelCauseFunc
	start   int64 // by clock; only under Quantile

	mu      sync.Mutex
	timer   *time.Timer // starts the next copy; nil if there will be none
	started int
	running int
	over    bool
	fed     bool       // the first copy has told its latency
	errs    []error    // of the copies that have failed, by number
	result  outcome[T] // what ended it
}

// run starts the first copy and waits for the end of their context: of the race, or of the caller.
func (r *race[T]) run(ctx context.Context) (T, error) {
	delay, hedging := r.h.wait()
	r.h.budget().deposit()
	if r.h.quantile() > 0 {
		r.start = clock()
	}
	step := func() { r.step(delay) } // one object for the goroutine and the timer
	if hedging {
		r.arm(delay, step)
	}
	go step()
	<-r.ctx.Done()
	r.finish(outcome[T]{err: errLost})
	if r.result.err == errLost {
		return none[T](), r.abandoned(ctx)
	}
	return r.result.deliver()
}

// abandoned is the error of a race that its caller has left, with those of the copies that had failed by then.
func (r *race[T]) abandoned(ctx context.Context) error {
	err := leftBehind(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, failed := range r.errs {
		if failed != nil {
			err = fmt.Errorf("%w; a copy had failed: %w", err, failed)
		}
	}
	return err
}

func (r *race[T]) arm(delay time.Duration, step func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = time.AfterFunc(delay, step)
}

// step runs the next copy.
func (r *race[T]) step(delay time.Duration) {
	if n, ok := r.begin(delay); ok {
		r.copy(n)
	}
}

// begin counts one more copy, if the race still goes on and the budget allows it; the first is free.
func (r *race[T]) begin(delay time.Duration) (n int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = r.started
	if r.over || r.ctx.Err() != nil || n > 0 && !r.h.budget().withdraw() {
		return n, false
	}
	r.started++
	r.running++
	r.left.start()
	if n > 0 {
		r.h.started.Add(1)
	}
	if n > 0 && r.started <= r.h.most() {
		r.timer.Reset(delay)
	}
	return n, true
}

// copy runs the op once and tells how it ended.
func (r *race[T]) copy(n int) {
	o := outcome[T]{i: n, exited: true}
	defer func() {
		if o.panicked = recover(); o.panicked != nil {
			o.exited = false
			logPanic(o.panicked)
		}
		r.ended(o)
	}()
	if n > 0 && r.h.OnHedge != nil {
		r.h.OnHedge(r.ctx, n)
	}
	o.v, o.err = r.op(r.ctx)
	o.exited = false
}

// ended takes the end of a copy: it decides the race, or waits for the others, or comes too late.
func (r *race[T]) ended(o outcome[T]) {
	if o.i == 0 {
		r.feed(o.ok())
	}
	ok := o.ok()
	won := (o.err == nil || r.lastError(&o)) && r.finish(o) && ok
	r.count(o.i, won)
	if won || !ok {
		r.left.end()
		return
	}
	dispose(o.v, r.discard)
	r.left.end(o.v)
}

// count adds the end of a further copy to the counts of the hedge.
func (r *race[T]) count(n int, won bool) {
	switch {
	case n == 0:
	case won:
		r.h.won.Add(1)
	default:
		r.h.wasted.Add(1)
	}
}

// lastError keeps the error of a copy, and says whether it decides: when no other copy runs. o then has them all.
func (r *race[T]) lastError(o *outcome[T]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.errs) <= o.i {
		r.errs = append(r.errs, nil)
	}
	r.errs[o.i] = o.err
	if r.running--; r.running > 0 {
		return false
	}
	if r.started > 1 {
		o.err = &copiesError{r.errs}
	}
	return true
}

// finish ends the race with o, unless it has ended.
func (r *race[T]) finish(o outcome[T]) bool {
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		return false
	}
	r.over, r.result = true, o
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.feed(false)
	r.cancel(errLost)
	return true
}

// errLost is what a losing copy finds as the cause in its context, and the result of a race that its caller left.
var errLost = errors.New("fx: another copy was faster, or the caller has left")

// feed tells the latency of the first copy, once: exactly if it has answered, else as a lower bound.
func (r *race[T]) feed(answered bool) {
	if r.h.quantile() <= 0 {
		return
	}
	r.mu.Lock()
	first := !r.fed
	r.fed = true
	r.mu.Unlock()
	if first {
		r.h.latency.feed(r.h.quantile(), clock()-r.start, answered)
	}
}

// copiesError is the error of a race that no copy has won.
type copiesError struct{ errs []error }

func (e *copiesError) Error() string {
	texts := make([]string, len(e.errs))
	for i, err := range e.errs {
		texts[i] = text(err)
	}
	return "fx: all " + strconv.Itoa(len(e.errs)) + " copies failed: " + strings.Join(texts, "; ")
}

func (e *copiesError) Unwrap() []error { return e.errs }

// wait is the time before a further copy, and false if there should be none.
func (h *Hedge) wait() (time.Duration, bool) {
	if h.most() <= 0 {
		return 0, false
	}
	after := max(h.After, 0)
	if h.quantile() <= 0 {
		return after, true
	}
	learned, ok := h.latency.value()
	if !ok {
		return after, h.After != 0
	}
	return max(after, learned), true
}

func (h *Hedge) most() int {
	if h.Max == 0 {
		return 1
	}
	return h.Max
}

// quantile is the one to follow; 0 if After is the rule.
func (h *Hedge) quantile() float64 {
	switch {
	case h.Quantile > 0:
		return min(max(h.Quantile, 0.5), 0.9999)
	case h.After == 0:
		return 0.95
	}
	return 0
}

func (h *Hedge) budget() *Budget {
	if h.Budget != nil {
		return h.Budget
	}
	h.once.Do(func() { h.own.Ratio = 0.1 })
	return &h.own
}

// A quantile follows a quantile of a stream in constant memory. It starts from the quantile of its first values. Then
// each value that lies above the estimate raises its logarithm by a step times q, each one below lowers it by a step
// times 1 - q, so that it comes to rest where a share of 1 - q lies above. This is the stochastic approximation of
// H. Robbins and S. Monro (Annals of Mathematical Statistics, 1951), with a constant step so that it follows a drift.
type quantile struct {
	mu    sync.Mutex
	log   float64
	known bool
	early []float64 // the first values, as logarithms
}

const (
	quantileLearns = 50   // values before it knows anything
	quantileStep   = 0.05 // a tenfold rise is followed within some 50 slow values, a fall within some 1000
)

// feed takes one value; if it is only known to be at least that, it counts only above the estimate.
func (e *quantile) feed(q float64, nanos int64, exact bool) {
	x := math.Log(max(float64(nanos), 1))
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.known:
		e.learn(q, x)
	case x > e.log:
		e.log += quantileStep * q
	case exact:
		e.log -= quantileStep * (1 - q)
	}
}

func (e *quantile) learn(q, x float64) {
	e.early = append(e.early, x)
	if len(e.early) == quantileLearns {
		slices.Sort(e.early)
		e.log, e.known = e.early[min(int(q*quantileLearns), quantileLearns-1)], true
		e.early = nil
	}
}

// value is the estimate, and false before it has learned.
func (e *quantile) value() (time.Duration, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Duration(min(math.Exp(e.log), math.MaxInt64/2)), e.known
}

// dispose hands a value that nobody waits for to those who clean up after it.
func dispose[T any](v T, discard []func(T)) {
	for _, d := range discard {
		func() {
			defer func() {
				if p := recover(); p != nil {
					logPanic(p)
				}
			}()
			d(v)
		}()
	}
}

// logPanic tells where a panic came from that will be seen on another goroutine, or not at all.
func logPanic(p any) {
	slog.Error("fx: panic on a goroutine of its own", "panic", p, "stack", string(debug.Stack()))
}
