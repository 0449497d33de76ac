package fxtest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"example.com/fx"
)

// A Dependency is the server that the code under test calls. It works on as many calls at once as it has Workers, lets
// others queue, first in, first out, and has outages and brownouts at times that are set. Within a synctest bubble all of
// it is virtual time; outside it is real.
//
// The zero value answers everybody at once. It is safe for concurrent use and must not be copied or changed after first
// use. It starts no goroutine that would have to be stopped. Settings without sense panic at the first call.
//
//	users := &fxtest.Dependency{Workers: 20, Queue: 100, Latency: fxtest.Exponential(20 * time.Millisecond)}
//	op := guarded(users.Call)
//	op = guarded(fx.Then(users.Call, func(context.Context, int) (User, error) { return alice, nil }))
type Dependency struct {
	// Workers is how many calls it works on at once. 0 means any number.
	Workers int
	// Queue is how many more may wait for a worker; further ones are refused with [ErrBusy]. 0 means none, a negative
	// number any number.
	Queue int
	// Latency is how long a worker takes for a call. nil means no time.
	Latency Latency
	// Seed is of the random source that Latency and Brownout.Fails draw from. The same seed and the same calls in the
	// same order give the same figures.
	Seed uint64
	// Outages are when it is down, and Brownouts when it is ailing. Of windows that overlap the first listed holds.
	Outages   []Outage
	Brownouts []Brownout
	// Drops lets a call leave the queue together with its caller. Servers mostly do not notice that a caller has left,
	// so without it the call keeps its place, and a worker does the work for nobody.
	Drops bool
	// Class and Classes make large simulations repeatable. What happens in the same virtual instant happens in any
	// order; so each actor must have instants of its own. Where Classes is positive, worker w, from 0, ends calls only
	// at instants whose Unix time in nanoseconds is Class+w modulo Classes. Classes must be at least Class+Workers, and
	// Workers be set.
	Class, Classes int

	mu      sync.Mutex
	start   time.Time // of its first call; zero before
	random  *rand.Rand
	queue   []*job
	idle    []int // the numbers of the workers that are free; kept only with Classes
	figures Figures
}

// An Outage is a window in which a Dependency is down.
type Outage struct {
	From  time.Duration // counted from its first call
	Until time.Duration // the same; 0 means for ever
	Mode  Mode
}

// Mode is how a Dependency is down.
type Mode int

// The modes of an [Outage].
const (
	Refusing Mode = iota // newcomers get ErrDown at once; what it has taken on it finishes
	Hanging              // its time stands still: newcomers are taken on, and all work goes on afterwards
	Failing              // newcomers get ErrFailed at once; what it has taken on it finishes
)

// A Brownout is a window in which a Dependency is ailing. It holds for the calls that are begun in it.
type Brownout struct {
	From    time.Duration // counted from its first call
	Until   time.Duration // the same; 0 means for ever
	Slower  float64       // the factor for Latency; 0 means 1
	Workers int           // 0 means as many as ever; others come back when a call comes or ends after the window
	Fails   float64       // the share of calls that end in ErrFailed
}

// The errors of a Dependency, beside that of its caller's context. They are answers, or come before any work is begun, so
// fx.MayBeDone says false; fx.Retryable and fx.Transient say true.
var (
	ErrDown   error = &trouble{"fxtest: connection refused: the dependency is down"}
	ErrBusy   error = &trouble{"fxtest: the dependency is busy: its queue is full"}
	ErrFailed error = &trouble{"fxtest: the dependency failed"}
)

type trouble struct{ text string }

func (t *trouble) Error() string   { return t.text }
func (t *trouble) MayBeDone() bool { return false }
func (t *trouble) Retryable() bool { return true }

// Figures are what a Dependency has seen so far. At any moment
//
//	Offered == Refused + Dropped + Done + Failed + Busy + Queued
type Figures struct {
	Offered int // calls that came
	Refused int // with ErrDown or ErrBusy
	Dropped int // taken out of the queue with their callers, see Drops
	Started int // calls that a worker began to work on
	Done    int // calls that ended in a success
	Failed  int // calls that ended in ErrFailed, those that an outage failed at the door among them
	Left    int // callers who left before their call had ended
	Wasted  int // of Done and Failed, those whose caller had left
	Busy    int // workers at work now
	Queued  int // calls that wait for a worker now

	MostBusy, MostQueued int // at any one time
}

