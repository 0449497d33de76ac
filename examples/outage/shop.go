package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type (
	product int
	order   struct {
		ID      int     `json:"id"`
		Product product `json:"product"`
	}
	quote struct {
		Product product `json:"product"`
		Cents   int     `json:"cents"`
		Stale   bool    `json:"stale,omitempty"`

		AsOf time.Time `json:"as_of,omitzero"` // when the catalog said so
	}
	payment struct {
		Order int `json:"order"`
		Cents int `json:"cents"`
	}
	receipt struct {
		Order int  `json:"order"`
		Cents int  `json:"cents"`
		Stale bool `json:"stale,omitempty"` // the price was not of today
	}
	done struct{}
)

// products is how many the shop sells.
const products = 20

// A shop is six HTTP servers on the loopback interface: shoppers call the storefront, it calls the checkout, which
// calls inventory, pricing and payment, and pricing calls the catalog.
type shop struct {
	at       addresses
	reserved atomic.Int64
	quit     context.CancelFunc
	servers  []*http.Server
	serving  sync.WaitGroup
}

// A plan is what a shop is built from.
type plan struct {
	story   story
	seed    uint64
	catalog http.Handler
	client  *http.Client
	link    func(links) links // the lane's way to call, made of the bare one
}

// openShop starts the servers. All of them listen before the first is linked to another.
func openShop(p plan) (*shop, error) {
	s := &shop{at: addresses{}}
	listeners := map[string]net.Listener{}
	for _, name := range []string{"storefront", "checkout", "pricing", "catalog", "inventory", "payment"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, open := range listeners {
				open.Close()
			}
			return nil, fmt.Errorf("cannot open the %s: %w", name, err)
		}
		listeners[name], s.at[name] = l, "http://"+l.Addr().String()+"/"
	}
	handlers := s.handlers(p, p.link(bare(p.client, s.at)))
	ctx, quit := context.WithCancel(context.Background())
	s.quit = quit
	for name, l := range listeners {
		s.serve(ctx, l, handlers[name])
	}
	return s, nil
}

func (s *shop) handlers(p plan, l links) map[string]http.Handler {
	reserve := worker{base: p.story.Inventory, seed: p.seed}
	pay := worker{base: p.story.Payment, seed: p.seed + 1}
	return map[string]http.Handler{
		"storefront": answer(body[order], l.checkout),
		"checkout":   answer(body[order], checkout(l)),
		"pricing":    answer(productOf, l.look),
		"catalog":    p.catalog,
		"inventory": answer(body[order], func(ctx context.Context, _ order) (done, error) {
			s.reserved.Add(1)
			return done{}, reserve.work(ctx, 0)
		}),
		"payment": answer(body[payment], func(ctx context.Context, _ payment) (done, error) {
			return done{}, pay.work(ctx, 0)
		}),
	}
}

// checkout is what it takes to buy: a piece from the stock, its price, the money.
func checkout(l links) func(context.Context, order) (receipt, error) {
	return func(ctx context.Context, o order) (r receipt, err error) {
		if _, err = l.reserve(ctx, o); err != nil {
			return r, err
		}
		q, err := l.price(ctx, o.Product)
		if err != nil {
			return r, err
		}
		if _, err = l.pay(ctx, payment{Order: o.ID, Cents: q.Cents}); err != nil {
			return r, err
		}
		return receipt{Order: o.ID, Cents: q.Cents, Stale: q.Stale}, nil
	}
}

func (s *shop) serve(ctx context.Context, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute, // longer than the clients', so that they are the ones who close
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	s.servers = append(s.servers, server)
	s.serving.Go(func() { server.Serve(l) }) // it always ends with an error: that of close
}

// close ends the servers and all they are doing.
func (s *shop) close() {
	s.quit()
	for _, server := range s.servers {
		server.Close()
	}
	s.serving.Wait()
}

// A catalog knows what the products cost. It is the one that falls ill.
type catalog struct {
	worker
	mood    func() (hangs bool, extra time.Duration)
	arrived func() (left func()) // hears of every call
}

func (c *catalog) look(ctx context.Context, p product) (quote, error) {
	defer c.arrived()()
	hangs, extra := c.mood()
	if hangs {
		<-ctx.Done()
		return quote{}, ctx.Err()
	}
	return quote{Product: p, Cents: 499 + 100*int(p), AsOf: time.Now()}, c.work(ctx, extra)
}

// A worker takes its time for an answer: base, give or take a quarter, and the n-th answer takes the same time in
// both lanes.
type worker struct {
	base time.Duration
	seed uint64
	n    atomic.Uint64
}

func (w *worker) work(ctx context.Context, extra time.Duration) error {
	dice := rand.New(rand.NewPCG(w.seed, w.n.Add(1)))
	t := time.NewTimer(extra + time.Duration(float64(w.base)*(0.75+dice.Float64()/2)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer makes an HTTP handler of a function.
func answer[A, T any](read func(*http.Request) (A, error), f func(context.Context, A) (T, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := read(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		v, err := f(r.Context(), a)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		json.NewEncoder(w).Encode(v) // fails only if the caller is gone
	})
}

func body[A any](r *http.Request) (a A, err error) {
	return a, json.NewDecoder(r.Body).Decode(&a)
}

func productOf(r *http.Request) (product, error) {
	n, err := strconv.Atoi(r.FormValue("product"))
	return product(n), err
}
