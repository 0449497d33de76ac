package fx

import (
	"container/list"
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// WithFallback answers a failure of op with the first of alts that succeeds, tried in turn. If all fail, the error
// unwraps to every one of theirs, op's first. After ctx has ended no alternative is tried, and a panic is not
// answered. Alternatives see the same context as op.
//
// Fall back where second best is an answer, such as the price of a minute ago. A write has no second best.
func WithFallback[T any](op Op[T], alts ...Op[T]) Op[T] {
	if op == nil || anyNil(alts) {
		panic("fx: WithFallback needs ops that are not nil, as in fx.WithFallback(op, fx.Value(second))")
	}
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		if v, err = op(ctx); err == nil {
			return v, nil
		}
		return fallBack(ctx, alts, v, err)
	}
}

// anyNil is written out to be inlined: what is not cannot be composed in every call for nothing.
func anyNil[T any](ops []Op[T]) bool {
	for _, op := range ops {
		if op == nil {
			return true
		}
	}
	return false
}

// fallBack tries the alternatives after op has failed with first.
func fallBack[T any](ctx context.Context, alts []Op[T], v T, first error) (T, error) {
	if len(alts) == 0 {
		return v, first
	}
	outer := noteIn(ctx)
	var then []error
	for _, alt := range alts {
		if ctx.Err() != nil {
			then = append(then, over(ctx))
			break
		}
		own, n := ctx, (*note)(nil)
		if outer != nil { // one that fails leaves nothing on it
			own, n = withNote(ctx)
		}
		v, err := alt(own)
		if err == nil {
			if outer != nil {
				outer.add(n, append([]error{first}, then...))
			}
			return v, nil
		}
		then = append(then, err)
	}
	return none[T](), &fallbackError{first, then}
}

func none[T any]() (v T) { return v }

// fallbackError is what op and its alternatives said, in turn.
type fallbackError struct {
	first error
	then  []error
}

func (e *fallbackError) Error() string {
	texts := make([]string, 0, 1+len(e.then))
	for _, err := range e.Unwrap() {
		texts = append(texts, text(err))
	}
	return "fx: no answer: " + strings.Join(texts, "; then: ")
}

func (e *fallbackError) Unwrap() []error { return append([]error{e.first}, e.then...) }

// WithRecover answers a failure of op with what f makes of it. If f fails too, the error unwraps to both. After ctx
// has ended f is not asked, and a panic is not answered.
func WithRecover[T any](op Op[T], f func(context.Context, error) (T, error)) Op[T] {
	if op == nil || f == nil {
		panic("fx: WithRecover needs an op and a function of the error, as in fx.WithRecover(op, fromReplica)")
	}
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		if v, err = op(ctx); err == nil {
			return v, nil
		}
		return fallBack(ctx, []Op[T]{func(ctx context.Context) (T, error) { return f(ctx, err) }}, v, err)
	}
}

// A Result is an answer that says whether it is second best.
type Result[T any] struct {
	Value    T
	Degraded bool          // a fallback answered, here or in a part
	Age      time.Duration // how old the oldest part of the answer is; 0 if it is fresh or none of its sources told
	Cause    error         // why the best answer was not to be had; nil if it was
}

// Quality is all but the value, for what watches Results of any type.
func (r Result[T]) Quality() (degraded bool, age time.Duration, cause error) {
	return r.Degraded, r.Age, r.Cause
}

// WithDegraded is [WithFallback] that says what it served. The Result also tells of fallbacks further inside, so that
// no degradation is silent.
func WithDegraded[T any](op Op[T], alts ...Op[T]) Op[Result[T]] {
	if op == nil || anyNil(alts) {
		panic("fx: WithDegraded needs ops that are not nil, as in fx.WithDegraded(op, fx.Value(second))")
	}
	return func(ctx context.Context) (r Result[T], err error) {
		if ctx.Err() != nil {
			return r, ended(ctx)
		}
		own, n := withNote(ctx)
		v, err := op(own)
		if err != nil {
			own, n = withNote(ctx) // what a failed op noted is not part of the answer
			v, err = fallBack(own, alts, v, err)
		}
		if err != nil {
			return r, err
		}
		noteIn(ctx).add(n, nil)
		return resultOf(v, n), nil
	}
}

