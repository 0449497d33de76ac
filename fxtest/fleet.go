package fxtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"example.com/fx"
)

// A Fleet is a population of clients that call through their real stacks of policies, in virtual time, and are measured
// from outside: what they ask for, what they get, what they send, and for how long they wait. Calls come at random times
// whether or not earlier ones have been answered (open loop, Poisson). The zero value but for Client is 100 clients with
// one call a second each, for a minute. A Fleet only describes; it may be run any number of times.
//
//	fxtest.Virtual(func() { // in a test, synctest.Test
//		users := &fxtest.Dependency{Workers: 10, Queue: -1, Latency: fxtest.Exponential(10 * time.Millisecond),
//			Outages: []fxtest.Outage{{From: 20 * time.Second, Until: 30 * time.Second, Mode: fxtest.Hanging}}}
//		report := fxtest.Fleet{Rate: 500, Client: func(c *fxtest.Client) fx.Op[int] {
//			op := fx.WithTimeout(c.Call(users), time.Second)
//			return fx.WithRetry(op, fx.Retry{Backoff: c.Jitter(fx.Exponential(100*time.Millisecond), 1), Budget: &fx.Budget{}})
//		}}.Run(users)
//		fmt.Print(report.Chart().Text())
//	})
//
// # Repeatable figures
//
// The same fleet with the same Seed gives the same figures, on any number of cores. What happens in one virtual instant
// happens in any order, so each call gets instants of its own: those whose Unix time in nanoseconds is its number modulo
// [Classes]. Workers of a Dependency have such instants too. A stack keeps to them if
//
//   - it calls its dependencies through [Client.Call], which waits for the next instant of the call;
//   - its fixed times (timeouts, waits, cooldowns) are whole multiples of 0.1 ms;
//   - what is random in it draws from [Client.Jitter] or [Client.Float64]: not the default of fx.Retry.Backoff, nor
//     fx.Breaker.MaxCooldown, whose source is its own. With these, expect figures within bands;
//   - it begins no two attempts of one call in the same instant, as fx.All and fx.Zip do: which of them comes first is a
//     matter of luck.
//
// Times are therefore good to 0.1 ms, and a Dependency is slower by half of that on average.
type Fleet struct {
	// Clients is how many there are. 0 means 100. More than Classes less the workers cannot be.
	Clients int
	// Rate is how many calls a second begin, of all clients together. 0 means one for each client.
	Rate float64
	// Once lets each client make one call only, all at the very beginning, in place of Rate.
	Once bool
	// For is how long calls begin. 0 means 1m. Run lasts on until all have ended, and all attempts.
	For time.Duration
	// Every is how much time goes into one Bucket. 0 means 1s.
	Every time.Duration
	// Seed is of all that is random in the fleet.
	Seed uint64
	// Client makes the stack of one client. What it makes is that client's own; what it only refers to, like a budget
	// made before, is shared. It is called for one client after the other, before time begins. It is required.
	Client func(c *Client) fx.Op[int]
}

// Classes is how many residue classes of instants there are, and their distance in nanoseconds: 0.1 ms.
const Classes = 100_000

// A Client is one of a fleet: its number and its source of random numbers. It is safe for concurrent use.
type Client struct {
	N int // from 0

	run    *fleetRun
	mu     sync.Mutex
	random *rand.Rand
	free   []int // the classes that no call has, the next to be taken first
	spare  int   // the class that calls share when there is none
}

// Call is d's Call as this client makes it: the attempt is counted, and begins and ends at instants of its own.
func (c *Client) Call(d *Dependency) fx.Op[int] {
	return func(ctx context.Context) (int, error) {
		of, ok := ctx.Value(callKey{}).(*fleetCall)
		if !ok {
			panic("fxtest: Client.Call outside a call of its Fleet; pass on a context that comes from the one you get")
		}
		class := of.begin()
		defer of.end(class)
		toClass(class)
		c.run.attempt(1)
		defer c.run.attempt(-1)
		defer toClass(class)
		return d.Call(ctx)
	}
}

// Jitter is [fx.Backoff.JitterBy] with the client's own random numbers, in whole multiples of 0.1 ms.
func (c *Client) Jitter(b fx.Backoff, f float64) fx.Backoff {
	b = b.JitterBy(f, c.Float64)
	return func(yield func(time.Duration) bool) {
		for d := range b {
			if !yield(d.Round(Classes)) {
				return
			}
		}
	}
}

// Float64 is a random number in [0, 1) from the client's own source.
func (c *Client) Float64() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Float64()
}

// Run runs the fleet and returns what came of it when its last call has ended. It has to be called in a synctest bubble,
// see [Virtual]; elsewhere time is real. deps are what the clients call: Run begins their time, so that their outages
// count from its beginning, and gives to those with Workers and without Classes instants of their own.
// It panics if Client is missing or a number makes no sense.
func (f Fleet) Run(deps ...*Dependency) Report {
	f = f.settled()
	r := &fleetRun{Fleet: f, start: time.Now(), buckets: make([]Bucket, (f.For+f.Every-1)/f.Every)}
	first := classify(deps)
	if first+f.Clients > Classes {
		panic(fmt.Sprintf("fxtest: Fleet: %d clients and %d workers are more than there are Classes", f.Clients, first))
	}
	clients := r.recruit(first)
	for _, d := range deps {
		d.mu.Lock()
		d.open()
		d.mu.Unlock()
	}
	for _, each := range clients {
		r.calls.Go(each)
	}
	r.calls.Wait()
	report := r.report(deps)
	for r.attempting() { // when Run is over virtual time may stand still, so nothing may be left behind
		time.Sleep(time.Second)
	}
	return report
}

