package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"example.com/fx"
)

// attempt is how long one call may take. The services need less than half of it.
const attempt = 100 * time.Millisecond

// A party is a service that the shop depends on, simulated in this process. It keeps its books by idempotency key, so
// what it is asked twice it does once, and to take back what it never did is no harm.
type party struct {
	name    string
	takes   time.Duration
	gives   string
	refuses string
	fault   fault
	stuck   bool // it cannot take back

	breaker fx.Breaker
	done    map[string]bool // by key
	tell    func(event)
	leave   func() // what the shopper does in mid-call under -cancel
}

func (p *party) open(tell func(event), leave func()) {
	p.tell, p.leave, p.done = tell, leave, map[string]bool{}
	p.breaker.Name, p.breaker.Failures = p.name, 3
	p.breaker.Cooldown, p.breaker.Probes = 150*time.Millisecond, 1
	p.breaker.Failure = func(err error) bool { return !errors.As(err, new(answer)) }
}

// --- how the shop calls it ---

// guarded is for calls that the shopper waits for. The breaker is inside the retry, so that one order which meets a
// service that hangs is enough to open it. Trying again is safe because every attempt carries the same key.
func (p *party) guarded(op fx.Op[order]) fx.Op[order] {
	op = fx.WithTimeout(op, attempt)
	op = fx.WithBreaker(op, &p.breaker)
	op = fx.WithRetry(op, fx.Retry{Backoff: pauses(), OnRetry: p.again})
	return fx.WithTimeout(op, time.Second) // the whole call
}

// patient is for undos, which are needed exactly while the breaker is open. It says how long to wait.
func (p *party) patient(op fx.Op[struct{}]) fx.Op[struct{}] {
	op = fx.WithTimeout(op, attempt)
	op = fx.WithBreaker(op, &p.breaker)
	return fx.WithRetry(op, fx.Retry{Attempts: 5, Backoff: pauses(), If: anyError, OnRetry: p.again})
}

// once is for what is not worth a second attempt.
func (p *party) once(op fx.Op[order]) fx.Op[order] { return fx.WithTimeout(op, attempt) }

func pauses() fx.Backoff {
	return fx.Exponential(20 * time.Millisecond).Cap(80 * time.Millisecond).Jitter(1)
}

func anyError(error) bool { return true }

func (p *party) again(ctx context.Context, a fx.Attempt) {
	why := ""
	if errors.Is(a.Err, fx.ErrOpen) {
		why = "the breaker is open; "
	}
	text := why + "again in " + a.Delay.Round(time.Millisecond).String()
	p.tell(event{kind: waits, party: p.name, key: fx.StepKey(ctx), text: text})
}

// --- what it does ---

// An answer is a no. Asking again does not help, and it does not mean that the service is ill.
type answer string

func (a answer) Error() string { return string(a) }

// Retryable is heard by fx.
func (a answer) Retryable() bool { return false }

func (p *party) do(ctx context.Context) (string, error) {
	return p.gives, p.call(ctx, p.gives, func(key string) error {
		if p.fault == fails {
			return answer(p.refuses)
		}
		p.done[key] = true
		return p.trouble(ctx)
	})
}

func (p *party) undo(ctx context.Context) error {
	return p.call(ctx, "taken back", func(key string) error {
		if p.stuck {
			return answer("cannot be taken back")
		}
		delete(p.done, strings.TrimSuffix(key, "/undo"))
		return nil
	})
}

// trouble is what happens between the deed and its answer.
func (p *party) trouble(ctx context.Context) error {
	switch p.fault {
	case panics:
		panic("a bug in the client of the " + p.name)
	case leaves:
		p.leave()
		fallthrough
	case hangs:
		<-ctx.Done()
	}
	return ctx.Err()
}

// call takes its time, serves, and tells what was said.
func (p *party) call(ctx context.Context, yes string, serve func(key string) error) error {
	e := event{kind: asks, party: p.name, key: fx.StepKey(ctx)}
	p.tell(e)
	e.kind, e.text = breaks, "panic"
	defer func() { p.tell(e) }()
	err := pause(ctx, p.takes)
	if err == nil {
		err = serve(e.key)
	}
	e.kind, e.text = heard(err, yes)
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// heard is what the shop learns from a call.
func heard(err error, yes string) (kind, string) {
	switch {
	case err == nil:
		return says, yes
	case errors.Is(err, context.DeadlineExceeded):
		return breaks, "no answer in " + attempt.String()
	case errors.Is(err, context.Canceled):
		return breaks, "cut off"
	}
	return refuses, err.Error()
}
