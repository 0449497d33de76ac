// Package fx keeps a Go program alive while the things it depends on fail.
//
// An operation is a plain function, [Op]. Fault tolerance is a function applied to it: [WithTimeout], [WithRetry],
// [WithBreaker], [WithBulkhead], [WithFallback], [WithHedge], [WithCache] and the others each take an Op and return
// one, so a stack is written by rebinding and read from the inside out; a [Saga] is an Op made of steps:
//
//	op = fx.WithTimeout(op, 500*time.Millisecond) // each attempt
//	op = fx.WithBreaker(op, users)
//	op = fx.WithRetry(op, fx.Retry{})
//	op = fx.WithBulkhead(op, seats)
//	op = fx.WithTimeout(op, 2*time.Second) // the whole call
//
// # What every policy promises
//
//   - The books balance. However an op ends (a return, a panic, [runtime.Goexit]), places, probes and goroutines are
//     given back, and a panic reaches the caller with its original value.
//   - A context that has ended starts nothing. The error then matches ctx.Err() and context.Cause(ctx).
//   - No cause is lost: the op's error can be found with [errors.Is] in what comes back, unless another answer took
//     its place.
//   - A success comes back as it was. A prebuilt stack allocates nothing for it, save what a timeout's context and a
//     hedge's timer need.
//   - No lock is held while ops, predicates or hooks run.
//
// Settings are struct fields whose zero value works; they must not change after first use. Numbers without sense are
// brought into the documented range. A nil op or holder panics where the stack is put together, never in a call.
// All of fx is safe for concurrent use. Time is the time package's, so testing/synctest makes it virtual.
package fx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// An Op is an operation that may fail: a call to a service, a query, anything with a context and a result.
type Op[T any] func(ctx context.Context) (T, error)

// A Policy turns an Op into one that fails better. The context a policy passes on must derive from the one it is
// given, for values such as the argument of [Lift] travel in it.
type Policy[T any] func(Op[T]) Op[T]

// Compose joins policies into one, the first outermost: Compose(a, b, c)(op) is a(b(c(op))). Without policies it is
// the identity.
func Compose[T any](ps ...Policy[T]) Policy[T] {
	for _, p := range ps {
		if p == nil {
			panic("fx: Compose needs policies that are not nil; leave out what should not apply")
		}
	}
	ps = slices.Clone(ps)
	return func(op Op[T]) Op[T] {
		for i := len(ps) - 1; i >= 0; i-- {
			op = ps[i](op)
		}
		return op
	}
}

// Value is the Op that succeeds with v.
func Value[T any](v T) Op[T] {
	return func(context.Context) (T, error) { return v, nil }
}

// Fail is the Op that fails with err, which must not be nil.
func Fail[T any](err error) Op[T] {
	if err == nil {
		panic("fx: Fail needs an error; for an op that succeeds write fx.Value(v)")
	}
	return func(context.Context) (v T, _ error) { return v, err }
}

// Void makes an Op of a function without a result.
func Void(f func(context.Context) error) Op[struct{}] {
	if f == nil {
		panic("fx: Void needs a function, as in fx.Void(db.PingContext)")
	}
	return func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) }
}

// Bind makes an Op of a function and its argument.
func Bind[A, T any](f func(context.Context, A) (T, error), a A) Op[T] {
	if f == nil {
		panic("fx: Bind needs a function, as in fx.Bind(api.User, \"42\")")
	}
	return func(ctx context.Context) (T, error) { return f(ctx, a) }
}

// Lift applies p to a function that takes an argument, and returns a function of the same shape. p is applied once,
// here, so that misuse panics here; each call's argument travels in the context that p hands on.
func Lift[A, T any](f func(context.Context, A) (T, error), p Policy[T]) func(context.Context, A) (T, error) {
	if f == nil || p == nil {
		panic("fx: Lift needs a function and a policy, as in fx.Lift(api.User, guarded)")
	}
	key := new(liftKey)
	op := p(func(ctx context.Context) (T, error) {
		l, ok := ctx.Value(key).(*lifted[A])
		if !ok {
			panic("fx: Lift: the policy did not derive the context it passes on from the one it was given")
		}
		return f(ctx, l.arg)
	})
	if op == nil {
		panic("fx: Lift: the policy returned a nil op")
	}
	return func(ctx context.Context, a A) (T, error) {
		return op(&lifted[A]{Context: ctx, key: key, arg: a})
	}
}

