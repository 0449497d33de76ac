package main

import (
	"context"
	"net/http"

	"github.com/cristalhq/hedgedhttp"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"

	"example.com/fx"
)

func hedgeRows() []row { return []row{hedgeQuiet()} }

// hedgeQuiet answers long before a second copy would start.
func hedgeQuiet() row {
	return row{
		name:   "hedge that does not fire",
		op:     same(answer),
		target: target{objects: 6},
		contenders: []contender{
			{lib: libFx, build: func() policy { return fxHedge(&fx.Hedge{After: far}) }, note: "has a budget of its own"},
			{lib: "hedgedhttp", build: hedgedHTTP, note: "over a transport that answers from memory; has no budget; a panic of a copy ends the process"},
			{lib: "failsafe", build: func() policy { return failsafeWithContext(failsafeHedge()) }, note: "a panic of a copy ends the process"},
		},
	}
}

func fxHedge(h *fx.Hedge) policy {
	return func(op operation) operation { return fx.WithHedge(op, h) }
}

func failsafeHedge() hedgepolicy.HedgePolicy[int] {
	return hedgepolicy.NewBuilderWithDelay[int](far).WithBudget(budget.New()).Build()
}

// hedgedHTTP sends one request, made beforehand, again and again, under the caller's context. Every op has a client of
// its own, as it stands for the transport.
func hedgedHTTP() policy {
	return func(op operation) operation { return throughHTTP(hedgedClient(op), op) }
}

func hedgedClient(op operation) http.RoundTripper {
	client, err := hedgedhttp.NewRoundTripper(far, 2, transport(op))
	must(err)
	return client
}

// throughHTTP sends requests through a client whose transport calls the op.
func throughHTTP(client http.RoundTripper, _ operation) operation {
	request, err := http.NewRequest(http.MethodGet, "http://localhost/", nil)
	must(err)
	return func(ctx context.Context) (int, error) {
		response, err := client.RoundTrip(request.WithContext(ctx))
		if err != nil {
			return 0, err
		}
		return response.StatusCode, nil
	}
}

// transport is an http.RoundTripper that answers with what an op says.
type transport operation

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	v, err := t(r.Context())
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: v}, nil
}

// must is for settings that are known to be good.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
