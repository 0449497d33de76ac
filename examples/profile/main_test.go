package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/fx"
	"example.com/fx/fxprom"
)

func TestMain(m *testing.M) {
	redis.SetLogger(mute{})
	goleak.VerifyTestMain(m)
}

// needs skips a test without a program that it starts, which has to be there in CI.
func needs(t *testing.T, program, from string) {
	if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") == "" {
		t.Skipf("%s is not installed; on Debian: apt-get install %s", program, from)
	}
}

func TestStoryIsTrue(t *testing.T) {
	needs(t, "redis-server", "redis-server")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out), out.String())
	rest := out.String()
	for _, next := range []string{
		"profile-1  live        Ann", "/livez 200 ok, /readyz 200 ok",
		"hangs", "profile-1  remembered  Ann", "old: its service does not answer", "profile-1  stand-in", "/livez 200 ok, /readyz 200 degraded",
		"third pod", "profile-3  remembered  Ann", "profile-3  remembered  Bob",
		"Redis is killed", "profile-4  stand-in",
		"answers again", "profile-1  live", "profile-4  live", "/livez 200 ok, /readyz 200 ok",
		"FxBreakerOpen", "FxDegraded",
	} {
		_, after, ok := strings.Cut(rest, next)
		require.True(t, ok, "%q is not where it should be in:\n%s", next, out.String())
		rest = after
	}
}

// An onlooker counts the calls to the user-service, apart from all metrics.
type onlooker struct {
	next          http.RoundTripper
	calls, failed atomic.Int64
}

func (o *onlooker) RoundTrip(r *http.Request) (*http.Response, error) {
	o.calls.Add(1)
	resp, err := o.next.RoundTrip(r)
	if err != nil {
		o.failed.Add(1)
	}
	return resp, err
}

// stage is a story with one pod whose breaker, once open, stays so.
func stage(t *testing.T) (*story, *pod, *onlooker) {
	needs(t, "redis-server", "redis-server")
	s, err := newStory(t.Context(), io.Discard, "")
	require.NoError(t, err)
	t.Cleanup(s.close)
	p, err := s.begin("profile-1")
	require.NoError(t, err)
	p.breaker.Cooldown, p.breaker.MaxCooldown = time.Hour, 0
	o := &onlooker{next: p.profiles.client.Transport}
	p.profiles.client.Transport = o
	t.Cleanup(o.next.(*http.Transport).CloseIdleConnections)
	return s, p, o
}

func TestScrapeSaysWhatHappenedLineByLine(t *testing.T) {
	s, p, seen := stage(t)
	ctx := t.Context()
	for range 10 {
		require.Equal(t, live, s.visit(ctx, p, "ann").look)
	}
	require.NoError(t, s.written(ctx, 1))
	s.users.ill.Store(true)
	for range 20 {
		require.Equal(t, remembered, s.visit(ctx, p, "ann").look)
	}
	require.Equal(t, standIn, s.visit(ctx, p, "cem").look)
	require.Equal(t, fx.StateOpen, p.breaker.State())
	require.EqualValues(t, 10+3*2, seen.calls.Load(), "three calls of two attempts open the breaker")
	require.EqualValues(t, 3*2, seen.failed.Load())

	want := scrape{
		`fx_call_duration_seconds_count{call="users",point="call"}`:                             10 + 20 + 1,
		`fx_call_duration_seconds_count{call="users",point="attempt"}`:                          float64(seen.calls.Load()),
		`fx_call_problems_total{call="users",outcome="degraded",point="call"}`:                  20 + 1,
		`fx_call_problems_total{call="users",outcome="timeout",point="attempt"}`:                float64(seen.failed.Load()),
		`fx_degraded_age_seconds_count{call="users",point="call"}`:                              20 + 1,
		`fx_degraded_age_seconds_count{call="users",point="attempt"}`:                           0,
		`fx_breaker_state{breaker="users",state="closed"}`:                                      0,
		`fx_breaker_state{breaker="users",state="open"}`:                                        1,
		`fx_breaker_state{breaker="users",state="half-open"}`:                                   0,
		`fx_breaker_consecutive_failures{breaker="users"}`:                                      0, // an open breaker counts none
		`fx_breaker_transitions_total{breaker="users",cause="timeout",from="closed",to="open"}`: 1,
		`fx_budget_first_attempts{budget="users"}`:                                              10 + 20 + 1,
		`fx_budget_repeats{budget="users"}`:                                                     3,
		`fx_budget_left{budget="users"}`:                                                        6 + 10 - 3, // a fifth of 31, and one a second over ten
		`fx_budget_denied_total{budget="users"}`:                                                0,
		`fx_cache_entries{cache="users"}`:                                                       1,
		`fx_cache_hits_total{cache="users"}`:                                                    20,
		`fx_cache_misses_total{cache="users"}`:                                                  1, // Cem
		`fx_cache_fetched_total{cache="users"}`:                                                 0,
		`fx_cache_store_errors_total{cache="users"}`:                                            0,
	}
	got := s.scrape(ctx, p)
	require.NotEmpty(t, got)
	for _, series := range got.series() {
		value, expected := got[series], want[series]
		switch {
		case strings.Contains(series, "_seconds_sum{") && got[strings.Replace(series, "_sum{", "_count{", 1)] > 0:
			assert.Positive(t, value, series)
		default:
			assert.Equal(t, expected, value, series)
		}
		delete(want, series)
	}
	assert.Empty(t, want, "not in the scrape")
}

