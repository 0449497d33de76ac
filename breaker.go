package fx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// State is where a circuit breaker stands.
type State int

// The states of a [Breaker].
const (
	StateClosed   State = iota // calls pass
	StateOpen                  // calls are refused
	StateHalfOpen              // one call at a time passes, as a probe
)

func (s State) String() string {
	switch s {
	case StateClosed:
		return "closed"
	case StateOpen:
		return "open"
	case StateHalfOpen:
		return "half-open"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Counts is what a closed breaker has seen. Without [Breaker.Trip] only the failures in a row are counted.
type Counts struct{ Successes, Failures, Consecutive int }

// FailureRate is a [Breaker.Trip] that opens when at least min calls are counted and the share of failures among
// them is rate or more. rate is brought into [0, 1] and min is at least 1. It panics if rate is not a number.
func FailureRate(rate float64, min int) func(Counts) bool {
	if math.IsNaN(rate) {
		panic("fx: FailureRate of NaN; write the share of failures that is too much, as in fx.FailureRate(0.5, 20)")
	}
	if rate > 1 {
		rate = 1
	}
	return func(c Counts) bool {
		all := c.Successes + c.Failures
		return all >= min && float64(c.Failures)/float64(all) >= rate
	}
}

// A Change is one transition of a breaker.
type Change struct {
	Name     string
	From, To State
	Counts   Counts    // what was counted before the change
	Cause    error     // the failure that opened it, see ErrSlow and ErrNoReturn too; nil when time, a success, Force or Reset changed it
	At       time.Time // when
}

// A Breaker is a circuit breaker: it stops calls to a dependency that fails, and lets one at a time through after a
// while to see whether it has recovered. One Breaker stands for one dependency and is shared by all Ops that call it,
// of any type.
//
// The zero value opens at 5 failures in a row, stays open for 10 s, and closes after 2 successful probes. It is safe
// for concurrent use and must not be copied after first use. A breaker with neither Trip nor Slow writes no shared
// memory while calls succeed.
//
// An outcome is judged in this order:
//
//  1. An error that says the call never left ([ErrOpen], [ErrFull], [ErrClosed] or [ErrLimit] of a layer inside)
//     counts for nothing. A [*RetryError] is such an error if each of its attempts was.
//  2. A call longer than Slow is a failure, however it ended.
//  3. A success is a success.
//  4. An error after the caller's context has ended counts for nothing: the caller left.
//  5. An error that Failure refuses is a success: the dependency answered.
//  6. Any other error is a failure, and so is a panic or a Goexit.
//
// A breaker notices a hang through a timeout inside it, or through Slow; with a timeout only outside, every hang ends
// as case 4.
type Breaker struct {
	// Name appears in errors and changes.
	Name string
	// Failures is how many in a row open it, unused with Trip. 0 means 5, a negative number 1. Of many calls a few in a
	// row fail by chance: inside a retry use 10, at hundreds of calls a second Trip.
	Failures int
	// Trip, where set, is asked after each failure whether to open. Its counts cover Window or Last.
	Trip func(Counts) bool
	// Window is how far back the counts for Trip reach, in steps of a tenth. 0 means 10s, less than 10ms means 10ms.
	Window time.Duration
	// Last, where positive, lets the counts for Trip cover the last so many calls instead of Window. More than 65536
	// means 65536.
	Last int
	// Slow is the time beyond which a call is a failure however it ends. 0 or less means off.
	Slow time.Duration
	// Cooldown is how long it stays open. 0 means 10s, a negative duration no time at all.
	Cooldown time.Duration
	// MaxCooldown, where set, makes the cooldown random in the upper half of its value, and lets it double with every
	// failed probe, up to this. A value below Cooldown means Cooldown.
	MaxCooldown time.Duration
	// Probes is how many successful probes, one after the other, close it. 0 means 2, a negative number 1, more than
	// 32767 means 32767.
	Probes int
	// ProbeLimit is how long a probe may be out before another is let through; the answer of the first is then
	// ignored. 0 or less means Cooldown.
	ProbeLimit time.Duration
	// Failure says whether an error is a failure of the dependency rather than an answer. It is asked neither about
	// calls that never left nor about those whose caller left. nil means every error is one.
	Failure func(error) bool
	// OnChange hears of every change once and in order, one at a time, on a goroutine that the breaker starts for
	// it. A hook that is slow or panics neither delays nor breaks the breaker.
	OnChange func(Change)

	now    atomic.Pointer[period] // nil: closed, and never used yet
	mu     sync.Mutex             // held to go from one period to the next and to count in the current one
	untold *[]Change              // not nil while a goroutine tells OnChange
}

// A period is one stretch of one state; each probe has a period of its own. A call keeps the period that it began in,
// and its result is taken only while that period lasts: whatever comes late changes nothing and frees nothing.
type period struct {
	state  State
	forced bool         // stays until Reset
	trips  uint8        // times it has opened since it was last closed, for the growth of the cooldown, at most 255
	good   int16        // probes that have succeeded
	row    atomic.Int32 // failures in a row while closed; written under mu
	// until ends the refusal of callers, by clock: it is the end of the cooldown while open, of the probe's time while
	// half-open. Before it they get refusal, after it the next one is the probe.
	until   int64
	refusal *OpenError
	window  *rolling // what a closed period counts for Trip: either this,
	last    *ring    // or this
}

// The ends of clock's time.
const (
	always  = math.MinInt64
	forever = math.MaxInt64
)

// WithBreaker calls op while b lets it pass, and tells b how the call ended. While b is open the error matches
// [ErrOpen] and is an [*OpenError].
func WithBreaker[T any](op Op[T], b *Breaker) Op[T] {
	if op == nil || b == nil {
		panic("fx: WithBreaker needs an op and a breaker, as in fx.WithBreaker(op, &fx.Breaker{Name: \"users\"})")
	}
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		c, err := b.enter()
		if err != nil {
			return v, err
		}
		told := false
		defer func() {
			if !told {
				b.lost(c)
			}
		}()
		v, err = op(ctx)
		if err != nil || !b.silent(c.period) {
			b.leave(ctx, c, err)
		}
		told = true
		return v, err
	}
}

// Allow asks to make one call. If the breaker refuses, or ctx has ended, done is nil and err says why. Else done must
// be told how the call ended; it counts once, from any goroutine. A done that is never called costs nothing while
// closed, and for a probe no more than ProbeLimit.
func (b *Breaker) Allow(ctx context.Context) (done func(error), err error) {
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	c, err := b.enter()
	if err != nil {
		return nil, err
	}
	var told atomic.Bool
	return func(err error) {
		if !told.CompareAndSwap(false, true) {
			return
		}
		judged := false
		defer func() {
			if !judged { // Failure or Trip panicked
				b.lost(c)
			}
		}()
		b.leave(ctx, c, err)
		judged = true
	}, nil
}

// State says what the next call would meet, so it is half-open as soon as the cooldown is over.
func (b *Breaker) State() State {
	p := b.now.Load()
	if p == nil {
		return StateClosed
	}
	if p.state == StateOpen && clock() >= p.until {
		return StateHalfOpen
	}
	return p.state
}

// Counts is what a closed breaker has counted, as Trip would see it. While open or half-open it is zero.
func (b *Breaker) Counts() Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.now.Load(); p != nil {
		return b.counts(p)
	}
	return Counts{}
}

