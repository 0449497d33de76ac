package fxhttp_test

import (
	"net/http"
	"testing"

	"example.com/fx"
	"example.com/fx/fxhttp"
)

// What a healthy round trip costs above its base: a stub here, a loopback server below.
func BenchmarkRoundTrip(b *testing.B) {
	header := http.Header{}
	base := stub(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: header, Body: http.NoBody, Request: req}, nil
	})
	policy := func(p fx.Policy[*http.Response]) func(string) fx.Policy[*http.Response] {
		return func(string) fx.Policy[*http.Response] { return p }
	}
	for name, rt := range map[string]http.RoundTripper{
		"stub":         base,
		"stub,none":    &fxhttp.Transport{Base: base, Policy: policy(none)},
		"stub,default": &fxhttp.Transport{Base: base},
		"stub,hedge":   &fxhttp.Transport{Base: base, Policy: policy(quietHedge)},
		"stub,post":    &fxhttp.Transport{Base: base},
	} {
		b.Run(name, func(b *testing.B) {
			req, _ := http.NewRequest(http.MethodGet, "http://host/", nil)
			if name == "stub,post" {
				req.Method = http.MethodPost
			}
			roundTrips(b, rt, req)
		})
	}
}

func BenchmarkLoopback(b *testing.B) {
	s := newSite(b, "HTTP/1.1", faulty)
	for name, rt := range map[string]http.RoundTripper{
		"plain":   s.base.Transport,
		"default": &fxhttp.Transport{Base: s.base.Transport},
	} {
		b.Run(name, func(b *testing.B) {
			req, _ := http.NewRequest(http.MethodGet, s.URL, nil)
			roundTrips(b, rt, req)
		})
	}
}

func quietHedge(op fx.Op[*http.Response]) fx.Op[*http.Response] {
	return fx.WithHedge(op, &fx.Hedge{After: long})
}

func roundTrips(b *testing.B, rt http.RoundTripper, req *http.Request) {
	b.ReportAllocs()
	for b.Loop() {
		resp, err := rt.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = resp.Body.Read(make([]byte, 16))
		_ = resp.Body.Close()
	}
}
