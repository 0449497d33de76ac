package fxhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxhttp"
)

// answer is a stub's response.
func answer(code int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("body"))}
}

func TestZeroTransportWorks(t *testing.T) {
	s := newSite(t, "HTTP/1.1", faulty)
	c := newClient(t)
	v, err := read(t.Context(), c, s.URL)
	require.NoError(t, err)
	assert.Equal(t, "whole", v)
}

func TestHealthyResponseIsAsItWas(t *testing.T) {
	for _, protocol := range protocols {
		s := newSite(t, protocol, func(_ *site, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Sum")
			w.Header().Set("X-Proto", r.Proto)
			_, _ = io.WriteString(w, "whole")
			w.Header().Set("Sum", "7")
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		require.NoError(t, err)
		resp, err := s.transport(patient).RoundTrip(req)
		require.NoError(t, err)
		assert.Same(t, req, resp.Request)
		assert.Equal(t, protocol[:6], resp.Header.Get("X-Proto")[:6])
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "whole", string(body))
		assert.Equal(t, "7", resp.Trailer.Get("Sum"))
		require.NoError(t, resp.Body.Close())
		assert.Empty(t, req.Header)
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	for fault, connections := range map[string]int{"": 1, "503": 1, "404": 1} {
		var mu sync.Mutex
		seen := map[string]bool{}
		s := newSite(t, "HTTP/1.1", func(s *site, w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[r.RemoteAddr] = true
			mu.Unlock()
			faulty(s, w, r)
		})
		for range 20 {
			_, _ = read(t.Context(), s.client(patient), s.URL+"/?fault="+fault)
		}
		assert.Len(t, seen, connections, "what is discarded is drained: %q", fault)
	}
}

func TestUpgradedConnectionCanBeWritten(t *testing.T) {
	s := newSite(t, "HTTP/1.1", func(_ *site, w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString("echo " + line)
		_ = rw.Flush()
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	require.NoError(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	tr := s.transport(patient)
	tr.Base = s.base.Transport // the counting one is no writer
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	w, ok := resp.Body.(io.Writer)
	require.True(t, ok)
	_, err = io.WriteString(w, "hello\n")
	require.NoError(t, err)
	line, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "echo hello\n", string(line))
}

func TestOtherSchemesGoToBase(t *testing.T) {
	base := &http.Transport{}
	base.RegisterProtocol("mem", stub(func(*http.Request) (*http.Response, error) { return answer(200), nil }))
	resp, err := (&http.Client{Transport: &fxhttp.Transport{Base: base}}).Get("mem:///x")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}

func TestBadRequestsDoNotCountAgainstTheHost(t *testing.T) {
	b := &fx.Breaker{Failures: 1, Failure: fxhttp.Failure}
	var calls int
	tr := &fxhttp.Transport{
		Base: stub(func(*http.Request) (*http.Response, error) { calls++; return answer(200), nil }),
		Policy: func(string) fx.Policy[*http.Response] {
			return func(op fx.Op[*http.Response]) fx.Op[*http.Response] { return fx.WithBreaker(op, b) }
		},
	}
	for name, spoil := range map[string]func(*http.Request){
		"no URL":        func(r *http.Request) { r.URL = nil },
		"no host":       func(r *http.Request) { r.URL = &url.URL{Scheme: "http"} },
		"method":        func(r *http.Request) { r.Method = "GET /evil HTTP/1.1\r\nX:" },
		"query":         func(r *http.Request) { r.URL.RawQuery = "a\r\nEvil: yes" },
		"opaque":        func(r *http.Request) { r.URL.Opaque = "//host/\n" },
		"host":          func(r *http.Request) { r.Host = "host\r\nEvil: yes" },
		"header value":  func(r *http.Request) { r.Header["X"] = []string{"a\r\nEvil: yes"} },
		"NUL":           func(r *http.Request) { r.Header["X"] = []string{"\x00secret"} },
		"header name":   func(r *http.Request) { r.Header["X Y"] = []string{"a"} },
		"empty name":    func(r *http.Request) { r.Header[""] = []string{"a"} },
		"trailer":       func(r *http.Request) { r.Trailer = http.Header{"X:": {"a"}} },
		"trailer value": func(r *http.Request) { r.Trailer = http.Header{"X": {"\x7f"}} },
		"URL's host":    func(r *http.Request) { r.URL.Host = "host\n" },
	} {
		body := &endless{left: 1}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://host/", body)
		require.NoError(t, err)
		spoil(req)
		_, err = tr.RoundTrip(req)
		require.ErrorIs(t, err, fxhttp.ErrRequest, name)
		assert.False(t, fx.Retryable(err))
		assert.False(t, fx.MayBeDone(err))
		assert.NotContains(t, err.Error(), "secret")
		assert.EqualValues(t, 1, body.closed.Load(), "%s: the body is closed", name)
	}
	assert.Zero(t, calls)
	assert.Equal(t, fx.StateClosed, b.State())

	for _, bad := range []string{"http://[::1", "http://host:port/", "http://host/%zz", "://", "http:///path"} {
		_, err := (&http.Client{Transport: tr}).Get(bad)
		require.Error(t, err, bad)
	}
	assert.Zero(t, calls)
	for _, good := range []string{"tab\there", "ümlaut", ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://host/", nil)
		require.NoError(t, err)
		req.Header.Set("X", good)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err, good)
		require.NoError(t, resp.Body.Close())
	}
}

func TestGetBodyThatFailsIsTheCallersFault(t *testing.T) {
	broken := errors.New("gone")
	tr := &fxhttp.Transport{
		Base:   stub(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }),
		Policy: func(string) fx.Policy[*http.Response] { return patient },
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://host/", strings.NewReader("x"))
	require.NoError(t, err)
	req.GetBody = func() (io.ReadCloser, error) { return nil, broken }
	_, err = tr.RoundTrip(req)
	assert.ErrorIs(t, err, broken)
	assert.ErrorIs(t, err, fxhttp.ErrRequest)
	assert.True(t, fx.MayBeDone(err), "the first attempt may have been")
}

func TestEachHostHasItsOwnPolicies(t *testing.T) {
	var made []string
	tr := &fxhttp.Transport{
		Base: stub(func(*http.Request) (*http.Response, error) { return answer(200), nil }),
		Policy: func(host string) fx.Policy[*http.Response] {
			made = append(made, host)
			return none
		},
	}
	for _, u := range []string{"http://A/", "http://a:80/", "https://a:443/x", "http://a:8080/", "https://a:80/", "http://b/", "http://[::1]:80/"} {
		_, err := read(t.Context(), &http.Client{Transport: tr}, u)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"a", "a:8080", "a:80", "b", "[::1]"}, made)
}

func TestTwoThousandHostsTakeBoundedMemory(t *testing.T) {
	tr := &fxhttp.Transport{Base: stub(func(*http.Request) (*http.Response, error) { return answer(503), nil })}
	visit := func(from, to int) {
		for i := from; i < to; i++ {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://host-%d/", i), nil)
			require.NoError(t, err)
			resp, err := tr.RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
	}
	visit(0, 2000)
	after := heap()
	visit(2000, 10000)
	settled := func() bool { return int64(heap())-int64(after) < 1<<20 } // budgets hold a timer for a second
	assert.Eventually(t, settled, long, 10*time.Millisecond, "8,000 further hosts")
	t.Logf("2,000 hosts: %d KiB in use; 8,000 more: %+d KiB", after>>10, (int64(heap())-int64(after))>>10)
	runtime.KeepAlive(tr)
}

func TestForgottenHostStartsAfresh(t *testing.T) {
	made := map[string]int{}
	tr := &fxhttp.Transport{
		Hosts: 2,
		Base:  stub(func(*http.Request) (*http.Response, error) { return answer(200), nil }),
		Policy: func(host string) fx.Policy[*http.Response] {
			made[host]++
			return none
		},
	}
	for _, h := range []string{"a", "b", "a", "c", "a", "b"} { // c pushes b out, b pushes c out
		_, err := read(t.Context(), &http.Client{Transport: tr}, "http://"+h+"/")
		require.NoError(t, err)
	}
	assert.Equal(t, map[string]int{"a": 1, "b": 2, "c": 1}, made)
}

func TestHostInUseIsNotForgotten(t *testing.T) {
	leave := make(chan struct{})
	entered := make(chan struct{}, 1)
	tr := &fxhttp.Transport{
		Hosts: -1,
		Base: stub(func(req *http.Request) (*http.Response, error) {
			if req.URL.Path == "/wait" {
				entered <- struct{}{}
				<-leave
			}
			return answer(200), nil
		}),
		Policy: func(string) fx.Policy[*http.Response] {
			b := &fx.Bulkhead{Limit: 1}
			return func(op fx.Op[*http.Response]) fx.Op[*http.Response] { return fx.WithBulkhead(op, b) }
		},
	}
	c := &http.Client{Transport: tr}
	done := make(chan error)
	go func() {
		_, err := read(t.Context(), c, "http://a/wait")
		done <- err
	}()
	<-entered
	for i := range 10 {
		_, err := read(t.Context(), c, fmt.Sprintf("http://other-%d/", i))
		require.NoError(t, err)
	}
	_, err := read(t.Context(), c, "http://a/")
	assert.ErrorIs(t, err, fx.ErrFull, "its place is still taken")
	close(leave)
	require.NoError(t, <-done)
	_, err = read(t.Context(), c, "http://a/")
	assert.NoError(t, err)
}

// bubble runs f in virtual time, with a transport of default policies above base.
func bubble(t *testing.T, base stub, f func(t *testing.T, c *http.Client)) {
	synctest.Test(t, func(t *testing.T) { f(t, &http.Client{Transport: &fxhttp.Transport{Base: base}}) })
}

func hangs(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Canceled // as HTTP/2 says of a deadline, too
}

func TestDefaultPolicyNoticesAHang(t *testing.T) {
	bubble(t, hangs, func(t *testing.T, c *http.Client) {
		start := time.Now()
		_, err := read(t.Context(), c, "http://host/")
		assert.ErrorIs(t, err, fx.ErrTimeout)
		assert.ErrorIs(t, err, fx.ErrExhausted, "three attempts fit into the whole")
		assert.NotErrorIs(t, err, context.Canceled)
		assert.InDelta(t, 30*time.Second, time.Since(start), float64(time.Second))
		for range 3 { // ten attempts in a row
			_, err = read(t.Context(), c, "http://host/")
			require.ErrorIs(t, err, fx.ErrTimeout)
		}
		_, err = read(t.Context(), c, "http://host/")
		assert.ErrorIs(t, err, fx.ErrOpen)
		_, err = read(t.Context(), c, "http://other/")
		assert.NotErrorIs(t, err, fx.ErrOpen, "each host has its own")
	})
}

func TestBreakerSeesServerErrorsAndNoOthers(t *testing.T) {
	for code, opens := range map[int]bool{400: false, 404: false, 408: false, 425: false, 429: false, 500: true, 501: true, 503: true} {
		base := stub(func(*http.Request) (*http.Response, error) { return answer(code), nil })
		bubble(t, base, func(t *testing.T, c *http.Client) {
			var err error
			for range 11 {
				var resp *http.Response
				if resp, err = get(t.Context(), c, "http://host/"); err == nil {
					assert.Equal(t, code, resp.StatusCode)
					_ = resp.Body.Close()
				}
			}
			assert.Equal(t, opens, errors.Is(err, fx.ErrOpen), code)
		})
	}
}

func TestPoliciesSeeTheStatusesThatMatter(t *testing.T) {
	for code, matters := range map[int]bool{200: false, 301: false, 401: false, 404: false, 409: false, 408: true, 425: true, 429: true, 500: true, 501: true} {
		var seen error
		tr := &fxhttp.Transport{
			Base: stub(func(*http.Request) (*http.Response, error) { return answer(code), nil }),
			Policy: func(string) fx.Policy[*http.Response] {
				return func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
					return func(ctx context.Context) (resp *http.Response, err error) {
						resp, err = op(ctx)
						seen = err
						return resp, err
					}
				}
			},
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://host/", nil)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, code, resp.StatusCode)
		var status *fxhttp.StatusError
		assert.Equal(t, matters, errors.As(seen, &status), code)
	}
}

func TestTooManyRequestsIsPaced(t *testing.T) {
	var n atomic.Int64
	for _, code := range []int{429, 503} {
		n.Store(0)
		base := stub(func(*http.Request) (*http.Response, error) {
			if n.Add(1) < 3 {
				return answer(code, "Retry-After", "3"), nil
			}
			return answer(200), nil
		})
		bubble(t, base, func(t *testing.T, c *http.Client) {
			start := time.Now()
			_, err := read(t.Context(), c, "http://host/")
			require.NoError(t, err)
			assert.Equal(t, 6*time.Second, time.Since(start))
			assert.EqualValues(t, 3, n.Load())
		})
	}
}

func TestWaitThatIsTooLongGivesTheAnswerAtOnce(t *testing.T) {
	for name, after := range map[string]string{"beyond MaxWait": "3600", "beyond the deadline": "20", "absurd": "99999999999999999999"} {
		base := stub(func(*http.Request) (*http.Response, error) { return answer(429, "Retry-After", after), nil })
		bubble(t, base, func(t *testing.T, c *http.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			start := time.Now()
			resp, err := get(ctx, c, "http://host/")
			require.NoError(t, err, name)
			assert.Zero(t, time.Since(start))
			assert.Equal(t, 429, resp.StatusCode)
			err = fxhttp.Check(resp)
			assert.True(t, errors.Is(err, fx.ErrWait) || errors.Is(err, context.DeadlineExceeded), "%s: %v", name, err)
		})
	}
}

func TestClientTimeoutIsTheCallersEnd(t *testing.T) {
	bubble(t, hangs, func(t *testing.T, c *http.Client) {
		c.Timeout = 5 * time.Second
		for range 20 {
			_, err := read(t.Context(), c, "http://host/")
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.NotErrorIs(t, err, fx.ErrOpen, "which is nobody's failure")
		}
	})
}

func TestDeadContextSendsNothing(t *testing.T) {
	for name, p := range map[string]fx.Policy[*http.Response]{"none": none, "default": nil} {
		tr := &fxhttp.Transport{Base: stub(func(*http.Request) (*http.Response, error) { t.Error("sent"); return answer(200), nil })}
		if p != nil {
			tr.Policy = func(string) fx.Policy[*http.Response] { return p }
		}
		left := errors.New("the user has left")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(left)
		body := &endless{left: 1}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host/", body)
		require.NoError(t, err)
		if name == "default" {
			req.GetBody = func() (io.ReadCloser, error) { return body, nil }
		}
		_, err = tr.RoundTrip(req)
		assert.ErrorIs(t, err, left, name)
		assert.ErrorIs(t, err, context.Canceled, name)
		assert.False(t, fx.MayBeDone(err), name)
		assert.EqualValues(t, 1, body.closed.Load(), name)
	}
}

// What a policy drops or replaces is closed; what it changes in place is handed on.
func TestPoliciesMayReplaceResponses(t *testing.T) {
	spare := &http.Response{StatusCode: 203, Body: http.NoBody}
	reject := func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
		return fx.WithCheck(op, func(*http.Response) error { return errors.New("not this one") })
	}
	for name, c := range map[string]struct {
		p    fx.Policy[*http.Response]
		code int // 0: an error
		body string
	}{
		"rejected": {reject, 0, ""},
		"replaced": {func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
			return fx.WithFallback(reject(op), fx.Value(spare))
		}, 203, ""},
		"fallback not needed": {func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
			return fx.WithFallback(op, fx.Value(spare))
		}, 200, "whole"},
		"changed": {func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
			return fx.Then(op, func(_ context.Context, r *http.Response) (*http.Response, error) {
				r.Body = struct {
					io.Reader
					io.Closer
				}{io.MultiReader(strings.NewReader("> "), r.Body), r.Body}
				return r, nil
			})
		}, 200, "> whole"},
		"asked twice": {func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
			return fx.Zip(op, op, func(a, _ *http.Response) (*http.Response, error) { return a, nil })
		}, 200, "whole"},
		"asked again, first kept": {func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
			return fx.Then(op, func(ctx context.Context, first *http.Response) (*http.Response, error) {
				_, err := op(ctx)
				return first, err
			})
		}, 200, "whole"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "HTTP/1.1", faulty)
			resp, err := get(t.Context(), s.client(c.p), s.URL)
			if c.code == 0 {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				assert.Equal(t, c.code, resp.StatusCode)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Equal(t, c.body, string(body))
				require.NoError(t, resp.Body.Close())
			}
			require.Eventually(t, s.base.balanced, long, timeStep)
		})
	}
}

