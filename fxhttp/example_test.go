package fxhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"example.com/fx"
	"example.com/fx/fxhttp"
)

// flaky fails every call but each third.
func flaky() *httptest.Server {
	var calls atomic.Int64
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1)%3 != 0 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "42")
	}))
}

// The zero Transport bounds, retries and cuts off, host by host.
func Example() {
	prices := flaky()
	defer prices.Close()

	client := &http.Client{Transport: &fxhttp.Transport{}}
	defer client.CloseIdleConnections()

	resp, err := client.Get(prices.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	price, err := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(price), err)
	// Output: 200 42 <nil>
}

// Policies are a function of the host. Here each host has a breaker of its own, and slow reads are hedged.
func ExampleTransport() {
	transport := &fxhttp.Transport{
		Policy: func(host string) fx.Policy[*http.Response] {
			breaker := &fx.Breaker{Name: host, Failures: 3, Failure: fxhttp.Failure}
			usual := &fx.Hedge{Quantile: 0.95}
			return func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
				op = fx.WithTimeout(op, time.Second)
				op = fx.WithHedge(op, usual)
				return fx.WithBreaker(op, breaker)
			}
		},
	}
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()

	client := &http.Client{Transport: transport}
	for range 4 {
		_, err := client.Get(down.URL)
		fmt.Println(errors.Is(err, fx.ErrOpen), fx.MayBeDone(err))
	}
	// Output:
	// false false
	// false false
	// false false
	// true false
}

// A POST is sent once, unless it has a key by which the server knows a repetition.
func ExampleTransport_idempotencyKey() {
	var orders atomic.Int64
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		orders.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer shop.Close()
	client := &http.Client{Transport: &fxhttp.Transport{}}
	defer client.CloseIdleConnections()

	order := func(key string) {
		req, _ := http.NewRequest(http.MethodPost, shop.URL, strings.NewReader(`{"sku": 7}`))
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode, "sent", orders.Swap(0))
	}
	order("")
	order("order-7")
	// Output:
	// 503 sent 1
	// 503 sent 3
}

// Inside a saga the key is that of the step, so that a step and its undo can be repeated.
func ExampleTransport_saga() {
	bank := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Path, r.Header.Get("Idempotency-Key"))
	}))
	defer bank.Close()
	client := &http.Client{Transport: &fxhttp.Transport{}}
	defer client.CloseIdleConnections()

	call := func(path string) func(context.Context, int) error {
		return func(ctx context.Context, cents int) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, bank.URL+path, nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(req)
			if err == nil {
				err = fxhttp.Check(resp)
			}
			if err != nil {
				return err
			}
			return resp.Body.Close()
		}
	}
	charge := func(ctx context.Context, cents int) (int, error) { return cents, call("/charge")(ctx, cents) }
	ship := func(_ context.Context, cents int) (int, error) { return cents, errors.New("out of stock") }

	_, err := fx.Saga(995, []fx.Step[int]{
		{Name: "charge", Do: charge, Undo: call("/refund")},
		{Name: "ship", Do: ship, Pivot: true},
	})(fx.WithSagaID(context.Background(), "order-7"))
	fmt.Println(err)
	// Output:
	// /charge order-7/charge
	// /refund order-7/charge/undo
	// fx: saga stopped at step "ship": out of stock; undone: charge
}

// The policies of a Transport end where the headers are there. To have the body within a retry and a breaker, put them
// around the whole call.
func ExampleTransport_body() {
	var calls atomic.Int64
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		if calls.Add(1) == 1 {
			fmt.Fprint(w, "wh")
			panic(http.ErrAbortHandler) // in the middle of the body
		}
		fmt.Fprint(w, "whole")
	}))
	defer files.Close()
	client := &http.Client{Transport: &fxhttp.Transport{}}
	defer client.CloseIdleConnections()

	fetch := func(ctx context.Context, url string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		resp, err := client.Do(req)
		if err == nil {
			err = fxhttp.Check(resp)
		}
		if err != nil {
			return "", fx.Permanent(err) // the Transport has retried it
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	whole := fx.Lift(fetch, func(op fx.Op[string]) fx.Op[string] { return fx.WithRetry(op, fx.Retry{}) })
	fmt.Println(whole(context.Background(), files.URL))
	// Output: whole <nil>
}

func ExampleCheck() {
	prices := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120") // longer than the Transport waits
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, "100 calls a minute")
	}))
	defer prices.Close()
	client := &http.Client{Transport: &fxhttp.Transport{}}
	defer client.CloseIdleConnections()

	resp, err := client.Get(prices.URL)
	if err == nil {
		err = fxhttp.Check(resp)
	}
	var status *fxhttp.StatusError
	if errors.As(err, &status) {
		fmt.Println(status.Code, status.Body, status.RetryAfter())
	}
	fmt.Println(errors.Is(err, fx.ErrWait), fx.MayBeDone(err))
	// Output:
	// 429 100 calls a minute 2m0s
	// true false
}

