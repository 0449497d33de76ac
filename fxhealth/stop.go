package fxhealth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"example.com/fx"
)

// Stop is the graceful end of a server, in the order that loses no request:
//
//  1. Readiness goes off: [Health.Drain].
//  2. It waits. Kubernetes takes the pod out of rotation while it sends SIGTERM, not before ("Pod Lifecycle",
//     kubernetes.io), and the load balancers learn of it later; until then requests still come, and are served.
//  3. The servers stop accepting, and finish what they have begun: [http.Server.Shutdown]. What has not ended in time is
//     cut off: [http.Server.Close].
//  4. The bulkheads refuse newcomers, and wait for what still runs in them: [fx.Bulkhead.Close].
//  5. The rest is closed.
//
// Everything is done even if one phase fails or panics. The zero value waits and does nothing else. It is safe for
// concurrent use and must not be copied after first use.
type Stop struct {
	// Health is told first. nil means none.
	Health *Health
	// Wait is how long requests are still served after readiness is off, but at most half of the time that ctx has.
	// 0 means 5s, the lameduck time that Kubernetes' own manifest gives CoreDNS (cluster/addons/dns/coredns); a negative
	// duration none. A load balancer that probes by itself needs more: its period times its threshold, and a bit.
	Wait time.Duration
	// Servers are shut down, all at once. Hijacked connections are not waited for; see RegisterOnShutdown of the server.
	Servers []*http.Server
	// Bulkheads are closed, all at once: those of the handlers, and those of work that no request waits for.
	Bulkheads []*fx.Bulkhead
	// Close is called in order, one after the other: consumers before the connections that they use. Each has an equal
	// part of the time left, and is left behind if it does not obey its context.
	Close []func(context.Context) error

	mu   sync.Mutex
	done chan struct{} // not nil once begun, closed at the end
	err  error
}

// Run stops everything, and returns the errors of all phases, joined. It takes no longer than ctx lasts; phases 2 to 4
// leave the last tenth of that time to the fifth. Give it a context that is still alive, not the one which the signal has
// ended, and less time than Kubernetes' terminationGracePeriodSeconds, which is 30 s by default. A further call does
// nothing but wait for the first to end, and returns the same.
func (s *Stop) Run(ctx context.Context) error {
	if done := s.begun(); done != nil {
		return s.join(ctx, done)
	}
	defer close(s.done)
	s.err = s.phases(ctx)
	return s.err
}

func (s *Stop) phases(ctx context.Context) error {
	if s.Health != nil {
		s.Health.Drain()
	}
	early, cancel := context.WithTimeout(ctx, left(ctx)/10*9)
	defer cancel()
	s.wait(early)
	return errors.Join(
		s.shutDown(early),
		s.drain(early),
		s.close(ctx),
	)
}

// join waits for the first call to end.
func (s *Stop) join(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return s.err
	case <-ctx.Done():
	}
	select {
	case <-done: // both at once
		return s.err
	default:
		return fmt.Errorf("fxhealth: the stop is still under way: %w", context.Cause(ctx))
	}
}

// begun returns nil to the first caller alone.
func (s *Stop) begun() (done <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done != nil {
		return s.done
	}
	s.done = make(chan struct{})
	return nil
}

// left is the time that ctx has; years if it has no deadline.
func left(ctx context.Context) time.Duration {
	if t, ok := ctx.Deadline(); ok {
		return time.Until(t)
	}
	return 1 << 62
}

func (s *Stop) wait(ctx context.Context) {
	t := time.NewTimer(min(or(s.Wait, 5*time.Second), left(ctx)/9*5)) // of the nine tenths that ctx has
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *Stop) shutDown(ctx context.Context) error {
	return each("server", s.Servers, func(server *http.Server) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(fmt.Errorf("%q was cut off: %w", server.Addr, err), server.Close())
		}
		return err
	})
}

func (s *Stop) drain(ctx context.Context) error {
	return each("bulkhead", s.Bulkheads, func(b *fx.Bulkhead) error { return b.Close(ctx) })
}

// each does f to all at once and waits for all.
func each[T any](what string, all []T, f func(T) error) error {
	ends := make([]<-chan error, len(all))
	for i, v := range all {
		ends[i] = begin(what, func() error { return f(v) })
	}
	errs := make([]error, len(all))
	for i, end := range ends {
		errs[i] = named(what, i, <-end)
	}
	return errors.Join(errs...)
}

func (s *Stop) close(ctx context.Context) error {
	errs := make([]error, len(s.Close))
	for i, f := range s.Close {
		ctx, cancel := context.WithTimeout(ctx, left(ctx)/time.Duration(len(s.Close)-i))
		end := begin("Close", func() error { return f(ctx) })
		select {
		case errs[i] = <-end:
		case <-ctx.Done():
			errs[i] = fmt.Errorf("left behind: %w", context.Cause(ctx))
		}
		errs[i] = named("Close", i, errs[i])
		cancel()
	}
	return errors.Join(errs...)
}

func named(what string, i int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("fxhealth: stopping: %s %d: %w", what, i+1, err)
}