// LiftVoid is [Lift] for a function without a result.
func LiftVoid[A any](f func(context.Context, A) error, p Policy[struct{}]) func(context.Context, A) error {
	if f == nil || p == nil {
		panic("fx: LiftVoid needs a function and a policy, as in fx.LiftVoid(api.Delete, guarded)")
	}
	lift := Lift(func(ctx context.Context, a A) (struct{}, error) { return struct{}{}, f(ctx, a) }, p)
	return func(ctx context.Context, a A) error {
		_, err := lift(ctx, a)
		return err
	}
}

// A liftKey tells one Lift from another by its address, so it must have a size.
type liftKey struct{ _ byte }

// lifted is a context that carries the argument of one call. Being a context of its own saves the objects that
// context.WithValue would make of key and value.
type lifted[A any] struct {
	context.Context
	key *liftKey
	arg A
}

// Value answers for the Lift's own key and passes on the rest.
func (l *lifted[A]) Value(key any) any {
	if key == any(l.key) {
		return l
	}
	return l.Context.Value(key)
}

// Then runs op, then next with its value. The first error ends it.
func Then[A, B any](op Op[A], next func(context.Context, A) (B, error)) Op[B] {
	if op == nil || next == nil {
		panic("fx: Then needs an op and a function, as in fx.Then(user, api.OrdersOf)")
	}
	return func(ctx context.Context) (b B, err error) {
		if ctx.Err() != nil {
			return b, ended(ctx)
		}
		a, err := op(ctx)
		if err != nil {
			return b, err
		}
		if ctx.Err() != nil {
			return b, ended(ctx)
		}
		return next(ctx, a)
	}
}