// DefaultPolicy can be a part of others.
func ExampleDefaultPolicy() {
	counted := func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
		return func(ctx context.Context) (*http.Response, error) {
			resp, err := op(ctx)
			fmt.Println("one call, error:", err)
			return resp, err
		}
	}
	client := &http.Client{Transport: &fxhttp.Transport{Policy: func(host string) fx.Policy[*http.Response] {
		return fx.Compose(counted, fxhttp.DefaultPolicy(host))
	}}}
	defer client.CloseIdleConnections()

	prices := flaky()
	defer prices.Close()
	if resp, err := client.Get(prices.URL); err == nil {
		resp.Body.Close()
	}
	// Output: one call, error: <nil>
}

func ExampleBase() {
	base := fxhttp.Base()
	base.MaxConnsPerHost = 8
	client := &http.Client{Transport: &fxhttp.Transport{Base: base}}
	fmt.Println(client.Transport.(*fxhttp.Transport).Base == http.RoundTripper(base))
	// Output: true
}

func ExampleFailure() {
	fmt.Println(fxhttp.Failure(&fxhttp.StatusError{Code: 503}))
	fmt.Println(fxhttp.Failure(&fxhttp.StatusError{Code: 429}))
	// Output:
	// true
	// false
}

// What is left of the caller's time crosses the hops.
func ExampleWithDeadline() {
	client := &http.Client{Transport: &fxhttp.Transport{}}
	defer client.CloseIdleConnections()

	stock := httptest.NewServer(fxhttp.WithDeadline(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Deadline()
		fmt.Println("stock has less than 10 s:", time.Until(at) < 10*time.Second)
	}), fxhttp.Deadline{Max: time.Minute}))
	defer stock.Close()

	shop := httptest.NewServer(fxhttp.WithDeadline(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, stock.URL, nil)
		if err != nil {
			fxhttp.WriteError(w, r, err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			fxhttp.WriteError(w, r, err)
			return
		}
		resp.Body.Close()
	}), fxhttp.Deadline{Max: time.Minute}))
	defer shop.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, shop.URL, nil)
	if resp, err := client.Do(req); err == nil {
		resp.Body.Close()
	}

	req, _ = http.NewRequest(http.MethodGet, shop.URL, nil)
	req.Header.Set(fxhttp.DeadlineHeader, "0")
	if resp, err := client.Do(req); err == nil {
		fmt.Println("nothing left:", resp.Status)
		resp.Body.Close()
	}
	// Output:
	// stock has less than 10 s: true
	// nothing left: 504 Gateway Timeout
}

func ExampleWithBulkhead() {
	seats := &fx.Bulkhead{Name: "checkout", Limit: 1}
	checkout := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "thank you") })
	handler := fxhttp.WithBulkhead(checkout, seats)

	ask := func() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
		fmt.Printf("%d %q %s\n", w.Code, w.Header().Get("Retry-After"), strings.TrimSpace(w.Body.String()))
	}
	ask()
	_ = seats.Acquire(context.Background()) // somebody else is there
	ask()
	seats.Release()
	ask()
	// Output:
	// 200 "" thank you
	// 503 "1" Service Unavailable
	// 200 "" thank you
}

func ExampleWriteError() {
	breaker := &fx.Breaker{Name: "prices"}
	breaker.Force(fx.StateOpen)
	price := fx.WithBreaker(fx.Value(995), breaker)

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cents, err := price(r.Context())
		if err != nil {
			fxhttp.WriteError(w, r, err)
			return
		}
		fmt.Fprint(w, cents)
	})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Header().Get("Retry-After"), w.Body)
	// Output: 503 1 Service Unavailable
}

func ExampleCode() {
	fmt.Println(fxhttp.Code(fx.ErrFull), fxhttp.Code(fx.ErrTimeout), fxhttp.Code(io.ErrUnexpectedEOF), fxhttp.Code(nil))
	// Output: 503 504 500 200
}