// A note travels in a context to learn of the degradations below it. A nil note learns nothing.
type note struct {
	mu     sync.Mutex
	age    time.Duration // of the oldest part
	causes []error       // why fallbacks answered; empty if none did
}

type noteKey struct{}

func noteIn(ctx context.Context) *note {
	n, _ := ctx.Value(noteKey{}).(*note)
	return n
}

func withNote(ctx context.Context) (context.Context, *note) {
	n := new(note)
	return context.WithValue(ctx, noteKey{}, n), n
}

// add takes over what part has learned, and that it is second best if something failed before it.
func (n *note) add(part *note, before []error) {
	if n == nil {
		return
	}
	part.mu.Lock()
	learned, age := part.causes, part.age
	part.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.age = max(n.age, age)
	n.causes = append(append(n.causes, before...), learned...)
}

// aged notes that a part of the answer is that old.
func (n *note) aged(age time.Duration) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.age = max(n.age, age)
}

func resultOf[T any](v T, n *note) Result[T] {
	n.mu.Lock()
	defer n.mu.Unlock()
	cause := errors.Join(n.causes...)
	if len(n.causes) == 1 {
		cause = n.causes[0]
	}
	return Result[T]{Value: v, Degraded: len(n.causes) > 0, Age: n.age, Cause: cause}
}

// A Store keeps values for a [Cache] where other processes can find them too, or where they survive a restart. Its
// methods may be slow or fail: no call is delayed or fails because of it. They should obey ctx.
type Store[K comparable, T any] interface {
	// Get returns a value and how old it is, or an error that matches [ErrMiss] when there is none.
	Get(ctx context.Context, key K) (v T, age time.Duration, err error)
	// Set keeps v for ttl.
	Set(ctx context.Context, key K, v T, ttl time.Duration) error
}

// ErrMiss is matched by the error of a [Store] or a [Cache.Recall] that has no value for a key.
var ErrMiss = errors.New("fx: nothing remembered")

// A Cache remembers good values, for when there are no better ones and to save calls. Share one among all Ops that
// yield the same kind of value. The zero value keeps 1000 values for an hour in memory, and none of them is fresh. It
// is safe for concurrent use and must not be copied after first use.
//
// Values are not copied: what a value points to must not change. Keys have to tell tenants apart.
type Cache[K comparable, T any] struct {
	// Size is how many values are kept in memory; the least recently used goes first. 0 means 1000, a negative
	// number 1.
	Size int
	// Fresh is how long [WithCache] serves a value without a call. 0 or less means never.
	Fresh time.Duration
	// Stale is how long a value is kept at all. 0 means 1h; less than Fresh means Fresh.
	Stale time.Duration
	// Store is asked for what is not in memory, for a tenth of a second at most, and not at all for ten seconds after
	// it has failed five times in a row. It is written behind the answer, within a second. nil means memory alone.
	Store Store[K, T]
	// OnErr hears of a Store that fails or is too slow, and of the writes that are dropped when 16 are under way; it
	// may be called from any goroutine.
	OnErr func(context.Context, error)

	mu      sync.Mutex
	entries map[K]*list.Element // of *entry[K, T]
	recent  list.List           // the most recently used first
	flights map[K]*flight[T]
	counts  CacheCounts
	store   Breaker // in front of Store.Get
	writes  Bulkhead
}

// CacheCounts are what a [Cache] has seen since it was made.
type CacheCounts struct {
	Entries int // values in memory at this moment
	Hits    int // looks that found a value in memory
	Misses  int // looks that did not
	Fetched int // of the misses, those that the Store answered
	Errs    int // what OnErr was told, if there was one
}

