package fxhealth_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"example.com/fx/fxhealth"
)

var (
	ctx     = context.Background()
	errBoom = errors.New("boom")
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(logged, nil)))
	goleak.VerifyTestMain(m)
}

// logged is all that was logged.
var logged = &buffer{}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// clear forgets what was logged before a test.
func (b *buffer) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

// about counts the lines that hold all parts.
func (b *buffer) about(parts ...string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
lines:
	for line := range strings.Lines(b.b.String()) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		n++
	}
	return n
}

// get asks h, with headers given as "Name: value".
func get(h http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// codeOf is the status that the probe at path answers.
func codeOf(h *fxhealth.Health, path string) int { return get(served(h), path).Code }

// verbose is the long answer of the probe at path.
func verbose(h *fxhealth.Health, path string) string {
	return get(served(h), path+"?verbose").Body.String()
}

func served(h *fxhealth.Health) http.Handler {
	mux := http.NewServeMux()
	h.Register(mux)
	return mux
}

func bodyOf(r *http.Response) string {
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return string(b)
}
