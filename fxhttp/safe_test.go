package fxhttp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxhttp"
)

// streamed hides what a reader is, so that net/http knows neither its length nor GetBody.
type streamed struct{ io.Reader }

func post(ctx context.Context, c *http.Client, url string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

// retryHedged is the worst that a policy can do to a request.
func retryHedged(op fx.Op[*http.Response]) fx.Op[*http.Response] { return retrying(3)(hedging(op)) }

func TestPostReachesTheServerOnce(t *testing.T) {
	faults := []string{"", "503", "429 in seconds", "abort", "reset", "stall", "abort in the body"}
	policies := map[string]fx.Policy[*http.Response]{
		"default":     fxhttp.DefaultPolicy("host"),
		"retry":       retrying(3),
		"hedge":       hedging,
		"retry hedge": retryHedged,
	}
	bodies := map[string]func() io.Reader{
		"no body":       func() io.Reader { return nil },
		"GetBody":       func() io.Reader { return strings.NewReader("payload") },
		"streamed body": func() io.Reader { return streamed{strings.NewReader("payload")} },
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2 without TLS"} {
		for _, fault := range faults {
			t.Run(protocol+"/"+fault, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, protocol, faulty)
				for policy, p := range policies {
					for name, body := range bodies {
						c := s.client(p)
						_, err := read(t.Context(), c, s.URL) // so that the connection is a used one
						require.NoError(t, err)
						ctx, cancel := context.WithCancel(t.Context())
						before := s.posts.Load()
						if fault == "stall" {
							go func() {
								for s.posts.Load() == before {
									<-timeAfter()
								}
								cancel()
							}()
						}
						resp, err := post(ctx, c, s.URL+"/?fault="+queryOf(fault), body())
						if err == nil {
							_, _ = io.ReadAll(resp.Body)
							_ = resp.Body.Close()
						}
						cancel()
						assert.Equal(t, int64(1), s.posts.Load()-before, "%s, %s: %v", policy, name, err)
					}
				}
				require.Eventually(t, s.base.balanced, long, timeStep)
			})
		}
	}
}

func TestRefusedSecondAttemptShowsTheFirst(t *testing.T) {
	s := newSite(t, "HTTP/1.1", faulty)
	var seen []error
	watched := func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
		return retrying(2)(func(ctx context.Context) (*http.Response, error) {
			resp, err := op(ctx)
			seen = append(seen, err)
			return resp, err
		})
	}
	_, err := post(t.Context(), s.client(watched), s.URL+"/?fault=reset", nil)
	require.Error(t, err)
	require.Len(t, seen, 2)
	assert.ErrorIs(t, seen[1], syscall.ECONNRESET)
	assert.ErrorContains(t, seen[1], "a POST without an idempotency key is sent once")
	assert.True(t, fx.MayBeDone(seen[1]))
	assert.False(t, fx.Retryable(seen[0]), "the usual policies do not even try")
	assert.False(t, fx.Retryable(seen[1]))
	assert.EqualValues(t, 1, s.calls.Load())

	seen = nil
	reject := func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
		return watched(fx.WithCheck(op, func(*http.Response) error { return errors.New("not this one") }))
	}
	_, err = post(t.Context(), s.client(reject), s.URL, nil)
	require.Error(t, err)
	require.Len(t, seen, 2)
	assert.ErrorContains(t, seen[1], "its answer was not taken")
	assert.True(t, fx.MayBeDone(err))
	require.Eventually(t, s.base.balanced, long, timeStep)

	seen = nil
	resp, err := post(t.Context(), s.client(watched), s.URL+"/?fault=503", nil)
	require.NoError(t, err, "the answer to the only attempt comes back")
	assert.Equal(t, 503, resp.StatusCode)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "come back", string(body))
	require.NoError(t, resp.Body.Close())
}