// Counts returns the counts of this moment.
func (c *Cache[K, T]) Counts() CacheCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	counts.Entries = c.recent.Len()
	return counts
}

// entry is a remembered value.
type entry[K comparable, T any] struct {
	key    K
	v      T
	at     int64 // when it was good, by clock
	failed error // of the latest refresh, if that failed
}

// Recall is the remembered value of key as an alternative, for [WithFallback] and its kin. A Result around it tells
// the age. Without a value it fails with [ErrMiss].
func (c *Cache[K, T]) Recall(key K) Op[T] {
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		e, age, ok := c.find(key)
		if !ok {
			if e, age, err = c.fetch(ctx, key); err != nil {
				return v, err
			}
		}
		noteIn(ctx).aged(age)
		return e.v, nil
	}
}

// Remember keeps the successes of op in c under key, and passes everything on as it is.
func Remember[K comparable, T any](op Op[T], c *Cache[K, T], key K) Op[T] {
	if op == nil || c == nil {
		panic("fx: Remember needs an op and a cache, as in fx.Remember(op, &fx.Cache[string, User]{}, id)")
	}
	return func(ctx context.Context) (v T, err error) {
		if ctx.Err() != nil {
			return v, ended(ctx)
		}
		if v, err = op(ctx); err == nil {
			c.keep(ctx, key, v)
		}
		return v, err
	}
}

// WithCache answers from c where it can. A value younger than Fresh is served without a call. One younger than Stale
// is served at once, while one call for all runs behind to refresh it; the Result tells its age, and is Degraded if the
// latest refresh failed. Otherwise there is one call for all who ask for key at that time: one who leaves does not fail
// the others, and the call is cancelled when the last has left. Its panic reaches all of them.
//
// A refresh runs without its caller's deadline for 30 s at most, and outlives the call. The answer of a fallback inside
// op is served, but not remembered.
func WithCache[K comparable, T any](op Op[T], c *Cache[K, T], key K) Op[Result[T]] {
	if op == nil || c == nil {
		panic("fx: WithCache needs an op and a cache, as in fx.WithCache(op, &fx.Cache[string, User]{}, id)")
	}
	return func(ctx context.Context) (r Result[T], err error) {
		if ctx.Err() != nil {
			return r, ended(ctx)
		}
		e, age, ok := c.find(key)
		if !ok {
			return c.share(ctx, key, op)
		}
		if age >= c.Fresh {
			c.join(ctx, key, op, false) // a refresh behind the answer
		}
		return serve(ctx, e, age), nil
	}
}

// serve is the Result for a remembered value.
func serve[K comparable, T any](ctx context.Context, e entry[K, T], age time.Duration) Result[T] {
	if n := noteIn(ctx); n != nil {
		n.aged(age)
		if e.failed != nil {
			n.add(new(note), []error{e.failed})
		}
	}
	return Result[T]{Value: e.v, Degraded: e.failed != nil, Age: age, Cause: e.failed}
}

func (c *Cache[K, T]) size() int {
	if c.Size == 0 {
		return 1000
	}
	return max(c.Size, 1)
}

func (c *Cache[K, T]) stale() time.Duration {
	d := c.Stale
	if d == 0 {
		d = time.Hour
	}
	return max(d, c.Fresh)
}

// --- memory ---

// find returns a copy of the entry of key and its age, if it has one that is not too old.
func (c *Cache[K, T]) find(key K) (e entry[K, T], age time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.entries[key]
	if el == nil {
		c.counts.Misses++
		return e, 0, false
	}
	e = *el.Value.(*entry[K, T])
	if age = time.Duration(clock() - e.at); age >= c.stale() {
		c.counts.Misses++
		c.remove(el)
		return e, 0, false
	}
	c.counts.Hits++
	c.recent.MoveToFront(el)
	return e, age, true
}