func TestFallbackAnswersAStatus(t *testing.T) {
	s := newSite(t, "HTTP/1.1", faulty)
	spare := &http.Response{StatusCode: 203, Body: http.NoBody}
	c := s.client(func(op fx.Op[*http.Response]) fx.Op[*http.Response] { return fx.WithFallback(op, fx.Value(spare)) })
	resp, err := get(t.Context(), c, s.URL+"/?fault=503")
	require.NoError(t, err)
	assert.Equal(t, 203, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
	require.Eventually(t, s.base.balanced, long, timeStep)
}

func TestPanicOfBaseReachesTheCaller(t *testing.T) {
	b := &fx.Bulkhead{Limit: 1}
	tr := &fxhttp.Transport{
		Base: stub(func(*http.Request) (*http.Response, error) { panic("boom") }),
		Policy: func(string) fx.Policy[*http.Response] {
			return func(op fx.Op[*http.Response]) fx.Op[*http.Response] { return fx.WithBulkhead(op, b) }
		},
	}
	body := &endless{left: 1}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://host/", body)
	require.NoError(t, err)
	assert.PanicsWithValue(t, "boom", func() { _, _ = tr.RoundTrip(req) })
	running, _ := b.InUse()
	assert.Zero(t, running)
	assert.EqualValues(t, 1, body.closed.Load())
}

// A copy whose answer comes when the call is over closes it, without any discard given to the hedge.
func TestLateAnswerIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n, closed atomic.Int64
		tr := &fxhttp.Transport{
			Base: stub(func(req *http.Request) (*http.Response, error) {
				if n.Add(1) == 1 {
					time.Sleep(time.Minute) // it does not obey its context
				}
				resp := answer(200)
				resp.Body = &closing{resp.Body, &closed}
				return resp, nil
			}),
			Policy: func(string) fx.Policy[*http.Response] { return hedging },
		}
		v, err := read(t.Context(), &http.Client{Transport: tr}, "http://host/")
		require.NoError(t, err)
		assert.Equal(t, "body", v)
		assert.GreaterOrEqual(t, closed.Load(), int64(1))
		time.Sleep(2 * time.Minute)
		assert.Equal(t, n.Load(), closed.Load(), "each once")
	})
}

