package fxhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxhttp"
)

// faulty does what the query asks for.
func faulty(s *site, w http.ResponseWriter, r *http.Request) {
	half := func() {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half an ans")
		_ = http.NewResponseController(w).Flush()
	}
	switch r.URL.Query().Get("fault") {
	case "":
		_, _ = io.WriteString(w, "whole")
	case "503":
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "come back")
	case "503 with a long body":
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write(make([]byte, 1<<16))
	case "404":
		http.NotFound(w, r)
	case "429 in seconds":
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	case "429 by date":
		now := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC) // a clock that is wrong does no harm
		w.Header().Set("Date", now.Format(http.TimeFormat))
		w.Header().Set("Retry-After", now.Add(7*time.Second).Format(http.TimeFormat))
		w.WriteHeader(http.StatusTooManyRequests)
	case "abort":
		panic(http.ErrAbortHandler)
	case "reset":
		reset(r)
	case "abort in the body":
		half()
		panic(http.ErrAbortHandler)
	case "reset in the body":
		half()
		reset(r)
	case "stall":
		s.hang(r)
	case "stall in the body":
		half()
		s.hang(r)
	}
}

func get(ctx context.Context, c *http.Client, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

// read gets a URL with its body, and makes an error of a status.
func read(ctx context.Context, c *http.Client, url string) (string, error) {
	resp, err := get(ctx, c, url)
	if err != nil {
		return "", err
	}
	if err := fxhttp.Check(resp); err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestEachFaultGivesItsError(t *testing.T) {
	type expect struct {
		fault    string
		policy   fx.Policy[*http.Response] // nil means patient
		attempts int64
		maybe    bool // fx.MayBeDone
		check    func(t *testing.T, err error)
	}
	status := func(code int, after time.Duration) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			var s *fxhttp.StatusError
			require.ErrorAs(t, err, &s)
			assert.Equal(t, code, s.Code)
			assert.Equal(t, after, s.RetryAfter())
		}
	}
	matches := func(target error) func(*testing.T, error) {
		return func(t *testing.T, err error) { assert.ErrorIs(t, err, target) }
	}
	repeated := func(t *testing.T, err error) {
		var r *fx.RetryError
		require.ErrorAs(t, err, &r)
		assert.Equal(t, 2, r.Attempts)
	}
	short := func(op fx.Op[*http.Response]) fx.Op[*http.Response] { return fx.WithTimeout(op, 50*time.Millisecond) }
	cases := []expect{
		{"503", nil, 2, false, status(503, 0)},
		{"503 with a long body", nil, 2, false, status(503, 0)},
		{"404", nil, 1, false, status(404, 0)},
		{"429 in seconds", none, 1, false, status(429, 7*time.Second)},
		{"429 by date", none, 1, false, status(429, 7*time.Second)},
		{"abort", nil, 2, true, repeated},
		{"reset", nil, 2, true, repeated},
		{"abort in the body", nil, 1, true, matches(io.ErrUnexpectedEOF)},
		{"reset in the body", nil, 1, true, matches(io.ErrUnexpectedEOF)},
		{"stall", short, 1, true, matches(fx.ErrTimeout)},
	}
	for _, protocol := range protocols {
		for _, c := range cases {
			t.Run(protocol+"/"+c.fault, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, protocol, faulty)
				if c.policy == nil {
					c.policy = patient
				}
				url := s.URL + "/?fault=" + queryOf(c.fault)
				_, err := read(t.Context(), s.client(c.policy), url)
				require.Error(t, err)
				c.check(t, err)
				assert.Equal(t, c.maybe, fx.MayBeDone(err), "%v", err)
				assert.Equal(t, c.attempts, s.base.attempts.Load())
				require.Eventually(t, s.base.balanced, long, time.Millisecond)

				v, err := read(t.Context(), s.client(patient), s.URL)
				require.NoError(t, err, "it works again")
				assert.Equal(t, "whole", v)
			})
		}
	}
}

func queryOf(fault string) string {
	b := []byte(fault)
	for i := range b {
		if b[i] == ' ' {
			b[i] = '+'
		}
	}
	return string(b)
}

func TestStallInTheBodyEndsWithTheCaller(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol+"/deadline", func(t *testing.T) {
			t.Parallel()
			s := newSite(t, protocol, faulty)
			url := s.URL + "/?fault=stall+in+the+body"
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := read(ctx, s.client(patient), url)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.NotErrorIs(t, err, context.Canceled)
			require.Eventually(t, s.base.balanced, long, time.Millisecond)
		})
		t.Run(protocol+"/cause", func(t *testing.T) {
			t.Parallel()
			s := newSite(t, protocol, faulty)
			left := errors.New("the user has left")
			ctx, cancel := context.WithCancelCause(t.Context())
			resp, err := get(ctx, s.client(patient), s.URL+"/?fault=stall+in+the+body")
			require.NoError(t, err)
			defer resp.Body.Close()
			cancel(left)
			_, err = io.ReadAll(resp.Body)
			assert.ErrorIs(t, err, left)
			assert.ErrorIs(t, err, context.Canceled)
		})
		t.Run(protocol+"/client timeout", func(t *testing.T) {
			t.Parallel()
			s := newSite(t, protocol, faulty)
			c := s.client(patient)
			c.Timeout = 300 * time.Millisecond
			_, err := read(t.Context(), c, s.URL+"/?fault=stall+in+the+body")
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			require.Eventually(t, s.base.balanced, long, time.Millisecond)
		})
	}
}