// put remembers a value, and forgets the one least recently used if there is no room.
func (c *Cache[K, T]) put(key K, v T, at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[key]; el != nil {
		*el.Value.(*entry[K, T]) = entry[K, T]{key: key, v: v, at: at}
		c.recent.MoveToFront(el)
		return
	}
	if c.entries == nil {
		c.entries = make(map[K]*list.Element)
	}
	if c.recent.Len() >= c.size() {
		c.remove(c.recent.Back())
	}
	c.entries[key] = c.recent.PushFront(&entry[K, T]{key: key, v: v, at: at})
}

func (c *Cache[K, T]) remove(el *list.Element) {
	delete(c.entries, c.recent.Remove(el).(*entry[K, T]).key)
}

// blame notes on the entry of key that its refresh has failed.
func (c *Cache[K, T]) blame(key K, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[key]; el != nil {
		el.Value.(*entry[K, T]).failed = err
	}
}

// --- the store ---

const (
	storeReads  = 100 * time.Millisecond // how long a call is held up by a store at most
	storeWrites = time.Second
	storeWaits  = 10 * time.Second // how long a store that fails is left alone
	storeAtOnce = 16               // writes under way
)

// fetch asks the store for a value that is not in memory. It does not rely on the store to obey its context.
func (c *Cache[K, T]) fetch(ctx context.Context, key K) (e entry[K, T], age time.Duration, err error) {
	if c.Store == nil {
		return e, 0, ErrMiss
	}
	get := Detached(func(ctx context.Context) (aged[T], error) {
		var got aged[T]
		err := contained(func() (err error) { got.v, got.age, err = c.Store.Get(ctx, key); return err })
		got.age = max(got.age, 0)
		return got, err
	})
	got, err := WithBreaker(WithTimeout(get, storeReads), c.guard())(ctx)
	switch {
	case errors.Is(err, ErrMiss) || err == nil && got.age >= c.stale():
		return e, 0, ErrMiss
	case err != nil:
		c.onErr(ctx, err)
		return e, 0, &fallbackError{first: ErrMiss, then: []error{err}}
	}
	e = entry[K, T]{key: key, v: got.v, at: clock() - int64(got.age)}
	c.put(key, e.v, e.at)
	c.count(&c.counts.Fetched)
	return e, got.age, nil
}

// contained makes an error of a panic: what a store does is no caller's fault.
func contained(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			logPanic(p)
			err = &panicError{p, debug.Stack()}
		}
	}()
	return f()
}

// aged is a value with its age.
type aged[T any] struct {
	v   T
	age time.Duration
}

// guard is the breaker that keeps a store in trouble from holding up one call after the other.
func (c *Cache[K, T]) guard() *Breaker {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store.Failure == nil {
		c.store.Name, c.store.Cooldown = "cache store", storeWaits
		c.store.Failure = func(err error) bool { return !errors.Is(err, ErrMiss) }
		c.writes.Name, c.writes.Limit = "cache writes", storeAtOnce
	}
	return &c.store
}

// keep remembers a value in memory at once, and in the store behind the answer.
func (c *Cache[K, T]) keep(ctx context.Context, key K, v T) {
	c.put(key, v, clock())
	if c.Store == nil {
		return
	}
	c.guard()
	if err := c.writes.Acquire(context.WithoutCancel(ctx)); err != nil {
		c.onErr(ctx, err)
		return
	}
	go c.write(context.WithoutCancel(ctx), key, v)
}

// write holds its place until the store has returned, however long that takes, but tells of it when its time is over.
func (c *Cache[K, T]) write(ctx context.Context, key K, v T) {
	set := Void(func(ctx context.Context) error {
		defer c.writes.Release()
		return contained(func() error { return c.Store.Set(ctx, key, v, c.stale()) })
	})
	if _, err := WithTimeout(Detached(set), storeWrites)(ctx); err != nil {
		c.onErr(ctx, err)
	}
}

