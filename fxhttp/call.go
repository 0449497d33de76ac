package fxhttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"example.com/fx"
)

// A call is one RoundTrip: the attempts that the policies make of it, and the responses that came of them.
type call struct {
	t    *Transport
	req  *http.Request // the caller's
	key  string        // idempotency key to fill in; "" for none
	safe bool          // the request may be carried out more than once
	body requestBody

	mu      sync.Mutex
	spent   bool        // an attempt may have sent something
	first   error       // how it ended; nil while it is under way
	running int         // attempts under way
	unsure  bool        // an attempt that brought no answer may have been carried out
	open    []*exchange // responses that are neither the caller's nor closed
	over    bool        // the policies have returned
}

func newCall(t *Transport, req *http.Request) *call {
	c := &call{t: t, req: req, safe: isSafe(req, t.idempotencyHeader())}
	if !c.safe {
		if c.key = headerValue(fx.StepKey(req.Context())); c.key != "" {
			c.safe = true
		}
	}
	c.body.init(req, c.safe, t.buffer())
	return c
}

// isSafe says whether a request may be carried out twice: by its method (RFC 9110, 9.2.2), or because it has a key.
func isSafe(req *http.Request, header string) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	for _, name := range [...]string{header, "Idempotency-Key", "X-Idempotency-Key"} {
		if _, ok := req.Header[http.CanonicalHeaderKey(name)]; ok {
			return true
		}
	}
	return false
}

// attempt is the op that the policies wrap. ctx is theirs; it ends when they return.
func attempt(ctx context.Context, c *call) (*http.Response, error) {
	stale, err := c.begin(ctx)
	for _, x := range stale {
		x.discard()
	}
	if err != nil {
		return nil, err
	}
	x := &exchange{call: c}
	ended := false
	defer func() {
		if !ended {
			c.abandoned()
		}
	}()
	resp, sent, err := x.send(ctx)
	ended = true
	if err != nil {
		return nil, c.failed(ctx, x, sent, err)
	}
	return c.answered(x, resp)
}

// begin counts one more attempt, if it is safe. The answers to earlier attempts are not wanted any more, since the
// policies ask again.
func (c *call) begin(ctx context.Context) (stale []*exchange, err error) {
	if ctx.Err() != nil {
		return nil, fx.NotDone(endOf(ctx))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over:
		return nil, fx.NotDone(errOver)
	case c.spent && !c.repeatable():
		return nil, &onceError{req: c.req, safe: c.safe, first: c.first}
	}
	c.spent, c.first = true, nil
	c.running++
	return c.takeStatuses(), nil
}

// takeStatuses takes the responses that the policies know as errors. One that they have as a success may be winning a
// race at this moment. mu is held.
func (c *call) takeStatuses() (taken []*exchange) {
	kept := c.open[:0]
	for _, x := range c.open {
		if x.status != nil {
			taken = append(taken, x)
		} else {
			kept = append(kept, x)
		}
	}
	c.open = kept
	return taken
}

// repeatable says whether another attempt may be made although one has been.
func (c *call) repeatable() bool { return c.safe && c.body.repeatable() }

// errOver is the error of a copy that a policy started after it had returned.
var errOver = errors.New("fxhttp: the call is over")

// failed takes the error of an attempt that brought no answer, and returns what it means to the policies.
func (c *call) failed(ctx context.Context, x *exchange, sent bool, err error) error {
	never := !sent && neverSent(err)
	switch fault := c.body.fault(); {
	case fault != nil:
		err = fx.Permanent(&requestError{"reading its body", fault})
	case ctx.Err() != nil && isEndOf(ctx, err):
		err = endOf(ctx)
	}
	if never {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
		c.spent = c.running > 0
		return err
	}
	err = fx.Unsure(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	c.unsure, c.first = true, err
	if !c.repeatable() {
		return fx.Permanent(err)
	}
	return err
}

// abandoned takes the end of an attempt that did not return: Base has panicked.
func (c *call) abandoned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	c.unsure, c.first = true, errNoReturn
}

var errNoReturn = errors.New("fxhttp: Base did not return (panic or Goexit)")

