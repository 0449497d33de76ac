package fx_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
)

func TestFallbackTakesTheFirstThatAnswers(t *testing.T) {
	var third atomic.Int64
	v, err := fx.WithFallback(fx.Fail[int](errBoom), fx.Fail[int](errCause), fx.Value(2), counted(&third, fx.Value(3)))(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, v)
	assert.Zero(t, third.Load())
}

func TestFallbackJoinsTheErrorsOfAll(t *testing.T) {
	last := errors.New("no default")
	_, err := fx.WithFallback(fx.Fail[int](errBoom), fx.Fail[int](errCause), fx.Fail[int](last))(t.Context())
	for _, want := range []error{errBoom, errCause, last} {
		assert.ErrorIs(t, err, want)
	}
	assert.EqualError(t, err, "fx: no answer: boom; then: the shopper left; then: no default")
}

func TestFallbackWithoutAlternativesIsTheIdentity(t *testing.T) {
	_, err := fx.WithFallback(fx.Fail[int](errBoom))(t.Context())
	assert.Equal(t, errBoom, err)
}

func TestNothingMoreIsTriedForACallerWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fallback := range map[string]func(op, alt fx.Op[int]) fx.Op[int]{
			"Fallback": func(op, alt fx.Op[int]) fx.Op[int] { return fx.WithFallback(op, alt) },
			"Recover": func(op, alt fx.Op[int]) fx.Op[int] {
				return fx.WithRecover(op, func(ctx context.Context, _ error) (int, error) { return alt(ctx) })
			},
			"Degraded": func(op, alt fx.Op[int]) fx.Op[int] { return valueOf(fx.WithDegraded(op, alt)) },
		} {
			var tried atomic.Int64
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errCause) })
			_, err := fallback(func(ctx context.Context) (int, error) {
				<-ctx.Done()
				return 0, errBoom
			}, counted(&tried, fx.Value(1)))(ctx)
			assert.ErrorIs(t, err, errBoom, name)
			assert.ErrorIs(t, err, context.Canceled, name)
			assert.ErrorIs(t, err, errCause, name)
			assert.Zero(t, tried.Load(), name)
		}
	})
}

func TestPanicIsNotAnswered(t *testing.T) {
	bad := func(context.Context) (int, error) { panic("bad") }
	assert.PanicsWithValue(t, "bad", func() { _, _ = fx.WithFallback(bad, fx.Value(1))(t.Context()) })
	assert.PanicsWithValue(t, "bad", func() { _, _ = fx.WithDegraded(bad, fx.Value(1))(t.Context()) })
}

func TestRecoverSeesTheError(t *testing.T) {
	v, err := fx.WithRecover(fx.Fail[string](errBoom), func(_ context.Context, err error) (string, error) {
		return "instead of " + err.Error(), nil
	})(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "instead of boom", v)

	_, err = fx.WithRecover(fx.Fail[int](errBoom), func(context.Context, error) (int, error) { return 0, errCause })(t.Context())
	assert.ErrorIs(t, err, errBoom)
	assert.ErrorIs(t, err, errCause)
}

func TestDegradedSaysWhatWasServed(t *testing.T) {
	r, err := fx.WithDegraded(fx.Value(1), fx.Value(2))(t.Context())
	require.NoError(t, err)
	assert.Equal(t, fx.Result[int]{Value: 1}, r)

	r, err = fx.WithDegraded(fx.Fail[int](errBoom), fx.Value(2))(t.Context())
	require.NoError(t, err)
	assert.Equal(t, fx.Result[int]{Value: 2, Degraded: true, Cause: errBoom}, r)

	_, err = fx.WithDegraded(fx.Fail[int](errBoom), fx.Fail[int](errCause))(t.Context())
	assert.ErrorIs(t, err, errBoom)
	assert.ErrorIs(t, err, errCause)
}

func TestNoDegradationIsSilent(t *testing.T) {
	price := fx.WithFallback(fx.Fail[int](errBoom), fx.Value(7))
	stock := fx.WithRecover(fx.Fail[int](errCause), func(context.Context, error) (int, error) { return 1, nil })
	sum := func(a, b int) (int, error) { return a + b, nil }
	r, err := fx.WithDegraded(fx.WithTimeout(fx.Zip(price, stock, sum), time.Minute))(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 8, r.Value)
	assert.True(t, r.Degraded, "the fallbacks inside leave their marks")
	assert.ErrorIs(t, r.Cause, errBoom)
	assert.ErrorIs(t, r.Cause, errCause)

	outer, err := fx.WithDegraded(fx.Then(fx.WithDegraded(price), func(_ context.Context, r fx.Result[int]) (int, error) {
		return r.Value, nil
	}))(t.Context())
	require.NoError(t, err)
	assert.True(t, outer.Degraded, "and so does one Result inside another")
	assert.Equal(t, errBoom, outer.Cause)
}

func TestFailedAlternativeLeavesNoMark(t *testing.T) {
	half := fx.Then(fx.WithFallback(fx.Fail[int](errCause), fx.Value(7)), func(context.Context, int) (int, error) {
		return 0, errors.New("useless all the same")
	})
	r, err := fx.WithDegraded(fx.WithDegraded(half, fx.Value(9)))(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 9, r.Value.Value)
	assert.NotErrorIs(t, r.Cause, errCause, "that answer was not served")
	assert.EqualError(t, r.Cause, "useless all the same")

	r2, err := fx.WithDegraded(fx.WithFallback(fx.Fail[int](errBoom), half, fx.Value(3)))(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 3, r2.Value)
	assert.NotErrorIs(t, r2.Cause, errCause)
}

func TestMixedErrorsReadWell(t *testing.T) {
	b := &fx.Breaker{Name: "prices"}
	b.Force(fx.StateOpen)
	_, err := fx.WithFallback(fx.WithBreaker(fx.Value(1), b), fx.Fail[int](fmt.Errorf("prices: nothing remembered")))(t.Context())
	assert.EqualError(t, err, `fx: no answer: circuit breaker "prices" is open; then: prices: nothing remembered`)
}

func TestEndOfTheCallerIsToldOnce(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	op := fx.WithFallback(func(context.Context) (int, error) { cancel(errCause); return 0, errBoom }, fx.Value(1), fx.Value(2))
	_, err := op(ctx)
	assert.EqualError(t, err, "fx: no answer: boom; then: context canceled: the shopper left")
}
