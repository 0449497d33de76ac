package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A pod is a process of the profile-service, as an orchestrator would start it.
type pod struct {
	name string
	url  string
	*profiles
	server *http.Server
	store  *redis.Client
}

func startPod(name, users, store string) (*pod, error) {
	client := redis.NewClient(&redis.Options{Addr: store, MaxRetries: -1, DialerRetries: 1})
	p := &pod{name: name, profiles: newProfiles(users, client), store: client}
	var err error
	p.server, p.url, err = serve(p.handler())
	return p, err
}

// serve serves h on a free port of 127.0.0.1.
func serve(h http.Handler) (*http.Server, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go s.Serve(l) // until it is closed
	return s, "http://" + l.Addr().String(), nil
}

func (p *pod) stop() {
	_ = p.server.Close()
	p.close()
	_ = p.store.Close()
}

// A look is what a page is like.
type look string

const (
	live       look = "live"
	remembered look = "remembered"
	standIn    look = "stand-in"
	failed     look = "failed"
)

// A view is one page as a browser got it.
type view struct {
	pod  *pod
	id   string
	look look
	text string // the title, or the banner
	took time.Duration
}

// visit gets the page of a user from p.
func visit(ctx context.Context, client *http.Client, p *pod, id string) view {
	start := time.Now()
	status, body, err := get(ctx, client, p.url+"/profiles/"+id)
	v := view{pod: p, id: id, took: time.Since(start)}
	title, banner, _ := strings.Cut(strings.TrimSpace(body), "\n")
	switch {
	case err != nil:
		v.look, v.text = failed, err.Error()
	case status != http.StatusOK:
		v.look, v.text = failed, title
	case banner == "":
		v.look, v.text = live, title
	case title == nobody.Name:
		v.look, v.text = standIn, banner
	default:
		v.look, v.text = remembered, title+"  "+banner
	}
	return v
}

// get is the status and the body of a page.
func get(ctx context.Context, client *http.Client, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// probe is what the probes of p say.
func probe(ctx context.Context, client *http.Client, p *pod) string {
	var said []string
	for _, path := range []string{"/livez", "/readyz"} {
		status, body, err := get(ctx, client, p.url+path)
		if err != nil {
			body = err.Error()
		}
		said = append(said, fmt.Sprintf("%s %d %s", path, status, strings.TrimSpace(body)))
	}
	return strings.Join(said, ", ")
}
