package fxhttp_test

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxhttp"
)

func TestWhatEachStatusMeans(t *testing.T) {
	type meaning struct{ retryable, maybe, failure bool }
	for code, want := range map[int]meaning{
		400: {}, 401: {}, 403: {}, 404: {}, 409: {},
		408: {retryable: true},
		425: {retryable: true},
		429: {retryable: true},
		500: {true, true, true},
		501: {failure: true},
		502: {true, true, true},
		503: {retryable: true, failure: true},
		504: {true, true, true},
		505: {failure: true},
		520: {true, true, true}, // unknown: as 500
	} {
		err := error(&fxhttp.StatusError{Code: code})
		assert.Equal(t, want, meaning{fx.Retryable(err), fx.MayBeDone(err), fxhttp.Failure(err)}, code)
	}
}

func TestFailureIsThatOfTheLastAttempt(t *testing.T) {
	busy, broken := &fxhttp.StatusError{Code: 429}, &fxhttp.StatusError{Code: 503}
	assert.False(t, fxhttp.Failure(&fx.RetryError{Attempts: 2, Errs: []error{broken, busy}, Stop: fx.ErrExhausted}))
	assert.True(t, fxhttp.Failure(&fx.RetryError{Attempts: 2, Errs: []error{busy, broken}, Stop: fx.ErrExhausted}))
	assert.True(t, fxhttp.Failure(io.ErrUnexpectedEOF))
	assert.False(t, fxhttp.Failure(fxhttp.ErrRequest))
}

func TestRetryAfter(t *testing.T) {
	now := time.Now()
	for value, want := range map[string]time.Duration{
		"7":                              7 * time.Second,
		"0":                              0,
		"":                               0,
		"-7":                             0,
		"+7":                             0,
		"7s":                             0,
		"7.5":                            0,
		"soon":                           0,
		"7, 8":                           0,
		"7\x00":                          0,
		"999999999999999999999999999999": math.MaxInt64,
		"9223372036":                     9223372036 * time.Second,
		"9223372037":                     math.MaxInt64,
		now.Add(-time.Hour).UTC().Format(http.TimeFormat):        0,
		"Sunday, 06-Nov-94 08:49:37 GMT":                         0, // RFC 9110, 5.6.7: the old forms are read too
		now.Add(100000 * time.Hour).UTC().Format("Mon, 02 Jan "): 0,
	} {
		e := &fxhttp.StatusError{Code: 429, Header: http.Header{"Retry-After": {value}}}
		assert.Equal(t, want, e.RetryAfter(), value)
	}
	for _, layout := range []string{http.TimeFormat, time.RFC850, time.ANSIC} {
		sent := time.Date(2005, 1, 2, 3, 4, 5, 0, time.UTC)
		h := http.Header{"Date": {sent.Format(http.TimeFormat)}, "Retry-After": {sent.Add(time.Minute).Format(layout)}}
		if layout == time.RFC850 {
			h.Set("Retry-After", strings.Replace(h.Get("Retry-After"), "UTC", "GMT", 1))
		}
		assert.Equal(t, time.Minute, (&fxhttp.StatusError{Code: 503, Header: h}).RetryAfter(), layout)
	}
	at := now.Add(time.Hour).UTC().Format(http.TimeFormat)
	own := (&fxhttp.StatusError{Code: 503, Header: http.Header{"Retry-After": {at}}}).RetryAfter()
	assert.InDelta(t, time.Hour, own, float64(time.Minute), "without a Date it is our own clock's")
	for _, code := range []int{301, 404, 408, 500, 502, 504} {
		e := &fxhttp.StatusError{Code: code, Header: http.Header{"Retry-After": {"7"}}}
		assert.Zero(t, e.RetryAfter(), code)
	}
}

func TestRetryAfterIsNeverNegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := http.Header{"Retry-After": {rapid.String().Draw(t, "value")}, "Date": {rapid.String().Draw(t, "date")}}
		if d := (&fxhttp.StatusError{Code: 503, Header: h}).RetryAfter(); d < 0 {
			t.Fatal(d)
		}
	})
}

func TestLastAnswerComesBackAsAResponse(t *testing.T) {
	for _, protocol := range protocols {
		s := newSite(t, protocol, faulty)
		resp, err := get(t.Context(), s.client(patient), s.URL+"/?fault=503+with+a+long+body")
		require.NoError(t, err)
		assert.Equal(t, 503, resp.StatusCode)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Len(t, body, 1<<16, "its body is all there")
		require.NoError(t, resp.Body.Close())
		assert.EqualValues(t, 2, s.calls.Load())
		require.Eventually(t, s.base.balanced, long, timeStep)
	}
}

func TestCheckTellsWhatHappened(t *testing.T) {
	s := newSite(t, "HTTP/1.1", faulty)
	resp, err := get(t.Context(), s.client(patient), s.URL+"/?fault=503")
	require.NoError(t, err)
	err = fxhttp.Check(resp)
	var status *fxhttp.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, "come back", status.Body)
	assert.ErrorIs(t, err, fx.ErrExhausted)
	assert.EqualError(t, err, `fxhttp: `+strings.TrimPrefix(s.URL, "http://")+
		`: 503 Service Unavailable (attempt 2): "come back"`)
	assert.True(t, s.base.balanced(), "it closes the body")

	resp, err = get(t.Context(), s.client(patient), s.URL)
	require.NoError(t, err)
	require.NoError(t, fxhttp.Check(resp))
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "whole", string(body), "a good response is left alone")
	require.NoError(t, resp.Body.Close())
}

func TestHostileBodyDoesNotReachTheLogAsItIs(t *testing.T) {
	resp := &http.Response{StatusCode: 500, Body: io.NopCloser(strings.NewReader("x\nlevel=ERROR\x1b[2J" + strings.Repeat("A", 1<<20)))}
	err := fxhttp.Check(resp)
	assert.NotContains(t, err.Error(), "\n")
	assert.NotContains(t, err.Error(), "\x1b")
	assert.Less(t, len(err.Error()), 2<<10)
}

// What an earlier attempt may have done is not forgotten when a later one is refused.
func TestUncertaintyOutlivesTheAttempt(t *testing.T) {
	for _, last := range []int{503, 404, 409} {
		var n atomic.Int64
		s := newSite(t, "HTTP/1.1", func(_ *site, w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				reset(r)
				return
			}
			w.WriteHeader(last)
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, strings.NewReader("x"))
		require.NoError(t, err)
		resp, err := s.client(patient).Do(req)
		require.NoError(t, err)
		assert.True(t, fx.MayBeDone(fxhttp.Check(resp)), last)

		resp, err = get(t.Context(), s.client(patient), s.URL)
		require.NoError(t, err)
		assert.False(t, fx.MayBeDone(fxhttp.Check(resp)), last)
	}
}

func TestStalledErrorBodyHoldsNobodyUp(t *testing.T) {
	s := newSite(t, "HTTP/1.1", func(s *site, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write(bytes.Repeat([]byte("x"), 10))
		_ = http.NewResponseController(w).Flush()
		s.hang(r)
	})
	_, err := read(t.Context(), s.client(patient), s.URL) // both the drain and Check give up
	var status *fxhttp.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, "xxxxxxxxxx", status.Body)
	assert.EqualValues(t, 2, s.calls.Load())
	require.Eventually(t, s.base.balanced, long, timeStep)
}
