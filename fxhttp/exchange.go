package fxhttp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// An exchange is one attempt. Its request has a context of its own that ends with the context of the policies until
// the headers are there, and from then on with the caller's, so that the body can be read when they have returned.
type exchange struct {
	call     *call
	cancel   context.CancelCauseFunc
	unfollow func() bool // stops following a context
	body     *bodyReader // of the request; nil if it is not on a tape
	resp     *http.Response
	status   *StatusError // why the policies see it as an error; nil if they do not
	closed   atomic.Bool
}

// send makes the attempt. sent says whether headers are known to have been written.
func (x *exchange) send(ctx context.Context) (resp *http.Response, sent bool, err error) {
	own := x.followPolicies(ctx)
	defer func() {
		if resp == nil {
			x.release()
		}
	}()
	var wire *wire
	if !x.call.safe {
		wire = newWire(x.cancel)
		own = httptrace.WithClientTrace(own, wire.trace())
	}
	req, err := x.call.request(own, x)
	if err != nil {
		return nil, false, err
	}
	resp, err = x.call.t.base().RoundTrip(req)
	if err != nil {
		return nil, wire.sent(), wire.explain(err)
	}
	if !x.followCaller() { // the policies' time was over first, and the body is cut off
		x.resp = resp
		x.discard()
		return nil, true, endOf(ctx)
	}
	return resp, true, nil
}

// followPolicies makes the attempt's context, which has the values of ctx and ends with it.
func (x *exchange) followPolicies(ctx context.Context) context.Context {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	x.cancel = cancel
	x.unfollow = context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	return own
}

// followCaller makes the attempt's context end with the caller's instead, and says whether it has not ended before.
func (x *exchange) followCaller() bool {
	leavePolicies := x.unfollow
	if caller := x.call.req.Context(); caller.Done() != nil {
		x.unfollow = context.AfterFunc(caller, func() { x.cancel(context.Cause(caller)) })
	}
	return leavePolicies()
}

// release ends the attempt's context. It may be called more than once.
func (x *exchange) release() {
	if x.cancel != nil {
		x.unfollow()
		x.cancel(nil)
	}
	if x.body != nil {
		_ = x.body.Close()
	}
}

// A wire watches over a request that must be written once. net/http sometimes repeats one by itself: over HTTP/1 only
// where it knows that nothing was written, but over HTTP/2 also when the server has reset the stream. So a connection
// that is taken for it after the headers were written is one too many.
type wire struct {
	cancel   context.CancelCauseFunc
	wrote    atomic.Bool
	repeated atomic.Bool
}

func newWire(cancel context.CancelCauseFunc) *wire { return &wire{cancel: cancel} }

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		WroteHeaders: func() { w.wrote.Store(true) },
		GotConn: func(httptrace.GotConnInfo) {
			if w.wrote.Load() {
				w.repeated.Store(true)
				w.cancel(errReset)
			}
		},
	}
}

// sent says whether headers were written. A nil wire does not watch.
func (w *wire) sent() bool { return w != nil && w.wrote.Load() }

// explain says what has happened when the wire itself has ended the attempt.
func (w *wire) explain(err error) error {
	if w != nil && w.repeated.Load() {
		return errReset
	}
	return err
}

// errReset is the error of an attempt that net/http would have repeated by itself.
var errReset = errors.New("fxhttp: the server reset the request after its headers were written")