// The rules of fxprom on what was scraped, each scrape taken for one every 15 seconds.
func TestAlertsFireOnWhatWasScraped(t *testing.T) {
	needs(t, "promtool", "prometheus")
	s, p, _ := stage(t)
	ctx := t.Context()
	var scrapes []scrape
	visits := func(times int) {
		for range times {
			for range 3 {
				s.visit(ctx, p, "ann")
			}
			scrapes = append(scrapes, s.scrape(ctx, p))
		}
	}
	visits(8)
	require.NoError(t, s.written(ctx, 1))
	s.users.ill.Store(true)
	visits(16)
	for minute, want := range map[string][]string{"1m45s": nil, "3m": nil, "5m": {"FxBreakerOpen", "FxDegraded"}} {
		promtool(t, scrapes, minute, want)
	}
}

// promtool says whether these alerts, and no others, fire at that time.
func promtool(t *testing.T, scrapes []scrape, at string, want []string) {
	t.Helper()
	dir := t.TempDir()
	var test strings.Builder
	test.WriteString("rule_files: [rules.yml]\nevaluation_interval: 15s\ntests:\n  - interval: 15s\n    input_series:\n")
	for _, series := range scrapes[0].series() {
		values := make([]string, len(scrapes))
		for i, one := range scrapes {
			values[i] = fmt.Sprint(one[series])
		}
		fmt.Fprintf(&test, "      - {series: '%s', values: '%s'}\n", strings.Replace(series, "{", `{job="profile",`, 1), strings.Join(values, " "))
	}
	fmt.Fprintf(&test, "    promql_expr_test:\n      - eval_time: %s\n        expr: count by (alertname) (ALERTS{alertstate=\"firing\"})\n        exp_samples:\n", at)
	for _, name := range want {
		fmt.Fprintf(&test, "          - {labels: '{alertname=\"%s\"}', value: 1}\n", name)
	}
	if len(want) == 0 {
		test.WriteString("          []\n")
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(fxprom.Rules), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "test.yml"), []byte(test.String()), 0o600))
	said, err := exec.Command("promtool", "test", "rules", filepath.Join(dir, "test.yml")).CombinedOutput()
	assert.NoError(t, err, "at %s: %s", at, said)
}

func TestUserNobodyKnowsIsAnAnswer(t *testing.T) {
	s, p, seen := stage(t)
	for range 10 {
		status, _, err := get(t.Context(), s.client, p.url+"/profiles/zoe")
		require.NoError(t, err)
		assert.Equal(t, http.StatusNotFound, status)
	}
	assert.EqualValues(t, 10, seen.calls.Load(), "not repeated")
	assert.Equal(t, fx.StateClosed, p.breaker.State(), "and no failure")
}

func TestRedisOfSomebodyElseIsLeftAlone(t *testing.T) {
	needs(t, "redis-server", "redis-server")
	theirs, err := startRedis(t.Context())
	require.NoError(t, err)
	defer theirs.kill()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-redis", theirs.addr}, &out))
	assert.NotContains(t, out.String(), "Redis is killed")
	assert.NoError(t, theirs.answers(t.Context()))
}

func TestWithoutRedisItSaysHowToGetOne(t *testing.T) {
	t.Setenv("PATH", "")
	assert.Equal(t, errNoRedis, run(t.Context(), nil, io.Discard))
}

func TestInterruptEndsItAndItsRedis(t *testing.T) {
	needs(t, "redis-server", "redis-server")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said, tell := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, nil, tell) }()
	buffer := make([]byte, 1)
	_, err := said.Read(buffer) // it has begun
	require.NoError(t, err)
	cancel()
	go io.Copy(io.Discard, said)
	assert.ErrorIs(t, <-ended, context.Canceled)
	said.Close()
}

func TestBadArguments(t *testing.T) {
	assert.ErrorContains(t, run(t.Context(), []string{"stray"}, io.Discard), `no arguments are needed, but there is "stray"`)
}

func TestPagesThatAreWrongFailTheStory(t *testing.T) {
	s, p, _ := stage(t)
	s.expect(t.Context(), p, "ann", remembered)
	assert.EqualError(t, s.verdict(), "1 pages were not as they should be")
	assert.False(t, errors.Is(s.verdict(), context.Canceled))
}
