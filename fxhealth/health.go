// Package fxhealth answers the probes of an orchestrator and stops a server without losing requests.
//
//	health := &fxhealth.Health{Checks: []fxhealth.Check{
//		{Name: "db", Needed: true, Run: db.PingContext}, // without it: not ready
//		{Breaker: catalog},                              // open: degraded, the fallback answers
//	}}
//	health.Register(mux) // GET /livez, /readyz, /startupz
//
// A restart mends a process, never a dependency, and a pod that leaves the rotation leaves its share of the load to
// the others. So each probe answers one question:
//
//   - /livez: is this process stuck, so that only a restart helps? It never asks a dependency, and it looks at nothing
//     but the [Health.Watchdogs]. Kubernetes kills the container when it fails: liveness probes that fail under load
//     cause cascading failures ("Configure Liveness, Readiness and Startup Probes", kubernetes.io).
//   - /readyz: should this process get requests? It fails only for what is strictly needed. A check that fails without
//     being Needed makes the answer "degraded", with status 200.
//   - /startupz: is the warm-up over? It asks no dependency either, for Kubernetes kills the container when it fails
//     too, and while a dependency is down each new one would be killed in turn.
//
// # The trap
//
// All replicas share their dependencies. When a shared one fails, a check that is Needed takes all replicas out of
// rotation at once, and what was a page without prices becomes no page at all ("Implementing health checks", Amazon
// Builders' Library, and alphagov/govuk-helm-charts#132 argue it). So mark as Needed only what no request can be
// answered without and what may fail for one replica alone, such as its own disk or connection pool. What has a breaker
// usually has a fallback, or at least a quick and clear error: leave it degraded, which is the default.
//
// # The orchestrator's settings
//
// The kubelet probes every 10 s, waits 1 s for the answer, and acts after 3 failures (the defaults of periodSeconds,
// timeoutSeconds and failureThreshold). The defaults here fit: checks have half a second. [Health.Hold] works before
// that threshold, so with it readiness may have a failureThreshold of 1. A process that gets too little CPU answers
// late, whatever its handlers say: give the liveness probe a timeoutSeconds of 5 or more. Keep the probes outside the
// server's own bulkhead, or a full house looks like a dead one.
//
// The package imports the standard library and fx alone. Time is the time package's, so testing/synctest makes it
// virtual.
package fxhealth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/fx"
)

// Health is what a process knows of itself, and the probes that tell it. Its zero value is alive, started and ready.
// It is safe for concurrent use and must not be copied after first use; the settings must not change after it. It
// starts no goroutine but for a probe.
type Health struct {
	// Checks decide about /readyz. They run at once, each on a goroutine of its own, when a probe comes and the latest
	// results are older than Share.
	Checks []Check
	// Watchdogs decide about /livez, beside a built-in one: see [Watchdog].
	Watchdogs []*Watchdog
	// WarmUp makes /startupz and /readyz fail until Warm is called. Until then no check runs.
	WarmUp bool
	// Share is how long the results of the checks are shared by the probes that come. However many come at once, the
	// checks run once for all. 0 means 1s; with a negative duration only those share that wait for the same run.
	Share time.Duration
	// Hold is how long a change must last before it flips: the checks must be found failing, and nothing but failing,
	// for so long before a ready process stops being ready, and passing for so long before it is ready again. The first
	// results of all decide at once, and so do Warm and Drain. A late watchdog too must stay late for so long. What the
	// probes do not see does not count: if one comes every 10 s, any Hold up to that lets the second in a row decide.
	// 0 means 5s, a negative duration none.
	Hold time.Duration
	// ShowErrors shows the errors of failing checks to whoever asks. They may hold addresses, queries or passwords, so
	// without it the answer says "reason withheld", as Kubernetes' own endpoints do. The log has them in any case: each
	// check that begins or ends failing is one line of slog.
	ShowErrors bool

	warm, draining atomic.Bool
	process        Watchdog // the built-in one
	once           sync.Once
	mu             sync.Mutex
	latest         *look // under mu; the rest belongs to the latest look until that is done
	calls          []*call
	failing        []bool
	ready          damper
}

