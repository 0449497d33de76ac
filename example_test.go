package fx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"example.com/fx"
)

var ctx = context.Background()

// A stack is written by rebinding, and read from the inside out.
func Example() {
	users := &fx.Breaker{Name: "users"}
	seats := &fx.Bulkhead{Name: "users", Limit: 32}
	lookUp := func(context.Context) (string, error) { return "Ada", nil }

	op := fx.WithTimeout(lookUp, 500*time.Millisecond) // each attempt
	op = fx.WithRetry(op, fx.Retry{})
	op = fx.WithBreaker(op, users)
	op = fx.WithBulkhead(op, seats)
	op = fx.WithTimeout(op, 2*time.Second) // the whole call

	name, err := op(ctx)
	fmt.Println(name, err)
	// Output: Ada <nil>
}

func ExampleCompose() {
	loud := func(op fx.Op[string]) fx.Op[string] {
		return fx.Then(op, func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil })
	}
	twice := func(op fx.Op[string]) fx.Op[string] {
		return fx.Zip(op, op, func(a, b string) (string, error) { return a + b, nil })
	}
	fmt.Println(fx.Compose(loud, twice)(fx.Value("ab"))(ctx)) // loud(twice(op))
	// Output: ABAB <nil>
}

func ExampleValue() {
	fmt.Println(fx.Value(42)(ctx))
	// Output: 42 <nil>
}

func ExampleFail() {
	fmt.Println(fx.Fail[int](errors.New("out of stock"))(ctx))
	// Output: 0 out of stock
}

func ExampleVoid() {
	ping := func(context.Context) error { return nil }
	_, err := fx.WithTimeout(fx.Void(ping), time.Second)(ctx)
	fmt.Println(err)
	// Output: <nil>
}

func ExampleBind() {
	user := func(_ context.Context, id string) (string, error) { return "user " + id, nil }
	fmt.Println(fx.WithRetry(fx.Bind(user, "42"), fx.Retry{})(ctx))
	// Output: user 42 <nil>
}

func ExampleLift() {
	user := func(_ context.Context, id string) (string, error) { return "user " + id, nil }
	getUser := fx.Lift(user, func(op fx.Op[string]) fx.Op[string] {
		return fx.WithRetry(op, fx.Retry{}) // applied once; the argument comes with each call
	})
	fmt.Println(getUser(ctx, "42"))
	// Output: user 42 <nil>
}

func ExampleLiftVoid() {
	remove := func(_ context.Context, id string) error { return errors.New("no user " + id) }
	removeUser := fx.LiftVoid(remove, func(op fx.Op[struct{}]) fx.Op[struct{}] {
		return fx.WithTimeout(op, time.Second)
	})
	fmt.Println(removeUser(ctx, "42"))
	// Output: no user 42
}

func ExampleThen() {
	user := fx.Value("Ada")
	ordersOf := func(_ context.Context, user string) (string, error) { return "orders of " + user, nil }
	fmt.Println(fx.Then(user, ordersOf)(ctx))
	// Output: orders of Ada <nil>
}

func ExampleAll() {
	fmt.Println(fx.All(fx.Value(1), fx.Value(2), fx.Value(3))(ctx))
	// Output: [1 2 3] <nil>
}

func ExampleZip() {
	page := fx.Zip(fx.Value("Gopher"), fx.Value(7), func(name string, euros int) (string, error) {
		return fmt.Sprintf("%s, %d euros", name, euros), nil
	})
	fmt.Println(page(ctx))
	// Output: Gopher, 7 euros <nil>
}

func ExampleWithTimeout() {
	slow := func(ctx context.Context) (string, error) {
		<-ctx.Done() // an op obeys its context
		return "", ctx.Err()
	}
	_, err := fx.WithTimeout(slow, 10*time.Millisecond)(ctx)
	fmt.Println(err)
	fmt.Println(errors.Is(err, fx.ErrTimeout), errors.Is(err, context.DeadlineExceeded))
	// Output:
	// fx: timeout after 10ms
	// true true
}

func ExampleWithCheck() {
	price := fx.WithCheck(fx.Value(-3), func(euros int) error {
		if euros < 0 {
			return fmt.Errorf("%d is no price", euros)
		}
		return nil
	})
	fmt.Println(price(ctx))
	// Output: 0 -3 is no price
}

// quota is a Waiter; *rate.Limiter of golang.org/x/time/rate is the usual one.
type quota int