// net/http repeats a request whose stream the server has reset with PROTOCOL_ERROR or REFUSED_STREAM. The server here
// speaks just enough HTTP/2 to do so.
func TestPostIsNotRepeatedByNetHTTP(t *testing.T) {
	for name, code := range map[string]uint32{"PROTOCOL_ERROR": 1, "REFUSED_STREAM": 7} {
		for _, guarded := range []bool{false, true} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var requests atomic.Int64
			var wg sync.WaitGroup
			over := make(chan struct{})
			wg.Go(func() { serveResets(l, code, &requests, over) })
			base := fxhttp.Base()
			base.Protocols = new(http.Protocols)
			base.Protocols.SetUnencryptedHTTP2(true)
			c := &http.Client{Transport: base}
			if guarded {
				c.Transport = &fxhttp.Transport{Base: base}
			}
			ctx, cancel := context.WithCancel(t.Context())
			if !guarded { // it would go on for minutes
				go func() {
					for requests.Load() < 2 {
						<-timeAfter()
					}
					cancel()
				}()
			}
			_, err = post(ctx, c, "http://"+l.Addr().String(), strings.NewReader("x"))
			require.Error(t, err)
			cancel()
			if guarded {
				assert.EqualValues(t, 1, requests.Load(), name)
				assert.True(t, fx.MayBeDone(err))
				assert.False(t, fx.Retryable(err))
			} else {
				assert.Greater(t, requests.Load(), int64(1), "else this test proves nothing")
			}
			base.CloseIdleConnections()
			close(over)
			require.NoError(t, l.Close())
			wg.Wait()
		}
	}
}

// serveResets answers each HEADERS frame with RST_STREAM (RFC 9113, 4.1, 6.2, 6.4, 6.5).
func serveResets(l net.Listener, code uint32, requests *atomic.Int64, over <-chan struct{}) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			<-over
			_ = conn.Close()
		})
		wg.Go(func() {
			r := bufio.NewReader(conn)
			if _, err := r.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
				return
			}
			_, _ = conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // empty SETTINGS
			for {
				var head [9]byte
				if _, err := io.ReadFull(r, head[:]); err != nil {
					return
				}
				if _, err := r.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
					return
				}
				if head[3] != 1 { // HEADERS
					continue
				}
				requests.Add(1)
				frame := append([]byte{0, 0, 4, 3, 0}, head[5:]...)
				_, _ = conn.Write(binary.BigEndian.AppendUint32(frame, code))
			}
		})
	}
}

func TestKeyMakesAPostSafe(t *testing.T) {
	for name, c := range map[string]struct{ setting, header string }{
		"default":       {"", "Idempotency-Key"},
		"setting":       {"X-Request-Id", "X-Request-Id"},
		"what net/http": {"X-Request-Id", "X-Idempotency-Key"},
	} {
		s := newSite(t, "HTTP/1.1", faulty)
		tr := s.transport(patient)
		tr.IdempotencyHeader = c.setting
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/?fault=503", strings.NewReader("x"))
		require.NoError(t, err)
		req.Header.Set(c.header, "7")
		resp, err := (&http.Client{Transport: tr}).Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.EqualValues(t, 2, s.calls.Load(), name)
	}
}

func TestKeyIsFilledInsideASaga(t *testing.T) {
	var mu sync.Mutex
	var keys []string
	s := newSite(t, "HTTP/1.1", func(_ *site, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, r.Method+" "+r.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	c := s.client(patient)
	step := func(method, key string) func(context.Context, int) (int, error) {
		return func(ctx context.Context, n int) (int, error) {
			req, err := http.NewRequestWithContext(ctx, method, s.URL, nil)
			require.NoError(t, err)
			if key != "" {
				req.Header.Set("Idempotency-Key", key)
			}
			resp, err := c.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			assert.Len(t, req.Header, map[bool]int{true: 1}[key != ""], "the caller's request is not touched")
			return n, err
		}
	}
	_, err := fx.Saga(0, []fx.Step[int]{
		{Name: "charge", Do: step(http.MethodPost, "")},
		{Name: "own", Do: step(http.MethodPost, "mine")},
		{Name: "get", Do: step(http.MethodGet, "")},
		{Name: "ship it\r\nEvil: yes", Do: step(http.MethodPost, "")},
	})(fx.WithSagaID(t.Context(), "order-7"))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"POST order-7/charge", "POST order-7/charge", "POST mine", "GET ",
		"POST order-7%2Fship%20it%0D%0AEvil:%20yes",
	}, keys)
}

