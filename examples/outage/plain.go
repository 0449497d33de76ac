package main

import "context"

// plain is how it is often done: the client has a timeout, and what fails is tried again at once.
func plain(bare links) links {
	return links{
		checkout: insist(bare.checkout),
		reserve:  insist(bare.reserve),
		price:    insist(bare.price),
		look:     insist(bare.look),
		pay:      insist(bare.pay),
	}
}

// insist calls f up to four times.
func insist[A, T any](f func(context.Context, A) (T, error)) func(context.Context, A) (T, error) {
	return func(ctx context.Context, a A) (v T, err error) {
		for range 4 {
			if v, err = f(ctx, a); err == nil {
				return v, nil
			}
		}
		return v, err
	}
}