// A Check says whether something works. Either Run or Breaker must be set, else [Health.Register], [Health.Readyz] and
// [Health.Ready] panic. Its zero value is of no use.
type Check struct {
	// Name tells it apart from the others in answers and logs. It may be left out for a Breaker, which has one.
	Name string
	// Run returns nil if all is well. A panic or Goexit counts as a failure. While one Run hangs no other is started,
	// and the check fails.
	Run func(context.Context) error
	// Breaker, where set, is the check: open is a failure, closed and half-open are not. It is only looked at, no call
	// is made. Half-open has to pass, for without requests nothing would ever probe the dependency.
	Breaker *fx.Breaker
	// Needed says that no request can be answered without it: its failure makes the process not ready. Without it the
	// process is degraded, and gets requests. See "The trap" in the package's doc before setting it.
	Needed bool
	// Timeout is how long Run may take: its context ends then, and the check has failed, whether Run obeys or not. 0 or
	// less means 500ms, half of what the kubelet waits for an answer by default.
	Timeout time.Duration
}

// A Status is what a check or a probe found.
type Status string

// What can be found. Only Failed is answered with a status of 503 rather than 200.
const (
	OK       Status = "ok"
	Degraded Status = "degraded"
	Failed   Status = "failed"
)

// A Report is the answer to a probe; the JSON form is its own. Reason says what beside the checks decided.
type Report struct {
	Status Status   `json:"status"`
	Reason string   `json:"reason,omitempty"`
	Checks []Result `json:"checks,omitempty"`
}

// A Result is what one check found, as of now: a [Health.Hold] does not apply to it. A check that fails is Failed if it
// is Needed, else Degraded. Error is "reason withheld" unless it is one of fxhealth's own or [Health.ShowErrors] is set.
type Result struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Error  string `json:"error,omitempty"`
}

// Warm ends the warm-up. It may be called again.
func (h *Health) Warm() { h.warm.Store(true) }

// Drain makes /readyz fail from now on, so that no new requests are sent here; /livez goes on as before. [Stop] calls
// it. It may be called again.
func (h *Health) Drain() { h.draining.Store(true) }

// Ready is what /readyz answers, for probes of another kind. It takes as long as the slowest check, at most its
// Timeout, or until ctx ends; then it has Failed with ctx's cause as the Reason.
func (h *Health) Ready(ctx context.Context) Report {
	r := h.readiness(ctx)
	if r == nil {
		return Report{Status: Failed, Reason: "not known: " + context.Cause(ctx).Error()}
	}
	report := *r
	report.Checks = slices.Clone(r.Checks)
	return report
}

var (
	warmingUp = &Report{Status: Failed, Reason: "warming up"}
	drained   = &Report{Status: Failed, Reason: "draining"}
)

// readiness is nil if ctx ended first.
func (h *Health) readiness(ctx context.Context) *Report {
	switch {
	case ctx.Err() != nil:
		return nil
	case h.draining.Load():
		return drained
	case !h.started():
		return warmingUp
	}
	l, over := h.look()
	if !over {
		select {
		case <-l.done:
		case <-ctx.Done():
			return nil
		}
	}
	if h.draining.Load() { // since then
		return drained
	}
	return &l.report
}

func (h *Health) started() bool { return !h.WarmUp || h.warm.Load() }

func (h *Health) share() time.Duration { return or(h.Share, time.Second) }

func (h *Health) hold() time.Duration { return or(h.Hold, 5*time.Second) }

