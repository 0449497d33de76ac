package fxhttp_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/fx"
	"example.com/fx/fxhttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long is a limit that is only reached when something hangs.
const long = 30 * time.Second

// protocols are the ways in which the faults are tried.
var protocols = []string{"HTTP/1.1", "HTTP/2 over TLS", "HTTP/2 without TLS"}

// A site is a server on 127.0.0.1 that counts what reaches it, with a base transport that speaks its protocol and
// counts the bodies it opens.
type site struct {
	*httptest.Server
	base   *counting
	calls  atomic.Int64
	posts  atomic.Int64
	closed chan struct{} // at the end, so that no stalled handler outlives the test
}

type connKey struct{}

func newSite(t testing.TB, protocol string, h func(*site, http.ResponseWriter, *http.Request)) *site {
	s := &site{closed: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if r.Method == http.MethodPost {
			s.posts.Add(1)
		}
		h(s, w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	base := fxhttp.Base()
	switch protocol {
	case "HTTP/2 over TLS":
		s.EnableHTTP2 = true
		s.StartTLS()
		base.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	case "HTTP/2 without TLS":
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		s.Config.Protocols, base.Protocols = p, p
		s.Start()
	default:
		s.Start()
	}
	s.base = &counting{Transport: base}
	t.Cleanup(func() {
		close(s.closed)
		base.CloseIdleConnections()
		s.Close()
	})
	return s
}

// client has the given policies, for every host.
func (s *site) client(p fx.Policy[*http.Response]) *http.Client {
	return &http.Client{Transport: s.transport(p)}
}

func (s *site) transport(p fx.Policy[*http.Response]) *fxhttp.Transport {
	return &fxhttp.Transport{Base: s.base, Policy: func(string) fx.Policy[*http.Response] { return p }}
}

// hang keeps a handler until the client or the test has gone.
func (s *site) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
}

// reset breaks the connection that r came on, whatever runs on it.
func reset(r *http.Request) {
	conn := r.Context().Value(connKey{}).(net.Conn)
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn()
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

// counting counts the attempts that it makes, and the bodies of their responses.
type counting struct {
	*http.Transport
	attempts, opened, closed atomic.Int64
}

func (c *counting) RoundTrip(req *http.Request) (*http.Response, error) {
	c.attempts.Add(1)
	resp, err := c.Transport.RoundTrip(req)
	if err == nil {
		c.opened.Add(1)
		resp.Body = &countedBody{ReadCloser: resp.Body, c: c}
	}
	return resp, err
}

func (c *counting) balanced() bool { return c.opened.Load() == c.closed.Load() }

type countedBody struct {
	io.ReadCloser
	c *counting
}

// Close counts each call, so that a second one shows.
func (b *countedBody) Close() error {
	b.c.closed.Add(1)
	return b.ReadCloser.Close()
}

// retrying repeats at once, whatever the error.
func retrying(attempts int) fx.Policy[*http.Response] {
	return func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
		return fx.WithRetry(op, fx.Retry{Attempts: attempts, Backoff: fx.Constant(0), MaxWait: -1,
			If: func(error) bool { return true }})
	}
}

// patient is what a default stack does, without its waits.
func patient(op fx.Op[*http.Response]) fx.Op[*http.Response] {
	op = fx.WithTimeout(op, long)
	return fx.WithRetry(op, fx.Retry{Attempts: 2, Backoff: fx.Constant(0)})
}

// hedging starts a copy at once, and one more.
func hedging(op fx.Op[*http.Response]) fx.Op[*http.Response] {
	return fx.WithHedge(op, &fx.Hedge{After: -1, Max: 2, Budget: &fx.Budget{PerSecond: 1 << 20}})
}

func none(op fx.Op[*http.Response]) fx.Op[*http.Response] { return op }

func openFiles(t testing.TB) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(files)
}

// a stub answers without a network.
type stub func(*http.Request) (*http.Response, error)

func (s stub) RoundTrip(req *http.Request) (*http.Response, error) { return s(req) }

// timeStep is how often a condition on a real socket is looked at.
const timeStep = time.Millisecond

func timeAfter() <-chan time.Time { return time.After(timeStep) }

// heap is how much memory is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
