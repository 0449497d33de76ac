package fxhealth_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx"
	"example.com/fx/fxhealth"
)

// memory is a network of one listener, inside of a bubble.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.closed) }); return nil }
func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

var errRefused = errors.New("connection refused")

func (m *memory) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case m.conns <- there:
		return here, nil
	case <-m.closed:
		return nil, errRefused
	}
}

// A shop is a server in a bubble, and a client of it.
type shop struct {
	health *fxhealth.Health
	mux    *http.ServeMux
	server *http.Server
	client *http.Client
}

func newShop(t *testing.T) *shop {
	net := newMemory()
	s := &shop{health: &fxhealth.Health{}, mux: http.NewServeMux()}
	s.health.Register(s.mux)
	s.server = &http.Server{Handler: s.mux, Addr: "shop"}
	transport := &http.Transport{DialContext: net.dial, MaxIdleConnsPerHost: 100}
	s.client = &http.Client{Transport: transport}
	go func() { assert.ErrorIs(t, s.server.Serve(net), http.ErrServerClosed) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = s.server.Close()
	})
	return s
}

// get is the status, or the error if there is none.
func (s *shop) get(path string) (int, error) {
	r, err := s.client.Get("http://shop" + path)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	return r.StatusCode, err
}

func (s *shop) codeOf(path string) int { code, _ := s.get(path); return code }

// A diary is what happened, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) notes(line string) func(context.Context) error {
	return func(context.Context) error { d.note(line); return nil }
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

func TestStopGoesThroughItsPhasesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		s := newShop(t)
		s.mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Second)
			d.note("slow request served")
		})
		s.server.RegisterOnShutdown(func() { d.note("accepts no more") })
		work := &fx.Bulkhead{Name: "work"}
		require.NoError(t, work.Acquire(ctx))
		go func() {
			time.Sleep(13 * time.Second)
			d.note("work finished")
			work.Release()
		}()
		slow := make(chan int)
		go func() { slow <- s.codeOf("/slow") }()
		time.Sleep(time.Second)

		stop := &fxhealth.Stop{Health: s.health, Servers: []*http.Server{s.server}, Bulkheads: []*fx.Bulkhead{work},
			Close: []func(context.Context) error{d.notes("consumer closed"), d.notes("database closed")}}
		stopped := make(chan error)
		go func() {
			c, cancel := within(25 * time.Second)
			defer cancel()
			stopped <- stop.Run(c)
		}()
		for range 4 { // the wait
			time.Sleep(time.Second)
			assert.Equal(t, 503, s.codeOf("/readyz"))
			assert.Equal(t, 200, s.codeOf("/livez"))
			assert.Equal(t, 200, s.codeOf("/startupz"))
		}
		time.Sleep(1500 * time.Millisecond) // it is over
		_, err := s.get("/livez")
		assert.ErrorIs(t, err, errRefused)
		assert.NoError(t, work.Acquire(ctx), "the bulkhead still serves the requests in flight")
		work.Release()
		assert.Equal(t, 200, <-slow)
		time.Sleep(time.Second) // Shutdown polls
		assert.ErrorIs(t, work.Acquire(ctx), fx.ErrClosed)
		assert.NoError(t, <-stopped)
		assert.Equal(t, []string{"accepts no more", "slow request served", "work finished", "consumer closed", "database closed"}, d.lines)
	})
}

// Clients go through a balancer that asks for readiness each second.
func lostRequests(t *testing.T, stop *fxhealth.Stop) (lost, sent int64) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { time.Sleep(70 * time.Millisecond) })
		var inRotation atomic.Bool
		var all sync.WaitGroup
		inRotation.Store(true)
		all.Go(func() {
			for inRotation.Load() {
				time.Sleep(time.Second)
				inRotation.Store(s.codeOf("/readyz") == 200)
			}
		})
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 3 * time.Millisecond)
				for inRotation.Load() {
					atomic.AddInt64(&sent, 1)
					if code, err := s.get("/"); err != nil || code != 200 {
						atomic.AddInt64(&lost, 1)
					}
					time.Sleep(30 * time.Millisecond)
				}
			})
		}
		time.Sleep(2500 * time.Millisecond)
		stop.Health, stop.Servers = s.health, []*http.Server{s.server}
		assert.NoError(t, stop.Run(ctx))
		all.Wait()
	})
	return lost, sent
}

func TestStopLosesNoRequest(t *testing.T) {
	lost, sent := lostRequests(t, &fxhealth.Stop{})
	assert.Zero(t, lost)
	assert.Greater(t, sent, int64(1000))
	lost, _ = lostRequests(t, &fxhealth.Stop{Wait: -1})
	assert.Positive(t, lost, "without the wait this test would see the loss")
}

func TestHungHandlerDoesNotHoldTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		cutOff, release := make(chan struct{}), make(chan struct{})
		s.mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(cutOff)
			<-release
		})
		go s.codeOf("/hang")
		seats := &fx.Bulkhead{Name: "seats"}
		require.NoError(t, seats.Acquire(ctx)) // and is not given back
		time.Sleep(time.Second)

		var hadTime time.Duration
		c, cancel := within(10 * time.Second)
		defer cancel()
		stop := &fxhealth.Stop{Servers: []*http.Server{s.server}, Bulkheads: []*fx.Bulkhead{seats},
			Close: []func(context.Context) error{func(ctx context.Context) error {
				end, _ := ctx.Deadline()
				hadTime = time.Until(end)
				return ctx.Err()
			}}}
		began := time.Now()
		err := stop.Run(c)
		assert.Equal(t, 9*time.Second, time.Since(began))
		assert.Equal(t, time.Second, hadTime, "the last tenth is for Close")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "fxhealth: stopping: server 1: \"shop\" was cut off: context deadline exceeded\n")
		assert.ErrorContains(t, err, "fxhealth: stopping: bulkhead 1: fx: closing bulkhead \"seats\": 1 still running")
		<-cutOff // its context ended
		close(release)
		seats.Release()
	})
}

func TestEverythingIsDoneThoughEachPhaseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		s := newShop(t)
		work := &fx.Bulkhead{}
		release := make(chan struct{})
		defer close(release)
		stop := &fxhealth.Stop{
			Health:    s.health,
			Servers:   []*http.Server{nil, s.server},
			Bulkheads: []*fx.Bulkhead{nil, work},
			Close: []func(context.Context) error{
				d.notes("first"), fails, panics, exits, hangs(release), obeys, nil, d.notes("last"),
			},
		}
		c, cancel := within(20 * time.Second)
		defer cancel()
		began := time.Now()
		err := stop.Run(c)
		assert.LessOrEqual(t, time.Since(began), 20*time.Second)
		assert.Equal(t, []string{"first", "last"}, d.lines)
		_, refused := s.get("/livez")
		assert.ErrorIs(t, refused, errRefused)
		assert.ErrorIs(t, work.Acquire(ctx), fx.ErrClosed)
		assert.ErrorIs(t, err, errBoom)
		for _, part := range []string{
			"server 1: panicked", "bulkhead 1: panicked", "Close 2: boom", "Close 3: panicked: postgres",
			"Close 4: ended its goroutine", "Close 5: left behind: context deadline exceeded", "Close 6:", "Close 7: panicked",
		} {
			assert.ErrorContains(t, err, "fxhealth: stopping: "+part)
		}
		assert.NotContains(t, err.Error(), "Close 8")
	})
}

func TestSecondStopIsHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int64
		stop := &fxhealth.Stop{Close: []func(context.Context) error{func(context.Context) error {
			closed.Add(1)
			return errBoom
		}}}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { assert.ErrorIs(t, stop.Run(ctx), errBoom) })
		}
		synctest.Wait()
		c, cancel := within(time.Second)
		defer cancel()
		assert.ErrorIs(t, stop.Run(c), context.DeadlineExceeded, "the first still waits")
		all.Wait()
		for range 20 {
			assert.ErrorIs(t, stop.Run(c), errBoom, "a dead context makes no difference once it is over")
		}
		assert.EqualValues(t, 1, closed.Load())
	})
}

func TestWaitIsAtMostHalfOfTheTime(t *testing.T) {
	for _, c := range []struct{ wait, has, takes time.Duration }{
		{0, time.Minute, 5 * time.Second},
		{0, 4 * time.Second, 2 * time.Second},
		{20 * time.Second, time.Minute, 20 * time.Second},
		{-1, time.Minute, 0},
		{0, -1, 0},
		{time.Hour, 0, time.Hour}, // 0: no deadline
	} {
		synctest.Test(t, func(t *testing.T) {
			c2, cancel := ctx, func() {}
			if c.has != 0 {
				c2, cancel = context.WithTimeout(ctx, c.has)
			}
			defer cancel()
			began := time.Now()
			assert.NoError(t, (&fxhealth.Stop{Wait: c.wait}).Run(c2))
			assert.InDelta(t, c.takes, time.Since(began), 10, "%v", c)
		})
	}
}

func TestStopOfADeadContextStillDoesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		work := &fx.Bulkhead{}
		called := make(chan struct{})
		dead, cancel := context.WithCancel(ctx)
		cancel()
		stop := &fxhealth.Stop{Health: s.health, Servers: []*http.Server{s.server}, Bulkheads: []*fx.Bulkhead{work},
			Close: []func(context.Context) error{func(context.Context) error { close(called); return nil }}}
		began := time.Now()
		_ = stop.Run(dead)
		assert.Zero(t, time.Since(began))
		<-called
		assert.Equal(t, fxhealth.Failed, s.health.Ready(ctx).Status)
		_, refused := s.get("/livez")
		assert.ErrorIs(t, refused, errRefused)
		assert.ErrorIs(t, work.Acquire(ctx), fx.ErrClosed)
	})
}

// realShop is a server on 127.0.0.1.
func realShop(t *testing.T, health *fxhealth.Health, h http.Handler) (server *http.Server, url string) {
	t.Helper()
	mux := http.NewServeMux()
	health.Register(mux)
	mux.Handle("/", h)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server = &http.Server{Handler: mux, Addr: listener.Addr().String(), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		assert.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return server, "http://" + listener.Addr().String()
}

func TestRequestsInFlightFinishAndNewcomersAreRefusedOnARealSocket(t *testing.T) {
	t.Run("HTTP/1", func(t *testing.T) { finishAndRefuse(t, &http.Transport{}) })
	t.Run("HTTP/2", func(t *testing.T) {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		finishAndRefuse(t, transport)
	})
}

func finishAndRefuse(t *testing.T, transport *http.Transport) {
	defer transport.CloseIdleConnections()
	health := new(fxhealth.Health)
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	server, url := realShop(t, health, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "finished")
	}))
	client := &http.Client{Transport: transport}
	// The first request alone, so that those after it share its connection under HTTP/2: connections that were dialled
	// in vain can hold http.Server.Shutdown up until its context ends.
	r, err := client.Get(url + "/livez")
	require.NoError(t, err)
	assert.Equal(t, "ok\n", bodyOf(r))
	answers := make(chan string, 100)
	for range 100 {
		go func() {
			r, err := client.Get(url + "/work")
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- bodyOf(r)
		}()
	}
	for range 100 {
		<-arrived
	}
	shutting := make(chan struct{})
	server.RegisterOnShutdown(func() { close(shutting) })
	closed := make(chan struct{})
	stop := &fxhealth.Stop{Health: health, Wait: time.Millisecond, Servers: []*http.Server{server},
		Close: []func(context.Context) error{func(context.Context) error { close(closed); return nil }}}
	stopped := make(chan error)
	go func() {
		c, cancel := within(time.Minute)
		defer cancel()
		stopped <- stop.Run(c)
	}()
	<-shutting
	require.Eventually(t, func() bool {
		r, err := client.Get(url + "/livez")
		if err == nil {
			_ = bodyOf(r)
		}
		return err != nil
	}, 10*time.Second, time.Millisecond, "newcomers are refused")
	select {
	case <-closed:
		t.Fatal("closed before the requests had finished")
	default:
	}
	close(release)
	for range 100 {
		assert.Equal(t, "finished", <-answers)
	}
	assert.NoError(t, <-stopped)
	<-closed
}

func TestHungHandlerIsCutOffOnARealSocket(t *testing.T) {
	arrived, cutOff := make(chan struct{}), make(chan struct{})
	server, url := realShop(t, new(fxhealth.Health), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(cutOff)
	}))
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	failed := make(chan error)
	go func() {
		_, err := (&http.Client{Transport: transport}).Post(url, "text/plain", nil)
		failed <- err
	}()
	<-arrived
	c, cancel := within(50 * time.Millisecond)
	defer cancel()
	err := (&fxhealth.Stop{Wait: -1, Servers: []*http.Server{server}}).Run(c)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Error(t, <-failed)
	<-cutOff
}

func TestSignalStopsTheProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // which cannot signal itself
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	listening := make(chan struct{})
	server := &http.Server{Addr: "127.0.0.1:0", BaseContext: func(net.Listener) context.Context {
		close(listening)
		return ctx
	}}
	stopped := make(chan error)
	go func() { stopped <- serve(server, &fxhealth.Stop{Wait: -1, Servers: []*http.Server{server}}) }()
	<-listening
	require.NoError(t, self.Signal(os.Interrupt))
	assert.NoError(t, <-stopped)
	<-signals // delivered to all
}

func TestServerThatCannotListenIsNotWaitedFor(t *testing.T) {
	assert.ErrorContains(t, serve(&http.Server{Addr: "nowhere"}, new(fxhealth.Stop)), "nowhere")
}