func (c *Cache[K, T]) count(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

func (c *Cache[K, T]) onErr(ctx context.Context, err error) {
	c.count(&c.counts.Errs)
	if c.OnErr != nil {
		c.OnErr(ctx, err)
	}
}

// --- one call for all ---

// A flight is one call that several wait for.
type flight[T any] struct {
	ctx     context.Context
	cancel  context.CancelFunc
	waiting int         // who wants it, its own refresh included; under the cache's mu
	limit   *time.Timer // ends the waiting of a refresh for itself
	note    *note
	result  outcome[T]
	end     chan struct{}
}

// refreshes is how long a call that runs behind an answer may take.
const refreshes = 30 * time.Second

// share waits for the one call for key, and starts it if there is none.
func (c *Cache[K, T]) share(ctx context.Context, key K, op Op[T]) (r Result[T], err error) {
	f := c.join(ctx, key, op, true)
	select {
	case <-f.end:
	case <-ctx.Done():
		c.leave(key, f)
		return r, leftBehind(ctx)
	}
	v, err := f.result.deliver()
	if err != nil {
		return r, err
	}
	noteIn(ctx).add(f.note, nil)
	return resultOf(v, f.note), nil
}

// join returns the flight for key, with one more waiting if wait is set. Without, the flight that it may start is a
// refresh, which waits for itself as long as it may take.
func (c *Cache[K, T]) join(ctx context.Context, key K, op Op[T], wait bool) *flight[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flights[key]
	switch {
	case f != nil && wait:
		f.waiting++
	case f == nil:
		f = newFlight[T](ctx)
		if c.flights == nil {
			c.flights = make(map[K]*flight[T])
		}
		c.flights[key] = f
		if !wait {
			f.limit = time.AfterFunc(refreshes, func() { c.leave(key, f) })
		}
		go c.fly(key, f, op, wait)
	}
	return f
}

func newFlight[T any](ctx context.Context) *flight[T] {
	f := &flight[T]{waiting: 1, end: make(chan struct{})}
	f.ctx, f.note = withNote(context.WithoutCancel(ctx))
	f.ctx, f.cancel = context.WithCancel(f.ctx)
	return f
}

// leave takes one who waits off f, and ends it when that was the last.
func (c *Cache[K, T]) leave(key K, f *flight[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		c.land(key, f)
	}
}

// land makes room for the next flight, and ends the context of this one. mu is held.
func (c *Cache[K, T]) land(key K, f *flight[T]) {
	if c.flights[key] == f {
		delete(c.flights, key)
	}
	if f.limit != nil {
		f.limit.Stop()
	}
	f.cancel()
}

// fly makes the call and tells all who wait. A cold one asks the store first.
func (c *Cache[K, T]) fly(key K, f *flight[T], op Op[T], cold bool) {
	ends := make(chan outcome[T], 1)
	defer func() {
		f.result = <-ends
		c.mu.Lock()
		c.land(key, f)
		c.mu.Unlock()
		close(f.end)
	}()
	run(f.ctx, func(ctx context.Context) (T, error) {
		if cold {
			if e, age, err := c.fetch(ctx, key); err == nil {
				f.note.aged(age)
				return e.v, nil
			}
		}
		return c.call(ctx, key, f, op)
	}, 0, ends)
}

// call makes the call, and remembers how it ended.
func (c *Cache[K, T]) call(ctx context.Context, key K, f *flight[T], op Op[T]) (T, error) {
	returned := false
	defer func() {
		if !returned {
			c.blame(key, ErrNoReturn)
		}
	}()
	v, err := op(ctx)
	returned = true
	why := err
	if err == nil {
		why = resultOf(v, f.note).Cause // second best is served, but not remembered
	}
	if why != nil {
		c.blame(key, why)
	} else {
		c.keep(ctx, key, v)
	}
	return v, err
}