// A job is a call that has been taken on.
type job struct {
	n      int
	work   time.Duration // drawn when it came, so that the order of arrival alone decides
	luck   float64       // it fails in a brownout in which Fails is more
	worker int
	left   bool // its caller has
	ended  bool
	err    error
	done   chan struct{} // closed when it has ended
}

// Call makes one call: it returns the call's number, from 1, when a worker has done it. It is an fx.Op. When ctx ends
// first, the error is ctx.Err(); a ctx that has ended before makes no call.
func (d *Dependency) Call(ctx context.Context) (int, error) {
	if ctx.Err() != nil {
		return 0, fx.NotDone(ctx.Err())
	}
	j, err := d.arrive()
	if err != nil {
		return 0, err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if d.leave(j) {
			return 0, ctx.Err()
		}
	}
	if j.err != nil {
		return 0, j.err
	}
	return j.n, nil
}

// Figures returns the figures of this moment.
func (d *Dependency) Figures() Figures {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.figures
}

// arrive takes a call on, or says why not.
func (d *Dependency) arrive() (*job, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open()
	now := time.Since(d.start)
	d.figures.Offered++
	j := &job{n: d.figures.Offered, work: d.Latency.draw(d.random), luck: d.random.Float64(), worker: noWorker, done: make(chan struct{})}
	switch o := covering(d.Outages, now); {
	case o != nil && o.Mode == Refusing:
		d.figures.Refused++
		return nil, ErrDown
	case o != nil && o.Mode == Failing:
		d.figures.Failed++
		return nil, ErrFailed
	case d.full(now):
		d.figures.Refused++
		return nil, ErrBusy
	}
	d.queue = append(d.queue, j)
	d.figures.Queued++
	d.dispatch(now)
	d.figures.MostQueued = max(d.figures.MostQueued, d.figures.Queued)
	return j, nil
}

// leave says that j's caller has gone, unless j has ended in the meantime.
func (d *Dependency) leave(j *job) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if j.ended {
		return false
	}
	j.left = true
	d.figures.Left++
	if d.Drops && j.worker == noWorker {
		d.figures.Queued--
		d.figures.Dropped++
	}
	return true
}

// noWorker is the worker of a job that is in the queue, anyWorker that of a job whose worker has no number.
const (
	noWorker  = -1
	anyWorker = -2
)

// always is when a job ends that an outage without end holds up.
const always = time.Duration(math.MaxInt64)

// open begins the time of d, once. mu is held.
func (d *Dependency) open() {
	if !d.start.IsZero() {
		return
	}
	d.check()
	d.start = time.Now()
	d.random = rand.New(rand.NewPCG(d.Seed, 0))
	for w := d.Workers - 1; w >= 0 && d.Classes > 0; w-- {
		d.idle = append(d.idle, w)
	}
}

// check panics on settings without sense.
func (d *Dependency) check() {
	must := func(ok bool, format string, args ...any) {
		if !ok {
			panic("fxtest: Dependency: " + fmt.Sprintf(format, args...))
		}
	}
	must(d.Workers >= 0, "Workers of %d; write 0 for any number", d.Workers)
	must(d.Classes >= 0 && d.Class >= 0, "Class %d of Classes %d; neither may be negative", d.Class, d.Classes)
	must(d.Classes == 0 || d.Workers > 0 && d.Class+d.Workers <= d.Classes,
		"Classes need Workers, and must be at least Class+Workers; here are %d, %d, %d", d.Classes, d.Workers, d.Class)
	for _, o := range d.Outages {
		must(o.Until == 0 || o.From < o.Until, "an Outage from %v until %v; it has to begin before it ends", o.From, o.Until)
		must(o.Mode >= Refusing && o.Mode <= Failing, "an Outage of Mode %d; write fxtest.Refusing, fxtest.Hanging or fxtest.Failing", o.Mode)
	}
	for _, b := range d.Brownouts {
		must(b.Until == 0 || b.From < b.Until, "a Brownout from %v until %v; it has to begin before it ends", b.From, b.Until)
		must(b.Slower >= 0, "a Brownout Slower by %v; write 0 for as fast as ever", b.Slower)
		must(b.Workers >= 0, "a Brownout with Workers of %d; write 0 for as many as ever", b.Workers)
		must(b.Fails >= 0 && b.Fails <= 1, "a Brownout that Fails a share of %v; write one from 0 to 1", b.Fails)
	}
}

