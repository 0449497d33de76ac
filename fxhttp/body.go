package fxhttp

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// adopt makes the exchange the owner of a response: its body ends the attempt's context.
func (x *exchange) adopt(resp *http.Response) {
	x.resp = resp
	switch w, ok := resp.Body.(io.Writer); {
	case resp.Body == nil || resp.Body == http.NoBody:
		x.release()
	case ok && resp.StatusCode == http.StatusSwitchingProtocols:
		resp.Body = &stream{body{resp.Body, x}, w}
	default:
		resp.Body = &body{resp.Body, x}
	}
}

// A body is a response's body. It ends the context of its attempt when it ends, or is closed.
type body struct {
	io.ReadCloser
	x *exchange
}

// Read says why the caller's context has ended, if that is why there is no more, for net/http says "canceled" of a
// deadline too. Any other end but io.EOF is a cutError.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	caller := b.x.call.req.Context()
	switch {
	case err == io.EOF:
	case caller.Err() != nil && isEndOf(caller, err):
		err = endOf(caller)
	case !b.x.closed.Load():
		err = &cutError{err}
	}
	b.x.release()
	return n, err
}

// cutError is the error of a body that ended before its end. It matches io.ErrUnexpectedEOF whatever the protocol says,
// and [fx.MayBeDone] is true of it.
type cutError struct{ err error }

func (e *cutError) Error() string        { return "fxhttp: the response was cut off: " + e.err.Error() }
func (e *cutError) Unwrap() error        { return e.err }
func (e *cutError) Is(target error) bool { return target == io.ErrUnexpectedEOF }
func (e *cutError) MayBeDone() bool      { return true }

// Close closes the body once.
func (b *body) Close() error {
	if !b.x.closed.CompareAndSwap(false, true) {
		return nil
	}
	err := b.ReadCloser.Close()
	b.x.release()
	return err
}

// A stream is the body of a connection that was handed over with a status of 101.
type stream struct {
	body
	io.Writer
}

// drainSize is how much of an unwanted body is read so that its connection can be used again: as much as http.Client
// reads of a redirect's (maxBodySlurpSize in net/http/client.go).
const drainSize = 2 << 10

// discard closes a response that nobody wants, after reading a little of it.
func (x *exchange) discard() {
	if x.resp.Body == nil {
		return
	}
	late := time.AfterFunc(patience, func() { x.cancel(errUnwanted) })
	defer late.Stop()
	_, _ = io.CopyN(io.Discard, x.resp.Body, drainSize)
	_ = x.resp.Body.Close()
}

var errUnwanted = errors.New("fxhttp: nobody wants the response")