// digest tells a body that arrived whole from one that did not.
func digest(r io.Reader) (n int, sum uint64, err error) {
	buf := make([]byte, 4096)
	for {
		k, err := r.Read(buf)
		for _, b := range buf[:k] {
			sum = sum*31 + uint64(b)
		}
		n += k
		if err == io.EOF {
			return n, sum, nil
		}
		if err != nil {
			return n, sum, err
		}
	}
}

func TestRepeatedPutArrivesWholeEachTime(t *testing.T) {
	for _, protocol := range protocols {
		for name, p := range map[string]fx.Policy[*http.Response]{"retry": retrying(4), "hedge": hedging, "retry hedge": retryHedged} {
			for _, kind := range []string{"GetBody", "buffered"} {
				t.Run(protocol+"/"+name+"/"+kind, func(t *testing.T) {
					t.Parallel()
					payload := make([]byte, 60<<10)
					for i := range payload {
						payload[i] = byte(rand.IntN(256))
					}
					size, sum, err := digest(bytes.NewReader(payload))
					require.NoError(t, err)
					var whole, cut, wrong atomic.Int64
					s := newSite(t, protocol, func(s *site, w http.ResponseWriter, r *http.Request) {
						if n, got, err := digest(r.Body); err != nil {
							cut.Add(1) // a loser that was cancelled
						} else if n == size && got == sum {
							whole.Add(1)
						} else {
							wrong.Add(1)
						}
						switch s.calls.Load() % 4 {
						case 1:
							w.WriteHeader(http.StatusServiceUnavailable)
						case 2:
							reset(r)
						}
					})
					c := s.client(p)
					for range 10 {
						var body io.Reader = bytes.NewReader(payload)
						if kind == "buffered" {
							body = streamed{body}
						}
						req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, body)
						require.NoError(t, err)
						if resp, err := c.Do(req); err == nil {
							_ = resp.Body.Close()
						}
					}
					assert.Zero(t, wrong.Load(), "a body that ends well is whole")
					assert.GreaterOrEqual(t, whole.Load(), int64(5))
					require.Eventually(t, s.base.balanced, long, timeStep)
				})
			}
		}
	}
}

func TestLongBodyIsStreamedAndSentOnce(t *testing.T) {
	for name, length := range map[string]int64{"unknown length": -1, "known length": 1 << 30} {
		t.Run(name, func(t *testing.T) {
			src := &endless{left: 1 << 30}
			var before, most uint64
			base := stub(func(req *http.Request) (*http.Response, error) {
				buf := make([]byte, 1<<20)
				for {
					n, err := req.Body.Read(buf)
					if err != nil {
						break
					}
					if src.given%(64<<20) < int64(n) {
						most = max(most, heap())
					}
				}
				return nil, errors.Join(req.Body.Close(), syscall.ECONNRESET)
			})
			before = heap()
			c := &http.Client{Transport: &fxhttp.Transport{Base: base,
				Policy: func(string) fx.Policy[*http.Response] { return retrying(3) }}}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://host/", src)
			require.NoError(t, err)
			req.ContentLength = length
			_, err = c.Do(req)
			require.ErrorIs(t, err, syscall.ECONNRESET)
			assert.ErrorContains(t, err, "set GetBody, or a larger Buffer")
			assert.EqualValues(t, 1<<30, src.given, "sent, and once")
			assert.EqualValues(t, 1, src.closed.Load())
			assert.Less(t, most, before+(8<<20), "it was not collected")
		})
	}
}

