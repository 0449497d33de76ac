package fxtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// serve starts a server of the protocol, "HTTP/1.1" or "HTTP/2.0", and returns a client for it.
func serve(t *testing.T, protocol string, faults *fxtest.Faults) (*httptest.Server, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(faults)
	if protocol == "HTTP/2.0" {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	c := s.Client()
	c.Transport.(*http.Transport).DisableKeepAlives = protocol != "HTTP/2.0" // so that nothing is repeated unasked
	t.Cleanup(func() {
		c.CloseIdleConnections()
		faults.Close()
		s.Close()
	})
	return s, c
}

// fetch reads a response to its end.
func fetch(ctx context.Context, c *http.Client, url string) (resp *http.Response, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	if resp, err = c.Do(req); err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	read, err := io.ReadAll(resp.Body)
	return resp, string(read), err
}

var whole = strings.Repeat("0123456789", 10)

func wholeAnswer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Proto", r.Proto)
	_, _ = io.WriteString(w, whole)
}

// What a client sees of each fault, over HTTP/1 and HTTP/2.
func TestEachFaultIsSeen(t *testing.T) {
	type sight struct {
		status int    // 0: the fault strikes before the headers
		read   string // of the body
		err    error  // matched; nil for none, errAny for one without a type
	}
	errAny := errors.New("any")
	half := whole[:50]
	for _, c := range []struct {
		fault  fxtest.Fault
		http1  sight
		http2  error // where it is another
		stalls bool
	}{
		{fxtest.Pass, sight{200, whole, nil}, nil, false},
		{fxtest.Unavailable, sight{503, "unavailable\n", nil}, nil, false},
		{fxtest.UnavailableFor, sight{503, "unavailable\n", nil}, nil, false},
		{fxtest.UnavailableUntil, sight{503, "unavailable\n", nil}, nil, false},
		{fxtest.TooMany, sight{429, "too many requests\n", nil}, nil, false},
		{fxtest.TooManyUntil, sight{429, "too many requests\n", nil}, nil, false},
		{fxtest.Drop, sight{0, "", io.EOF}, errAny, false},
		{fxtest.Reset, sight{0, "", syscall.ECONNRESET}, errAny, false},
		{fxtest.Garbage, sight{0, "", errAny}, errAny, false},
		{fxtest.DropBody, sight{200, half, io.ErrUnexpectedEOF}, errAny, false},
		{fxtest.ResetBody, sight{200, half, syscall.ECONNRESET}, errAny, false},
		{fxtest.Stall, sight{0, "", context.DeadlineExceeded}, nil, true},
		{fxtest.StallBody, sight{200, half, context.DeadlineExceeded}, nil, true},
		{fxtest.Trickle, sight{200, whole, nil}, nil, false},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(c.fault.String()+" over "+protocol, func(t *testing.T) {
				faults := &fxtest.Faults{Next: http.HandlerFunc(wholeAnswer), Turns: []fxtest.Fault{c.fault}, Pause: time.Millisecond}
				s, client := serve(t, protocol, faults)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				if c.stalls {
					ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
				}
				defer cancel()
				resp, body, err := fetch(ctx, client, s.URL)
				want := c.http1
				if protocol == "HTTP/2.0" && c.http2 != nil {
					want.err = c.http2
				}
				switch want.err {
				case nil:
					assert.NoError(t, err)
				case errAny:
					assert.Error(t, err)
					assert.NotErrorIs(t, err, context.DeadlineExceeded)
				default:
					assert.ErrorIs(t, err, want.err)
				}
				if want.status == 0 {
					assert.Nil(t, resp)
				} else if assert.NotNil(t, resp) {
					assert.Equal(t, want.status, resp.StatusCode)
					assert.Equal(t, protocol, resp.Proto)
				}
				assert.Equal(t, want.read, body)
				assert.Equal(t, 1, faults.Count(c.fault))
				assert.Equal(t, 1, faults.Requests())
			})
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for asked, seconds := range map[time.Duration]int{0: 1, time.Millisecond: 1, 1500 * time.Millisecond: 2, time.Hour: 3600} {
		faults := &fxtest.Faults{RetryAfter: asked, Turns: []fxtest.Fault{
			fxtest.UnavailableFor, fxtest.TooMany, fxtest.UnavailableUntil, fxtest.TooManyUntil, fxtest.Unavailable,
		}}
		var values []string
		before := time.Now()
		for range 5 {
			w := httptest.NewRecorder()
			faults.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			values = append(values, w.Header().Get("Retry-After"))
		}
		assert.Equal(t, []string{strconv.Itoa(seconds), strconv.Itoa(seconds)}, values[:2])
		for _, date := range values[2:4] {
			at, err := http.ParseTime(date)
			require.NoError(t, err)
			assert.False(t, at.Before(before.Add(time.Duration(seconds)*time.Second)), "%v: not earlier than asked", asked)
			assert.WithinDuration(t, before.Add(time.Duration(seconds)*time.Second), at, 20*time.Second)
		}
		assert.Empty(t, values[4])
	}
}

func TestFaultsTakeTurns(t *testing.T) {
	faults := &fxtest.Faults{Turns: []fxtest.Fault{fxtest.Unavailable, fxtest.Pass, fxtest.TooMany}}
	get := func() int {
		w := httptest.NewRecorder()
		faults.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Code
	}
	assert.Equal(t, []int{503, 200, 429, 429}, []int{get(), get(), get(), get()})
	faults.Use(fxtest.Unavailable, fxtest.Pass)
	assert.Equal(t, []int{503, 200, 200}, []int{get(), get(), get()})
	faults.Use()
	assert.Equal(t, 200, get())
	assert.Equal(t, 8, faults.Requests())
	assert.Equal(t, 4, faults.Count(fxtest.Pass))
	assert.Equal(t, 2, faults.Count(fxtest.TooMany))
}

func TestFaultsCanBeSwitchedAtAnyMoment(t *testing.T) {
	var faults fxtest.Faults
	s, client := serve(t, "HTTP/1.1", &faults)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 10 {
				faults.Use(fxtest.Fault((i + n) % 2))
				resp, _, err := fetch(t.Context(), client, s.URL)
				if assert.NoError(t, err) {
					assert.Contains(t, []int{200, 503}, resp.StatusCode)
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 80, faults.Requests())
	assert.Equal(t, 80, faults.Count(fxtest.Pass)+faults.Count(fxtest.Unavailable))
}

// Close ends what stalls although its client waits on, so that a server can close.
func TestCloseEndsWhatStalls(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, fault := range []fxtest.Fault{fxtest.Stall, fxtest.StallBody, fxtest.Trickle} {
			faults := &fxtest.Faults{Turns: []fxtest.Fault{fault}, Pause: time.Hour}
			s, client := serve(t, protocol, faults)
			failed := make(chan error, 1)
			go func() {
				_, _, err := fetch(context.Background(), client, s.URL)
				failed <- err
			}()
			require.Eventually(t, func() bool { return faults.Requests() == 1 }, 20*time.Second, time.Millisecond)
			faults.Close()
			faults.Close()
			assert.Error(t, <-failed, "%v over %s", fault, protocol)
			_, _, err := fetch(t.Context(), client, s.URL)
			assert.Error(t, err, "it is over at once from then on")
		}
	}
}

// A stall sees its client leave although the request has a body that nobody has read.
func TestStallSeesItsClientLeave(t *testing.T) {
	ended := make(chan struct{})
	faults := &fxtest.Faults{Turns: []fxtest.Fault{fxtest.Stall}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		faults.ServeHTTP(w, r)
	}))
	defer s.Close()
	defer s.Client().CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(whole))
	require.NoError(t, err)
	go func() {
		assert.Eventually(t, func() bool { return faults.Requests() == 1 }, 20*time.Second, time.Millisecond)
		cancel()
	}()
	_, err = s.Client().Do(req) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, context.Canceled)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		assert.Fail(t, "the handler still stalls")
	}
}