func (f Fleet) settled() Fleet {
	if f.Client == nil {
		panic("fxtest: a Fleet needs a Client, as in fxtest.Fleet{Client: func(c *fxtest.Client) fx.Op[int] { return guarded(c.Call(users)) }}")
	}
	if f.Clients < 0 || !(f.Rate >= 0) || f.For < 0 || f.Every < 0 {
		panic(fmt.Sprintf("fxtest: Fleet: Clients %d, Rate %v, For %v, Every %v; none may be negative", f.Clients, f.Rate, f.For, f.Every))
	}
	if f.Clients == 0 {
		f.Clients = 100
	}
	if f.Rate == 0 {
		f.Rate = float64(f.Clients)
	}
	if f.For == 0 {
		f.For = time.Minute
	}
	if f.Every == 0 {
		f.Every = time.Second
	}
	return f
}

// classify gives classes to the workers of deps and returns the first that is left.
func classify(deps []*Dependency) (next int) {
	for _, d := range deps {
		if d.Classes == 0 && d.Workers > 0 {
			d.Class, d.Classes = next, Classes
		}
		if d.Classes == Classes {
			next = max(next, d.Class+d.Workers)
		}
	}
	return next
}

// fleetRun is one run of a fleet.
type fleetRun struct {
	Fleet
	start time.Time
	calls sync.WaitGroup

	mu       sync.Mutex
	buckets  []Bucket
	total    Bucket
	crowded  int
	underWay int // attempts
}

// recruit makes the clients, with the classes from first on dealt out among them, and returns what each has to do.
func (r *fleetRun) recruit(first int) (lives []func()) {
	each := (Classes - first) / r.Clients
	for n := range r.Clients {
		c := &Client{N: n, run: r, random: rand.New(rand.NewPCG(r.Seed, uint64(n))), spare: first + n*each}
		for i := 1; i < each; i++ {
			c.free = append(c.free, c.spare+i)
		}
		op := r.Client(c)
		if op == nil {
			panic("fxtest: the Client of a Fleet made a nil op")
		}
		lives = append(lives, func() { r.live(c, op) })
	}
	return lives
}

// live makes the calls of one client.
func (r *fleetRun) live(c *Client, op fx.Op[int]) {
	if r.Once {
		class := c.take()
		toClass(class)
		r.call(c, op, class)
		return
	}
	random := rand.New(rand.NewPCG(r.Seed, uint64(c.N)|1<<32))
	mean := float64(time.Second) * float64(r.Clients) / r.Rate
	for at := time.Duration(0); ; {
		if at += duration(random.ExpFloat64() * mean); at >= r.For || at < 0 {
			return
		}
		class := c.take()
		time.Sleep(time.Until(r.start.Add(at)))
		toClass(class)
		r.calls.Go(func() { r.call(c, op, class) })
	}
}

// call makes one call and notes how it ended.
func (r *fleetRun) call(c *Client, op fx.Op[int], class int) {
	call := &fleetCall{client: c, class: class, holders: 1}
	begin := time.Now()
	r.note(func(b *Bucket) { b.Offered++ })
	_, err := op(context.WithValue(context.Background(), callKey{}, call))
	took := time.Since(begin)
	r.note(func(b *Bucket) {
		if b.latencies = append(b.latencies, took); err == nil {
			b.Goodput++
		} else {
			b.Errors++
		}
	})
	call.drop()
}

// callKey is for the call in its context.
type callKey struct{}

// A fleetCall is one call of a client. Its attempts use its class, one after the other; one that comes while another is
// under way, like a hedge, gets a class of its own: else the two might wake in the same instant.
type fleetCall struct {
	client *Client
	class  int

	mu      sync.Mutex
	busy    bool // an attempt uses the class
	holders int  // that attempt, and the call itself: the class is free when both have ended
}

func (f *fleetCall) begin() (class int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		return f.client.take()
	}
	f.busy = true
	f.holders++
	return f.class
}

func (f *fleetCall) end(class int) {
	if class != f.class {
		f.client.giveBack(class)
		return
	}
	f.mu.Lock()
	f.busy = false
	f.mu.Unlock()
	f.drop()
}

func (f *fleetCall) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holders--; f.holders == 0 {
		f.client.giveBack(f.class)
	}
}

// take gives out a class that no other call has, if there is one.
func (c *Client) take() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.free) == 0 {
		c.run.crowd()
		return c.spare
	}
	class := c.free[0]
	c.free = c.free[1:]
	return class
}

func (c *Client) giveBack(class int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if class != c.spare {
		c.free = append(c.free, class)
	}
}

func (r *fleetRun) crowd() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crowded++
}

// attempt notes that an attempt begins, or ends.
func (r *fleetRun) attempt(change int) {
	r.mu.Lock()
	r.underWay += change
	r.mu.Unlock()
	if change > 0 {
		r.note(func(b *Bucket) { b.Attempts++ })
	}
}

func (r *fleetRun) attempting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.underWay > 0
}

// note lets add change the bucket of this moment, and the total.
func (r *fleetRun) note(add func(*Bucket)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.total)
	if i := int(time.Since(r.start) / r.Every); i < len(r.buckets) {
		add(&r.buckets[i])
	}
}

// report is for the end, when nobody calls any more.
func (r *fleetRun) report(deps []*Dependency) Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.buckets {
		r.buckets[i].rank()
	}
	r.total.rank()
	report := Report{Every: r.Every, Buckets: r.buckets, Total: r.total, Crowded: r.crowded, Took: time.Since(r.start)}
	for _, d := range deps {
		report.Outages = append(report.Outages, d.Outages...)
	}
	return report
}

// toClass waits for the next instant of class.
func toClass(class int) {
	off := (int64(class) - time.Now().UnixNano()) % Classes
	if off = (off + Classes) % Classes; off > 0 {
		time.Sleep(time.Duration(off))
	}
}
