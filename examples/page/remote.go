package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"example.com/fx"
)

// A remote is a service as its callers see it, and what they share to survive it.
type remote struct {
	name    string
	url     string
	client  *http.Client
	breaker fx.Breaker
	seats   fx.Bulkhead
}

// ask is a guarded call. The breaker is inside the retry: two attempts that hang open it, and the next shopper does
// not wait.
func ask[T any](s *service, id string) fx.Op[T] {
	r := &s.remote
	op := fx.WithTimeout(get[T](r, id), 150*time.Millisecond)
	op = fx.WithBreaker(op, &r.breaker)
	op = fx.WithRetry(op, fx.Retry{Attempts: 2, Backoff: fx.Constant(20 * time.Millisecond).Jitter(1)})
	op = fx.WithBulkhead(op, &r.seats)
	return fx.WithTimeout(op, 500*time.Millisecond) // the whole call
}

// get is the call itself.
func get[T any](r *remote, id string) fx.Op[T] {
	return func(ctx context.Context) (v T, err error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+id, nil)
		if err != nil {
			return v, err
		}
		res, err := r.client.Do(req)
		if err != nil {
			return v, r.failed(ctx, err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return v, r.failed(ctx, errors.New(res.Status))
		}
		if err = json.NewDecoder(res.Body).Decode(&v); err != nil {
			return v, r.failed(ctx, err)
		}
		return v, nil
	}
}

// failed names the service instead of its address. Of a context that has ended net/http returns the cause; that it has
// ended says more to those who read it.
func (r *remote) failed(ctx context.Context, err error) error {
	var where *url.Error
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.As(err, &where):
		err = where.Err
	}
	return fmt.Errorf("%s: %w", r.name, err)
}