// All runs its ops at the same time and returns their values in order. The first failure cancels the others and is
// the error that comes back. All returns when every op has returned, so nothing outlives the call. A panic in an op
// cancels the others too, and continues in the caller.
//
// The error tells nothing of what the other ops have done meanwhile. In a [Saga], give writes steps of their own.
func All[T any](ops ...Op[T]) Op[[]T] {
	for _, op := range ops {
		if op == nil {
			panic("fx: All needs ops that are not nil; for a part that is missing write fx.Value(part)")
		}
	}
	ops = slices.Clone(ops)
	return func(ctx context.Context) ([]T, error) {
		if ctx.Err() != nil {
			return nil, ended(ctx)
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		return gather(start(ctx, ops), len(ops), cancel)
	}
}

// Zip runs a and b at the same time and joins their values with f. It fails, panics and returns as [All] does.
func Zip[A, B, C any](a Op[A], b Op[B], f func(A, B) (C, error)) Op[C] {
	if a == nil || b == nil || f == nil {
		panic("fx: Zip needs two ops and a function, as in fx.Zip(user, orders, newPage)")
	}
	return func(ctx context.Context) (c C, err error) {
		var va A
		var vb B
		_, err = All(
			Void(func(ctx context.Context) (err error) { va, err = a(ctx); return err }),
			Void(func(ctx context.Context) (err error) { vb, err = b(ctx); return err }),
		)(ctx)
		if err != nil {
			return c, err
		}
		return f(va, vb)
	}
}

// start runs each op on a goroutine of its own. The channel has room for all, so none of them can be left behind.
func start[T any](ctx context.Context, ops []Op[T]) <-chan outcome[T] {
	ends := make(chan outcome[T], len(ops))
	for i, op := range ops {
		go run(ctx, op, i, ends)
	}
	return ends
}

// gather waits for n outcomes, and cancels the rest at the first that is not a success.
func gather[T any](ends <-chan outcome[T], n int, cancel context.CancelCauseFunc) ([]T, error) {
	values := make([]T, n)
	var first *outcome[T] // the failure to report: the earliest, but a panic before an error
	for range n {
		o := <-ends
		values[o.i] = o.v
		if o.ok() {
			continue
		}
		if first == nil || o.err == nil && first.err != nil {
			first = &o
		}
		cancel(o.cause())
	}
	if first == nil {
		return values, nil
	}
	_, err := first.deliver()
	return nil, err
}

// An outcome is how a call on another goroutine ended, on its way to the goroutine that waits for it.
type outcome[T any] struct {
	i        int // which of the ops
	v        T
	err      error
	panicked any  // the value of its panic
	exited   bool // it called runtime.Goexit
}

// run calls op and sends its outcome, however it ends.
func run[T any](ctx context.Context, op Op[T], i int, to chan<- outcome[T]) {
	o := outcome[T]{i: i, exited: true}
	defer func() {
		if o.panicked = recover(); o.panicked != nil {
			o.exited = false
			logPanic(o.panicked)
		}
		to <- o
	}()
	o.v, o.err = op(ctx)
	o.exited = false
}

func (o *outcome[T]) ok() bool { return o.err == nil && o.panicked == nil && !o.exited }

// cause is what the others learn from their context about why they were stopped.
func (o *outcome[T]) cause() error {
	if o.err != nil {
		return o.err
	}
	return ErrNoReturn
}

// deliver ends the waiting goroutine's call the way the other ended.
func (o *outcome[T]) deliver() (T, error) {
	if o.panicked != nil {
		panic(o.panicked)
	}
	if o.exited {
		runtime.Goexit()
	}
	return o.v, o.err
}

// ErrNoReturn stands for the error of a call that ended in a panic or a Goexit where there is no error to tell of, such
// as in the Cause of a [Change].
var ErrNoReturn = errors.New("fx: the call did not return (panic or Goexit)")

// WithTimeout gives op a context that ends after d, or earlier with its parent; under a parent whose deadline is
// nearer it makes no timer. It waits for op to return, so op has to obey its context. An error after d has passed
// matches [ErrTimeout], [context.DeadlineExceeded] and op's own; a value that comes late is still a success. With
// d <= 0 time has run out already and op is not called.
func WithTimeout[T any](op Op[T], d time.Duration) Op[T] {
	if op == nil {
		panic("fx: WithTimeout needs an op, as in fx.WithTimeout(op, time.Second)")
	}
	return func(ctx context.Context) (T, error) { return timed(ctx, op, d) }
}

func timed[T any](ctx context.Context, op Op[T], d time.Duration) (v T, err error) {
	if ctx.Err() != nil {
		return v, ended(ctx)
	}
	if d <= 0 {
		return v, &timeoutError{limit: d, err: errNotStarted}
	}
	if at, ok := ctx.Deadline(); ok && time.Until(at) <= d {
		return op(ctx)
	}
	own, cancel := context.WithTimeoutCause(ctx, d, ErrTimeout)
	defer cancel()
	v, err = op(own)
	if err != nil && own.Err() == context.DeadlineExceeded && context.Cause(own) == ErrTimeout {
		err = &timeoutError{limit: d, err: err}
	}
	return v, err
}

// ErrTimeout is matched by the error of a call that [WithTimeout] ended. It also matches context.DeadlineExceeded,
// and its Timeout method says true.
var ErrTimeout error = &timeoutError{}

type timeoutError struct {
	limit time.Duration
	err   error // op's own
}

func (e *timeoutError) Error() string {
	switch e.err {
	case nil:
		return "fx: timeout"
	case context.DeadlineExceeded, ErrTimeout: // what op found in its context, or as the context's cause
		return "fx: timeout after " + e.limit.String()
	}
	return "fx: timeout after " + e.limit.String() + ": " + text(e.err)
}

func (e *timeoutError) Is(target error) bool {
	return target == ErrTimeout || target == context.DeadlineExceeded
}

func (e *timeoutError) Unwrap() error { return e.err }

// Timeout says true, as net.Error asks.
func (e *timeoutError) Timeout() bool { return true }

// Detached is for an op that does not obey its context, as some clients do not: it runs op on a goroutine of its own,
// and when ctx ends the call returns although op still runs. A value that comes late then goes to each discard once; a
// panic that comes late is logged. Until it returns, op holds its goroutine and whatever else it uses.
func Detached[T any](op Op[T], discard ...func(T)) Op[T] {
	if op == nil {
		panic("fx: Detached needs an op, as in fx.WithTimeout(fx.Detached(op), time.Second)")
	}
	mustDiscard("Detached", discard)
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		d := &detached[T]{discard: discard, left: stragglersIn(ctx), end: make(chan outcome[T], 1)}
		d.left.start()
		go d.run(ctx, op)
		select {
		case o := <-d.end:
			return o.deliver()
		case <-ctx.Done():
		}
		if d.given.CompareAndSwap(false, true) {
			return v, leftBehind(ctx)
		}
		o := <-d.end // both at once
		return o.deliver()
	}
}

