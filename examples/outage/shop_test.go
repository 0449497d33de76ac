package main

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"example.com/fx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A patient is a catalog whose illness the test decides.
type patient struct {
	catalog
	calls atomic.Int64
	mood  atomic.Value
}

const (
	answers = "answers"
	errs503 = "503"
	hangs   = "hangs"
)

func (p *patient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.mood.Load() == errs503 {
		p.calls.Add(1)
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	}
	answer(productOf, p.look).ServeHTTP(w, r)
}

// A customer stands in a shop of its own and buys.
type customer struct {
	*shop
	catalog *patient
	buy     func(context.Context, order) (receipt, error)
}

func visit(t *testing.T, link func(links) links, timeout time.Duration) *customer {
	c := &customer{catalog: &patient{}}
	c.catalog.mood.Store(answers)
	c.catalog.arrived = func() func() { c.catalog.calls.Add(1); return func() {} }
	c.catalog.catalog.mood = func() (bool, time.Duration) { return c.catalog.mood.Load() == hangs, 0 }
	transport := newTransport(leastRate)
	client := &http.Client{Transport: transport, Timeout: timeout}
	s, err := openShop(plan{story: newStory(fastPace), catalog: c.catalog, client: client, link: link})
	require.NoError(t, err)
	c.shop = s
	c.buy = post[order, receipt](&http.Client{Transport: transport}, "storefront", s.at["storefront"])
	t.Cleanup(transport.CloseIdleConnections)
	t.Cleanup(s.close)
	return c
}

// ill buys with the catalog in that mood, and counts the calls that this makes to it.
func (c *customer) ill(t *testing.T, mood string, p product) (r receipt, calls int, err error) {
	c.catalog.mood.Store(mood)
	before := c.catalog.calls.Load()
	r, err = c.buy(t.Context(), order{ID: 2, Product: p})
	return r, int(c.catalog.calls.Load() - before), err
}

func guard1(g guards) func(links) links {
	return func(bare links) links { return guardAll(bare, g) }
}

func TestBothShopsSellOnAGoodDay(t *testing.T) {
	for name, link := range map[string]func(links) links{plainLane: plain, guardedLane: guard1(newGuards(newStory(fastPace)))} {
		t.Run(name, func(t *testing.T) {
			c := visit(t, link, time.Second)
			r, calls, err := c.ill(t, answers, 3)
			require.NoError(t, err)
			assert.Equal(t, receipt{Order: 2, Cents: 799}, r)
			assert.Equal(t, 1, calls)
			assert.EqualValues(t, 1, c.reserved.Load())
		})
	}
}

func TestGuardedShopSellsAtTheLastGoodPriceAndSaysSo(t *testing.T) {
	for _, mood := range []string{errs503, hangs} {
		t.Run(mood, func(t *testing.T) {
			c := visit(t, guard1(newGuards(newStory(fastPace))), 0)
			fresh, _, err := c.ill(t, answers, 3)
			require.NoError(t, err)
			r, calls, err := c.ill(t, mood, 3)
			require.NoError(t, err)
			assert.Equal(t, receipt{Order: 2, Cents: fresh.Cents, Stale: true}, r)
			assert.LessOrEqual(t, calls, 2, "one retry, of the read alone")
			assert.EqualValues(t, 2, c.reserved.Load(), "no POST is repeated")
		})
	}
}

func TestGuardedShopCannotSellWhatItNeverPriced(t *testing.T) {
	c := visit(t, guard1(newGuards(newStory(fastPace))), 0)
	_, _, err := c.ill(t, errs503, 4)
	assert.ErrorContains(t, err, "storefront: 503")
}

func TestOpenBreakerKeepsCallsFromTheCatalog(t *testing.T) {
	by := newGuards(newStory(fullPace)) // its cooldown outlasts the test
	c := visit(t, guard1(by), 0)
	_, _, err := c.ill(t, answers, 3)
	require.NoError(t, err)
	for range by.catalog.breaker.Failures {
		_, _, err := c.ill(t, errs503, 3)
		require.NoError(t, err)
	}
	assert.Equal(t, fx.StateOpen, by.catalog.breaker.State())
	r, calls, err := c.ill(t, hangs, 3)
	require.NoError(t, err)
	assert.True(t, r.Stale)
	assert.Zero(t, calls)
	assert.Equal(t, fx.StateClosed, by.pricing.breaker.State(), "a stale price is an answer")
}

func TestPlainShopFailsAndMultipliesTheCalls(t *testing.T) {
	c := visit(t, plain, 5*time.Second)
	_, calls, err := c.ill(t, errs503, 3)
	status := (*statusError)(nil)
	require.ErrorAs(t, err, &status)
	assert.Equal(t, &statusError{"storefront", http.StatusServiceUnavailable}, status)
	assert.Equal(t, 4*4*4, calls, "four tries at each of three hops")
	assert.EqualValues(t, 4, c.reserved.Load(), "and the stock is reserved four times")
}

func TestPlainShopHangsWithItsCatalog(t *testing.T) {
	c := visit(t, plain, 100*time.Millisecond)
	_, _, err := c.ill(t, hangs, 3)
	assert.ErrorContains(t, err, "storefront: 503")
}

func TestImpatientShopperLeavesNothingBehind(t *testing.T) {
	c := visit(t, plain, time.Minute)
	c.catalog.mood.Store(hangs)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone elsewhere")
	c.catalog.arrived = func() func() { cancel(gone); return func() {} } // as soon as the last service in the chain has begun
	_, err := c.buy(ctx, order{Product: 3})
	assert.ErrorIs(t, err, context.Canceled)
} // that every goroutine of the chain has ended is seen at the end of the tests

func TestErrorOfADeadConnectionNamesTheService(t *testing.T) {
	c := visit(t, plain, time.Second)
	c.close()
	_, err := c.buy(t.Context(), order{})
	assert.ErrorContains(t, err, "storefront: ")
	assert.NotContains(t, err.Error(), "http://")
	assert.True(t, fx.Transient(err), "and still says what happened")
}
