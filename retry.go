package fx

import (
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Retry says how often and how patiently [WithRetry] repeats an op. The zero value makes up to three attempts, with
// full jitter under delays of 100 ms and 200 ms, of errors that [Retryable] accepts.
type Retry struct {
	// Attempts is how many calls are made at most, the first included. 0 means 3, a negative number 1.
	Attempts int
	// Backoff is the waits between the attempts; when it ends, so does the retrying.
	// nil means Exponential(100ms).Cap(5s).Jitter(1).
	Backoff Backoff
	// If says whether an error is worth another attempt; where set, it alone decides. nil means [Retryable].
	If func(error) bool
	// MaxWait is the longest wait that an error with a method RetryAfter() time.Duration may ask for; one that asks
	// for more ends the retrying with [ErrWait]. 0 means 30s, a negative duration accepts no wait.
	MaxWait time.Duration
	// Budget limits the retries of all who share it. nil means no limit.
	Budget *Budget
	// OnRetry hears of every retry before its wait begins, on the caller's goroutine.
	OnRetry func(context.Context, Attempt)
}

// An Attempt is what [Retry.OnRetry] hears of one that failed and will be followed by another.
type Attempt struct {
	N     int           // the attempt that failed, from 1
	Err   error         // its error
	Delay time.Duration // the wait before the next
}

// WithRetry repeats op while it fails, as r says.
//
// When one attempt was made and its error is not worth another, or Attempts is 1, that error comes back untouched.
// Else it is a [*RetryError]. Retrying ends when ctx has ended, and at once when the next wait would outlast ctx's
// deadline. An error's own wish for a wait, RetryAfter() time.Duration, makes the wait longer, never shorter.
//
// Only what may safely happen twice should be repeated: a read, or a write that carries an idempotency key.
func WithRetry[T any](op Op[T], r Retry) Op[T] {
	if op == nil {
		panic("fx: WithRetry needs an op, as in fx.WithRetry(op, fx.Retry{})")
	}
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		if r.Budget != nil {
			r.Budget.deposit()
		}
		if v, err = op(ctx); err == nil {
			return v, nil
		}
		return again(ctx, op, r, v, err)
	}
}

// again goes on after the first attempt has failed. It is apart from WithRetry so that a first attempt that succeeds
// pays for nothing here.
func again[T any](ctx context.Context, op Op[T], r Retry, v T, err error) (T, error) {
	run := retrying{Retry: r}
	defer run.stop()
	for {
		if !run.goOn(ctx, err) {
			return v, run.err(err)
		}
		if v, err = op(ctx); err == nil {
			return v, nil
		}
	}
}

// retrying is the state of one call that is being repeated. It never sees the op: what a range over a Backoff
// touches moves to the heap, and the op's closures would go with it.
type retrying struct {
	Retry
	n      int               // attempts that have failed
	errs   [keptErrors]error // the first error and the latest
	kept   int
	lost   verdicts // what the errors say that were not kept
	delays delays
	why    error // why it ended
}

// keptErrors bounds what a call of many attempts holds in memory: the first error and the latest 15.
const keptErrors = 16

// verdicts folds what matters about errors that are dropped.
type verdicts struct{ mayBeDone, left bool }

// goOn takes in the error of an attempt and returns true when the wait for the next is over.
func (r *retrying) goOn(ctx context.Context, err error) bool {
	r.keep(err)
	if r.n >= r.attempts() || !r.worth(err) {
		return false
	}
	if ctx.Err() != nil {
		return r.end(over(ctx))
	}
	delay, ok := r.delays.next(r.backoff(), r.attempts()-1)
	if !ok {
		return r.end(ErrExhausted)
	}
	delay, stop := r.wait(ctx, delay, err)
	if stop != nil {
		return r.end(stop)
	}
	if r.OnRetry != nil {
		r.OnRetry(ctx, Attempt{N: r.n, Err: err, Delay: delay})
	}
	return r.end(sleep(ctx, delay))
}

