// Package fxredis keeps what an fx.Cache remembers in Redis, where the whole fleet finds it, also a process that has
// just started.
//
//	prices := &fx.Cache[string, Price]{Store: &fxredis.Store[string, Price]{Client: client, Prefix: "price:"}}
package fxredis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/fx"
)

// A Store keeps the values of an fx.Cache in Redis, each with the time when it was good. Client and Prefix are needed,
// the rest works as it is. It is safe for concurrent use and must not be copied or changed after first use.
//
// The cache sees to it that Redis cannot hurt a call: it waits for a tenth of a second at most, also for a client that
// ignores its context, leaves Redis alone for ten seconds after five failures in a row, and writes behind the answer.
// The Store adds a bound on the reads under way. Each call is one round trip.
//
// What does not look as if it had been written by this Store is an error, of which the cache tells OnErr, and a miss.
type Store[K comparable, T any] struct {
	// Client is the connection to Redis: a *redis.Client, *redis.ClusterClient or *redis.Ring. Give it MaxRetries -1
	// and ContextTimeoutEnabled: a cache asks once.
	Client redis.Cmdable
	// Prefix is what all keys begin with. Each kind of value needs one of its own, and none should be the beginning of
	// another; end it with a colon.
	Prefix string
	// Version is to be changed when the meaning of T changes and its shape does not. A value of another version or
	// shape is not read.
	Version int
	// Encode and Decode turn values into bytes and back. nil means JSON.
	Encode func(T) ([]byte, error)
	Decode func([]byte) (T, error)
	// Jitter is the share of the time to live that is taken off at random, so that what was written together does not
	// end together. 0 means 0.1, a negative number none; at most 1.
	Jitter float64
	// MaxBytes is how large an encoded value may be. Larger ones are neither written nor read. 0 means 1 MiB.
	MaxBytes int

	once  sync.Once
	shape uint64 // of T and Version
	reads fx.Bulkhead
}

const (
	readsAtOnce  = 64
	readsWaiting = 1024
)

// open makes what the zero value lacks.
func (s *Store[K, T]) open() {
	s.once.Do(func() {
		s.shape = shapeOf[T](s.Version)
		s.reads.Name, s.reads.Limit, s.reads.Queue = "fxredis reads", readsAtOnce, readsWaiting
	})
}

// Get returns the value of key and its age, or an error that matches fx.ErrMiss.
func (s *Store[K, T]) Get(ctx context.Context, key K) (v T, age time.Duration, err error) {
	s.open()
	name, err := s.name(key)
	if err != nil {
		return v, 0, err
	}
	text, err := fx.WithBulkhead(s.read(name), &s.reads)(ctx)
	if err != nil {
		return v, 0, fmt.Errorf("fxredis: get: %w", err)
	}
	if text == "" { // what Redis says of a key that it does not have
		return v, 0, fx.ErrMiss
	}
	payload, at, err := s.unpack([]byte(text))
	if err != nil {
		return v, 0, fmt.Errorf("fxredis: %q: %w", name, err)
	}
	if v, err = s.decode(payload); err != nil {
		return v, 0, fmt.Errorf("fxredis: %q: decode: %w", name, err)
	}
	return v, max(time.Since(at), 0), nil
}

// read asks for no more than a value may have, and one byte to see that it has more.
func (s *Store[K, T]) read(name string) fx.Op[string] {
	return func(ctx context.Context) (string, error) {
		return s.Client.GetRange(ctx, name, 0, int64(headerSize+s.maxBytes())).Result()
	}
}

// Set keeps v for ttl, or a little less. It keeps nothing if ttl is less than a millisecond.
func (s *Store[K, T]) Set(ctx context.Context, key K, v T, ttl time.Duration) error {
	s.open()
	if ttl < time.Millisecond {
		return nil
	}
	name, err := s.name(key)
	if err != nil {
		return err
	}
	payload, err := s.encode(v)
	switch {
	case err != nil:
		return fmt.Errorf("fxredis: %q: encode: %w", name, err)
	case len(payload) > s.maxBytes():
		return fmt.Errorf("fxredis: %q: %d bytes; a value may have %d (MaxBytes)", name, len(payload), s.maxBytes())
	}
	if err := s.Client.Set(ctx, name, s.pack(payload, time.Now()), s.jittered(ttl)).Err(); err != nil {
		return fmt.Errorf("fxredis: set: %w", err)
	}
	return nil
}

// jittered is between (1 - Jitter) ttl and ttl, and at least a millisecond.
func (s *Store[K, T]) jittered(ttl time.Duration) time.Duration {
	share := s.Jitter
	if share == 0 {
		share = 0.1
	}
	share = min(max(share, 0), 1)
	ttl -= time.Duration(share * rand.Float64() * float64(ttl))
	return max(ttl.Truncate(time.Millisecond), time.Millisecond)
}

func (s *Store[K, T]) maxBytes() int {
	if s.MaxBytes <= 0 {
		return 1 << 20
	}
	return s.MaxBytes
}
