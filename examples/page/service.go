package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A service is an HTTP server on the loopback interface that can fall ill, and the remote that calls it.
type service struct {
	remote
	answer any
	health atomic.Int32
	server *http.Server
}

type illness int32

const (
	none  illness = iota
	hangs         // it accepts calls and never answers
	fails         // it answers 503
	drops         // it closes the connection instead of an answer
)

func (s *service) ill(i illness) { s.health.Store(int32(i)) }

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch illness(s.health.Load()) {
	case hangs:
		<-r.Context().Done()
	case fails:
		http.Error(w, "ill", http.StatusServiceUnavailable)
	case drops:
		panic(http.ErrAbortHandler)
	default:
		_ = json.NewEncoder(w).Encode(s.answer) // fails only if the caller has gone
	}
}

// start listens on a free port of 127.0.0.1. serve runs until close; the end of ctx ends the calls that hang.
func (s *service) start(ctx context.Context) (serve func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot start the service %s: %w", s.name, err)
	}
	s.url = "http://" + l.Addr().String() + "/"
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: time.Second, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	return func() { _ = s.server.Serve(l) }, nil
}

func (s *service) close() {
	if s.server != nil {
		_ = s.server.Close()
	}
}