// worth says whether err deserves another attempt.
func (r *retrying) worth(err error) bool {
	if r.If != nil {
		return r.If(err)
	}
	return Retryable(err)
}

// end notes why the retrying is over, and says whether it is not.
func (r *retrying) end(why error) bool {
	r.why = why
	return why == nil
}

// wait is how long to wait before the next attempt, or the reason to make none.
func (r *retrying) wait(ctx context.Context, delay time.Duration, err error) (time.Duration, error) {
	if asks, ok := find[interface{ RetryAfter() time.Duration }](err); ok {
		least := asks.RetryAfter()
		if least > r.maxWait() {
			return 0, ErrWait
		}
		delay = max(delay, least)
	}
	if at, ok := ctx.Deadline(); ok && delay > 0 && time.Until(at) <= delay {
		return 0, &outlasts{delay}
	}
	if r.Budget != nil && !r.Budget.withdraw() {
		return 0, ErrBudget
	}
	return delay, nil
}

// keep stores err; when there is no room it drops the second oldest, after reading off it what still matters.
func (r *retrying) keep(err error) {
	r.n++
	if r.kept < keptErrors {
		r.errs[r.kept] = err
		r.kept++
		return
	}
	gone := r.errs[1]
	r.lost.mayBeDone = r.lost.mayBeDone || MayBeDone(gone)
	r.lost.left = r.lost.left || !neverLeft(gone)
	copy(r.errs[1:], r.errs[2:])
	r.errs[keptErrors-1] = err
}

// err is what the call returns after the last attempt has failed with last.
func (r *retrying) err(last error) error {
	if r.why == nil && r.n == 1 {
		return last
	}
	if r.why == nil && r.n >= r.attempts() {
		r.why = ErrExhausted
	}
	return &RetryError{Attempts: r.n, Errs: slices.Clone(r.errs[:r.kept]), Stop: r.why, lost: r.lost}
}

func (r *retrying) stop() { r.delays.stop() }

func (r *Retry) attempts() int {
	if r.Attempts == 0 {
		return 3
	}
	return max(r.Attempts, 1)
}

func (r *Retry) maxWait() time.Duration {
	if r.MaxWait == 0 {
		return 30 * time.Second
	}
	return max(r.MaxWait, 0)
}

func (r *Retry) backoff() Backoff {
	if r.Backoff == nil {
		return defaultBackoff
	}
	return r.Backoff
}

var defaultBackoff = Exponential(100 * time.Millisecond).Cap(5 * time.Second).Jitter(1)

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return over(ctx)
	}
	return nil
}

// A RetryError is the error of a call that was repeated, or would have been but for Stop. It unwraps to the kept
// errors and to Stop.
type RetryError struct {
	// Attempts is how many calls were made.
	Attempts int
	// Errs are their errors in order: the first and the latest 15.
	Errs []error
	// Stop is why no further attempt was made: [ErrExhausted], [ErrBudget], [ErrWait], an error that matches
	// ctx.Err() and its cause, or one that matches context.DeadlineExceeded when the next wait would have outlasted
	// the deadline. nil means that the last error was not worth repeating.
	Stop error

	lost verdicts
}

func (e *RetryError) Error() string {
	times := " attempts"
	if e.Attempts == 1 {
		times = " attempt"
	}
	msg := "fx: gave up after " + strconv.Itoa(e.Attempts) + times
	if e.Stop != nil {
		msg += " (" + text(e.Stop) + ")"
	}
	if len(e.Errs) > 0 {
		msg += ": " + text(e.Errs[len(e.Errs)-1])
	}
	return msg
}

// Unwrap returns the kept errors, then Stop.
func (e *RetryError) Unwrap() []error {
	if e.Stop == nil {
		return e.Errs
	}
	return append(slices.Clip(e.Errs), e.Stop)
}

// MayBeDone says whether any of the attempts, the dropped ones included, may have had its effect.
func (e *RetryError) MayBeDone() bool { return e.mayBeDone(nil) }