// Force holds the breaker in s against all evidence, until Reset. StateHalfOpen is no state to hold: it ends the
// cooldown now, and the usual rules go on.
func (b *Breaker) Force(s State) {
	switch s {
	case StateClosed:
		p := b.closed()
		p.forced = true
		b.replace(p)
	case StateOpen:
		b.replace(&period{state: s, forced: true, until: forever, refusal: b.refuse(time.Time{})})
	case StateHalfOpen:
		b.replace((&period{}).halfOpen())
	default:
		panic("fx: Force of " + s.String() + "; write fx.StateOpen, fx.StateClosed or fx.StateHalfOpen")
	}
}

// Reset returns to closed with clean counts, and ends a Force.
func (b *Breaker) Reset() { b.replace(b.closed()) }

func (b *Breaker) replace(p *period) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move(p, nil, time.Now())
}

// ErrOpen is matched by the error of a call that a breaker refused.
var ErrOpen error = &refusal{"fx: circuit breaker is open"}

// An OpenError is the error of a call that a breaker refused. All calls refused in one stretch share one value.
type OpenError struct {
	Name  string
	Until time.Time // when the breaker will let a probe through; zero if nobody can know
}

func (e *OpenError) Error() string {
	msg := "fx: " + named("circuit breaker", e.Name) + " is open"
	if !e.Until.IsZero() {
		msg += " until " + e.Until.Format("15:04:05.000")
	}
	return msg
}

