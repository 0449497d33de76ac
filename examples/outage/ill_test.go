package main

import (
	"net/http"
	"testing"
	"time"

	"example.com/fx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// admit opens a shop whose catalog lies in a ward.
func admit(t *testing.T, link func(links) links) (c *customer, ill *illness) {
	ill = &illness{}
	doctor := &catalog{mood: ill.mood, arrived: func() func() { return func() {} }}
	transport := newTransport(leastRate)
	s, err := openShop(plan{story: newStory(fastPace), catalog: &ward{doctor, ill}, client: &http.Client{Transport: transport}, link: link})
	require.NoError(t, err)
	t.Cleanup(transport.CloseIdleConnections)
	t.Cleanup(s.close)
	return &customer{shop: s, buy: post[order, receipt](&http.Client{Transport: transport}, "storefront", s.at["storefront"])}, ill
}

func TestGuardedShopSellsWhateverAilsTheCatalog(t *testing.T) {
	for _, a := range ailments {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			c, ill := admit(t, guard1(newGuards(newStory(fastPace))))
			fresh, err := c.buy(t.Context(), order{ID: 1, Product: 3})
			require.NoError(t, err)
			ill.set(a)
			got, err := c.buy(t.Context(), order{ID: 2, Product: 3})
			require.NoError(t, err)
			assert.Equal(t, receipt{Order: 2, Cents: fresh.Cents, Stale: a != well}, got)
			ill.set(well)
			got, err = c.buy(t.Context(), order{ID: 3, Product: 4})
			require.NoError(t, err)
			assert.False(t, got.Stale)
		})
	}
}

func TestEachAilmentLooksAsItIsCalled(t *testing.T) {
	c, ill := admit(t, plain)
	look := get[quote](&http.Client{Timeout: 10 * time.Second}, "catalog", c.at["catalog"])
	ill.set(refusing)
	_, err := look(t.Context(), 3)
	assert.Equal(t, &statusError{"catalog", http.StatusServiceUnavailable}, err)
	ill.set(cutting)
	_, err = look(t.Context(), 3)
	require.ErrorContains(t, err, "EOF")
	assert.True(t, fx.Transient(err), "the answer had begun")
	ill.set(slow)
	start := time.Now()
	q, err := look(t.Context(), 3)
	require.NoError(t, err)
	assert.Equal(t, 799, q.Cents)
	assert.GreaterOrEqual(t, time.Since(start), late)
	ill.set(silent)
	hangs, _ := ill.mood()
	assert.True(t, hangs)
}

func TestSlowIsTooLateForTheGuardedAndInTimeForThePlain(t *testing.T) {
	s := newStory(fullPace)
	assert.Greater(t, late, s.Look.Attempt)
	assert.Less(t, late, s.Naive)
}

func TestIllnessBeginsWell(t *testing.T) {
	assert.Equal(t, well, new(illness).now())
	assert.False(t, ailment("").known())
}