func TestBodyWithinBufferIsSentAgain(t *testing.T) {
	for _, c := range []struct{ buffer, size, attempts int }{
		{0, 64 << 10, 3}, {0, 64<<10 + 1, 1}, {10, 10, 3}, {10, 11, 1}, {-1, 1, 1},
	} {
		var bodies []string
		base := stub(func(req *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(req.Body)
			bodies = append(bodies, string(b))
			return nil, errors.Join(err, req.Body.Close(), syscall.ECONNRESET)
		})
		client := &http.Client{Transport: &fxhttp.Transport{Base: base, Buffer: c.buffer,
			Policy: func(string) fx.Policy[*http.Response] { return retrying(3) }}}
		src := &endless{left: int64(c.size)}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://host/", src)
		require.NoError(t, err)
		_, err = client.Do(req)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.Len(t, bodies, c.attempts, "%+v", c)
		for _, b := range bodies {
			assert.Len(t, b, c.size)
		}
		assert.EqualValues(t, 1, src.closed.Load())
	}
}

// endless is a body of so many bytes that cannot be sent again.
type endless struct {
	left, given int64
	closed      atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.left)
	e.left -= n
	e.given += n
	return int(n), nil
}

func (e *endless) Close() error {
	e.closed.Add(1)
	return nil
}

func TestUnreadableBodyIsTheCallersFault(t *testing.T) {
	for _, protocol := range protocols {
		s := newSite(t, protocol, func(_ *site, _ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
		broken := errors.New("the disk is broken")
		b := &fx.Breaker{Failures: 1, Failure: fxhttp.Failure}
		c := s.client(func(op fx.Op[*http.Response]) fx.Op[*http.Response] { return fx.WithBreaker(patient(op), b) })
		body := io.MultiReader(strings.NewReader("half"), &failing{broken})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, body)
		require.NoError(t, err)
		_, err = c.Do(req)
		require.ErrorIs(t, err, broken)
		assert.ErrorIs(t, err, fxhttp.ErrRequest)
		assert.Equal(t, fx.StateClosed, b.State(), protocol)
		assert.EqualValues(t, 1, s.base.attempts.Load())
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// Whatever several readers of one body do in turn, each that reaches the end has read all of it.
func TestReadersOfABodyReadAllOfIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 40).Draw(t, "size")
		limit := rapid.IntRange(1, 40).Draw(t, "limit")
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i)
		}
		src := &endlessOf{r: bytes.NewReader(payload)}
		var attempts int
		base := stub(func(req *http.Request) (*http.Response, error) {
			attempts++
			want := rapid.IntRange(0, 50).Draw(t, "read")
			got := make([]byte, want)
			n, err := io.ReadFull(req.Body, got)
			if !bytes.Equal(got[:n], payload[:min(n, size)]) {
				t.Fatalf("attempt %d read %v", attempts, got[:n])
			}
			if err != nil && n != size {
				t.Fatalf("attempt %d: %v after %d of %d", attempts, err, n, size)
			}
			_ = req.Body.Close()
			return nil, syscall.ECONNRESET
		})
		tr := &fxhttp.Transport{Base: base, Buffer: limit, Policy: func(string) fx.Policy[*http.Response] { return retrying(5) }}
		req, _ := http.NewRequest(http.MethodPut, "http://host/", src)
		_, err := tr.RoundTrip(req)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		if src.closed != 1 {
			t.Fatalf("closed %d times", src.closed)
		}
	})
}

type endlessOf struct {
	r      io.Reader
	closed int
}

func (e *endlessOf) Read(p []byte) (int, error) { return e.r.Read(p) }
func (e *endlessOf) Close() error               { e.closed++; return nil }