// or is d, or its default if d is 0.
func or(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// validate panics unless every check can be run and told apart.
func (h *Health) validate() {
	names := map[string]bool{}
	for i, c := range h.Checks {
		switch name := c.name(); {
		case (c.Run == nil) == (c.Breaker == nil):
			panic(fmt.Sprintf("fxhealth: check %d, %q, needs either Run or Breaker, as in fxhealth.Check{Name: \"db\", Run: db.PingContext}", i+1, name))
		case name == "":
			panic(fmt.Sprintf("fxhealth: check %d needs a name, as in fxhealth.Check{Name: \"db\", Run: db.PingContext}", i+1))
		case names[name]:
			panic(fmt.Sprintf("fxhealth: two checks are named %q; give each a Name of its own", name))
		default:
			names[name] = true
		}
	}
}

func (c *Check) name() string {
	if c.Name == "" && c.Breaker != nil {
		return c.Breaker.Name
	}
	return c.Name
}

func (c *Check) timeout() time.Duration {
	if c.Timeout <= 0 {
		return 500 * time.Millisecond
	}
	return c.Timeout
}

// --- one look at all checks, for all who ask ---

// A look is one run of the checks. What it found may be read when it is over. Once it is, nobody touches done again: it
// may belong to a synctest bubble that is gone.
type look struct {
	done   chan struct{}
	over   bool // under mu
	at     time.Time
	report Report
}

// look returns the one that counts: the latest, if it is under way or young enough, else a new one.
func (h *Health) look() (l *look, over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.latest == nil {
		h.validate()
		h.calls, h.failing = make([]*call, len(h.Checks)), make([]bool, len(h.Checks))
	} else if l = h.latest; !l.over || l.young(h.share()) {
		return l, l.over
	}
	h.latest = &look{done: make(chan struct{})}
	go h.run(h.latest)
	return h.latest, false
}

// young is false for what comes from the future: another bubble.
func (l *look) young(share time.Duration) bool {
	age := time.Since(l.at)
	return age >= 0 && age < share
}

// run makes one look. It is not the goroutine of a probe, for the probe that started it may leave before the others.
func (h *Health) run(l *look) {
	for i := range h.Checks {
		h.start(i)
	}
	errs := make([]error, len(h.Checks))
	for i := range h.Checks {
		errs[i] = h.finish(i)
	}
	l.at = time.Now()
	was := h.ready
	l.report = h.judge(errs, l.at)
	changed := h.changed(errs)
	flipped := was.known && was.up != h.ready.up
	h.mu.Lock()
	l.over = true
	h.mu.Unlock()
	close(l.done)
	h.log(errs, changed, flipped, l.report.Status) // last: a log that hangs hangs no probe
}

// judge makes the report of what the checks returned.
func (h *Health) judge(errs []error, at time.Time) Report {
	r := Report{Status: OK, Checks: make([]Result, len(errs))}
	for i, err := range errs {
		r.Checks[i] = h.result(&h.Checks[i], err)
		r.Status = worse(r.Status, r.Checks[i].Status)
	}
	found := r.Status != Failed
	switch up := h.ready.see(found, at, h.hold()); {
	case up && !found:
		r.Status, r.Reason = Degraded, "not ready if this lasts "+h.hold().String()
	case !up && found:
		r.Status, r.Reason = Failed, "ready again if this lasts "+h.hold().String()
	}
	return r
}

func (h *Health) result(c *Check, err error) Result {
	r := Result{Name: c.name(), Status: OK}
	if err != nil {
		r.Status, r.Error = Degraded, public(err, h.ShowErrors)
		if c.Needed {
			r.Status = Failed
		}
	}
	return r
}

func worse(a, b Status) Status {
	if a == Failed || b == OK {
		return a
	}
	return b
}

// changed lists the checks that began or ended failing.
func (h *Health) changed(errs []error) (changed []int) {
	for i, err := range errs {
		if h.failing[i] != (err != nil) {
			h.failing[i] = err != nil
			changed = append(changed, i)
		}
	}
	return changed
}

func (h *Health) log(errs []error, changed []int, flipped bool, now Status) {
	for _, i := range changed {
		if errs[i] != nil {
			slog.Warn("fxhealth: check fails", "check", h.Checks[i].name(), "needed", h.Checks[i].Needed, "err", errs[i])
		} else {
			slog.Info("fxhealth: check passes again", "check", h.Checks[i].name())
		}
	}
	switch {
	case flipped && now == Failed:
		slog.Warn("fxhealth: not ready any more")
	case flipped:
		slog.Info("fxhealth: ready again")
	}
}

// A damper follows what is seen, but only when that has lasted. The first sight counts at once.
type damper struct {
	known, up bool
	since     time.Time // when the contrary was first seen; zero if it was not seen last
}

// see takes in what is seen now, and returns what to believe.
func (d *damper) see(up bool, now time.Time, hold time.Duration) bool {
	switch {
	case !d.known:
		d.known, d.up = true, up
	case up == d.up:
		d.since = time.Time{}
	default:
		if d.since.IsZero() || now.Before(d.since) { // before: another bubble
			d.since = now
		}
		if now.Sub(d.since) >= hold {
			d.up, d.since = up, time.Time{}
		}
	}
	return d.up
}

// --- one check ---

// A call is a Run under way; it is kept from look to look until it ends.
type call struct {
	ctx    context.Context
	cancel context.CancelFunc
	began  time.Time
	end    <-chan error
	late   bool // its time was over before this look
}

// start begins check i unless its last call still runs.
func (h *Health) start(i int) {
	check := h.Checks[i]
	if check.Breaker != nil {
		return
	}
	if c := h.calls[i]; c != nil {
		select {
		case <-c.end: // too late for the look it belonged to, too old for this one
			c.cancel()
		default:
			c.late = true
			return
		}
	}
	c := &call{began: time.Now()}
	c.ctx, c.cancel = context.WithTimeout(context.Background(), check.timeout())
	c.end = begin("check "+check.Name, func() error { return check.Run(c.ctx) })
	h.calls[i] = c
}

// finish waits for check i as long as it has time.
func (h *Health) finish(i int) error {
	check := &h.Checks[i]
	if check.Breaker != nil {
		return open(check.Breaker)
	}
	c := h.calls[i]
	if c.late {
		return reason(fmt.Sprintf("still running after %v", time.Since(c.began).Round(time.Millisecond)))
	}
	select {
	case err := <-c.end:
		return h.ended(i, err)
	case <-c.ctx.Done():
	}
	select {
	case err := <-c.end: // both at once
		return h.ended(i, err)
	default:
		return reason(fmt.Sprintf("timed out after %v", check.timeout()))
	}
}

// ended makes room for the next call of check i.
func (h *Health) ended(i int, err error) error {
	c := h.calls[i]
	h.calls[i] = nil
	if c.ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		err = &told{reason(fmt.Sprintf("timed out after %v", h.Checks[i].timeout())), err}
	}
	c.cancel()
	return err
}