// detached is one call on a goroutine of its own.
type detached[T any] struct {
	discard []func(T)
	left    *stragglers
	given   atomic.Bool // the caller has left, or the outcome is on its way to it
	end     chan outcome[T]
}

func (d *detached[T]) run(ctx context.Context, op Op[T]) {
	ran := make(chan outcome[T], 1)
	defer func() {
		o := <-ran
		if d.given.CompareAndSwap(false, true) {
			d.left.end()
			d.end <- o
			return
		}
		if !o.ok() {
			d.left.end()
			return
		}
		dispose(o.v, d.discard)
		d.left.end(o.v)
	}()
	run(ctx, op, 0, ran)
}

// leftBehind is the error of a call whose caller left while it ran on.
func leftBehind(ctx context.Context) error {
	return fmt.Errorf("fx: left running behind: %w", over(ctx))
}

// WithCheck turns a value that check rejects into check's error. A response that says "error" under a status of 200
// is a failure to the policies around it from then on.
func WithCheck[T any](op Op[T], check func(T) error) Op[T] {
	if op == nil || check == nil {
		panic("fx: WithCheck needs an op and a check, as in fx.WithCheck(op, func(r Reply) error { return r.Err })")
	}
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		if v, err = op(ctx); err != nil {
			return v, err
		}
		if err = check(v); err != nil {
			var none T
			return none, err
		}
		return v, nil
	}
}

// A Waiter lets calls pass at its own pace. A *rate.Limiter of golang.org/x/time/rate is one.
type Waiter interface{ Wait(context.Context) error }

// WithLimit calls op when w lets it pass. If w refuses, op is not called and the error matches [ErrLimit] and w's own.
func WithLimit[T any](op Op[T], w Waiter) Op[T] {
	if op == nil || w == nil {
		panic("fx: WithLimit needs an op and a Waiter, as in fx.WithLimit(op, rate.NewLimiter(100, 10))")
	}
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		if err = w.Wait(ctx); err != nil {
			return v, refusedByLimit(ctx, err)
		}
		return op(ctx)
	}
}

// ErrLimit is matched by the error of a call that the Waiter of [WithLimit] refused.
var ErrLimit error = &refusal{"fx: rate limit"}

func refusedByLimit(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = &ctxError{err, over(ctx)}
	}
	return &notStarted{why: ErrLimit, err: err}
}

// notStarted is the error of a layer that did not call its op. It is certain that nothing was done.
type notStarted struct {
	why error // what refused
	err error // what it said
}

// errNotStarted is what WithTimeout has to tell when there was no time at all.
var errNotStarted error = &notStarted{why: errors.New("no time left")}

// ended is the error of a call that found its context over before it began.
func ended(ctx context.Context) error { return &notStarted{why: over(ctx)} }

// over says why ctx has ended: an error that matches ctx.Err() and context.Cause(ctx).
func over(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || cause == err {
		return err
	}
	return &ctxError{err, cause}
}

type ctxError struct{ err, cause error }

func (e *ctxError) Error() string   { return e.err.Error() + ": " + text(e.cause) }
func (e *ctxError) Unwrap() []error { return []error{e.err, e.cause} }

func (e *notStarted) Error() string {
	if e.err == nil {
		return "fx: not started: " + text(e.why)
	}
	return "fx: not started: " + text(e.why) + ": " + text(e.err)
}

func (e *notStarted) Unwrap() []error {
	if e.err == nil {
		return []error{e.why}
	}
	return []error{e.why, e.err}
}

// MayBeDone says false: the call was never made.
func (e *notStarted) MayBeDone() bool { return false }

func (e *notStarted) neverLeft() bool { return true }

// NotDone marks err: the effect of the call certainly did not happen. NotDone(nil) is nil.
func NotDone(err error) error { return mark(err, false) }

// Unsure marks err: the effect of the call may have happened. Unsure(nil) is nil.
func Unsure(err error) error { return mark(err, true) }

func mark(err error, may bool) error {
	if err == nil {
		return nil
	}
	return &marked{err, may}
}

type marked struct {
	error
	may bool
}

func (m *marked) Unwrap() error   { return m.error }
func (m *marked) MayBeDone() bool { return m.may }

