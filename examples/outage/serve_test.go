package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const here = "127.0.0.1:1234"

func newHub() (h *hub, told *[]ailment) {
	told = new([]ailment)
	return &hub{ill: well, news: make(chan struct{}), tell: func(a ailment) error { *told = append(*told, a); return nil }}, told
}

// ask sends a request as a browser on that very page would, spoilt by the given function.
func ask(h *hub, method, path, body string, spoil func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://"+here+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if spoil != nil {
		spoil(r)
	}
	w := httptest.NewRecorder()
	h.handler(here).ServeHTTP(w, r)
	return w
}

func TestSwitchTellsTheLanes(t *testing.T) {
	h, told := newHub()
	for _, a := range ailments {
		assert.Equal(t, http.StatusNoContent, ask(h, "POST", "/catalog", "ill="+string(a), nil).Code)
		assert.Equal(t, a, h.ill)
	}
	assert.Equal(t, ailments, *told)
}

func TestOnlyThePageItselfSwitches(t *testing.T) {
	for name, spoil := range map[string]func(*http.Request){
		"another site":           func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another page of a host": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"an older browser":       func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
		"another port":           func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:80") },
		"no site at all":         func(r *http.Request) { r.Header.Set("Origin", "null") },
		"a name that points here": func(r *http.Request) {
			r.Host = "evil.example:1234"
			r.Header.Set("Origin", "http://evil.example:1234")
		},
	} {
		h, told := newHub()
		w := ask(h, "POST", "/catalog", "ill=silent", spoil)
		assert.Contains(t, []int{http.StatusForbidden, http.StatusMisdirectedRequest}, w.Code, name)
		assert.Empty(t, *told, name)
	}
	h, told := newHub()
	own := func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", "http://"+here)
	}
	assert.Equal(t, http.StatusNoContent, ask(h, "POST", "/catalog", "ill=silent", own).Code)
	assert.Len(t, *told, 1)
}

func TestNobodyElseReadsThePage(t *testing.T) {
	h, _ := newHub()
	ended, end := context.WithCancel(t.Context())
	end() // or events that are sent in spite of all would never end
	for _, path := range []string{"/", "/page.js", "/events"} {
		w := ask(h, "GET", path, "", func(r *http.Request) { *r = *r.WithContext(ended); r.Host = "evil.example:1234" })
		assert.Equal(t, http.StatusMisdirectedRequest, w.Code)
	}
}

func TestUnknownAilmentsAreRefused(t *testing.T) {
	for _, body := range []string{"", "ill=", "ill=dead", "ill=silent%0Awell", "%%%", "ill=" + strings.Repeat("x", 1<<20)} {
		h, told := newHub()
		w := ask(h, "POST", "/catalog", body, nil)
		assert.Equal(t, http.StatusBadRequest, w.Code)
		assert.Contains(t, w.Body.String(), `is none of ["well" "silent" "503" "cut" "slow"]`)
		assert.Empty(t, *told)
	}
	h, told := newHub()
	assert.Equal(t, http.StatusNotFound, ask(h, "GET", "/catalog?ill=silent", "", nil).Code)
	assert.Empty(t, *told)
}

func TestShopThatIsGoneIsSaidToBe(t *testing.T) {
	h, _ := newHub()
	h.tell = func(ailment) error { return errors.New("broken pipe") }
	assert.Equal(t, http.StatusServiceUnavailable, ask(h, "POST", "/catalog", "ill=silent", nil).Code)
	assert.Equal(t, well, h.ill)
}

func TestPageNeedsNoNetwork(t *testing.T) {
	h, _ := newHub()
	for path, kind := range map[string]string{"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"} {
		w := ask(h, "GET", path, "", nil)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Contains(t, w.Header().Get("Content-Type"), kind)
		assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'self'")
		assert.NotContains(t, w.Body.String(), "//cdn")
		assert.NotContains(t, w.Body.String(), "http")
	}
}

func TestPageThatComesLateSeesTheLastMinute(t *testing.T) {
	h, _ := newHub()
	for n := 1; n <= memory+50; n++ {
		h.sample(sample{Lane: plainLane, Tenth: n})
		h.sample(sample{Lane: guardedLane, Tenth: n, Breaker: open})
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = h.handler(server.Listener.Addr().String())
	server.Start()
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := subscribe(t, ctx, server.URL)
	for n := 51; n <= memory+50; n++ {
		m := next()
		require.Equal(t, n, m.Guarded.Tenth)
		require.Equal(t, n, m.Plain.Tenth)
	}
	h.mu.Lock()
	h.ill = silent
	h.mu.Unlock()
	h.sample(sample{Lane: plainLane, Tenth: 7777})
	h.sample(sample{Lane: guardedLane, Tenth: 7777})
	assert.Equal(t, moment{silent, sample{Lane: plainLane, Tenth: 7777}, sample{Lane: guardedLane, Tenth: 7777}}, next())
	assert.Len(t, h.past, memory)
}

// subscribe listens to the events of a page.
func subscribe(t *testing.T, ctx context.Context, page string) (next func() moment) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page+"/events", nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { res.Body.Close() })
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	lines := bufio.NewScanner(res.Body)
	return func() (m moment) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				require.NoError(t, json.Unmarshal([]byte(data), &m))
				return m
			}
		}
		require.Fail(t, "no more events", lines.Err())
		return m
	}
}

func TestServeSettingsThatMakeNoSense(t *testing.T) {
	for _, other := range []string{"-fast", "-json", "-plain", "-svg=x.svg"} {
		_, err := parse([]string{"-serve", other})
		assert.ErrorContains(t, err, "-serve goes with -rate and -seed alone")
	}
	_, err := parse([]string{"-serve", "-rate", "50", "-seed", "3"})
	assert.NoError(t, err)
}

// until waits for a moment of a kind, and no longer than a busy machine needs.
func until(t *testing.T, next func() moment, is func(moment) bool) {
	for end := time.Now().Add(time.Minute); ; {
		m := next()
		if is(m) {
			return
		}
		require.True(t, time.Now().Before(end), "it never happens; the last moment: %+v", m)
	}
}

func makeIll(t *testing.T, page string, a ailment) {
	res, err := http.PostForm(page+"/catalog", url.Values{"ill": {string(a)}})
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusNoContent, res.StatusCode)
}
