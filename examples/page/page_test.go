package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/fx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened is a shop, and its product page.
func opened(t *testing.T) (*shop, fx.Op[fx.Result[page]]) {
	t.Helper()
	s, err := openShop()
	require.NoError(t, err)
	t.Cleanup(s.close)
	return s, s.page("teapot")
}

func seen(t *testing.T, op fx.Op[fx.Result[page]]) (fx.Result[page], string) {
	t.Helper()
	r, err := op(t.Context())
	require.NoError(t, err)
	return r, draw("Page", 0, r, err)
}

func TestHealthyPageHasNoBanner(t *testing.T) {
	_, op := opened(t)
	r, text := seen(t, op)
	assert.False(t, r.Degraded)
	assert.NoError(t, r.Cause)
	assert.Zero(t, r.Age)
	assert.Equal(t, cents(2900), r.Value.price.Value)
	for _, part := range []string{"A teapot", "│ 29.00 €  ", "★★★★☆ The lid", "Goes well with it: a tea cosy"} {
		assert.Contains(t, text, part)
	}
	assert.NotContains(t, text, "├", "one section")
}

func TestDeadRecommendationsBecomePopularItems(t *testing.T) {
	t.Parallel()
	for i, why := range map[illness]string{hangs: "timeout after 150ms", fails: "503", drops: "EOF"} {
		s, op := opened(t)
		s.advice.ill(i)
		start := time.Now()
		r, text := seen(t, op)
		assert.Less(t, time.Since(start), time.Second)
		assert.True(t, r.Degraded)
		assert.Zero(t, r.Age, "nothing is old")
		assert.ErrorContains(t, r.Cause, why)
		assert.True(t, r.Value.advice.Degraded)
		assert.False(t, r.Value.price.Degraded)
		assert.Contains(t, text, "Not all of this page is up to date.")
		assert.Contains(t, text, "Popular with everybody: a mug, a gift card")
	}
}

func TestNextShopperDoesNotWait(t *testing.T) {
	t.Parallel()
	s, op := opened(t)
	s.advice.ill(hangs)
	seen(t, op)
	assert.Equal(t, fx.StateOpen, s.advice.breaker.State())
	r, text := seen(t, op)
	assert.ErrorIs(t, r.Cause, fx.ErrOpen)
	assert.NotErrorIs(t, r.Cause, fx.ErrTimeout)
	assert.Contains(t, text, `circuit breaker "recommendations" is open`)
}

func TestDeadPriceBecomesTheLastOneAndTellsItsAge(t *testing.T) {
	t.Parallel()
	s, op := opened(t)
	seen(t, op)
	s.price.ill(hangs)
	r, text := seen(t, op)
	assert.True(t, r.Degraded)
	assert.Equal(t, cents(2900), r.Value.price.Value)
	assert.GreaterOrEqual(t, r.Age, 300*time.Millisecond, "two attempts of 150 ms have passed")
	assert.Equal(t, r.Age, r.Value.price.Age, "the page is as old as its oldest part")
	assert.ErrorIs(t, r.Cause, fx.ErrTimeout)
	assert.Contains(t, text, "A part of this page is "+ago(r.Age)+" old.")
	assert.Contains(t, text, "29.00 € (as of "+ago(r.Age)+" ago)")
}

func TestPriceThatWasNeverKnownIsOnRequest(t *testing.T) {
	s, op := opened(t)
	s.price.ill(fails)
	r, text := seen(t, op)
	assert.ErrorIs(t, r.Cause, fx.ErrMiss)
	assert.Contains(t, text, "Price on request")
}

func TestDeadReviewsAreMissed(t *testing.T) {
	s, op := opened(t)
	s.reviews.ill(drops)
	r, text := seen(t, op)
	assert.True(t, r.Degraded)
	assert.Contains(t, text, "There are no reviews to be had right now.")
}

func TestSeveralCausesAreAllTold(t *testing.T) {
	s, op := opened(t)
	s.advice.ill(fails)
	s.reviews.ill(fails)
	_, text := seen(t, op)
	assert.Contains(t, text, "recommendations: 503")
	assert.Contains(t, text, "reviews: 503")
}

func TestWithoutDetailsThereIsNoPage(t *testing.T) {
	t.Parallel()
	for _, i := range []illness{hangs, fails, drops} {
		s, op := opened(t)
		s.details.ill(i)
		r, err := op(t.Context())
		require.ErrorContains(t, err, "details: ")
		text := draw("Page", 0, r, err)
		assert.Contains(t, text, "Sorry, we cannot show this page.")
		assert.NotContains(t, text, "teapot")
	}
}

func TestReloadingBringsThePageBack(t *testing.T) {
	t.Parallel()
	s, op := opened(t)
	s.advice.ill(hangs)
	s.price.ill(hangs)
	seen(t, op)
	s.heal()
	r, _ := seen(t, reloaded(op))
	assert.False(t, r.Degraded)
	assert.False(t, r.Value.price.Degraded)
	assert.False(t, r.Value.advice.Degraded)
}

func TestRunShowsEveryScene(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	start := time.Now()
	require.Equal(t, exitOK, run(nil, &out, &errs), errs.String())
	assert.Less(t, time.Since(start), 5*time.Second)
	text := out.String()
	for _, sc := range scenes() {
		assert.Contains(t, text, "┌─ "+sc.title+" (")
	}
	assert.Equal(t, 3, strings.Count(text, "├"), "three pages have a banner")
	assert.Equal(t, 1, strings.Count(text, "Sorry"))
	for line := range strings.Lines(text) {
		assert.Contains(t, []int{1, width + 5}, runes(line), line)
	}
}

func TestArgumentsAreRefused(t *testing.T) {
	var out, errs bytes.Buffer
	assert.Equal(t, exitUsage, run([]string{"-serve"}, &out, &errs))
	assert.Contains(t, errs.String(), "write go run ./examples/page")
	assert.Empty(t, out.String())
}

func TestLongTextsAreWrappedBetweenWords(t *testing.T) {
	rows := wrap("  " + strings.Repeat("word ", 30))
	assert.Len(t, rows, 3)
	for _, row := range rows {
		assert.LessOrEqual(t, runes(row), width)
	}
	assert.True(t, strings.HasPrefix(rows[1], "    word"))
	assert.Equal(t, []string{""}, wrap(""))
	assert.Len(t, wrap(strings.Repeat("x", 200)), 1, "a word stays whole")
}