func (q *quota) Wait(context.Context) error {
	if *q--; *q < 0 {
		return errors.New("quota used up")
	}
	return nil
}

func ExampleWithLimit() {
	two := quota(2)
	op := fx.WithLimit(fx.Value("served"), &two)
	for range 3 {
		fmt.Println(op(ctx))
	}
	// Output:
	// served <nil>
	// served <nil>
	//  fx: not started: rate limit: quota used up
}

func ExampleMayBeDone() {
	declined := errors.New("card declined")
	fmt.Println(fx.MayBeDone(declined))                                                 // an answer
	fmt.Println(fx.MayBeDone(fx.ErrOpen))                                               // never left
	fmt.Println(fx.MayBeDone(fmt.Errorf("charging: %w", fx.ErrTimeout)))                // who knows
	fmt.Println(fx.MayBeDone(&fx.RetryError{Errs: []error{fx.ErrTimeout, fx.ErrOpen}})) // the first attempt may have
	// Output:
	// false
	// false
	// true
	// true
}

func ExampleNotDone() {
	rolledBack := fmt.Errorf("rolled back: %w", context.DeadlineExceeded)
	fmt.Println(fx.MayBeDone(rolledBack), fx.MayBeDone(fx.NotDone(rolledBack)))
	// Output: true false
}

func ExampleUnsure() {
	gateway := errors.New("504 Gateway Timeout")
	fmt.Println(fx.MayBeDone(gateway), fx.MayBeDone(fx.Unsure(gateway)))
	// Output: false true
}

func ExampleWithRetry() {
	calls := 0
	flaky := func(context.Context) (string, error) {
		if calls++; calls < 3 {
			return "", errors.New("connection reset")
		}
		return "third time lucky", nil
	}
	op := fx.WithRetry(flaky, fx.Retry{
		Backoff: fx.Exponential(time.Millisecond),
		OnRetry: func(_ context.Context, a fx.Attempt) { fmt.Println("attempt", a.N, "failed:", a.Err) },
	})
	fmt.Println(op(ctx))
	// Output:
	// attempt 1 failed: connection reset
	// attempt 2 failed: connection reset
	// third time lucky <nil>
}

func ExampleRetryError() {
	down := fx.Fail[int](errors.New("connection refused"))
	_, err := fx.WithRetry(down, fx.Retry{Backoff: fx.Constant(0)})(ctx)
	fmt.Println(err)
	var gaveUp *fx.RetryError
	if errors.As(err, &gaveUp) {
		fmt.Println(gaveUp.Attempts, gaveUp.Stop == fx.ErrExhausted)
	}
	// Output:
	// fx: gave up after 3 attempts (attempts exhausted): connection refused
	// 3 true
}

// One budget for all calls to a dependency bounds what retries add to its load.
func ExampleBudget() {
	spare := &fx.Budget{Ratio: 0.2, PerSecond: -1}
	calls := 0
	op := fx.WithRetry(func(context.Context) (int, error) {
		calls++
		return 0, errors.New("down")
	}, fx.Retry{Backoff: fx.Constant(0), Budget: spare})
	for range 100 {
		_, _ = op(ctx)
	}
	fmt.Println(calls, "calls of 100 callers")
	// Output: 120 calls of 100 callers
}

func ExamplePermanent() {
	bad := fx.Fail[int](fx.Permanent(errors.New("no such user")))
	_, err := fx.WithRetry(bad, fx.Retry{})(ctx)
	fmt.Println(err) // one attempt, the error untouched
	// Output: no such user
}

func ExampleRetryable() {
	fmt.Println(fx.Retryable(errors.New("503")), fx.Retryable(fx.ErrOpen))
	// Output: true false
}

func ExampleTransient() {
	op := fx.WithRetry(fx.Fail[int](errors.New("unknown column")), fx.Retry{If: fx.Transient})
	_, err := op(ctx)
	fmt.Println(err, fx.Transient(fx.ErrTimeout))
	// Output: unknown column true
}

func show(b fx.Backoff) {
	for d := range b.Take(5) {
		fmt.Print(d, " ")
	}
	fmt.Println()
}

func ExampleConstant() {
	show(fx.Constant(time.Second))
	// Output: 1s 1s 1s 1s 1s
}

func ExampleExponential() {
	show(fx.Exponential(100 * time.Millisecond))
	// Output: 100ms 200ms 400ms 800ms 1.6s
}

