package fxhttp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// ErrRequest is matched by the error of a request that cannot be sent as it is: it has no host, a line break in a
// header, or a body that could not be read. It is never the host's fault and never worth a retry.
var ErrRequest = errors.New("fxhttp: the request cannot be sent")

type requestError struct {
	what string
	err  error // the caller's own; may be nil
}

func (e *requestError) Error() string {
	if e.err == nil {
		return ErrRequest.Error() + ": " + e.what
	}
	return ErrRequest.Error() + ": " + e.what + ": " + e.err.Error()
}

func (e *requestError) Is(target error) bool { return target == ErrRequest }
func (e *requestError) Unwrap() error        { return e.err }
func (e *requestError) Retryable() bool      { return false }

// check refuses what net/http would refuse on every attempt, so that a hostile header value that got into a request
// does not count against its host. It shows no values: they may be secret.
func check(req *http.Request) error {
	if req.URL == nil || req.URL.Host == "" && (req.URL.Scheme == "http" || req.URL.Scheme == "https") {
		return &requestError{what: "its URL has no host"}
	}
	if req.Method != "" && !isToken(req.Method) {
		return &requestError{what: fmt.Sprintf("invalid method %q", req.Method)}
	}
	if !isText(req.URL.RawQuery) || !isText(req.URL.Opaque) || !isText(req.URL.Host) || !isText(req.Host) {
		return &requestError{what: "a control character in its URL or Host"}
	}
	for _, h := range [...]http.Header{req.Header, req.Trailer} {
		for name, values := range h {
			if !isToken(name) {
				return &requestError{what: fmt.Sprintf("invalid header name %q", name)}
			}
			for _, v := range values {
				if !isText(v) {
					return &requestError{what: fmt.Sprintf("a control character in the value of header %q", name)}
				}
			}
		}
	}
	return nil
}

// isToken says whether s is a token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f:
			return false
		case strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0:
			return false
		}
	}
	return s != ""
}

// isText says whether s has no control characters but tabs: those end a line, or worse (RFC 9110, 5.5).
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// headerValue makes a string fit for a header: as it is if it has nothing but visible ASCII, else percent-encoded. No
// two strings become the same one.
func headerValue(s string) string {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' {
			return url.PathEscape(s)
		}
	}
	return s
}

// request is the request of one attempt. The caller's is not touched.
func (c *call) request(ctx context.Context, x *exchange) (*http.Request, error) {
	req := c.req.WithContext(ctx)
	body, err := c.body.next(x)
	if err != nil {
		return nil, err
	}
	req.Body = body
	if c.body.tape != nil {
		req.GetBody = nil
	}
	budget, bounded := "", false
	if c.t.DeadlineHeader != "-" {
		budget, bounded = millisLeft(c.req.Context())
	}
	if bounded || c.key != "" {
		if req.Header = maps.Clone(req.Header); req.Header == nil {
			req.Header = make(http.Header)
		}
	}
	if bounded {
		req.Header.Set(deadlineHeader(c.t.DeadlineHeader), budget)
	}
	if c.key != "" {
		req.Header.Set(c.t.idempotencyHeader(), c.key)
	}
	return req, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
