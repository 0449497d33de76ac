package fxhttp

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"example.com/fx"
)

// WithBulkhead lets a request reach h when b has a place for it, and gives the place back however h ends, by a panic or
// http.ErrAbortHandler too, which pass on. Without a place the answer is 503 with Retry-After; a client that leaves the
// queue is not answered. Under [WithDeadline] the wait in the queue counts as the client's time.
//
// Close b to drain a server: newcomers get a 503 while the running are waited for.
func WithBulkhead(h http.Handler, b *fx.Bulkhead) http.Handler {
	if h == nil || b == nil {
		panic("fxhttp: WithBulkhead needs a handler and a bulkhead, as in fxhttp.WithBulkhead(mux, &fx.Bulkhead{Limit: 64})")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := b.Acquire(r.Context()); err != nil {
			WriteError(w, r, err)
			return
		}
		defer b.Release()
		h.ServeHTTP(w, r)
	})
}

// StatusClientGone is the status of a request whose client has left, for logs; no client ever sees it. The number is
// nginx's.
const StatusClientGone = 499

// WriteError answers r with the status that [Code] finds for err, Retry-After where it helps, and the status's name as
// the body; of err itself nothing is shown. Nothing must have been written before.
//
// A client that has left gets nothing; the header is then written as 499 all the same, for the logs of a middleware
// around it.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	code := Code(err)
	if r.Context().Err() == context.Canceled {
		w.WriteHeader(StatusClientGone)
		return
	}
	if code == StatusClientGone { // some inner call was cancelled, but the client is still there
		code = http.StatusInternalServerError
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", waitOf(err))
	}
	http.Error(w, http.StatusText(code), code)
}

// Code is the status that tells a client why its request failed with err. Of several attempts the last one counts.
//
//   - 503: refused by a breaker, a bulkhead or a limit here, or the host behind is overloaded (429, 503)
//   - 504: a timeout here, or of the host behind (504)
//   - 499: cancelled, which is for logs only
//   - 502: any other failure of a request to a host behind
//   - 500: any other error
//   - 200: nil
func Code(err error) int {
	if err == nil {
		return http.StatusOK
	}
	err = lastOf(err)
	if s := (*StatusError)(nil); errors.As(err, &s) {
		return codeBehind(s.Code)
	}
	switch u := (*url.Error)(nil); {
	case isRefusal(err):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded), timedOut(err):
		return http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled):
		return StatusClientGone
	case errors.As(err, &u) && !errors.Is(err, ErrRequest):
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// timedOut says whether any error in the chain is a timeout.
func timedOut(err error) bool {
	for t := net.Error(nil); errors.As(err, &t); err = errors.Unwrap(t) {
		if t.Timeout() {
			return true
		}
	}
	return false
}

// codeBehind is what the status of a host behind means to the client in front.
func codeBehind(code int) int {
	switch code {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return http.StatusServiceUnavailable
	case http.StatusGatewayTimeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// waitOf is the value of Retry-After for err: what err asks for in whole seconds, rounded up, between a second and an
// hour.
func waitOf(err error) string {
	var asks interface{ RetryAfter() time.Duration }
	wait := time.Second
	if errors.As(lastOf(err), &asks) {
		wait = min(max(wait, asks.RetryAfter()), time.Hour)
	}
	return strconv.Itoa(int(math.Ceil(wait.Seconds())))
}
