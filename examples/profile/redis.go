package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/redis/go-redis/v9"
)

// errNoRedis says how to get a Redis.
var errNoRedis = errors.New("redis-server is not installed: apt-get install redis-server, or brew install redis; or name a Redis that runs by -redis HOST:PORT")

// A redisServer is one of our own, on a free port of 127.0.0.1, which keeps nothing on disk.
type redisServer struct {
	addr string
	dir  string
	cmd  *exec.Cmd
}

// startRedis returns when the server answers.
func startRedis(ctx context.Context) (*redisServer, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errNoRedis
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "profile-redis")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	s := &redisServer{addr: addr, dir: dir}
	s.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no")
	if err := s.cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := s.answers(ctx); err != nil {
		s.kill()
		return nil, fmt.Errorf("redis-server on %s does not answer: %w", addr, err)
	}
	return s, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// answers waits until the server does, for ten seconds at most.
func (s *redisServer) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: s.addr})
	defer client.Close()
	for {
		err := client.Ping(ctx).Err()
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends the server as a power cut would. It may be called again.
func (s *redisServer) kill() {
	if s == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Kill() // it has ended already
	_ = s.cmd.Wait()         // killed, as it should be
	_ = os.RemoveAll(s.dir)
}