func open(b *fx.Breaker) error {
	if b.State() == fx.StateOpen {
		return reason("circuit breaker is open")
	}
	return nil
}

// begin calls f on a goroutine of its own and delivers how it ended, be it by a panic or a Goexit.
func begin(what string, f func() error) <-chan error {
	end := make(chan error, 1)
	go func() {
		err := error(reason("ended its goroutine"))
		defer func() {
			p := recover()
			if p != nil {
				err = &told{reason("panicked"), fmt.Errorf("%v", p)}
			}
			end <- err
			if p != nil {
				slog.Error("fxhealth: panic in "+what, "panic", p, "stack", string(debug.Stack()))
			}
		}()
		err = f()
	}()
	return end
}

// A reason is an error of our own, which holds no secrets.
type reason string

func (r reason) Error() string { return string(r) }

// told is a reason and the error behind it, which may hold secrets.
type told struct {
	reason
	err error
}

func (t *told) Error() string { return string(t.reason) + ": " + t.err.Error() }
func (t *told) Unwrap() error { return t.err }

// public is what of err may be shown.
func public(err error, all bool) string {
	if all {
		return err.Error()
	}
	switch e := err.(type) { // not errors.As: what an error of someone else wraps is not all that it says
	case reason:
		return string(e)
	case *told:
		return string(e.reason)
	}
	return "reason withheld"
}
