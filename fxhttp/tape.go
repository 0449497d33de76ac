package fxhttp

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"example.com/fx"
)

// A requestBody hands the body of a request to each attempt, from the start. With GetBody that is easy. Without, what
// the first attempt reads is kept on a tape.
type requestBody struct {
	req  *http.Request
	tape *tape // nil if there is no body, or GetBody

	mu    sync.Mutex // one GetBody at a time
	taken bool       // the request's own Body is Base's to close
}

func (b *requestBody) init(req *http.Request, safe bool, limit int) {
	b.req = req
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil {
		return
	}
	if !safe || req.ContentLength > int64(limit) {
		limit = 0
	}
	b.tape = &tape{src: req.Body, limit: limit}
}

func (b *requestBody) repeatable() bool { return b.tape == nil || !b.tape.lost.Load() }

// fault is the error with which the caller's body has ended, if it has.
func (b *requestBody) fault() error {
	if b.tape == nil {
		return nil
	}
	if err, ok := b.tape.fault.Load().(fault); ok {
		return err.error
	}
	return nil
}

// next is the body for one more attempt.
func (b *requestBody) next(x *exchange) (io.ReadCloser, error) {
	switch {
	case b.req.Body == nil || b.req.Body == http.NoBody:
		return b.req.Body, nil
	case b.tape != nil:
		x.body = b.tape.reader()
		if x.body == nil {
			return nil, fx.NotDone(errOver)
		}
		return x.body, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.taken {
		b.taken = true
		return b.req.Body, nil
	}
	body, err := b.req.GetBody()
	if err != nil {
		return nil, &requestError{"GetBody", err}
	}
	return body, nil
}

// done says that no attempt will be begun any more.
func (b *requestBody) done() {
	switch {
	case b.tape != nil:
		b.tape.leave()
	default:
		b.mu.Lock()
		defer b.mu.Unlock()
		if !b.taken {
			b.taken = true
			closeBody(b.req)
		}
	}
}

// A tape is a body that several readers read from the start, at the same time if need be. It keeps the first limit
// bytes. When more have gone by, the reader that is ahead can go on, but none can begin. The source is closed when
// the call is over and the last reader has left it.
type tape struct {
	src   io.ReadCloser
	limit int
	lost  atomic.Bool  // bytes went by that were not kept
	fault atomic.Value // of fault: what the source ended with, if not io.EOF
	users atomic.Int32 // open readers, less a large number when no more will come
	close sync.Once    // of the source

	mu   sync.Mutex // held while the source is read, by those who need the next bytes
	kept []byte
	read int64 // bytes that the source has given
	end  error // what it ended with
}

type fault struct{ error }

// reader begins at the start. It is nil if the call is over.
func (t *tape) reader() *bodyReader {
	if t.add(1) < 0 {
		t.add(-1)
		return nil
	}
	return &bodyReader{tape: t}
}

// leave says that no more readers will come. Then the last that leaves closes the source.
func (t *tape) leave() { t.add(noMore) }

const noMore = -1 << 30

func (t *tape) add(n int32) int32 {
	n = t.users.Add(n)
	if n == noMore {
		t.close.Do(func() { _ = t.src.Close() })
	}
	return n
}

// A bodyReader is one attempt's way through a tape.
type bodyReader struct {
	tape   *tape
	at     int64
	closed atomic.Bool
}

var errPassed = errors.New("fxhttp: another attempt has read the body beyond what is kept of it")

func (r *bodyReader) Read(p []byte) (int, error) {
	t := r.tape
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case r.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case r.at < int64(len(t.kept)):
		n := copy(p, t.kept[r.at:])
		r.at += int64(n)
		return n, nil
	case r.at < t.read:
		return 0, errPassed
	case t.end != nil:
		return 0, t.end
	}
	n, err := t.advance(p)
	r.at += int64(n)
	return n, err
}

// advance reads the next bytes of the source. mu is held.
func (t *tape) advance(p []byte) (int, error) {
	n, err := t.src.Read(p)
	if err != nil {
		if t.end = err; err != io.EOF {
			t.fault.Store(fault{err})
		}
	}
	room := t.limit - len(t.kept)
	if n > 0 && (n > room || t.lost.Load()) {
		t.lost.Store(true)
	} else {
		t.kept = append(t.kept, p[:n]...)
	}
	t.read += int64(n)
	return n, err
}

// Close does not wait for a Read that does.
func (r *bodyReader) Close() error {
	if r.closed.CompareAndSwap(false, true) {
		r.tape.add(-1)
	}
	return nil
}
