package fxhttp

import (
	"errors"
	"net/http"
	"time"

	"example.com/fx"
)

// DefaultPolicy is what a Transport without Policy puts around the requests to a host, from the outside in:
//
//   - 40 s for the whole call until the headers are there, which leaves room for all that follows;
//   - a bulkhead of 100 calls at once; 100 more wait, 5 s at most;
//   - a retry of three attempts, within a budget of 20 % of the calls and one a second;
//   - a breaker that opens after 10 attempts in a row have failed, as [Failure] sees it, for 10 s at first and up to a
//     minute, jittered;
//   - 10 s for each attempt.
//
// Each call of it makes state of its own. Compose it with more, or write another like it.
func DefaultPolicy(host string) fx.Policy[*http.Response] {
	seats := &fx.Bulkhead{Name: host, Limit: 100, Queue: 100, MaxWait: 5 * time.Second}
	breaker := &fx.Breaker{Name: host, Failures: 10, MaxCooldown: time.Minute, Failure: Failure}
	spare := &fx.Budget{}
	return func(op fx.Op[*http.Response]) fx.Op[*http.Response] {
		op = fx.WithTimeout(op, 10*time.Second)
		op = fx.WithBreaker(op, breaker)
		op = fx.WithRetry(op, fx.Retry{Budget: spare})
		op = fx.WithBulkhead(op, seats)
		return fx.WithTimeout(op, 40*time.Second)
	}
}

// Failure is the [fx.Breaker.Failure] for the policies of a Transport: a 5xx and every error of the transport speak
// against the host; a 408, 425 or 429 does not, and neither does a request that could not be sent as it was
// ([ErrRequest]). Of several attempts the last one counts.
func Failure(err error) bool {
	err = lastOf(err)
	if s := (*StatusError)(nil); errors.As(err, &s) {
		return s.Code >= 500
	}
	return !errors.Is(err, ErrRequest)
}

// lastOf is the error of the last attempt in err.
func lastOf(err error) error {
	for {
		r := (*fx.RetryError)(nil)
		if !errors.As(err, &r) || len(r.Errs) == 0 {
			return err
		}
		err = r.Errs[len(r.Errs)-1]
	}
}
