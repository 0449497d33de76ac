package fxhttp

import (
	"container/list"
	"context"
	"net/http"
	"sync"
)

// hosts are the hosts that a Transport knows, the one used latest first. The zero value knows none.
type hosts struct {
	mu     sync.Mutex
	byName map[string]*list.Element // of *host
	recent list.List
}

// A host is what belongs to one host: the composed policies, which hold its breaker and its places.
type host struct {
	name  string
	do    guarded
	calls int // under way; under hosts.mu
}

// guarded makes the attempts of a call as the policies of its host say.
type guarded func(context.Context, *call) (*http.Response, error)

// enter returns the host of that name, which is not forgotten before leave. compose runs without the lock, being the
// user's; if two callers compose the same host, the first to come back wins.
func (hs *hosts) enter(name string, limit int, compose func(string) guarded) *host {
	if h := hs.find(name); h != nil {
		return h
	}
	do := compose(name)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h := hs.use(name); h != nil {
		return h
	}
	if hs.byName == nil {
		hs.byName = make(map[string]*list.Element)
	}
	h := &host{name: name, do: do, calls: 1}
	hs.byName[name] = hs.recent.PushFront(h)
	hs.shrink(limit)
	return h
}

func (hs *hosts) find(name string) *host {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.use(name)
}

// use returns a known host with one more call. mu is held.
func (hs *hosts) use(name string) *host {
	el := hs.byName[name]
	if el == nil {
		return nil
	}
	hs.recent.MoveToFront(el)
	h := el.Value.(*host)
	h.calls++
	return h
}

// shrink forgets the hosts least recently used, but none in use: then there are more for a while, at most one for
// each call. mu is held.
func (hs *hosts) shrink(limit int) {
	for el := hs.recent.Back(); el != nil && hs.recent.Len() > limit; {
		h, prev := el.Value.(*host), el.Prev()
		if h.calls == 0 {
			hs.recent.Remove(el)
			delete(hs.byName, h.name)
		}
		el = prev
	}
}

func (hs *hosts) leave(h *host) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h.calls--
}
