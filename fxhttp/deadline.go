package fxhttp

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// DeadlineHeader is the default name of the header that carries what is left of a caller's time, in milliseconds as a
// decimal number. It is a span and not a point in time because the clocks of two machines differ; gRPC does the same
// with grpc-timeout. What the way takes is not subtracted.
const DeadlineHeader = "Request-Timeout-Ms"

// A Deadline says how long a server works for a request. The zero value works as long as the client says it will
// wait, and without limit for one that says nothing. It is read only.
type Deadline struct {
	// Header is the name of the header with the client's time. "" means [DeadlineHeader].
	Header string
	// Max is the server's own limit; a client can ask for less, never for more. It also holds where the header is
	// missing or cannot be read. 0 or less means none.
	Max time.Duration
}

// WithDeadline gives h a request whose context ends when the client's time or the server's own is over, whichever is
// first. With that context a [Transport] tells the next hop what is left, so that no hop works for a caller that has
// gone. A request whose time is over already is answered with 504 and does not reach h.
//
// A header that is not one decimal number of at most 12 digits is ignored: Max holds.
func WithDeadline(h http.Handler, d Deadline) http.Handler {
	if h == nil {
		panic("fxhttp: WithDeadline needs a handler, as in fxhttp.WithDeadline(mux, fxhttp.Deadline{Max: time.Minute})")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit, bounded := d.of(r.Header)
		if !bounded {
			h.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		if ctx.Err() != nil {
			WriteError(w, r.WithContext(ctx), endOf(ctx))
			return
		}
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// of is how long the server works for a request with these headers, and false if there is no limit.
func (d Deadline) of(h http.Header) (time.Duration, bool) {
	asked, ok := millis(h.Values(deadlineHeader(d.Header)))
	switch {
	case d.Max <= 0:
		return asked, ok
	case !ok:
		return d.Max, true
	}
	return min(asked, d.Max), true
}

// millis reads a header that is one decimal number of at most 12 digits, which are 31 years.
func millis(values []string) (time.Duration, bool) {
	if len(values) != 1 || !isDigits(values[0]) || len(values[0]) > 12 {
		return 0, false
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	return time.Duration(n) * time.Millisecond, err == nil
}

// millisLeft is what is left until the deadline of ctx, rounded down, and false if it has none.
func millisLeft(ctx context.Context) (string, bool) {
	at, ok := ctx.Deadline()
	if !ok {
		return "", false
	}
	return strconv.FormatInt(max(time.Until(at), 0).Milliseconds(), 10), true
}

func deadlineHeader(name string) string {
	if name == "" {
		return DeadlineHeader
	}
	return name
}
