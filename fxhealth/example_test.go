package fxhealth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"example.com/fx"
	"example.com/fx/fxhealth"
)

type database struct{}

func (database) PingContext(context.Context) error { return nil }

// The catalog's breaker is open, and a fallback answers in its stead: the pod is degraded, and stays in rotation.
func Example() {
	db, mux := database{}, http.NewServeMux()
	catalog := &fx.Breaker{Name: "catalog"}
	catalog.Force(fx.StateOpen)

	health := &fxhealth.Health{Checks: []fxhealth.Check{
		{Name: "db", Needed: true, Run: db.PingContext}, // without it: not ready
		{Breaker: catalog}, // open: degraded, the fallback answers
	}}
	health.Register(mux) // GET /livez, /readyz, /startupz

	show(mux, "/livez")
	show(mux, "/readyz")
	show(mux, "/readyz?verbose")
	// Output:
	// /livez 200
	// ok
	// /readyz 200
	// degraded
	// /readyz?verbose 200
	// [+]db ok
	// [~]catalog degraded: circuit breaker is open
	// readyz check passed: degraded
}

func show(h http.Handler, path string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	fmt.Printf("%s %d\n%s", path, w.Code, w.Body)
}

// A client that accepts JSON gets a Report. What an error says is withheld.
func ExampleHealth_Readyz() {
	health := &fxhealth.Health{Checks: []fxhealth.Check{
		{Name: "disk", Needed: true, Run: func(context.Context) error { return errors.New("/var/lib/shop: no space left") }},
	}}
	r := httptest.NewRequest(http.MethodGet, "/readyz", nil)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	health.Readyz().ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)
	// Output: 503 {"status":"failed","checks":[{"name":"disk","status":"failed","error":"reason withheld"}]}
}

func ExampleHealth_Ready() {
	health := &fxhealth.Health{Checks: []fxhealth.Check{
		{Name: "search", Run: func(context.Context) error { return errors.New("no index") }},
	}}
	fmt.Printf("%+v\n", health.Ready(context.Background()))
	// Output: {Status:degraded Reason: Checks:[{Name:search Status:degraded Error:reason withheld}]}
}

func ExampleHealth_Warm() {
	health := &fxhealth.Health{WarmUp: true}
	show(health.Startupz(), "/startupz")
	// fill the cache, then
	health.Warm()
	show(health.Startupz(), "/startupz")
	// Output:
	// /startupz 503
	// startupz check failed: warming up
	// /startupz 200
	// ok
}

func ExampleHealth_Drain() {
	health := &fxhealth.Health{}
	health.Drain()
	show(health.Readyz(), "/readyz")
	show(health.Livez(), "/livez")
	// Output:
	// /readyz 503
	// readyz check failed: draining
	// /livez 200
	// ok
}

// A loop that beats, and a mutex that is tried.
func ExampleWatchdog() {
	var mu sync.Mutex
	consumer := &fxhealth.Watchdog{Name: "consumer", Limit: time.Minute}
	accounts := &fxhealth.Watchdog{Name: "accounts", Try: func() { mu.Lock(); defer mu.Unlock() }}
	health := &fxhealth.Health{Watchdogs: []*fxhealth.Watchdog{consumer, accounts}}

	messages := make(chan string, 1)
	messages <- "hello"
	close(messages)
	for range messages {
		consumer.Beat() // at work
		// handle the message
		consumer.Rest() // waiting for the next one is no reason for a restart
	}
	show(health.Livez(), "/livez?verbose")
	// Output:
	// /livez?verbose 200
	// [+]process ok
	// [+]consumer ok
	// [+]accounts ok
	// livez check passed
}

func ExampleStop() {
	const lameduck = 10 * time.Millisecond
	health := &fxhealth.Health{}
	server := &http.Server{Handler: http.NewServeMux()}
	work := &fx.Bulkhead{Name: "work"}
	stop := &fxhealth.Stop{
		Health:    health,                 // 1. not ready any more
		Wait:      lameduck,               // 2. until the load balancers have noticed; 0 means 5s
		Servers:   []*http.Server{server}, // 3. accept nothing, finish what has begun
		Bulkheads: []*fx.Bulkhead{work},   // 4. the same for work that no request waits for
		Close: []func(context.Context) error{ // 5. the rest
			func(context.Context) error { fmt.Println("database closed"); return nil },
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	fmt.Println(stop.Run(ctx))
	fmt.Println(health.Ready(ctx).Reason)
	fmt.Println(work.Acquire(ctx))
	// Output:
	// database closed
	// <nil>
	// draining
	// fx: bulkhead "work": not started: bulkhead is closed
}

// serve serves until a signal comes, then stops gracefully.
func serve(server *http.Server, stop *fxhealth.Stop) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed: // it cannot listen
		return err
	case <-ctx.Done():
	}
	cancel() // a second signal ends the program at once
	ctx, cancel = context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	return stop.Run(ctx)
}