func (e *RetryError) mayBeDone(cause error) bool {
	return e.lost.mayBeDone || anyMayBeDone(e.Errs, cause, false)
}

func (e *RetryError) neverLeft() bool { return !e.lost.left && allNeverLeft(e.Errs) }

// What [RetryError.Stop] can be, beside what a context gives.
var (
	ErrExhausted = errors.New("fx: attempts exhausted")
	ErrBudget    = errors.New("fx: retry budget spent")
	ErrWait      = errors.New("fx: asked to wait longer than MaxWait")
)

// outlasts is why a retry that could only end after the deadline is not waited for.
type outlasts struct{ wait time.Duration }

func (e *outlasts) Error() string {
	return "fx: a wait of " + e.wait.String() + " would outlast the deadline"
}

func (e *outlasts) Is(target error) bool { return target == context.DeadlineExceeded }

// Permanent marks err as not worth a retry, whatever it wraps. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err}
}

type permanent struct{ error }

func (p *permanent) Unwrap() error   { return p.error }
func (p *permanent) Retryable() bool { return false }

// Retryable is the default of [Retry.If]: it accepts all errors but those that another attempt cannot help. The
// outermost error in the chain with a method Retryable() bool decides, so [Permanent] does. Else it refuses
// context.Canceled, [ErrOpen], [ErrFull], [ErrClosed], [ErrLimit] and [ErrBudget].
func Retryable(err error) bool {
	helps := err != nil
	anyIn(err, func(err error) bool {
		says, ok := err.(interface{ Retryable() bool })
		switch {
		case ok:
			helps = says.Retryable()
		case err == context.Canceled || claims(err, context.Canceled) || err == ErrBudget || isRefusal(err):
			helps = false
		}
		return ok
	})
	return helps
}

// Transient is the strict alternative to [Retryable]: it accepts only what is known to pass by itself. That is
// connections refused, reset or broken, timeouts of the network, of DNS and of [WithTimeout], and errors with a
// method Retryable() bool that says true.
func Transient(err error) bool {
	if says, ok := find[interface{ Retryable() bool }](err); ok {
		return says.Retryable()
	}
	if errors.Is(err, ErrTimeout) || errors.Is(err, io.ErrUnexpectedEOF) || timesOut(err) {
		return true
	}
	if _, ok := find[*url.Error](err); ok && errors.Is(err, io.EOF) { // closed where a response was due
		return true
	}
	errno, ok := find[syscall.Errno](err)
	return ok && (errno == syscall.ECONNREFUSED || connectionBroke(errno))
}

// timesOut says whether a timeout of the network is at the bottom of err, and not the end of a context.
func timesOut(err error) bool {
	switch e := err.(type) {
	case *net.DNSError:
		return e.IsTimeout
	case interface{ Unwrap() error }:
		return timesOut(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), timesOut)
	case net.Error:
		return e.Timeout() && err != context.DeadlineExceeded
	}
	return false
}

// A Backoff describes the waits between attempts. Every range over it starts afresh, so one value serves any number
// of calls at once. Start from [Constant], [Exponential], [Decorrelated] or [Delays], or write a func of your own.
//
// Put Cap before Jitter: then the waits are spread below the cap instead of gathering on it.
type Backoff iter.Seq[time.Duration]

// Constant waits d each time, without end. A negative d means 0.
func Constant(d time.Duration) Backoff {
	d = max(d, 0)
	return func(yield func(time.Duration) bool) {
		for yield(d) {
		}
	}
}

// Exponential waits base, then twice as long each time, without end; it stays at the longest Duration when it gets
// there. A negative base means 0.
func Exponential(base time.Duration) Backoff {
	base = max(base, 0)
	return func(yield func(time.Duration) bool) {
		for d := base; yield(d); {
			d = doubled(d)
		}
	}
}

func doubled(d time.Duration) time.Duration {
	if d > math.MaxInt64/2 {
		return math.MaxInt64
	}
	return 2 * d
}

