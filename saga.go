package fx

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Step is one part of a [Saga]: something to do, and how to take it back.
type Step[S any] struct {
	// Name tells the step in errors and is a part of its idempotency key, so it should never change.
	Name string
	// Do makes the step and returns the new state. Wrap it with the other combinators as any call.
	Do func(context.Context, S) (S, error)
	// Undo takes the step back. It gets the state that Do returned; or the state that Do received, if Do failed and
	// its effect may have happened: so it has to tolerate that nothing is there. nil means nothing to undo.
	Undo func(context.Context, S) error
	// Pivot marks the point of no return: once it is done, the saga only goes forward. One step at most.
	Pivot bool
	// UndoLimit is how long Undo may take, and how long it waits for what its Do left running. 0 or less means 30s.
	UndoLimit time.Duration
}

// Saga runs steps in order on a state that is handed on by value. If one fails, it takes back in reverse order those
// that were done, and the failed one too if its effect may have happened (see [MayBeDone]). The undos run under a
// context that the caller cannot cancel, each with its own limit; one that fails does not stop the others. After the
// pivot nothing is undone, and neither is anything when the pivot itself may have happened.
//
// The error is a [*SagaError]; beside it Saga returns the state of the last step done. A panic in Do is undone like an
// uncertain failure, then continues. Nothing is shared between runs, so one Op serves any number of callers at once.
//
// Saga panics if a step has no Do, no name or the name of another, or if two are pivots.
func Saga[S any](state S, steps []Step[S]) Op[S] {
	steps = slices.Clone(steps)
	plan := planOf(steps)
	return func(ctx context.Context) (S, error) {
		run := &sagaRun[S]{
			ctx: ctx, steps: steps, plan: plan, id: sagaID(ctx), state: state,
			before: make([]S, len(steps)), left: make([]*stragglers, len(steps)),
		}
		return run.forward()
	}
}

// planOf checks steps and returns what the decisions need to know of them.
func planOf[S any](steps []Step[S]) []stepPlan {
	plan := make([]stepPlan, len(steps))
	names, pivots := map[string]bool{}, 0
	for i, s := range steps {
		switch {
		case s.Name == "":
			panic(fmt.Sprintf("fx: Saga: step %d has no name; write Step{Name: \"reserve\", …}", i))
		case names[s.Name]:
			panic("fx: Saga: two steps are named " + strconv.Quote(s.Name) + "; write a name for each")
		case s.Do == nil:
			panic("fx: Saga: step " + strconv.Quote(s.Name) + " has no Do; write Step{Do: reserve, …}")
		}
		names[s.Name] = true
		if s.Pivot {
			pivots++
		}
		plan[i] = stepPlan{undoable: s.Undo != nil, pivot: s.Pivot}
	}
	if pivots > 1 {
		panic("fx: Saga: more than one pivot; write Pivot: true on the first step that cannot be taken back")
	}
	return plan
}

// --- the decisions: a pure function of the plan and of what has happened ---

// A stepPlan is what the decisions need to know of a step.
type stepPlan struct{ undoable, pivot bool }

// An event is something that has happened to a step.
type event struct {
	kind eventKind
	step int
}

type eventKind int

const (
	stepDone      eventKind = iota
	stepFailed              // and certainly had no effect
	stepUncertain           // it failed, and may have had its effect
	stepUndone
	stepNotUndone // its undo failed
)

// A command is what to do next.
type command struct {
	kind commandKind
	step int // to run or undo; at the end, the one where it stopped
}

type commandKind int

const (
	runStep commandKind = iota
	undoStep
	endDone      // every step is done
	endUndone    // all that was done is undone, or its undo has failed
	endCommitted // it stopped after the pivot: the rest has to be driven forward
	endUncertain // the pivot may have happened: neither direction is safe
)

// decide says what to do next. Of the events one at most is a failure; the undos come after it.
func decide(plan []stepPlan, happened []event) command {
	done, pivoted := 0, false
	for i, e := range happened {
		if e.kind != stepDone {
			return decideFailed(plan, e, pivoted, happened[i+1:])
		}
		done++
		pivoted = pivoted || plan[e.step].pivot
	}
	if done == len(plan) {
		return command{endDone, done - 1}
	}
	return command{runStep, done}
}

// decideFailed goes on after the failure of a step. undos is how many have been tried.
func decideFailed(plan []stepPlan, failure event, pivoted bool, undos []event) command {
	uncertain := failure.kind == stepUncertain
	switch {
	case pivoted:
		return command{endCommitted, failure.step}
	case uncertain && plan[failure.step].pivot:
		return command{endUncertain, failure.step}
	}
	next := failure.step - 1
	if uncertain {
		next = failure.step
	}
	if len(undos) > 0 {
		next = undos[len(undos)-1].step - 1
	}
	for ; next >= 0; next-- {
		if plan[next].undoable {
			return command{undoStep, next}
		}
	}
	return command{endUndone, failure.step}
}

// --- the doing ---

