package fxhealth_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx/fxhealth"
)

var mixed = &fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Needed: true, Run: well}, {Name: "catalog", Run: fails}}}

func TestPlainTextIsOneWordUnlessAskedForMore(t *testing.T) {
	h := served(mixed)
	for _, target := range []string{"/readyz", "/readyz?", "/readyz?exclude=db"} {
		assert.Equal(t, "degraded\n", get(h, target).Body.String(), target)
	}
	for _, target := range []string{"/readyz?verbose", "/readyz?verbose=1", "/readyz?a=b&verbose"} {
		assert.Equal(t, "[+]db ok\n[~]catalog degraded: reason withheld\nreadyz check passed: degraded\n", get(h, target).Body.String(), target)
	}
	assert.Equal(t, "[+]process ok\nlivez check passed\n", get(h, "/livez?verbose").Body.String())
	assert.Equal(t, "startupz check passed\n", get(h, "/startupz?verbose").Body.String())
	broken := served(&fxhealth.Health{Checks: []fxhealth.Check{{Name: "db", Needed: true, Run: fails}}})
	assert.Equal(t, "[-]db failed: reason withheld\nreadyz check failed\n", get(broken, "/readyz").Body.String(), "a failure always says why")
}

func TestJSONForThoseWhoPreferIt(t *testing.T) {
	h := served(mixed)
	for accept, wants := range map[string]bool{
		"":                                  false,
		"*/*":                               false,
		"text/plain":                        false,
		"application/*":                     false,
		"application/json":                  true,
		"application/json; charset=utf-8":   true,
		"application/json, text/plain, */*": true, // what axios sends
		"text/html, application/json;q=0.9, */*;q=0.8":  true,
		"text/plain, application/json;q=0.9":            false,
		"text/plain;q=0.1, application/json;q=0.9":      true,
		"application/json;q=0":                          false,
		"application/json;q=NaN":                        false,
		"application/json;q=2":                          false,
		"application/json;q=-1":                         false,
		"application/json;q=1e400":                      false,
		"application/jsonp":                             false,
		";;;,,,/;q=,\x7f" + strings.Repeat("a/b,", 1e4): false,
	} {
		w := get(h, "/readyz", "Accept: "+accept)
		assert.Equal(t, 200, w.Code)
		kind := "text/plain; charset=utf-8"
		if wants {
			kind = "application/json"
			assert.JSONEq(t, `{"status":"degraded","checks":[{"name":"db","status":"ok"},{"name":"catalog","status":"degraded","error":"reason withheld"}]}`, w.Body.String())
		}
		assert.Equal(t, kind, w.Header().Get("Content-Type"), accept)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	}
	w := get(h, "/readyz", "Accept: text/plain;q=0.5", "Accept: application/json")
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"), "two lines of Accept are one")
}

func TestJSONTellsTheReason(t *testing.T) {
	h := &fxhealth.Health{WarmUp: true}
	w := get(served(h), "/startupz", "Accept: application/json")
	assert.Equal(t, 503, w.Code)
	var r fxhealth.Report
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &r))
	assert.Equal(t, fxhealth.Report{Status: fxhealth.Failed, Reason: "warming up"}, r)
}

func TestOtherMethodsAreRefused(t *testing.T) {
	for _, h := range []http.Handler{mixed.Livez(), mixed.Readyz(), mixed.Startupz(), served(mixed)} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "/livez", nil))
			assert.Equal(t, 405, w.Code)
			assert.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
		}
	}
}

func TestProbesOnARealSocket(t *testing.T) {
	server := httptest.NewServer(served(mixed))
	defer server.Close()
	for _, path := range []string{"/livez", "/readyz", "/startupz"} {
		r, err := server.Client().Get(server.URL + path)
		require.NoError(t, err)
		assert.Equal(t, 200, r.StatusCode)
		assert.Contains(t, []string{"ok\n", "degraded\n"}, bodyOf(r))
		r, err = server.Client().Head(server.URL + path)
		require.NoError(t, err)
		assert.Equal(t, 200, r.StatusCode)
		assert.Empty(t, bodyOf(r))
	}
}

// silent is an http.ResponseWriter that costs nothing.
type silent struct{ header http.Header }

func (s silent) Header() http.Header         { return s.header }
func (s silent) Write(p []byte) (int, error) { return len(p), nil }
func (s silent) WriteHeader(int)             {}

var _ io.Writer = silent{}

func TestSharedProbeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the detector allocates
	}
	h := (&fxhealth.Health{Share: 1 << 62, Checks: mixed.Checks}).Readyz()
	w, r := silent{http.Header{}}, httptest.NewRequest(http.MethodGet, "/readyz", nil)
	r.Header.Set("Accept", "*/*")
	h.ServeHTTP(w, r)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }))
}

func BenchmarkSharedReadyz(b *testing.B) {
	bench(b, (&fxhealth.Health{Share: 1 << 62, Checks: mixed.Checks}).Readyz(), "/readyz")
}

func BenchmarkLivez(b *testing.B) {
	bench(b, (&fxhealth.Health{Watchdogs: []*fxhealth.Watchdog{{Name: "consumer"}}}).Livez(), "/livez")
}

func BenchmarkReadyzVerbose(b *testing.B) {
	bench(b, (&fxhealth.Health{Share: 1 << 62, Checks: mixed.Checks}).Readyz(), "/readyz?verbose")
}

func BenchmarkBeat(b *testing.B) {
	var w fxhealth.Watchdog
	for b.Loop() {
		w.Beat()
	}
}

func bench(b *testing.B, h http.Handler, target string) {
	w, r := silent{http.Header{}}, httptest.NewRequest(http.MethodGet, target, nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
