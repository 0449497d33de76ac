package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"example.com/fx"
)

// A shop has four services and remembers prices.
type shop struct {
	details, price, reviews, advice *service

	prices  fx.Cache[string, cents]
	client  http.Client
	quit    context.CancelFunc
	serving sync.WaitGroup
}

// openShop starts the services.
func openShop() (*shop, error) {
	ctx, quit := context.WithCancel(context.Background())
	s := &shop{quit: quit, client: http.Client{Transport: &http.Transport{}}}
	s.details = s.service("details", details{"A teapot", "Blue enamel. Holds a litre, and its temper."})
	s.price = s.service("price", cents(2900))
	s.reviews = s.service("reviews", []review{{5, "Pours without a drop spilt."}, {4, "The lid rattles a little."}})
	s.advice = s.service("recommendations", []string{"a tea cosy", "two cups", "first flush Darjeeling"})
	for _, one := range s.services() {
		serve, err := one.start(ctx)
		if err != nil {
			s.close()
			return nil, err
		}
		s.serving.Go(serve)
	}
	return s, nil
}

func (s *shop) services() []*service { return []*service{s.details, s.price, s.reviews, s.advice} }

func (s *shop) service(name string, answer any) *service {
	return &service{answer: answer, remote: remote{
		name: name, client: &s.client,
		breaker: fx.Breaker{Name: name, Failures: 2, Cooldown: 400 * time.Millisecond, Probes: 1},
		seats:   fx.Bulkhead{Name: name, Limit: 8, Queue: 8},
	}}
}

func (s *shop) heal() {
	for _, one := range s.services() {
		one.ill(none)
	}
}

func (s *shop) close() {
	s.quit()
	s.client.CloseIdleConnections()
	for _, one := range s.services() {
		one.close()
	}
	s.serving.Wait()
}
