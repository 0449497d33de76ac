package fxhttp

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"example.com/fx"
)

// A StatusError is a response whose status says that the request failed. Policies inside a [Transport] see it for
// those statuses that matter to them; outside, [Check] makes one of a response.
type StatusError struct {
	Code   int         // the status
	Host   string      // that answered; "" if not known
	Header http.Header // of the response
	Body   string      // the first KiB of the body at most; "" inside a Transport, which does not wait for it
	Err    error       // why the policies gave up, such as *fx.RetryError; nil if they did not judge the status

	unsure bool // an earlier attempt, or another copy, may have been carried out
}

func (e *StatusError) Error() string {
	msg := "fxhttp: "
	if e.Host != "" {
		msg += e.Host + ": "
	}
	msg += strconv.Itoa(e.Code)
	if text := http.StatusText(e.Code); text != "" {
		msg += " " + text
	}
	if r := (*fx.RetryError)(nil); errors.As(e.Err, &r) {
		msg += " (attempt " + strconv.Itoa(r.Attempts) + ")"
	}
	if e.Body != "" {
		msg += ": " + strconv.Quote(e.Body) // it is not ours: no line breaks into our log
	}
	return msg
}

// Unwrap returns Err.
func (e *StatusError) Unwrap() error { return e.Err }

// Retryable says whether the status is worth another attempt: 408, 425, 429, 500, 502, 503 and 504 are, and a 5xx that
// is not known, which is treated as 500 (RFC 9110, 15).
func (e *StatusError) Retryable() bool {
	switch e.Code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	return e.settlesNothing()
}

// RetryAfter is the wait that the server asks for in its Retry-After header, in seconds or as a date (RFC 9110,
// 10.2.3), for a 429 or 503; else 0. A date is taken relative to the response's own Date header, so that a clock that
// is wrong does no harm. What is negative, past or cannot be read counts as 0; what is too long for a Duration as the
// longest, which ends a retry with [fx.ErrWait].
func (e *StatusError) RetryAfter() time.Duration {
	if e.Code != http.StatusTooManyRequests && e.Code != http.StatusServiceUnavailable {
		return 0
	}
	return retryAfter(e.Header, time.Now())
}

// MayBeDone says whether the request may have been carried out all the same: the answer was 500, 502 or 504, which
// settle nothing, or an earlier attempt may have been.
func (e *StatusError) MayBeDone() bool { return e.unsure || e.settlesNothing() }

func (e *StatusError) settlesNothing() bool {
	switch e.Code {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return e.Code >= 500 && e.Code <= 599 && http.StatusText(e.Code) == ""
}

// judged says whether policies should see the status as an error: it is worth a retry, or the host's failure.
func (e *StatusError) judged() bool { return e.Code >= 500 || e.Retryable() }

// retryAfter reads the header at the time now.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if isDigits(v) {
		seconds, err := strconv.ParseInt(v, 10, 64)
		if err != nil || seconds > int64(math.MaxInt64/time.Second) {
			return math.MaxInt64
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	return max(at.Sub(now), 0)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Check makes a [*StatusError] of a response whose status is 400 or above, and closes its body after reading a piece
// of it; any other response it leaves alone and returns nil.
//
//	resp, err := client.Do(req)
//	if err == nil {
//		err = fxhttp.Check(resp)
//	}
func Check(resp *http.Response) error {
	if resp.StatusCode < 400 {
		return nil
	}
	e := newStatusError(resp)
	e.Body = piece(resp.Body)
	if resp.Request != nil {
		e.Host = resp.Request.URL.Host
		o, _ := resp.Request.Context().Value(outcomeKey{}).(outcome)
		e.Err, e.unsure = o.err, o.unsure
	}
	return e
}

func newStatusError(resp *http.Response) *StatusError {
	return &StatusError{Code: resp.StatusCode, Header: resp.Header}
}

const (
	pieceSize = 1 << 10         // of the body in a StatusError
	patience  = time.Second / 2 // how long nobody waits for a body that is not wanted
)

// piece reads the beginning of a body, and closes it.
func piece(body io.ReadCloser) string {
	late := time.AfterFunc(patience, func() { _ = body.Close() })
	defer late.Stop()
	defer body.Close()
	b, _ := io.ReadAll(io.LimitReader(body, pieceSize))
	return string(b)
}

// An outcome is what a failed response's request carries in its context for Check.
type outcome struct {
	err    error
	unsure bool
}

type outcomeKey struct{}

func withOutcome(req *http.Request, o outcome) *http.Request {
	return req.WithContext(context.WithValue(req.Context(), outcomeKey{}, o))
}