func ExampleDecorrelated() {
	for d := range fx.Decorrelated(100*time.Millisecond, 5*time.Second).Take(3) {
		fmt.Println(100*time.Millisecond <= d && d <= 5*time.Second)
	}
	// Output:
	// true
	// true
	// true
}

func ExampleDelays() {
	show(fx.Delays(time.Second, 5*time.Second))
	// Output: 1s 5s
}

func ExampleBackoff_Cap() {
	show(fx.Exponential(time.Second).Cap(5 * time.Second))
	// Output: 1s 2s 4s 5s 5s
}

func ExampleBackoff_Jitter() {
	for d := range fx.Constant(time.Second).Jitter(0.5).Take(2) {
		fmt.Println(500*time.Millisecond <= d && d <= time.Second)
	}
	// Output:
	// true
	// true
}

func ExampleBackoff_JitterBy() {
	show(fx.Exponential(time.Second).JitterBy(1, func() float64 { return 0.5 }))
	// Output: 500ms 1s 2s 4s 8s
}

func ExampleBackoff_Take() {
	show(fx.Constant(time.Second).Take(2))
	// Output: 1s 1s
}

func ExampleBackoff_Within() {
	show(fx.Exponential(time.Second).Within(10 * time.Second))
	// Output: 1s 2s 4s
}

func ExampleWithBreaker() {
	users := &fx.Breaker{Name: "users", Failures: 2, Cooldown: 10 * time.Millisecond, Probes: 1}
	down := fx.WithBreaker(fx.Fail[string](errors.New("connection refused")), users)
	up := fx.WithBreaker(fx.Value("Ada"), users) // one breaker for all calls to one dependency

	_, err1 := down(ctx)
	_, err2 := down(ctx)
	_, err3 := up(ctx)
	fmt.Println(err1, "|", err2, "|", errors.Is(err3, fx.ErrOpen), users.State())

	for users.State() == fx.StateOpen { // for its cooldown
	}
	fmt.Println(up(ctx))
	fmt.Println(users.State())
	// Output:
	// connection refused | connection refused | true open
	// Ada <nil>
	// closed
}

// Allow guards what is not a function, such as a message that is answered later.
func ExampleBreaker_Allow() {
	b := &fx.Breaker{Failures: 1}
	done, err := b.Allow(ctx)
	if err != nil {
		return
	}
	done(errors.New("no answer"))
	fmt.Println(b.State())
	// Output: open
}

func ExampleBreaker_Force() {
	b := &fx.Breaker{Name: "payments"}
	b.Force(fx.StateOpen) // maintenance
	_, err := fx.WithBreaker(fx.Value(1), b)(ctx)
	fmt.Println(err)
	b.Reset()
	fmt.Println(b.State())
	// Output:
	// fx: circuit breaker "payments" is open
	// closed
}

func ExampleFailureRate() {
	b := &fx.Breaker{Trip: fx.FailureRate(0.5, 4)} // half of at least four calls
	good, bad := fx.WithBreaker(fx.Value(1), b), fx.WithBreaker(fx.Fail[int](errors.New("503")), b)
	_, _ = good(ctx)
	_, _ = good(ctx)
	_, _ = bad(ctx)
	fmt.Println(b.State(), b.Counts())
	_, _ = bad(ctx)
	fmt.Println(b.State())
	// Output:
	// closed {2 1 1}
	// open
}

func ExampleWithBulkhead() {
	seats := &fx.Bulkhead{Name: "reports", Limit: 1}
	report := fx.WithBulkhead(func(context.Context) (string, error) {
		_, err := fx.WithBulkhead(fx.Value("second"), seats)(ctx) // while the first still runs
		return "first", err
	}, seats)
	fmt.Println(report(ctx))
	// Output: first fx: bulkhead "reports" is full
}

func ExampleBulkhead_Close() {
	seats := &fx.Bulkhead{Name: "reports"}
	fmt.Println(seats.Close(ctx)) // waits for what runs
	_, err := fx.WithBulkhead(fx.Value(1), seats)(ctx)
	fmt.Println(err)
	// Output:
	// <nil>
	// fx: bulkhead "reports": not started: bulkhead is closed
}

func ExampleWithFallback() {
	live := fx.Fail[string](errors.New("prices are down"))
	fmt.Println(fx.WithFallback(live, fx.Value("yesterday's price"))(ctx))
	// Output: yesterday's price <nil>
}

func ExampleWithRecover() {
	live := fx.Fail[string](errors.New("prices are down"))
	fmt.Println(fx.WithRecover(live, func(_ context.Context, err error) (string, error) {
		return "on request, for " + err.Error(), nil
	})(ctx))
	// Output: on request, for prices are down <nil>
}

