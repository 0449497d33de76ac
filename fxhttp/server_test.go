package fxhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxhttp"
)

func TestFullBulkheadAnswers503(t *testing.T) {
	for _, protocol := range protocols {
		entered, leave := make(chan struct{}), make(chan struct{})
		b := &fx.Bulkhead{Limit: 1}
		h := fxhttp.WithBulkhead(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-leave
			_, _ = io.WriteString(w, "served")
		}), b)
		s := newSite(t, protocol, func(_ *site, w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) })
		c := &http.Client{Transport: s.base}
		first := make(chan string, 1)
		go func() {
			v, _ := read(t.Context(), c, s.URL)
			first <- v
		}()
		<-entered
		resp, err := get(t.Context(), c, s.URL)
		require.NoError(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		assert.Equal(t, "1", resp.Header.Get("Retry-After"))
		require.NoError(t, resp.Body.Close())
		close(leave)
		assert.Equal(t, "served", <-first)
		require.NoError(t, b.Close(t.Context()))
		_, err = read(t.Context(), c, s.URL)
		var status *fxhttp.StatusError
		require.ErrorAs(t, err, &status, "a closed one answers the same")
		assert.Equal(t, 503, status.Code)
		assert.Equal(t, time.Second, status.RetryAfter())
	}
}

func TestPlaceComesBackHoweverTheHandlerEnds(t *testing.T) {
	for _, protocol := range protocols {
		b := &fx.Bulkhead{Limit: 1}
		passed := make(chan any, 1)
		h := fxhttp.WithBulkhead(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/panic":
				panic("boom")
			case "/abort":
				panic(http.ErrAbortHandler)
			}
		}), b)
		s := newSite(t, protocol, func(_ *site, w http.ResponseWriter, r *http.Request) {
			defer func() {
				p := recover()
				passed <- p
				if p != nil {
					panic(http.ErrAbortHandler)
				}
			}()
			h.ServeHTTP(w, r)
		})
		s.base.DisableKeepAlives = true // or net/http repeats what was aborted on a used connection
		for path, want := range map[string]any{"/": nil, "/panic": "boom", "/abort": http.ErrAbortHandler} {
			_, err := read(t.Context(), &http.Client{Transport: s.base}, s.URL+path)
			assert.Equal(t, want == nil, err == nil)
			assert.Equal(t, want, <-passed)
			running, _ := b.InUse()
			assert.Zero(t, running)
		}
	}
}

func TestClientThatLeavesTheQueueIsNotAnswered(t *testing.T) {
	b := &fx.Bulkhead{Limit: 1, Queue: 1}
	require.NoError(t, b.Acquire(t.Context()))
	defer b.Release()
	ctx, cancel := context.WithCancel(t.Context())
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") })
		fxhttp.WithBulkhead(never, b).ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	}()
	require.Eventually(t, func() bool { _, waiting := b.InUse(); return waiting == 1 }, long, timeStep)
	cancel()
	<-done
	assert.Equal(t, fxhttp.StatusClientGone, w.Code, "for the log")
	assert.Empty(t, w.Body.String())
}

func TestErrorsBecomeStatuses(t *testing.T) {
	open := &fx.OpenError{Name: "prices", Until: time.Now().Add(90 * time.Second)}
	behind := func(err error) error { return &url.Error{Op: "Get", URL: "http://host/", Err: err} }
	status := func(code int) error {
		return &fxhttp.StatusError{Code: code, Header: http.Header{"Retry-After": {"7"}}}
	}
	timeout := fx.WithTimeout(func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, time.Nanosecond)
	_, ownTimeout := timeout(t.Context())
	for name, c := range map[string]struct {
		err   error
		code  int
		after string
	}{
		"open":                {behind(open), 503, "90"},
		"full":                {fmt.Errorf("checkout: %w", fx.ErrFull), 503, "1"},
		"closed":              {fx.ErrClosed, 503, "1"},
		"limit":               {fx.ErrLimit, 503, "1"},
		"own timeout":         {ownTimeout, 504, ""},
		"deadline":            {context.DeadlineExceeded, 504, ""},
		"file deadline":       {behind(os.ErrDeadlineExceeded), 504, ""},
		"cancelled within":    {context.Canceled, 500, ""},
		"busy behind":         {status(429), 503, "7"},
		"overloaded behind":   {status(503), 503, "7"},
		"timeout behind":      {status(504), 504, ""},
		"error behind":        {status(500), 502, ""},
		"not found behind":    {status(404), 502, ""},
		"lost behind":         {behind(io.ErrUnexpectedEOF), 502, ""},
		"our own bad request": {behind(fxhttp.ErrRequest), 500, ""},
		"last attempt":        {&fx.RetryError{Attempts: 2, Errs: []error{ownTimeout, status(503)}}, 503, "7"},
		"last is a timeout":   {&fx.RetryError{Attempts: 2, Errs: []error{status(503), ownTimeout}}, 504, ""},
		"other":               {errors.New("secret"), 500, ""},
	} {
		w := httptest.NewRecorder()
		fxhttp.WriteError(w, httptest.NewRequest(http.MethodGet, "/", nil), c.err)
		assert.Equal(t, c.code, w.Code, name)
		assert.Equal(t, c.after, w.Header().Get("Retry-After"), name)
		assert.Equal(t, http.StatusText(c.code)+"\n", w.Body.String(), "%s: nothing of the error shows", name)
	}
	assert.Equal(t, 200, fxhttp.Code(nil))
	assert.Equal(t, fxhttp.StatusClientGone, fxhttp.Code(context.Canceled))
	for until, want := range map[time.Duration]string{-time.Hour: "1", 100 * 24 * time.Hour: "3600"} {
		w := httptest.NewRecorder()
		fxhttp.WriteError(w, httptest.NewRequest(http.MethodGet, "/", nil), &fx.OpenError{Until: time.Now().Add(until)})
		assert.Equal(t, want, w.Header().Get("Retry-After"))
	}
}

func TestMisusePanicsWhereTheHandlerIsMade(t *testing.T) {
	assert.PanicsWithValue(t, "fxhttp: WithDeadline needs a handler, as in fxhttp.WithDeadline(mux, fxhttp.Deadline{Max: time.Minute})",
		func() { fxhttp.WithDeadline(nil, fxhttp.Deadline{}) })
	assert.PanicsWithValue(t, "fxhttp: WithBulkhead needs a handler and a bulkhead, as in fxhttp.WithBulkhead(mux, &fx.Bulkhead{Limit: 64})",
		func() { fxhttp.WithBulkhead(http.NotFoundHandler(), nil) })
	assert.PanicsWithValue(t, `fxhttp: Policy returned nil for "host"; for no policies return fx.Compose[*http.Response]()`, func() {
		tr := &fxhttp.Transport{Policy: func(string) fx.Policy[*http.Response] { return nil }}
		_, _ = tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://host/", nil))
	})
}

func TestTimeThatRunsOutInTheQueueIsATimeout(t *testing.T) {
	b := &fx.Bulkhead{Limit: 1, Queue: 1}
	require.NoError(t, b.Acquire(t.Context()))
	defer b.Release()
	never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") })
	h := fxhttp.WithDeadline(fxhttp.WithBulkhead(never, b), fxhttp.Deadline{})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set(fxhttp.DeadlineHeader, "1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusGatewayTimeout, w.Code)
	_, waiting := b.InUse()
	assert.Zero(t, waiting)
}