// answered takes a response, and hands it to the policies as what its status means to them. One that comes when they
// have returned is closed here.
func (c *call) answered(x *exchange, resp *http.Response) (*http.Response, error) {
	x.adopt(resp)
	s := newStatusError(resp)
	s.Host = c.req.URL.Host
	c.mu.Lock()
	c.running--
	late := c.over
	if !late {
		c.open, c.first = append(c.open, x), errNotTaken
		if s.judged() {
			x.status, c.first = s, s
		}
	}
	again := c.repeatable()
	c.mu.Unlock()
	switch {
	case late:
		x.discard()
		return nil, errOver
	case x.status == nil:
		return resp, nil
	case !again:
		return nil, fx.Permanent(s)
	}
	return nil, s
}

// errNotTaken is how an attempt ended whose answer was no error, when policies ask again all the same.
var errNotTaken = fx.Unsure(errors.New("fxhttp: its answer was not taken"))

// answer is what the caller gets when the policies have returned resp or err. The other responses are closed.
func (c *call) answer(resp *http.Response, err error) (*http.Response, error) {
	won, o := c.settle(resp, err)
	switch {
	case won == nil && err != nil:
		return nil, err
	case won == nil:
		return resp, nil
	case won.resp.StatusCode < 400:
		won.resp.Request = c.req
	default:
		won.resp.Request = withOutcome(c.req, o)
	}
	return won.resp, nil
}

// settle ends the call for the policies, and finds the exchange that the caller gets: the one whose response they
// returned, or whose status is why they gave up.
func (c *call) settle(resp *http.Response, err error) (won *exchange, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := lastOf(err)
	for i := len(c.open) - 1; i >= 0 && won == nil; i-- {
		x := c.open[i]
		gaveUp := x.status != nil && errors.Is(last, x.status) && c.req.Context().Err() == nil
		if err == nil && x.resp == resp || gaveUp {
			won = x
			c.open = append(c.open[:i], c.open[i+1:]...)
		}
	}
	c.over = true
	if won != nil && err != won.status && errors.Unwrap(err) != won.status { // more than the status, or its mark
		o.err = err
	}
	o.unsure = c.unsure || c.running > 0
	return won, o
}

// end closes what the caller does not get, without making it wait, and the caller's body if nobody else will.
func (c *call) end() {
	c.mu.Lock()
	c.over = true
	rest := c.open
	c.open = nil
	c.mu.Unlock()
	for _, x := range rest {
		go x.discard()
	}
	c.body.done()
}

// neverSent says whether an error of Base proves that nothing was sent: no connection was made, or another layer of
// fx refused the call.
func neverSent(err error) bool {
	if fx.MayBeDone(err) {
		return false
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	dns := (*net.DNSError)(nil)
	return errors.As(err, &dns) || isRefusal(err) || errors.Is(err, ErrRequest)
}

// isRefusal says whether a layer of fx did not let a call pass.
func isRefusal(err error) bool {
	for _, refusal := range [...]error{fx.ErrOpen, fx.ErrFull, fx.ErrClosed, fx.ErrLimit} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// A onceError refuses a second attempt. It is the first one's error, as far as that has one.
type onceError struct {
	req   *http.Request
	safe  bool
	first error
}

func (e *onceError) Error() string {
	why := "a " + e.req.Method + " without an idempotency key is sent once"
	if e.safe {
		why = "its body cannot be sent from the start: set GetBody, or a larger Buffer"
	}
	if e.first == nil {
		return "fxhttp: not sent again, while the first attempt is under way: " + why
	}
	return fmt.Sprintf("fxhttp: not sent again: %s; the first attempt: %v", why, e.first)
}

func (e *onceError) Unwrap() error   { return e.first }
func (e *onceError) Retryable() bool { return false }

// MayBeDone is true while the first attempt is under way.
func (e *onceError) MayBeDone() bool { return e.first == nil || fx.MayBeDone(e.first) }

// --- contexts that have ended ---

// isEndOf says whether err, of a call under a context of its own, is no more than the end of ctx.
func isEndOf(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Cause(ctx))
}

// endOf says why ctx has ended: an error that matches ctx.Err() and context.Cause(ctx). It is asked in the place of
// what net/http says, which over HTTP/2 is "canceled" for a deadline too.
func endOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return &endError{err, cause}
}

type endError struct{ err, cause error }

func (e *endError) Error() string   { return e.err.Error() + ": " + e.cause.Error() }
func (e *endError) Unwrap() []error { return []error{e.err, e.cause} }