func TestRefusedConnectionIsCertainlyNotDone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	h2c := fxhttp.Base()
	h2c.Protocols = new(http.Protocols)
	h2c.Protocols.SetUnencryptedHTTP2(true)
	for _, protocol := range []struct {
		scheme string
		base   *http.Transport
	}{{"http", nil}, {"https", nil}, {"http", h2c}} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			tr := &fxhttp.Transport{Policy: func(string) fx.Policy[*http.Response] { return retrying(3) }}
			if protocol.base != nil {
				tr.Base = protocol.base
			}
			body := streamed{strings.NewReader("x")} // not read, so it can still be sent
			req, err := http.NewRequestWithContext(t.Context(), method, protocol.scheme+"://"+l.Addr().String(), body)
			require.NoError(t, err)
			_, err = (&http.Client{Transport: tr}).Do(req)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			assert.False(t, fx.MayBeDone(err))
			var r *fx.RetryError
			require.ErrorAs(t, err, &r)
			assert.Equal(t, 3, r.Attempts, "nothing was sent, so even a POST may be tried again")
		}
	}
}

func TestWinnersBodyOutlivesItsPolicies(t *testing.T) {
	for _, protocol := range protocols {
		for name, p := range map[string]fx.Policy[*http.Response]{"timeout": patient, "hedge": hedging} {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				t.Parallel()
				returned := make(chan struct{})
				s := newSite(t, protocol, func(s *site, w http.ResponseWriter, r *http.Request) {
					_, _ = io.WriteString(w, "first ")
					_ = http.NewResponseController(w).Flush()
					select {
					case <-returned:
						_, _ = io.WriteString(w, "second")
					case <-r.Context().Done():
					}
				})
				resp, err := get(t.Context(), s.client(p), s.URL)
				require.NoError(t, err)
				close(returned)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Equal(t, "first second", string(body))
				require.NoError(t, resp.Body.Close())
				require.NoError(t, resp.Body.Close(), "as often as one likes")
				require.Eventually(t, s.base.balanced, long, time.Millisecond)
			})
		}
	}
}

func TestAttemptsContextEndsWithTheBody(t *testing.T) {
	for name, end := range map[string]func(*http.Response){
		"close": func(resp *http.Response) { _ = resp.Body.Close() },
		"EOF":   func(resp *http.Response) { _, _ = io.ReadAll(resp.Body) },
	} {
		var own context.Context
		base := stub(func(req *http.Request) (*http.Response, error) {
			own = req.Context()
			return &http.Response{StatusCode: 200, Body: io.NopCloser(&oneByte{}), Request: req}, nil
		})
		c := &http.Client{Transport: &fxhttp.Transport{Base: base}}
		resp, err := c.Get("http://host/")
		require.NoError(t, err, name)
		require.NoError(t, own.Err(), name)
		end(resp)
		assert.Error(t, own.Err(), name)
	}
}

type oneByte struct{ read bool }

func (b *oneByte) Read(p []byte) (int, error) {
	if b.read {
		return 0, io.EOF
	}
	b.read = true
	p[0] = 'x'
	return 1, nil
}

func TestTenThousandFaultsLeaveNothingBehind(t *testing.T) {
	requests := int64(5000) // over each protocol
	if raced {
		requests = 1500
	}
	faults := []string{"", "", "", "", "503", "503 with a long body", "404", "", "", "429 in seconds", "abort in the body", "abort"}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2 without TLS"} {
		t.Run(protocol, func(t *testing.T) {
			s := newSite(t, protocol, faulty)
			c := s.client(func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
				op = fx.WithTimeout(op, 100*time.Millisecond)
				op = fx.WithHedge(op, &fx.Hedge{After: 50 * time.Millisecond})
				return fx.WithRetry(op, fx.Retry{Attempts: 2, Backoff: fx.Constant(0), MaxWait: -1})
			})
			_, err := read(t.Context(), c, s.URL)
			require.NoError(t, err)
			c.CloseIdleConnections()
			goroutines, files := runtime.NumGoroutine(), openFiles(t)

			var next, failed atomic.Int64
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for n := next.Add(1); n <= requests; n = next.Add(1) {
						fault := faults[n%int64(len(faults))]
						switch {
						case n%250 == 0:
							fault = "reset"
						case n%251 == 0:
							fault = "stall"
						case n%252 == 0:
							fault = "reset in the body"
						}
						if _, err := read(t.Context(), c, fmt.Sprint(s.URL, "/?fault=", queryOf(fault))); err != nil {
							failed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			assert.Greater(t, failed.Load(), requests/3, "the faults were real")
			require.Eventually(t, s.base.balanced, long, time.Millisecond)
			c.CloseIdleConnections()
			back := func() bool {
				c.CloseIdleConnections()
				return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files
			}
			for end := time.Now().Add(long); !back() && time.Now().Before(end); { // Eventually has a goroutine of its own
				<-timeAfter()
			}
			assert.True(t, back(), "goroutines %d, were %d; files %d, were %d",
				runtime.NumGoroutine(), goroutines, openFiles(t), files)
			assert.Equal(t, s.base.opened.Load(), s.base.closed.Load(), "each body closed once")
			t.Logf("%d attempts, %d bodies", s.base.attempts.Load(), s.base.opened.Load())
		})
	}
}