func TestShortBodiesAreCutToo(t *testing.T) {
	faults := &fxtest.Faults{Next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }), Turns: []fxtest.Fault{fxtest.DropBody}}
	s, client := serve(t, "HTTP/1.1", faults)
	resp, body, err := fetch(t.Context(), client, s.URL)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, http.StatusCreated, resp.StatusCode)
	assert.Len(t, body, 512)
}

func TestAbsurdFaultsPanic(t *testing.T) {
	serve := func(f *fxtest.Faults) func() {
		return func() { f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)) }
	}
	noSuch := "fxtest: there is no Fault(14); write one of the faults, such as fxtest.Drop"
	assert.PanicsWithValue(t, noSuch, serve(&fxtest.Faults{Turns: []fxtest.Fault{14}}))
	assert.PanicsWithValue(t, noSuch, func() { new(fxtest.Faults).Use(14) })
	assert.PanicsWithValue(t, noSuch, func() { new(fxtest.Faults).Count(14) })
	assert.PanicsWithValue(t, "fxtest: Faults with RetryAfter of -1s and Pause of 0s; neither may be negative, write 0 for the default", serve(&fxtest.Faults{RetryAfter: -time.Second}))
	noConn := "fxtest: there is no ConnFault 3; write fxtest.Accept, fxtest.Mute or fxtest.HangUp"
	assert.PanicsWithValue(t, noConn, func() { new(fxtest.Listener).Use(3) })
	assert.PanicsWithValue(t, noConn, func() { new(fxtest.Listener).Count(3) })
	assert.PanicsWithValue(t, "fxtest: a Listener needs the real one, and Most of 0 or more, as in fxtest.Listener{Listener: inner}", func() { _, _ = new(fxtest.Listener).Accept() })
}