// Is says that it matches [ErrOpen].
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// RetryAfter is the time left until the breaker will let a probe through, never negative; 0 if nobody can know.
func (e *OpenError) RetryAfter() time.Duration {
	if e.Until.IsZero() {
		return 0
	}
	return max(time.Until(e.Until), 0)
}

// A ticket is what a call that was let through holds until it ends.
type ticket struct {
	period *period
	start  int64 // by clock; only with Slow
}

// enter lets a call through or says why not. While closed it only reads.
func (b *Breaker) enter() (c ticket, err error) {
	c.period = b.now.Load()
	if c.period == nil || c.period.state != StateClosed {
		if c.period, err = b.knock(c.period); err != nil {
			return c, err
		}
	}
	if b.Slow > 0 {
		c.start = clock()
	}
	return c, nil
}

// knock is enter for a breaker that is not closed, or new.
func (b *Breaker) knock(p *period) (*period, error) {
	if p != nil && clock() < p.until {
		return nil, p.refusal
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p = b.now.Load(); p == nil {
		p = b.closed()
		b.now.Store(p)
	}
	at := time.Now()
	now := clockAt(at)
	switch {
	case p.state == StateClosed:
		return p, nil
	case now < p.until:
		return nil, p.refusal
	}
	probe := p.halfOpen()
	probe.until = later(now, b.probeLimit())
	probe.refusal = b.refuse(time.Time{})
	b.move(probe, nil, at)
	return probe, nil
}

// A verdict is what the end of a call says about the dependency.
type verdict int

const (
	neutral verdict = iota
	success
	failure
)

// silent says that a success needs not be told: it would change nothing.
func (b *Breaker) silent(p *period) bool {
	return b.Slow <= 0 && p.state == StateClosed && p.window == nil && p.last == nil && p.row.Load() == 0
}

// leave takes the end of a call.
func (b *Breaker) leave(ctx context.Context, c ticket, err error) {
	if err == nil && b.Slow <= 0 {
		b.succeeded(c.period)
		return
	}
	switch v, cause := b.judge(ctx, c, err); v {
	case neutral:
		b.giveBack(c.period)
	case success:
		b.succeeded(c.period)
	case failure:
		b.failed(c.period, cause)
	}
}

// lost takes the end of a call that did not return.
func (b *Breaker) lost(c ticket) { b.failed(c.period, ErrNoReturn) }

// judge finds the verdict on a call, and for a failure its cause. No lock is held: it asks Failure.
func (b *Breaker) judge(ctx context.Context, c ticket, err error) (verdict, error) {
	if err != nil && neverLeft(err) {
		return neutral, nil
	}
	if b.Slow > 0 {
		if took := time.Duration(clock() - c.start); took > b.Slow {
			return failure, &slowError{took, b.Slow, err}
		}
	}
	switch {
	case err == nil:
		return success, nil
	case ctx.Err() != nil:
		return neutral, nil
	case b.Failure != nil && !b.Failure(err):
		return success, nil
	}
	return failure, err
}

// ErrSlow is matched by the Cause of a [Change] that a call longer than Slow brought about.
var ErrSlow = errors.New("fx: call took too long")

// slowError is the cause of a change that a slow call brought about.
type slowError struct {
	took, limit time.Duration
	err         error
}

func (e *slowError) Error() string {
	msg := fmt.Sprintf("fx: call took %v, longer than Slow (%v)", e.took, e.limit)
	if e.err != nil {
		msg += ": " + text(e.err)
	}
	return msg
}

func (e *slowError) Is(target error) bool { return target == ErrSlow }
func (e *slowError) Unwrap() error        { return e.err }

// giveBack makes room for the next probe. A closed breaker has nothing to take back.
func (b *Breaker) giveBack(p *period) {
	if p.state == StateClosed {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now.Load() == p {
		b.now.Store(p.halfOpen())
	}
}

// succeeded takes a success. In a healthy closed period it writes nothing, or one count to the window.
func (b *Breaker) succeeded(p *period) {
	if p.state == StateClosed && p.last == nil && p.row.Load() == 0 {
		if p.window != nil {
			p.window.add(b.Window)
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.now.Load() != p:
	case p.state == StateClosed:
		b.count(p, true)
	case int(p.good)+1 >= b.probes():
		b.move(b.closed(), nil, time.Now())
	default:
		next := p.halfOpen()
		next.good++
		b.now.Store(next)
	}
}

// failed takes a failure.
func (b *Breaker) failed(p *period, cause error) {
	counts, ask := b.takeFailure(p, cause)
	if !ask || !b.Trip(counts) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now.Load() == p {
		b.open(cause)
	}
}

// takeFailure counts a failure and opens if that is decided, under one lock so that nothing slips between the two.
// Only Trip, being the user's, has to be asked outside.
func (b *Breaker) takeFailure(p *period, cause error) (counts Counts, ask bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now.Load() != p {
		return counts, false
	}
	if p.state == StateClosed {
		b.count(p, false)
		switch {
		case p.forced:
			return counts, false
		case b.Trip != nil:
			return b.counts(p), true
		case int(p.row.Load()) < b.failures():
			return counts, false
		}
	}
	b.open(cause)
	return counts, false
}

// count adds a result to a closed period.
func (b *Breaker) count(p *period, ok bool) {
	switch {
	case ok:
		p.row.Store(0)
	case p.row.Load() < math.MaxInt32:
		p.row.Add(1)
	}
	switch {
	case p.last != nil:
		p.last.push(!ok)
	case p.window == nil:
	case ok:
		p.window.add(b.Window)
	default:
		p.window.addBad(b.Window)
	}
}

func (b *Breaker) counts(p *period) Counts {
	row := int(p.row.Load())
	switch {
	case p.last != nil:
		return Counts{p.last.n - p.last.bad, p.last.bad, row}
	case p.window != nil:
		good, bad := p.window.counts(b.Window)
		return Counts{good, bad, row}
	}
	return Counts{Failures: row, Consecutive: row}
}

// closed is a new closed period with clean counts.
func (b *Breaker) closed() *period {
	p := new(period)
	switch {
	case b.Trip == nil:
	case b.Last > 0:
		p.last = newRing(min(b.Last, 1<<16))
	default:
		p.window = new(rolling)
	}
	return p
}

// halfOpen is the half-open period that follows p, with no probe out.
func (p *period) halfOpen() *period {
	return &period{state: StateHalfOpen, trips: p.trips, good: p.good, until: always}
}

// open starts an open period.
func (b *Breaker) open(cause error) {
	p, at := b.now.Load(), time.Now()
	wait := b.cooldown(p.trips)
	b.move(&period{
		state:   StateOpen,
		trips:   max(p.trips, p.trips+1), // 255 and no more
		until:   later(clockAt(at), wait),
		refusal: b.refuse(at.Add(wait)),
	}, cause, at)
}

func (b *Breaker) refuse(until time.Time) *OpenError { return &OpenError{Name: b.Name, Until: until} }

// cooldown is how long to stay open after opening that many times before. The jitter keeps a fleet of breakers that
// opened together from probing together.
func (b *Breaker) cooldown(trips uint8) time.Duration {
	d := b.firstCooldown()
	if b.MaxCooldown <= 0 {
		return d
	}
	for ; trips > 0 && d < b.MaxCooldown; trips-- {
		d = min(doubled(d), b.MaxCooldown)
	}
	return d - spread(d/2, rand.Float64())
}

func (b *Breaker) firstCooldown() time.Duration {
	if b.Cooldown == 0 {
		return 10 * time.Second
	}
	return max(b.Cooldown, 0)
}

func (b *Breaker) probeLimit() time.Duration {
	if b.ProbeLimit > 0 {
		return b.ProbeLimit
	}
	if b.Cooldown > 0 {
		return b.Cooldown
	}
	return 10 * time.Second
}

func (b *Breaker) failures() int {
	if b.Failures == 0 {
		return 5
	}
	return min(max(b.Failures, 1), math.MaxInt32)
}

func (b *Breaker) probes() int {
	if b.Probes == 0 {
		return 2
	}
	return min(max(b.Probes, 1), math.MaxInt16)
}

// move makes next the current period, and a Change of it if the state is another. mu is held.
func (b *Breaker) move(next *period, cause error, at time.Time) {
	change := Change{Name: b.Name, To: next.state, Cause: cause, At: at}
	if p := b.now.Load(); p != nil {
		change.From, change.Counts = p.state, b.counts(p)
	}
	b.now.Store(next)
	if b.OnChange == nil || change.From == change.To {
		return
	}
	if b.untold != nil {
		*b.untold = append(*b.untold, change)
		return
	}
	b.untold = &[]Change{change}
	go b.tell()
}

// tell calls OnChange for one change after the other, and ends when there is none left.
func (b *Breaker) tell() {
	for {
		b.mu.Lock()
		if len(*b.untold) == 0 {
			b.untold = nil
			b.mu.Unlock()
			return
		}
		change := (*b.untold)[0]
		*b.untold = (*b.untold)[1:]
		b.mu.Unlock()
		b.tellOne(change)
	}
}

func (b *Breaker) tellOne(change Change) {
	returned := false
	defer func() {
		if r := recover(); r != nil {
			slog.Error("fx: panic in OnChange of "+named("circuit breaker", b.Name), "panic", r, "stack", string(debug.Stack()))
		} else if !returned { // Goexit ends this goroutine
			go b.tell()
		}
	}()
	b.OnChange(change)
	returned = true
}

// base is the instant that clock counts from. Reading only the monotonic clock takes half the time of time.Now. In a
// synctest bubble, whose time began in the year 2000, clock is negative.
var base = time.Now()

func clock() int64 { return int64(time.Since(base)) }

func clockAt(t time.Time) int64 { return int64(t.Sub(base)) }

// later is now + d, without overflow. d is not negative.
func later(now int64, d time.Duration) int64 {
	if sum := now + int64(d); sum >= now {
		return sum
	}
	return forever
}

// A ring holds how the last calls ended, one bit each. It is guarded by its owner's lock.
type ring struct {
	bits   []uint64
	size   int
	n, bad int // calls held, and failures among them
	next   int // the place of the next one, which is also the oldest when full
}

func newRing(size int) *ring { return &ring{bits: make([]uint64, (size+63)/64), size: size} }

func (r *ring) push(bad bool) {
	word, bit := &r.bits[r.next/64], uint64(1)<<(r.next%64)
	if *word&bit != 0 { // only a full ring has a bit here: the oldest
		r.bad--
	}
	*word &^= bit
	if bad {
		*word |= bit
		r.bad++
	}
	r.n = min(r.n+1, r.size)
	r.next = (r.next + 1) % r.size
}

// tenths is how many slices make a window.
const tenths = 10

// rolling counts good and bad events of a window that rolls on in slices of a tenth. The good are many and must be
// cheap: they are only added to fresh, without a look at the clock, and a timer sorts them into their slice when it
// ends. So all that is fresh belongs to the slice that armed names, but for the one add that is about to arm. The
// zero value is ready. The window is a parameter to keep it small.
type rolling struct {
	fresh  atomic.Int64 // good ones that are not in a slice yet
	mu     sync.Mutex
	slices [tenths + 1][2]uint32 // good and bad; one more slice than a window has, see Budget
	origin int64                 // when slice 1 began, by clock
	newest int64                 // the number of the newest slice; 0 before first use
	armed  int64                 // the slice at whose end a timer is set; 0 means none
}

// windowOr10s brings a Window into its range.
func windowOr10s(w time.Duration) time.Duration {
	if w == 0 {
		return 10 * time.Second
	}
	return max(w, 10*time.Millisecond)
}

// add counts a good event.
func (r *rolling) add(window time.Duration) {
	if r.fresh.Add(1) == 1 {
		r.arm(window)
	}
}

// arm sets a timer for the end of the slice that the first fresh event fell into.
func (r *rolling) arm(window time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.turn(window)
	if r.armed != r.newest {
		r.armed = r.newest
		time.AfterFunc(left, func() { r.counts(window) })
	}
}

// addBad counts a bad event.
func (r *rolling) addBad(window time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fold(window)
	r.bad()
}

func (r *rolling) bad() { saturate(&r.slice(r.newest)[1], 1) }

// counts sums up the window.
func (r *rolling) counts(window time.Duration) (good, bad int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fold(window)
	return r.sum(tenths)
}

// fold sorts the fresh events into their slice. mu is held.
func (r *rolling) fold(window time.Duration) {
	r.turn(window)
	slice := r.armed
	if slice == 0 {
		slice = r.newest
	}
	if n := r.fresh.Swap(0); slice > r.newest-tenths {
		saturate(&r.slice(slice)[0], n)
	}
	if r.armed < r.newest { // its timer has come, or never will: its synctest bubble is gone
		r.armed = 0
	}
}

// turn moves on to the slice of this moment, clears those that it has passed, and returns the time until it ends.
func (r *rolling) turn(window time.Duration) time.Duration {
	now, tenth := clock(), int64(windowOr10s(window))/tenths
	slice := (now-r.origin)/tenth + 1
	if r.newest == 0 || slice < r.newest { // never used, or by another clock: a new synctest bubble
		r.origin = now - tenth*7/11 // off the beat of whatever began just now
		r.slices, r.armed = [tenths + 1][2]uint32{}, 0
		slice = 1
		r.newest = 1
	}
	for r.newest = max(r.newest, slice-tenths-1); r.newest < slice; {
		r.newest++
		*r.slice(r.newest) = [2]uint32{}
	}
	return time.Duration(tenth - (now-r.origin)%tenth)
}

// slice is the place of slice number i, which is among the newest eleven; numbers below 1 are empty ones.
func (r *rolling) slice(i int64) *[2]uint32 { return &r.slices[(i+tenths+1)%(tenths+1)] }

// sum adds up the newest n slices.
func (r *rolling) sum(n int64) (good, bad int) {
	for i := r.newest - n + 1; i <= r.newest; i++ {
		s := r.slice(i)
		good += int(s[0])
		bad += int(s[1])
	}
	return good, bad
}

func saturate(c *uint32, n int64) { *c = uint32(min(int64(*c)+n, math.MaxUint32)) }