// Decorrelated waits a random time between base and three times the previous wait, at most max, without end: the
// "decorrelated jitter" of Marc Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015). The bound
// holds before the draw, so that clients spread below max instead of meeting on it. A negative base means 0, a max
// below base means base.
func Decorrelated(base, max time.Duration) Backoff {
	if base < 0 {
		base = 0
	}
	if max < base {
		max = base
	}
	return func(yield func(time.Duration) bool) {
		for d := base; ; {
			high := max
			if d <= max/3 {
				high = 3 * d
			}
			d = base + spread(high-base, rand.Float64())
			if !yield(d) {
				return
			}
		}
	}
}

// Delays waits for each of ds in turn, then ends. Negative ones mean 0.
func Delays(ds ...time.Duration) Backoff {
	ds = slices.Clone(ds)
	return func(yield func(time.Duration) bool) {
		for _, d := range ds {
			if !yield(max(d, 0)) {
				return
			}
		}
	}
}

// Cap makes no wait longer than max. A negative max means 0.
func (b Backoff) Cap(max time.Duration) Backoff {
	b.must("Cap")
	if max < 0 {
		max = 0
	}
	return b.each(func(d time.Duration) time.Duration { return min(d, max) })
}

// Jitter draws each wait d from [(1-f)d, d]: f = 1 is full jitter. f is brought into [0, 1]; NaN counts as 1.
func (b Backoff) Jitter(f float64) Backoff {
	b.must("Jitter")
	return b.JitterBy(f, rand.Float64)
}

// JitterBy is [Backoff.Jitter] with a given source of numbers in [0, 1), for simulations that can be repeated; 0 is
// the low end. u has to be safe for as many goroutines as use the Backoff.
func (b Backoff) JitterBy(f float64, u func() float64) Backoff {
	b.must("JitterBy")
	if u == nil {
		panic("fx: JitterBy needs a source, as in b.JitterBy(1, rng.Float64); for the usual one write b.Jitter(1)")
	}
	if f = min(max(f, 0), 1); math.IsNaN(f) { // NaN passes min and max
		f = 1
	}
	return b.each(func(d time.Duration) time.Duration {
		wide := spread(d, f)
		return d - wide + spread(wide, u())
	})
}

// spread is the share u of d, in [0, d] whatever u is.
func spread(d time.Duration, u float64) time.Duration {
	share := float64(d) * u
	if share >= float64(d) { // float64 rounds the longest Durations up, past what fits
		return d
	}
	if !(share > 0) {
		return 0
	}
	return time.Duration(share)
}

// Take ends b after n waits; n <= 0 leaves none.
func (b Backoff) Take(n int) Backoff {
	b.must("Take")
	return func(yield func(time.Duration) bool) {
		left := n
		if left <= 0 {
			return
		}
		for d := range b {
			if left--; !yield(d) || left == 0 {
				return
			}
		}
	}
}

// Within ends b before the sum of its waits passes total.
func (b Backoff) Within(total time.Duration) Backoff {
	b.must("Within")
	return func(yield func(time.Duration) bool) {
		left := total
		for d := range b {
			if d > left || !yield(d) {
				return
			}
			left -= d
		}
	}
}

func (b Backoff) each(f func(time.Duration) time.Duration) Backoff {
	return func(yield func(time.Duration) bool) {
		for d := range b {
			if !yield(f(d)) {
				return
			}
		}
	}
}

func (b Backoff) must(method string) {
	if b == nil {
		panic("fx: " + method + " of a nil Backoff; start from one, as in fx.Exponential(base)." + method)
	}
}

// delays hands out a Backoff's waits one at a time. The few that most calls can need are drawn in one go; only a call
// that may need more pays for a coroutine.
type delays struct {
	used  int
	drawn *drawn
	pull  func() (time.Duration, bool)
	end   func()
}

// drawn holds the first waits of a Backoff.
type drawn struct {
	waits   [drawnAhead]time.Duration
	n, most int
}

const drawnAhead = 8

