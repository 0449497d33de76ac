// Package fxhttp puts fx where HTTP begins and ends: a client's [Transport], a server's middleware, and the deadline
// that crosses the hops between them.
//
//	client := &http.Client{Transport: &fxhttp.Transport{}}
//
// is a client whose calls are bounded, retried where that is safe, and cut off host by host when a host is down. It
// returns what http.Client always returns: a response for every status, or an error.
//
// On the server, [WithDeadline] and [WithBulkhead] wrap a handler, and [WriteError] answers with the status that fits
// an error of fx.
//
// # How the limits layer
//
// From the outside in, and each only as long as what is outside it:
//
//   - The context of the request is the caller's patience. It bounds everything, the body too, and crosses to the next
//     hop. When it ends, that is nobody's failure: a breaker does not count it.
//   - http.Client.Timeout is a deadline on that context, which redirects share. Set it, or a deadline, for a body that
//     may stall; nothing else bounds the time to read one.
//   - The outermost timeout of the policies (40 s in [DefaultPolicy]) bounds the attempts and the waits between them,
//     until the headers are there.
//   - The timeout of an attempt (10 s) bounds one try until its headers are there. It is what tells a breaker of a hang,
//     so it has to be shorter than the patience of most callers.
//   - The limits of [Base] bound the parts of an attempt: dialling, the TLS handshake, the wait for the headers.
package fxhttp

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"example.com/fx"
)

// A Transport is an http.RoundTripper that sends each request through the policies of its host. The zero value works:
// it uses [Base] and [DefaultPolicy]. It is safe for concurrent use, and its fields must not change after first use.
//
// A request is sent again only if that is safe: its method is GET, HEAD, OPTIONS, TRACE, PUT or DELETE (RFC 9110,
// 9.2.2), or it has an idempotency key, and its body can be sent from the start. Any other is sent once, whatever the
// policies say: a second attempt is refused with an error that shows how the first one ended. The one exception is an
// attempt that certainly sent nothing, since no connection could be dialled. To be sure of it, the transport also stops
// the repetitions that net/http makes by itself once the headers are out, those of HTTP/2 after GOAWAY,
// REFUSED_STREAM and PROTOCOL_ERROR.
//
// The policies see a 5xx, 408, 425 or 429 as a [*StatusError], and every other status as a success. When they give up
// and the last attempt was answered, the caller gets that answer, as from any http.RoundTripper; [Check] makes an error
// of it. They see the time until the headers are there. The body is read after they have returned, and is bounded by
// the caller's context, of which http.Client.Timeout is a part: it ends at EOF, at Close, or with that context.
//
// A policy may change the response it gets in place. A response that it replaces by another, or drops, is closed.
type Transport struct {
	// Base makes the attempts. nil means one of its own made by [Base], for as long as the Transport lives.
	Base http.RoundTripper
	// Policy makes the policies of a host, once for each host that is known at the time. The host is that of the URL
	// in lower case, with its port unless that is the scheme's own. It may be called for one host at the same time.
	// nil means [DefaultPolicy]; for no policies return fx.Compose[*http.Response](). A response is read once, so no
	// cache belongs here.
	Policy func(host string) fx.Policy[*http.Response]
	// Hosts is how many hosts are known at a time. The one least recently used is forgotten for a new one, its breaker
	// and counts with it, but never while a call to it is under way. 0 means 1000, a negative number 1.
	Hosts int
	// Buffer is how many bytes of a body without GetBody are kept, while they are sent, to be sent again. A request
	// with a longer one is sent once. 0 means 64 KiB, a negative number none.
	Buffer int
	// IdempotencyHeader names the header that makes a request safe to repeat. Inside a saga a request that would not be
	// safe without it gets the [fx.StepKey], so a step that makes two such requests has to give them keys of its own.
	// "" means Idempotency-Key (draft-ietf-httpapi-idempotency-key-header). Idempotency-Key and X-Idempotency-Key,
	// which net/http heeds, always count.
	IdempotencyHeader string
	// DeadlineHeader names the header that tells the server how many milliseconds are left until the deadline of the
	// request's context, for [WithDeadline]. "" means [DeadlineHeader], "-" sends none.
	DeadlineHeader string

	once  sync.Once
	own   http.RoundTripper
	hosts hosts
}

// RoundTrip sends req, as http.Client asks. A request that cannot be sent as it is, for instance because of a line
// break in a header, is refused with [ErrRequest] before it counts for or against its host. A URL whose scheme is not
// http or https goes to Base as it is.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := check(req); err != nil {
		closeBody(req)
		return nil, err
	}
	if scheme := req.URL.Scheme; scheme != "http" && scheme != "https" {
		return t.base().RoundTrip(req)
	}
	h := t.hosts.enter(hostOf(req), t.limit(), t.compose)
	defer t.hosts.leave(h)
	c := newCall(t, req)
	defer c.end()
	resp, err := h.do(req.Context(), c)
	return c.answer(resp, err)
}

// CloseIdleConnections closes the idle connections of Base; http.Client.CloseIdleConnections calls it.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	t.once.Do(func() { t.own = Base() })
	return t.own
}

// compose puts the policies of a host around an attempt. The call travels in the context, see fx.Lift.
func (t *Transport) compose(host string) guarded {
	policy := t.Policy
	if policy == nil {
		policy = DefaultPolicy
	}
	p := policy(host)
	if p == nil {
		panic(fmt.Sprintf("fxhttp: Policy returned nil for %q; for no policies return fx.Compose[*http.Response]()", host))
	}
	return fx.Lift(attempt, p)
}

func (t *Transport) limit() int {
	if t.Hosts == 0 {
		return 1000
	}
	return max(t.Hosts, 1)
}

func (t *Transport) buffer() int {
	if t.Buffer == 0 {
		return 64 << 10
	}
	return max(t.Buffer, 0)
}

func (t *Transport) idempotencyHeader() string {
	if t.IdempotencyHeader == "" {
		return "Idempotency-Key"
	}
	return t.IdempotencyHeader
}

// hostOf is the name under which a request's host is known.
func hostOf(req *http.Request) string {
	host := strings.ToLower(req.URL.Host)
	if req.URL.Scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}