// sagaRun is one run of a saga.
type sagaRun[S any] struct {
	ctx      context.Context
	steps    []Step[S]
	plan     []stepPlan
	id       string
	happened []event
	state    S
	before   []S           // what each step's undo gets
	left     []*stragglers // what each step's Do may have left running
	err      error         // why it stopped
	undone   []string
	failed   []UndoError
}

// forward runs steps until one fails or none is left.
func (r *sagaRun[S]) forward() (S, error) {
	for {
		next := decide(r.plan, r.happened)
		switch next.kind {
		case endDone:
			return r.state, nil
		case runStep:
			r.run(next.step)
		default:
			return r.state, r.sagaError(r.back())
		}
	}
}

// back undoes what has to be undone, and returns how it ended.
func (r *sagaRun[S]) back() command {
	for {
		next := decide(r.plan, r.happened)
		if next.kind != undoStep {
			return next
		}
		r.undo(next.step)
	}
}

// run makes one step. If its Do panics or exits, the undoing happens on the way out.
func (r *sagaRun[S]) run(i int) {
	if r.ctx.Err() != nil {
		r.stopAt(i, stepFailed, ended(r.ctx))
		return
	}
	ctx, left := withStragglers(withStepKey(r.ctx, r.id, r.steps[i].Name))
	r.before[i], r.left[i] = r.state, left
	returned := false
	defer func() {
		if !returned {
			r.settle(i)
			r.stopAt(i, stepUncertain, ErrNoReturn)
			slog.Error("fx: a step of a saga did not return", "err", r.sagaError(r.back()))
		}
	}()
	state, err := r.steps[i].Do(ctx, r.state)
	returned = true
	if err != nil {
		r.judge(i, err, context.Cause(ctx))
		return
	}
	r.state, r.before[i] = state, state
	r.happened = append(r.happened, event{stepDone, i})
}

// judge finds out whether a failed step may have had its effect, after what it left running has ended. cause is that
// of the step's context, if it has ended.
func (r *sagaRun[S]) judge(i int, err, cause error) {
	kind := stepFailed
	if late := r.settle(i); late || mayBeDone(err, cause, false) {
		kind = stepUncertain
	}
	r.stopAt(i, kind, err)
}

func (r *sagaRun[S]) stopAt(i int, kind eventKind, err error) {
	r.err = err
	r.happened = append(r.happened, event{kind, i})
}

// settle waits for what step i left running, as long as its undo may take, and says whether any of it succeeded after
// all. The state of a late success is the one to undo.
func (r *sagaRun[S]) settle(i int) (late bool) {
	values := r.left[i].wait(r.undoLimit(i))
	for _, v := range values {
		if state, ok := v.(S); ok {
			r.before[i] = state
		}
	}
	return len(values) > 0
}

// undo takes step i back, come what may.
func (r *sagaRun[S]) undo(i int) {
	name := r.steps[i].Name
	returned := false
	defer func() {
		if returned {
			return
		}
		p := recover()
		r.undoFailed(i, &panicError{p, debug.Stack()})
		if p == nil { // a Goexit ends this goroutine, but not the duty
			r.back()
		}
	}()
	r.left[i].wait(r.undoLimit(i))
	ctx := withStepKey(context.WithoutCancel(r.ctx), r.id, name+"/undo")
	undo := Void(func(ctx context.Context) error { return r.steps[i].Undo(ctx, r.before[i]) })
	_, err := WithTimeout(undo, r.undoLimit(i))(ctx)
	returned = true
	if err != nil {
		r.undoFailed(i, err)
		return
	}
	r.undone = append(r.undone, name)
	r.happened = append(r.happened, event{stepUndone, i})
}

func (r *sagaRun[S]) undoFailed(i int, err error) {
	r.failed = append(r.failed, UndoError{r.steps[i].Name, err})
	r.happened = append(r.happened, event{stepNotUndone, i})
}

func (r *sagaRun[S]) undoLimit(i int) time.Duration {
	if r.steps[i].UndoLimit <= 0 {
		return 30 * time.Second
	}
	return r.steps[i].UndoLimit
}

func (r *sagaRun[S]) sagaError(end command) error {
	return &SagaError{
		Step: r.steps[end.step].Name, Err: r.err, Undone: r.undone, Failed: r.failed,
		Uncertain: end.kind == endUncertain, Committed: end.kind == endCommitted,
	}
}

// A SagaError says where a saga stopped and what became of the steps before. It unwraps to the cause alone, so that a
// retry around the saga cannot mistake the error of an undo for the saga's.
type SagaError struct {
	Step      string      // the step that failed, or was not begun because the context had ended
	Err       error       // why
	Uncertain bool        // Step is the pivot and may have happened: nothing was undone
	Committed bool        // Step comes after the pivot and has to be driven forward: nothing was undone
	Undone    []string    // the steps that were taken back, in that order
	Failed    []UndoError // the steps that could not be
}

// ErrNotUndone is matched by a [*SagaError] when something that was or may be done could not be taken back.
var ErrNotUndone = errors.New("fx: not undone")