// next returns the next of at most most waits of b, and false when b has ended. A wait is never negative.
func (s *delays) next(b Backoff, most int) (d time.Duration, ok bool) {
	if s.used == 0 {
		s.open(b, most)
	}
	switch {
	case s.pull != nil:
		d, ok = s.pull()
	case s.used < s.drawn.n:
		d, ok = s.drawn.waits[s.used], true
	}
	s.used++
	return max(d, 0), ok
}

func (s *delays) open(b Backoff, most int) {
	if most > drawnAhead {
		s.pull, s.end = iter.Pull(iter.Seq[time.Duration](b))
		return
	}
	s.drawn = &drawn{most: most}
	b(s.drawn.add)
}

// add takes one wait and says whether another is wanted.
func (d *drawn) add(wait time.Duration) bool {
	if d.n == d.most {
		panic("fx: the Backoff went on after yield had returned false; write if !yield(d) { return }")
	}
	d.waits[d.n] = wait
	d.n++
	return d.n < d.most
}

func (s *delays) stop() {
	if s.end != nil {
		s.end()
	}
}

// A Budget keeps retries and hedges from multiplying the load on a dependency that is already in trouble. Share one
// among all calls to it. In any Window it lets through at most Ratio of the first attempts plus PerSecond for each
// second, and it never stops a first attempt. The zero value allows 20 % and one a second over 10 s.
//
// In an outage all of the budget is used, by every process: Ratio of the calls, and PerSecond times the number of
// processes, have to be less than the capacity that is left over. Where there are many small processes, use PerSecond: -1.
//
// The rule is that of Finagle's RetryBudget. It is exact under concurrency, and counts in tenths of Window so that it
// errs on the side of fewer retries.
type Budget struct {
	// Ratio is how many retries each first attempt pays for. 0 means 0.2; a negative number and NaN mean none; more
	// than 1000 means 1000.
	Ratio float64
	// PerSecond is how many retries a second are allowed even without first attempts. 0 means 1, a negative number
	// none.
	PerSecond int
	// Window is how long a first attempt counts. 0 means 10s, less than 10ms means 10ms.
	Window time.Duration

	calls  rolling
	denied int // under calls.mu
}

// BudgetCounts are what a [Budget] has seen.
type BudgetCounts struct {
	First  int // first attempts in the latest Window
	Again  int // retries and hedges in it
	Left   int // how many more of them there is room for at this moment
	Denied int // how many it has stopped since it was made
}

// Counts returns the counts of this moment.
func (b *Budget) Counts() BudgetCounts {
	b.calls.mu.Lock()
	defer b.calls.mu.Unlock()
	room := b.room()
	first, again := b.calls.sum(tenths)
	return BudgetCounts{First: first, Again: again, Left: int(max(room, 0)), Denied: b.denied}
}

// deposit counts a first attempt.
func (b *Budget) deposit() { b.calls.add(b.Window) }

// withdraw counts a retry, if there is room for one.
func (b *Budget) withdraw() bool {
	b.calls.mu.Lock()
	defer b.calls.mu.Unlock()
	if b.room() < 1 {
		b.denied++
		return false
	}
	b.calls.bad()
	return true
}

// room is how many more retries it would let through. mu of calls is held.
func (b *Budget) room() float64 {
	b.calls.fold(b.Window)
	first, _ := b.calls.sum(tenths)
	_, again := b.calls.sum(tenths + 1)                                           // one more, so that the slice which is leaving still counts whole
	return math.Floor(b.ratio()*float64(first)+b.reserve()+1e-9) - float64(again) // 0.29 * 100 is a little less than 29
}

func (b *Budget) ratio() float64 {
	if b.Ratio == 0 {
		return 0.2
	}
	if !(b.Ratio > 0) {
		return 0
	}
	return min(b.Ratio, 1000)
}

func (b *Budget) reserve() float64 {
	per := float64(max(b.PerSecond, 0))
	if b.PerSecond == 0 {
		per = 1
	}
	return per * windowOr10s(b.Window).Seconds()
}
