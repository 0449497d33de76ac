package fx_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
)

var goBlock = regexp.MustCompile("(?ms)^ *```go\n(.*?)^ *```$")

// Every Go block of the README stands, but for its indentation, in a file that the compiler sees: the program in
// examples/quickstart, the rest in this file or the package itself.
func TestReadmeBlocksCompile(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var compiled strings.Builder
	for _, pattern := range []string{"*.go", "*/*.go", "examples/*/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			compiled.WriteString("\n" + flat(string(text)))
		}
	}
	blocks := goBlock.FindAllStringSubmatch(string(readme), -1)
	assert.GreaterOrEqual(t, len(blocks), 8)
	for _, block := range blocks {
		assert.True(t, strings.Contains(compiled.String(), "\n"+flat(block[1])), "this block is in no compiled file:\n%s", block[1])
	}
}

// flat takes the indentation off every line.
func flat(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// --- the blocks ---

var (
	users = &fx.Breaker{Name: "users", Failures: 10} // state: one dependency has one breaker, whatever the types
	seats = &fx.Bulkhead{Name: "users", Limit: 32, Queue: 32}
	spare = &fx.Budget{} // retries: 20 % of the calls, plus one a second
)

func guarded[T any](op fx.Op[T]) fx.Op[T] {
	op = fx.WithTimeout(op, 500*time.Millisecond) // each attempt
	op = fx.WithBreaker(op, users)                // ten attempts in a row that fail open it
	op = fx.WithRetry(op, fx.Retry{Budget: spare})
	op = fx.WithBulkhead(op, seats)
	return fx.WithTimeout(op, 2*time.Second) // the whole call
}

func logged[T any](op fx.Op[T]) fx.Op[T] {
	return func(ctx context.Context) (T, error) {
		v, err := op(ctx)
		slog.InfoContext(ctx, "call", "err", err)
		return v, err
	}
}

type userAPI struct{}

func (userAPI) User(_ context.Context, id string) (string, error) { return "user " + id, nil }

func TestReadmeLift(t *testing.T) {
	var api userAPI
	ctx := t.Context()

	getUser := fx.Lift(api.User, guarded) // func(ctx, id) (User, error), as before
	user, err := getUser(ctx, "42")

	require.NoError(t, err)
	assert.Equal(t, "user 42", user)
}

func TestReadmeWrongOrder(t *testing.T) {
	op, users := fx.Value(1), &fx.Breaker{}

	op = fx.WithBreaker(op, users)
	op = fx.WithTimeout(op, time.Second) // wrong: the only timeout is outside

	_, err := op(t.Context())
	assert.NoError(t, err)
}

type (
	Order struct{ ID string }
	Hits  []string
	price = int
)

func (userAPI) Find(_ context.Context, query string) (Hits, error) { return Hits{query}, nil }

func patient[T any](op fx.Op[T]) fx.Op[T] {
	op = fx.WithBreaker(fx.WithTimeout(op, 5*time.Second), users)
	return fx.WithRetry(op, fx.Retry{Attempts: 10, If: func(error) bool { return true }})
}

func bestEffort(do func(context.Context, Order) (Order, error)) func(context.Context, Order) (Order, error) {
	return func(ctx context.Context, o Order) (Order, error) {
		return fx.WithFallback(fx.Bind(do, o), fx.Value(o))(ctx)
	}
}

func TestReadmeSaga(t *testing.T) {
	ctx := t.Context()
	var did []string
	do := func(name string, err error) func(context.Context, Order) (Order, error) {
		return func(_ context.Context, o Order) (Order, error) { did = append(did, name); return o, err }
	}
	reserve, charge, ship, notify := do("reserve", nil), do("charge", nil), do("ship", nil), do("notify", errBoom)
	release := func(context.Context, Order) error { return nil }
	refund := release

	order, err := fx.Saga(Order{ID: "7"}, []fx.Step[Order]{
		{Name: "reserve", Do: reserve, Undo: release},
		{Name: "charge", Do: fx.Lift(charge, guarded), Undo: fx.LiftVoid(refund, patient)},
		{Name: "ship", Do: ship, Pivot: true},
		{Name: "notify", Do: bestEffort(notify)},
	})(ctx)

	require.NoError(t, err, "the notification fails, the order stands")
	assert.Equal(t, Order{ID: "7"}, order)
	assert.Equal(t, []string{"reserve", "charge", "ship", "notify"}, did)
}

func TestReadmeHedgeAndCache(t *testing.T) {
	var api userAPI
	searches, prices, id := &fx.Hedge{}, &fx.Cache[string, price]{}, "42"
	live := fx.Op[price](fx.Value(7))

	find := fx.Lift(api.Find, func(op fx.Op[Hits]) fx.Op[Hits] { return fx.WithHedge(op, searches) })
	hits, err := find(t.Context(), "gopher")
	require.NoError(t, err)
	assert.Equal(t, Hits{"gopher"}, hits)

	price := fx.WithDegraded(fx.Remember(guarded(live), prices, id), prices.Recall(id)) // live, else the last good one
	offer := fx.WithCache(guarded(live), prices, id)                                    // remembered, else live
	for _, op := range []fx.Op[fx.Result[int]]{price, offer} {
		r, err := op(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 7, r.Value)
	}
}

type meter struct{ served int }

func (m *meter) Add(_ context.Context, degraded bool, _ error) {
	if degraded {
		m.served++
	}
}

func TestReadmeWatching(t *testing.T) {
	op, cached, stale, ctx := logged(fx.Fail[int](errBoom)), fx.Value(7), &meter{}, t.Context()

	r, err := fx.WithDegraded(op, cached)(ctx)
	stale.Add(ctx, r.Degraded, r.Cause)

	require.NoError(t, err)
	assert.Equal(t, 1, stale.served)
}

func TestReadmeErrors(t *testing.T) {
	said := ""
	retryLater := func(time.Duration) error { said = "open"; return nil }
	tooBusy := func() error { said = "full"; return nil }
	tooSlow := func() error { said = "timeout"; return nil }
	failed := func(int) error { said = "gave up"; return nil }
	tell := func(err error) error {
		var open *fx.OpenError
		var gaveUp *fx.RetryError
		switch {
		case errors.As(err, &open): // refused: the dependency is known to be down
			return retryLater(open.RetryAfter())
		case errors.Is(err, fx.ErrFull): // refused: too many at once here
			return tooBusy()
		case errors.Is(err, fx.ErrTimeout): // one of our own timeouts, not the caller's
			return tooSlow()
		case errors.As(err, &gaveUp): // every attempt is in gaveUp.Errs, the reason in gaveUp.Stop
			return failed(gaveUp.Attempts)
		case errors.Is(err, context.Canceled): // the caller left
			return nil
		}
		return err
	}
	for want, err := range map[string]error{
		"open": &fx.OpenError{}, "full": fx.ErrFull, "timeout": fx.ErrTimeout, "gave up": &fx.RetryError{},
	} {
		require.NoError(t, tell(err))
		assert.Equal(t, want, said)
	}
	assert.NoError(t, tell(context.Canceled))
	assert.Equal(t, errBoom, tell(errBoom))
}
