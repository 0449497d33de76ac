package fxhttp_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx/fxhttp"
)

// A hop is a server with WithDeadline that notes what it was told.
type hop struct {
	*httptest.Server
	told   atomic.Pointer[string]
	worked atomic.Int64
}

func newHop(t *testing.T, h func(*hop, http.ResponseWriter, *http.Request)) *hop {
	p := &hop{}
	inner := fxhttp.WithDeadline(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.worked.Add(1)
		h(p, w, r)
	}), fxhttp.Deadline{})
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told := r.Header.Get(fxhttp.DeadlineHeader)
		p.told.Store(&told)
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *hop) millis(t *testing.T) int {
	require.NotNil(t, p.told.Load())
	n, err := strconv.Atoi(*p.told.Load())
	require.NoError(t, err)
	return n
}

// passOn asks the next hop, under the context of the request.
func passOn(c *http.Client, next *hop) func(*hop, http.ResponseWriter, *http.Request) {
	return func(_ *hop, w http.ResponseWriter, r *http.Request) {
		v, err := read(r.Context(), c, next.URL)
		if err != nil {
			fxhttp.WriteError(w, r, err)
			return
		}
		_, _ = io.WriteString(w, v)
	}
}

func newClient(t *testing.T) *http.Client {
	c := &http.Client{Transport: &fxhttp.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestDeadlineCrossesThreeHops(t *testing.T) {
	c := newClient(t)
	last := newHop(t, func(_ *hop, w http.ResponseWriter, r *http.Request) {
		_, bounded := r.Context().Deadline()
		assert.True(t, bounded)
		_, _ = io.WriteString(w, "done")
	})
	middle := newHop(t, passOn(c, last))
	first := newHop(t, passOn(c, middle))

	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	v, err := read(ctx, c, first.URL)
	require.NoError(t, err)
	assert.Equal(t, "done", v)
	assert.LessOrEqual(t, first.millis(t), int(long.Milliseconds()))
	assert.LessOrEqual(t, middle.millis(t), first.millis(t))
	assert.LessOrEqual(t, last.millis(t), middle.millis(t))
	assert.Positive(t, last.millis(t))
}

func TestNoHopWorksForACallerThatHasGone(t *testing.T) {
	c := newClient(t)
	ended := make(chan error, 1)
	last := newHop(t, func(_ *hop, w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended <- r.Context().Err()
		fxhttp.WriteError(w, r, r.Context().Err())
	})
	middle := newHop(t, passOn(c, last))
	first := newHop(t, passOn(c, middle))
	resp := ask(t, first.URL, "300") // a client that never hangs up
	assert.Equal(t, http.StatusGatewayTimeout, resp)
	require.Error(t, <-ended)
	assert.EqualValues(t, 1, last.worked.Load())

	// the time runs out at the hop in the middle: the last one never hears of it
	never := newHop(t, func(*hop, http.ResponseWriter, *http.Request) {})
	slow := newHop(t, func(p *hop, w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		passOn(c, never)(p, w, r)
	})
	assert.Equal(t, http.StatusGatewayTimeout, ask(t, newHop(t, passOn(c, slow)).URL, "300"))
	assert.Zero(t, never.worked.Load())
}

// ask gets a URL with a deadline header, and returns the status.
func ask(t *testing.T, url, millis string) int {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set(fxhttp.DeadlineHeader, millis)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer http.DefaultClient.CloseIdleConnections()
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestNothingLeftIsAnsweredAtOnce(t *testing.T) {
	p := newHop(t, func(*hop, http.ResponseWriter, *http.Request) {})
	assert.Equal(t, http.StatusGatewayTimeout, ask(t, p.URL, "0"))
	assert.Zero(t, p.worked.Load())
	assert.Equal(t, http.StatusOK, ask(t, p.URL, "30000"))
}

// limitOf is how long a handler behind WithDeadline has, or 0 without a limit.
func limitOf(d fxhttp.Deadline, h http.Header) (left time.Duration, code int) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = h
	w := httptest.NewRecorder()
	fxhttp.WithDeadline(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if at, ok := r.Context().Deadline(); ok {
			left = time.Until(at)
		}
	}), d).ServeHTTP(w, r)
	return left, w.Code
}

func TestClientCanShortenButNotLengthen(t *testing.T) {
	for _, garbage := range [][]string{
		nil, {""}, {"-1"}, {"+1"}, {"1s"}, {"1e9"}, {"0x10"}, {" 1"}, {"1,2"}, {"1", "2"}, {"９"}, {"NaN"},
		{"99999999999999999999999999"}, {"9223372036854775807"}, {"1000000000000"}, {"\r\n"},
	} {
		h := http.Header{fxhttp.DeadlineHeader: garbage}
		left, code := limitOf(fxhttp.Deadline{Max: time.Minute}, h)
		assert.InDelta(t, time.Minute, left, float64(30*time.Second), garbage)
		assert.Equal(t, http.StatusOK, code)
		left, code = limitOf(fxhttp.Deadline{}, h)
		assert.Zero(t, left, garbage)
		assert.Equal(t, http.StatusOK, code)
	}
	left, _ := limitOf(fxhttp.Deadline{Max: time.Hour}, http.Header{fxhttp.DeadlineHeader: {"60000"}})
	assert.InDelta(t, time.Minute, left, float64(30*time.Second))
	left, _ = limitOf(fxhttp.Deadline{Max: time.Minute}, http.Header{fxhttp.DeadlineHeader: {"3600000"}})
	assert.InDelta(t, time.Minute, left, float64(30*time.Second))
	left, _ = limitOf(fxhttp.Deadline{Header: "X-Budget", Max: time.Hour}, http.Header{"X-Budget": {"60000"}})
	assert.InDelta(t, time.Minute, left, float64(30*time.Second))
}

func TestNoHeaderLengthensTheServersLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9]{1,25}`)).Draw(t, "value")
		left, _ := limitOf(fxhttp.Deadline{Max: time.Minute}, http.Header{fxhttp.DeadlineHeader: {value}})
		if left > time.Minute {
			t.Fatal(left)
		}
	})
}

func TestTransportTellsWhatIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		setting, header string
		bounded, sent   bool
	}{
		"default":     {"", fxhttp.DeadlineHeader, true, true},
		"setting":     {"X-Budget", "X-Budget", true, true},
		"off":         {"-", fxhttp.DeadlineHeader, true, false},
		"no deadline": {"", fxhttp.DeadlineHeader, false, false},
	} {
		var got []string
		tr := &fxhttp.Transport{DeadlineHeader: c.setting, Base: stub(func(req *http.Request) (*http.Response, error) {
			got = req.Header.Values(c.header)
			return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
		})}
		ctx := t.Context()
		if c.bounded {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Minute)
			defer cancel()
		}
		resp, err := get(ctx, &http.Client{Transport: tr}, "http://host/")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, c.sent, len(got) == 1, name)
		if c.sent {
			n, err := strconv.Atoi(got[0])
			require.NoError(t, err)
			assert.InDelta(t, 60_000, n, 30_000, name)
		}
	}
}
