// Package coming has the code of the README's tables "coming from another library", so that both sides of each row
// have met a compiler.
package coming

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/avast/retry-go/v5"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/sony/gobreaker/v2"

	"example.com/fx"
)

// User is what the calls of the tables yield.
type User struct{ Name string }

// A call is one as it was written with another library, or as it is with fx.
type call func(ctx context.Context, find func(context.Context, string) (User, error), id string) (User, error)

func noted(string, gobreaker.State, gobreaker.State) {}
func changed(fx.Change)                              {}
func logged(uint, error)                             {}
func noticed(context.Context, fx.Attempt)            {}
func known(err error) bool                           { return !errors.Is(err, sql.ErrNoRows) }

var nobody = User{"nobody"}

// --- gobreaker ---

func gobreakers() call {
	cb := gobreaker.NewCircuitBreaker[User](gobreaker.Settings{
		Name:        "users",
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 5 },
		Timeout:     10 * time.Second, MaxRequests: 2,
		IsSuccessful:  func(err error) bool { return err == nil || !known(err) },
		OnStateChange: noted,
	})
	return func(ctx context.Context, find func(context.Context, string) (User, error), id string) (User, error) {
		v, err := cb.Execute(func() (User, error) { return find(ctx, id) })
		if errors.Is(err, gobreaker.ErrOpenState) {
			return nobody, nil
		}
		return v, err
	}
}

func gobreakerInFx() call {
	users := &fx.Breaker{
		Name:     "users",
		Failures: 5,
		Cooldown: 10 * time.Second, Probes: 2,
		Failure:  known,
		OnChange: changed,
	}
	return func(ctx context.Context, find func(context.Context, string) (User, error), id string) (User, error) {
		v, err := fx.WithBreaker(fx.Bind(find, id), users)(ctx)
		if errors.Is(err, fx.ErrOpen) {
			return nobody, nil
		}
		return v, err
	}
}

// The rate of gobreaker, and that of fx.
var (
	_ = gobreaker.Settings{
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.Requests >= 20 && c.TotalFailures*2 >= c.Requests },
		Interval:    10 * time.Second,
	}
	_ = fx.Breaker{
		Trip:   fx.FailureRate(0.5, 20),
		Window: 10 * time.Second,
	}
)

// --- failsafe-go ---

func failsafes() call {
	again := retrypolicy.NewBuilder[User]().WithMaxAttempts(3).WithBackoff(100*time.Millisecond, 5*time.Second).Build()
	users := circuitbreaker.NewBuilder[User]().WithFailureThreshold(5).WithDelay(10 * time.Second).WithSuccessThreshold(2).Build()
	seats := bulkhead.NewBuilder[User](32).WithMaxWaitTime(time.Second).Build()
	limit := timeout.New[User](2 * time.Second)
	second := fallback.NewWithResult(nobody)
	return func(ctx context.Context, find func(context.Context, string) (User, error), id string) (User, error) {
		return failsafe.With(second, limit, seats, users, again).WithContext(ctx).GetWithExecution(func(e failsafe.Execution[User]) (User, error) { return find(e.Context(), id) })
	}
}

func failsafeInFx() call {
	again := fx.Retry{Attempts: 3, Backoff: fx.Exponential(100 * time.Millisecond).Cap(5 * time.Second).Jitter(1)}
	users := &fx.Breaker{Failures: 5, Cooldown: 10 * time.Second, Probes: 2}
	seats := &fx.Bulkhead{Limit: 32, Queue: 32, MaxWait: time.Second}
	return func(ctx context.Context, find func(context.Context, string) (User, error), id string) (User, error) {
		op := fx.WithRetry(fx.Bind(find, id), again)
		op = fx.WithBulkhead(fx.WithBreaker(op, users), seats)
		op = fx.WithTimeout(op, 2*time.Second)
		op = fx.WithFallback(op, fx.Value(nobody))
		return op(ctx)
	}
}

// A hedge of failsafe-go, and one of fx.
var (
	_ = hedgepolicy.NewWithDelay[User](50 * time.Millisecond)
	_ = &fx.Hedge{After: 50 * time.Millisecond}
)

// --- retry-go ---

func retries() call {
	return func(ctx context.Context, find func(context.Context, string) (User, error), id string) (User, error) {
		r := retry.NewWithData[User](retry.Context(ctx), retry.Attempts(3), retry.Delay(100*time.Millisecond), retry.MaxDelay(5*time.Second), retry.RetryIf(known), retry.OnRetry(logged))
		return r.Do(func() (User, error) { return find(ctx, id) })
	}
}

func retryInFx() call {
	r := fx.Retry{Attempts: 3, Backoff: fx.Exponential(100 * time.Millisecond).Cap(5 * time.Second).Jitter(1), If: known, OnRetry: noticed}
	return func(ctx context.Context, find func(context.Context, string) (User, error), id string) (User, error) {
		return fx.WithRetry(fx.Bind(find, id), r)(ctx)
	}
}

// What is not to be repeated.
func unrecoverable(err error) error { return retry.Unrecoverable(err) }
func permanent(err error) error     { return fx.Permanent(err) }

// --- hystrix-go ---

func hystrixes() call {
	hystrix.ConfigureCommand("users", hystrix.CommandConfig{
		Timeout: 1000, MaxConcurrentRequests: 32,
		RequestVolumeThreshold: 20, ErrorPercentThreshold: 50,
		SleepWindow: 5000,
	})
	return func(ctx context.Context, find func(context.Context, string) (User, error), id string) (v User, err error) {
		err = hystrix.DoC(ctx, "users", func(ctx context.Context) error { v, err = find(ctx, id); return err }, func(ctx context.Context, err error) error { v = nobody; return nil })
		return v, err
	}
}

func hystrixInFx() call {
	seats := &fx.Bulkhead{Name: "users", Limit: 32}
	users := &fx.Breaker{Name: "users", Trip: fx.FailureRate(0.5, 20), Cooldown: 5 * time.Second}
	return func(ctx context.Context, find func(context.Context, string) (User, error), id string) (User, error) {
		op := fx.WithTimeout(fx.Bind(find, id), time.Second)
		op = fx.WithBulkhead(fx.WithBreaker(op, users), seats)
		return fx.WithFallback(op, fx.Value(nobody))(ctx)
	}
}