func (e *SagaError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "fx: saga stopped at step %q: %s", e.Step, text(e.Err))
	switch {
	case e.Committed:
		fmt.Fprintf(&s, "; committed: step %q has to be driven forward", e.Step)
	case e.Uncertain:
		fmt.Fprintf(&s, "; uncertain: step %q may have happened, so nothing was undone", e.Step)
	case len(e.Undone) > 0:
		s.WriteString("; undone: " + strings.Join(e.Undone, ", "))
	}
	for _, f := range e.Failed {
		fmt.Fprintf(&s, "; NOT undone: %s (%s)", f.Step, text(f.Err))
	}
	return s.String()
}

// Unwrap returns the cause.
func (e *SagaError) Unwrap() error { return e.Err }

// Is says that it matches [ErrNotUndone] when an undo failed or the pivot is uncertain.
func (e *SagaError) Is(target error) bool {
	return target == ErrNotUndone && (e.Uncertain || len(e.Failed) > 0)
}

// Retryable says whether the cause is worth another run. It is not when something is committed, uncertain or not
// undone.
func (e *SagaError) Retryable() bool { return !e.MayBeDone() && Retryable(e.Err) }

// MayBeDone says whether any effect of the saga may remain.
func (e *SagaError) MayBeDone() bool { return e.Committed || e.Uncertain || len(e.Failed) > 0 }

// An UndoError is the error of one step's undo.
type UndoError struct {
	Step string
	Err  error
}

func (e UndoError) Error() string { return "fx: undo of " + strconv.Quote(e.Step) + ": " + text(e.Err) }

// Unwrap returns the undo's own error.
func (e UndoError) Unwrap() error { return e.Err }

// panicError is what became of an undo that panicked, or exited if there is no value.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string {
	if e.value == nil {
		return "fx: runtime.Goexit"
	}
	return fmt.Sprintf("fx: panic: %v\n%s", e.value, e.stack)
}

// --- keys ---

// WithSagaID names the run of the saga that is called with the context. Without it, or with an empty id, a run gets a
// random name. An id names one run: after an undo its keys are used up, and a participant that remembers them will not
// act again.
func WithSagaID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, sagaKey{}, sagaPlace{id: id})
}

// StepKey is the idempotency key to send along with the calls of a step: "<saga id>/<step>" in Do,
// "<saga id>/<step>/undo" in Undo, the same on every attempt. Inside a step that is itself a saga it begins with the
// key of the outer step. Outside a saga it is "".
func StepKey(ctx context.Context) string {
	place, _ := ctx.Value(sagaKey{}).(sagaPlace)
	return place.key
}

type sagaKey struct{}

// sagaPlace is where in a saga a context is: before a run it has an id at most, in a step it has a key.
type sagaPlace struct{ id, key string }

func sagaID(ctx context.Context) string {
	place, _ := ctx.Value(sagaKey{}).(sagaPlace)
	switch {
	case place.key != "":
		return place.key
	case place.id != "":
		return place.id
	}
	return rand.Text()
}

func withStepKey(ctx context.Context, id, step string) context.Context {
	return context.WithValue(ctx, sagaKey{}, sagaPlace{key: id + "/" + step})
}

// --- what layers leave running ---

// stragglers knows of the calls that layers have started on goroutines of their own below a context, so that an undo
// does not overtake what its Do has left running. A nil one knows of nothing.
type stragglers struct {
	outer   *stragglers // of the saga around this one
	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when running gets to 0; nil while nobody waits
	late    []any         // values that came when nobody took them any more
}

type stragglersKey struct{}

func stragglersIn(ctx context.Context) *stragglers {
	s, _ := ctx.Value(stragglersKey{}).(*stragglers)
	return s
}

func withStragglers(ctx context.Context) (context.Context, *stragglers) {
	s := &stragglers{outer: stragglersIn(ctx)}
	return context.WithValue(ctx, stragglersKey{}, s), s
}

// start notes a call that may be left behind.
func (s *stragglers) start() {
	for ; s != nil; s = s.outer {
		s.mu.Lock()
		s.running++
		s.mu.Unlock()
	}
}

// end notes that a call has ended, with values nobody took.
func (s *stragglers) end(late ...any) {
	for ; s != nil; s = s.outer {
		s.mu.Lock()
		s.late = append(s.late, late...)
		if s.running--; s.running == 0 && s.idle != nil {
			close(s.idle)
			s.idle = nil
		}
		s.mu.Unlock()
	}
}

// wait waits until all calls have ended, or limit is over, and returns the values that came too late.
func (s *stragglers) wait(limit time.Duration) (late []any) {
	if idle := s.ending(); idle != nil {
		t := time.NewTimer(limit)
		defer t.Stop()
		select {
		case <-idle:
		case <-t.C:
			slog.Warn("fx: saga: a step's calls still run, and will be undone while they do")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late
}

// ending is closed when all calls have ended; it is nil if they have.
func (s *stragglers) ending() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == 0 {
		return nil
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	return s.idle
}
