package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"time"
)

//go:embed page
var page embed.FS

// playServe plays on and on, shows it as a page, and lets whoever looks make the catalog ill. It ends with ctx.
func playServe(ctx context.Context, set settings, out, errs io.Writer) error {
	plain, guarded, err := startLanes(ctx, set, errs)
	if err != nil {
		return err
	}
	defer plain.end()
	defer guarded.end()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("cannot open the page: %w", err)
	}
	h := &hub{rate: set.rate, ill: well, news: make(chan struct{}), tell: both(plain, guarded)}
	defer h.open(ctx, l)()
	fmt.Fprintf(out, "Open http://%s/ and make the catalog ill. Ctrl-C ends it.\n", l.Addr())
	if err := follow(ctx, h, plain, guarded); ctx.Err() == nil {
		return err
	}
	return nil
}

// both tells both lanes what ails the catalog.
func both(lanes ...*process) func(ailment) error {
	return func(a ailment) error {
		var err error
		for _, l := range lanes {
			_, e := io.WriteString(l.in, string(a)+"\n")
			err = errors.Join(err, e)
		}
		return err
	}
}

// memory is how many moments a page that comes late still gets to see: a minute.
const memory = 60 * perSecond

// A moment is what a page is told ten times a second.
type moment struct {
	Ill     ailment `json:"ill"`
	Plain   sample  `json:"plain"`
	Guarded sample  `json:"guarded"`
}

// A hub hands the moments on to all pages. It is safe for concurrent use.
type hub struct {
	rate int
	tell func(ailment) error

	mu     sync.Mutex
	ill    ailment
	plain  sample
	past   [][]byte // the last ones
	number int      // of the moments so far
	news   chan struct{}
}

func (h *hub) begin(settings, int, int)              {}
func (h *hub) end(plain, guarded figures, _ []check) {}
func (h *hub) leave()                                {}

// sample makes a moment of one sample of each lane.
func (h *hub) sample(s sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.Lane == plainLane {
		h.plain = s
		return
	}
	line, err := json.Marshal(moment{h.ill, h.plain, s})
	if err != nil {
		panic(err) // samples are numbers and strings
	}
	h.past = append(h.past, line)
	h.past = h.past[max(0, len(h.past)-memory):]
	h.number++
	close(h.news)
	h.news = make(chan struct{})
}

// since gives the moments after the n-th that are still known, the number of the last, and what is closed at the next.
func (h *hub) since(n int) (moments [][]byte, number int, news <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := min(h.number-n, len(h.past))
	return h.past[len(h.past)-fresh:], h.number, h.news
}

// open serves the page until the function that it returns has been called.
func (h *hub) open(ctx context.Context, l net.Listener) (end func()) {
	server := &http.Server{
		Handler:           h.handler(l.Addr().String()),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	return func() {
		server.Close()
		serving.Wait()
	}
}

// handler answers only who asked for this very address: a page of another site, or a name that was made to point here,
// must not play with the shop.
func (h *hub) handler(address string) http.Handler {
	assets, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(assets))
	mux.HandleFunc("GET /events", h.events)
	mux.HandleFunc("POST /catalog", h.makeIll)
	same := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != address {
			http.Error(w, "this is http://"+address+"/", http.StatusMisdirectedRequest)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		same.ServeHTTP(w, r)
	})
}

// events are server-sent: the past at once, and then each moment as it comes.
func (h *hub) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	for n := 0; ; {
		moments, number, news := h.since(n)
		for _, m := range moments {
			if _, err := fmt.Fprintf(w, "data: %s\n\n", m); err != nil {
				return
			}
		}
		if out.Flush() != nil {
			return
		}
		n = number
		select {
		case <-news:
		case <-r.Context().Done():
			return
		}
	}
}

func (h *hub) makeIll(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
	a := ailment(r.PostFormValue("ill"))
	if !a.known() {
		http.Error(w, fmt.Sprintf("%q is none of %q", a, ailments), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock() // while it is told too, so that both lanes hear the same last word
	if err := h.tell(a); err != nil {
		http.Error(w, "the shop is closed", http.StatusServiceUnavailable)
		return
	}
	h.ill = a
	w.WriteHeader(http.StatusNoContent)
}
