package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// links is how the services of the shop reach each other, one function for each arrow. It is all that differs
// between the lanes.
type links struct {
	checkout func(context.Context, order) (receipt, error) // storefront to checkout: POST
	reserve  func(context.Context, order) (done, error)    // checkout to inventory: POST
	price    lookup                                        // checkout to pricing: GET
	look     lookup                                        // pricing to catalog: GET
	pay      func(context.Context, payment) (done, error)  // checkout to payment: POST
}

// A lookup asks for the price of a product.
type lookup func(context.Context, product) (quote, error)

// bare links make one HTTP call each and nothing else.
func bare(c *http.Client, at addresses) links {
	return links{
		checkout: post[order, receipt](c, "checkout", at["checkout"]),
		reserve:  post[order, done](c, "inventory", at["inventory"]),
		price:    get[quote](c, "pricing", at["pricing"]),
		look:     get[quote](c, "catalog", at["catalog"]),
		pay:      post[payment, done](c, "payment", at["payment"]),
	}
}

// addresses maps a service to the URL of its server.
type addresses map[string]string

// newTransport is the same for both lanes: connections are kept, twice as many as a good day needs.
func newTransport(rate int) *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: rate / 10, // Little's law: an order takes 0.05 s
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}
}

// A statusError is an answer that is none.
type statusError struct {
	service string
	code    int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %d %s", e.service, e.code, http.StatusText(e.code))
}

func get[T any](c *http.Client, service, address string) func(context.Context, product) (T, error) {
	return func(ctx context.Context, p product) (v T, err error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?product="+strconv.Itoa(int(p)), nil)
		if err != nil {
			return v, err
		}
		return do[T](c, req, service)
	}
}

func post[A, T any](c *http.Client, service, address string) func(context.Context, A) (T, error) {
	return func(ctx context.Context, a A) (v T, err error) {
		body, err := json.Marshal(a)
		if err != nil {
			return v, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			return v, err
		}
		return do[T](c, req, service)
	}
}

// do reads the whole body too, so that a body that stalls is a call that stalls.
func do[T any](c *http.Client, req *http.Request, service string) (v T, err error) {
	res, err := c.Do(req)
	if err != nil {
		return v, failed(req.Context(), service, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return v, failed(req.Context(), service, err)
	case res.StatusCode != http.StatusOK:
		return v, &statusError{service, res.StatusCode}
	}
	return v, json.Unmarshal(body, &v)
}

// failed names the service instead of its URL. When the context has ended that is all there is to say: why it ended
// is told by the one who ended it.
func failed(ctx context.Context, service string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	return fmt.Errorf("%s: %w", service, err)
}