// listen starts a server behind a Listener.
func listen(t *testing.T, l *fxtest.Listener) (string, *http.Client) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Listener = inner
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(wholeAnswer)}}
	s.Start()
	c := s.Client()
	t.Cleanup(func() {
		c.CloseIdleConnections()
		s.Close()
	})
	return s.URL, c
}

func TestConnectionsThatAreMuteOrReset(t *testing.T) {
	l := &fxtest.Listener{Fault: fxtest.Mute}
	url, client := listen(t, l)
	client.Transport.(*http.Transport).DisableKeepAlives = true
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, _, err := fetch(ctx, client, url)
	assert.ErrorIs(t, err, context.DeadlineExceeded, "accepted, and never answered")

	l.Use(fxtest.HangUp)
	_, _, err = fetch(t.Context(), client, url)
	assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF), "%v", err)

	l.Use(fxtest.Accept)
	_, body, err := fetch(t.Context(), client, url)
	require.NoError(t, err)
	assert.Equal(t, whole, body)
	assert.Equal(t, []int{1, 1, 1}, []int{l.Count(fxtest.Accept), l.Count(fxtest.Mute), l.Count(fxtest.HangUp)})

	require.NoError(t, l.Close())
	_, _, err = fetch(t.Context(), client, url)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.False(t, fx.MayBeDone(err))
}

// A server that has all the connections that it takes lets others believe to be connected.
func TestConnectionsAreLimited(t *testing.T) {
	l := &fxtest.Listener{Most: 1}
	url, client := listen(t, l)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		return conn
	}
	first := dial()
	require.Eventually(t, func() bool { return l.Count(fxtest.Accept) == 1 }, 20*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, _, err := fetch(ctx, client, url)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, 1, l.Count(fxtest.Accept))
	require.NoError(t, first.Close())
	_, body, err := fetch(t.Context(), client, url)
	require.NoError(t, err)
	assert.Equal(t, whole, body)
}

func ExampleListener() {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	listener := &fxtest.Listener{Listener: inner, Fault: fxtest.Mute}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.NotFoundHandler()}}
	server.Start()
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	_, err = server.Client().Do(req)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), listener.Count(fxtest.Mute))
	// Output: true 1
}

func ExampleFaults() {
	faults := &fxtest.Faults{Turns: []fxtest.Fault{fxtest.Unavailable, fxtest.DropBody, fxtest.Pass}}
	server := httptest.NewServer(faults)
	defer server.Close()
	defer faults.Close()
	defer server.Client().CloseIdleConnections()

	get := func(ctx context.Context) (string, error) {
		resp, err := server.Client().Get(server.URL)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return "", errors.New(resp.Status)
		}
		body, err := io.ReadAll(resp.Body) // inside the op, or a retry would not see that it was cut off
		return string(body), err
	}
	body, err := fx.WithRetry(get, fx.Retry{Backoff: fx.Constant(time.Millisecond)})(context.Background())
	fmt.Println(len(body), err, faults.Requests())
	// Output: 1024 <nil> 3
}