// MayBeDone says whether the effect of a call that failed with err may have happened all the same.
//
// The outermost error in the chain with a method MayBeDone() bool decides, so the marks [NotDone] and [Unsure] do;
// of joined errors and the attempts of a [*RetryError] any one suffices. Without such a word it is true for a
// timeout, a cancellation and a connection lost in mid-call, and false for the rest: for an error that is an answer,
// for a connection that was never made, and for what a layer refused before the call left. It is false for nil.
//
// An op that returns its context's cause instead of its error, as net/http does, should have that cause match
// context.Canceled, or be marked; inside a [Saga] it is recognised.
func MayBeDone(err error) bool { return mayBeDone(err, nil, false) }

// mayBeDone walks down from err. cause is what an op may return in the place of its context's error, as net/http does;
// lost says whether a layer above has lost the answer.
func mayBeDone(err, cause error, lost bool) bool {
	for err != nil {
		switch e := err.(type) {
		case *RetryError:
			return e.mayBeDone(cause)
		case interface{ MayBeDone() bool }:
			return e.MayBeDone()
		case *net.OpError:
			if e.Op == "dial" {
				return false
			}
		case *net.DNSError:
			return false
		}
		lost = lost || answerLost(err) || isCause(err, cause)
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			return anyMayBeDone(e.Unwrap(), cause, lost)
		default:
			return lost
		}
	}
	return lost
}

func anyMayBeDone(errs []error, cause error, lost bool) bool {
	for _, err := range errs {
		if mayBeDone(err, cause, lost) {
			return true
		}
	}
	return len(errs) == 0 && lost
}

func isCause(err, cause error) bool {
	return cause != nil && reflect.TypeOf(cause).Comparable() && err == cause
}

// answerLost says whether err itself, whatever it wraps, tells of a call whose answer did not arrive.
func answerLost(err error) bool {
	switch err {
	case context.Canceled, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, ErrNoReturn:
		return true
	}
	if errno, ok := err.(syscall.Errno); ok && connectionBroke(errno) {
		return true
	}
	if claims(err, context.Canceled) || claims(err, context.DeadlineExceeded) {
		return true
	}
	t, ok := err.(interface{ Timeout() bool }) // context.DeadlineExceeded and os.ErrDeadlineExceeded among them
	return ok && t.Timeout()
}

// connectionBroke lists what an established connection reports when its other end is gone.
func connectionBroke(errno syscall.Errno) bool {
	return errno == syscall.ECONNRESET || errno == syscall.ECONNABORTED || errno == syscall.EPIPE
}

// neverLeft says whether err tells that the protected call was not made: a layer inside refused it. Of joined errors
// each must say so, or one call did leave.
func neverLeft(err error) bool {
	for err != nil {
		if isRefusal(err) {
			return true
		}
		switch e := err.(type) {
		case interface{ neverLeft() bool }:
			return e.neverLeft()
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			return allNeverLeft(e.Unwrap())
		default:
			return false
		}
	}
	return false
}

// A refusal is an error by which a layer says that it did not let a call pass.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// isRefusal looks at err itself, not at what it wraps.
func isRefusal(err error) bool {
	if _, ok := err.(*refusal); ok {
		return true
	}
	is, ok := err.(interface{ Is(error) bool })
	return ok && (is.Is(ErrOpen) || is.Is(ErrFull) || is.Is(ErrClosed) || is.Is(ErrLimit))
}

// claims says whether err itself has a word for being target.
func claims(err, target error) bool {
	is, ok := err.(interface{ Is(error) bool })
	return ok && is.Is(target)
}

func allNeverLeft(errs []error) bool {
	for _, err := range errs {
		if !neverLeft(err) {
			return false
		}
	}
	return len(errs) > 0
}

// anyIn says whether is is true of err or of anything that it wraps.
func anyIn(err error, is func(error) bool) bool {
	for err != nil {
		if is(err) {
			return true
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, part := range e.Unwrap() {
				if anyIn(part, is) {
					return true
				}
			}
			return false
		default:
			return false
		}
	}
	return false
}

// find is errors.As for interfaces, without its cost in time and objects.
func find[E any](err error) (found E, ok bool) {
	anyIn(err, func(err error) bool {
		found, ok = err.(E)
		return ok
	})
	return found, ok
}

// text is what err says, as a part of a message that has named the package already.
func text(err error) string { return strings.TrimPrefix(err.Error(), "fx: ") }

// named is how a holder appears in messages.
func named(kind, name string) string {
	if name == "" {
		return kind
	}
	return kind + " \"" + name + "\""
}