func ExampleWithDegraded() {
	live := fx.Fail[string](errors.New("prices are down"))
	price, err := fx.WithDegraded(live, fx.Value("7 euros"))(ctx)
	fmt.Println(price.Value, price.Degraded, price.Cause, err)
	// Output: 7 euros true prices are down <nil>
}

func ExampleSaga() {
	say := func(what string) func(context.Context, string) (string, error) {
		return func(ctx context.Context, order string) (string, error) {
			fmt.Println(what, "with key", fx.StepKey(ctx))
			return order, nil
		}
	}
	undo := func(what string) func(context.Context, string) error {
		return func(ctx context.Context, order string) error {
			fmt.Println(what, "with key", fx.StepKey(ctx))
			return nil
		}
	}
	noVan := func(context.Context, string) (string, error) { return "", errors.New("no van today") }
	_, err := fx.Saga("order 7", []fx.Step[string]{
		{Name: "reserve", Do: say("reserve"), Undo: undo("release")},
		{Name: "charge", Do: say("charge"), Undo: undo("refund")},
		{Name: "ship", Do: noVan, Pivot: true},
	})(fx.WithSagaID(ctx, "7"))
	fmt.Println(err)
	// Output:
	// reserve with key 7/reserve
	// charge with key 7/charge
	// refund with key 7/charge/undo
	// release with key 7/reserve/undo
	// fx: saga stopped at step "ship": no van today; undone: charge, reserve
}

func ExampleWithSagaID() {
	pay := fx.Step[int]{Name: "pay", Do: func(ctx context.Context, cents int) (int, error) {
		fmt.Println(fx.StepKey(ctx))
		return cents, nil
	}}
	_, _ = fx.Saga(700, []fx.Step[int]{pay})(fx.WithSagaID(ctx, "order-7"))
	// Output: order-7/pay
}

func ExampleStepKey() {
	fmt.Printf("%q\n", fx.StepKey(ctx)) // outside a saga
	// Output: ""
}

func ExampleWithHedge() {
	var copies atomic.Int64
	search := func(ctx context.Context) (string, error) {
		if copies.Add(1) > 1 {
			return "the second copy answers", nil
		}
		<-ctx.Done() // the first hangs until it is cancelled
		return "", ctx.Err()
	}
	fmt.Println(fx.WithHedge(search, &fx.Hedge{After: 10 * time.Millisecond})(ctx))
	// Output: the second copy answers <nil>
}

func ExampleDetached() {
	release := make(chan struct{})
	late := make(chan string)
	deaf := func(context.Context) (string, error) { // ignores its context
		<-release
		return "connection", nil
	}
	op := fx.WithTimeout(fx.Detached(deaf, func(v string) { late <- v }), 10*time.Millisecond)
	_, err := op(ctx)
	fmt.Println(errors.Is(err, fx.ErrTimeout))
	close(release)
	fmt.Println("discarded:", <-late)
	// Output:
	// true
	// discarded: connection
}

func ExampleRemember() {
	prices := &fx.Cache[string, int]{}
	live := func(euros int, err error) fx.Op[int] {
		return func(context.Context) (int, error) { return euros, err }
	}
	price := func(op fx.Op[int]) fx.Op[fx.Result[int]] {
		return fx.WithDegraded(fx.Remember(op, prices, "gopher"), prices.Recall("gopher"))
	}
	today, _ := price(live(7, nil))(ctx)
	later, _ := price(live(0, errors.New("prices are down")))(ctx)
	fmt.Println(today.Value, today.Degraded)
	fmt.Println(later.Value, later.Degraded, later.Age > 0, later.Cause)
	// Output:
	// 7 false
	// 7 true true prices are down
}

func ExampleCache_Recall() {
	prices := &fx.Cache[string, int]{}
	_, err := prices.Recall("gopher")(ctx)
	fmt.Println(errors.Is(err, fx.ErrMiss))
	// Output: true
}

func ExampleWithCache() {
	calls := 0
	live := func(context.Context) (int, error) { calls++; return 7, nil }
	price := fx.WithCache(live, &fx.Cache[string, int]{Fresh: time.Minute}, "gopher")
	for range 3 {
		r, _ := price(ctx)
		fmt.Print(r.Value, " ")
	}
	fmt.Println("with", calls, "call")
	// Output: 7 7 7 with 1 call
}