type closing struct {
	io.ReadCloser
	closed *atomic.Int64
}

func (c *closing) Close() error {
	c.closed.Add(1)
	return c.ReadCloser.Close()
}

// A policy of the user's may return while its op still runs, without ending its context.
func TestWhatAPolicyLeavesRunningIsClosed(t *testing.T) {
	var closed atomic.Int64
	entered, answers, left := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	gaveUp := errors.New("gave up")
	tr := &fxhttp.Transport{
		Base: stub(func(*http.Request) (*http.Response, error) {
			close(entered)
			<-answers
			resp := answer(200)
			resp.Body = &closing{resp.Body, &closed}
			return resp, nil
		}),
		Policy: func(string) fx.Policy[*http.Response] {
			return func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
				return func(ctx context.Context) (*http.Response, error) {
					go func() {
						_, err := op(ctx)
						left <- err
						_, err = op(ctx)
						left <- err
					}()
					<-entered
					return nil, gaveUp
				}
			}
		},
	}
	body := &endless{left: 1}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://host/", body)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	require.ErrorIs(t, err, gaveUp)
	assert.Zero(t, body.closed.Load(), "it may still be read")
	close(answers)
	require.ErrorContains(t, <-left, "the call is over")
	require.ErrorContains(t, <-left, "the call is over", "and is not begun again")
	assert.EqualValues(t, 1, closed.Load())
	assert.EqualValues(t, 1, body.closed.Load())
}

func TestOnlyALittleOfWhatIsDiscardedIsRead(t *testing.T) {
	var bodies []*endless
	tr := &fxhttp.Transport{
		Base: stub(func(*http.Request) (*http.Response, error) {
			body := &endless{left: 1 << 40}
			bodies = append(bodies, body)
			return &http.Response{StatusCode: 503, Body: body}, nil
		}),
		Policy: func(string) fx.Policy[*http.Response] { return patient },
	}
	resp, err := get(t.Context(), &http.Client{Transport: tr}, "http://host/")
	require.NoError(t, err)
	require.Len(t, bodies, 2)
	assert.EqualValues(t, 2<<10, bodies[0].given)
	assert.EqualValues(t, 1, bodies[0].closed.Load())
	require.Error(t, fxhttp.Check(resp))
	assert.LessOrEqual(t, bodies[1].given, int64(1<<10))
	assert.EqualValues(t, 1, bodies[1].closed.Load())
}