// full says whether a newcomer finds neither a worker nor a place in the queue.
func (d *Dependency) full(now time.Duration) bool {
	queue := d.Queue
	if queue < 0 {
		queue = math.MaxInt
	}
	return d.figures.Busy >= d.workers(now) && d.figures.Queued >= queue
}

func (d *Dependency) workers(now time.Duration) int {
	most := d.Workers
	if most == 0 {
		most = math.MaxInt
	}
	if b := covering(d.Brownouts, now); b != nil && b.Workers > 0 {
		most = min(most, b.Workers)
	}
	return most
}

// dispatch gives the free workers their jobs. mu is held.
func (d *Dependency) dispatch(now time.Duration) {
	for len(d.queue) > 0 && d.figures.Busy < d.workers(now) {
		j := d.queue[0]
		d.queue[0] = nil
		d.queue = d.queue[1:]
		if j.left && d.Drops {
			continue
		}
		d.figures.Queued--
		d.begin(j, now)
	}
}

// begin lets a worker work on j. mu is held.
func (d *Dependency) begin(j *job, now time.Duration) {
	d.figures.Started++
	d.figures.Busy++
	d.figures.MostBusy = max(d.figures.MostBusy, d.figures.Busy)
	j.worker = anyWorker
	if last := len(d.idle) - 1; d.Classes > 0 {
		j.worker = d.idle[last]
		d.idle = d.idle[:last]
	}
	if b := covering(d.Brownouts, now); b != nil {
		if b.Slower > 0 {
			j.work = duration(float64(j.work) * b.Slower)
		}
		if j.luck < b.Fails {
			j.err = ErrFailed
		}
	}
	switch at := d.aligned(j.worker, d.after(now, j.work)); at {
	case always:
	case now:
		d.end(j)
	default:
		time.AfterFunc(at-now, func() { d.complete(j) })
	}
}

// after is when work is done that begins now: the time of an outage in which it hangs does not count.
func (d *Dependency) after(now, work time.Duration) time.Duration {
	for {
		hang := (*Outage)(nil)
		for i, o := range d.Outages {
			if o.Mode == Hanging && !over(o, now) && (hang == nil || o.From < hang.From) {
				hang = &d.Outages[i]
			}
		}
		switch {
		case hang == nil || now <= hang.From && work < hang.From-now:
			return plus(now, work)
		case hang.Until == 0:
			return always
		}
		work -= max(hang.From-now, 0)
		now = hang.Until
	}
}

// aligned is the first instant from at on that belongs to the worker.
func (d *Dependency) aligned(worker int, at time.Duration) time.Duration {
	if d.Classes == 0 || at == always {
		return at
	}
	classes := int64(d.Classes)
	off := (int64(d.Class+worker) - d.start.Add(at).UnixNano()) % classes
	return plus(at, time.Duration((off+classes)%classes))
}

// complete ends j when its time has come.
func (d *Dependency) complete(j *job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(j)
	d.dispatch(time.Since(d.start))
}

// end ends j and frees its worker. mu is held.
func (d *Dependency) end(j *job) {
	if j.ended = true; j.worker >= 0 {
		d.idle = append(d.idle, j.worker)
	}
	close(j.done)
	d.figures.Busy--
	if j.left {
		d.figures.Wasted++
	}
	if j.err != nil {
		d.figures.Failed++
	} else {
		d.figures.Done++
	}
}

func plus(at, d time.Duration) time.Duration {
	if d > always-at {
		return always
	}
	return at + d
}

// A window is an Outage or a Brownout.
type window interface {
	span() (from, until time.Duration)
}

func (o Outage) span() (from, until time.Duration)   { return o.From, o.Until }
func (b Brownout) span() (from, until time.Duration) { return b.From, b.Until }

// covering is the first of the windows that now lies in, or nil.
func covering[W window](windows []W, now time.Duration) *W {
	for i, w := range windows {
		if from, _ := w.span(); from <= now && !over(w, now) {
			return &windows[i]
		}
	}
	return nil
}

func over(w window, now time.Duration) bool {
	_, until := w.span()
	return until != 0 && until <= now
}
