package main

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// A kind is something that a program may hold many of.
type kind struct {
	name, lib string
	most      float64 // bytes that it may hold after a call; 0 means no target
	reason    string  // where that is missed: the measured reason
	make      func() any
	use       func(any)     // makes one call through it
	rest      time.Duration // until the timers that a call has set are gone
}

// Memory is what one of a kind keeps on the heap.
type Memory struct {
	Kind, Lib string
	Fresh     footprint // just made
	Used      footprint // after a call
	AtRest    footprint // when the timers that the call has set are gone
}

type footprint struct{ Bytes, Objects float64 }

// measureMemory makes n of each kind and looks at the heap.
func measureMemory(kinds []kind, n int, p *progress) (found []Memory) {
	p.begin("memory", len(kinds))
	crowd(n)
	for _, k := range kinds {
		p.step(k.lib + ": " + k.name)
		found = append(found, k.measure(n))
	}
	return found
}

// crowd lets n goroutines come and go. The runtime keeps what it has made for them, and the first kind whose timers
// all fire at once would seem to hold it.
func crowd(n int) {
	var all sync.WaitGroup
	gate := make(chan struct{})
	for range n {
		all.Go(func() { <-gate })
	}
	close(gate)
	all.Wait()
}

func (k kind) measure(n int) Memory {
	k.use(k.make()) // what is made once for all
	time.Sleep(k.rest)
	held := make([]any, n)
	before := heap()
	for i := range held {
		held[i] = k.make()
	}
	fresh := heap()
	for _, h := range held {
		k.use(h)
	}
	used := heap()
	atRest := used
	if k.rest > 0 {
		time.Sleep(k.rest)
		atRest = heap()
	}
	runtime.KeepAlive(held)
	return Memory{Kind: k.name, Lib: k.lib, Fresh: fresh.over(before, n), Used: used.over(before, n), AtRest: atRest.over(before, n)}
}

// heap is what lives on the heap.
func heap() footprint {
	runtime.GC()
	runtime.GC() // the first may have found finalizers and pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{float64(m.HeapAlloc), float64(m.HeapObjects)}
}

func (f footprint) over(before footprint, n int) footprint {
	return footprint{(f.Bytes - before.Bytes) / float64(n), (f.Objects - before.Objects) / float64(n)}
}

// holder is a kind of type H, used through a policy.
func holder[H any](lib, name string, make func() H, guard func(H, operation) operation) kind {
	return kind{
		name: name, lib: lib,
		make: func() any { return make() },
		use:  func(h any) { _, _ = guard(h.(H), answer)(context.Background()) },
	}
}

// within gives k a target, and the reason why it may be missed.
func (k kind) within(bytes float64, reason string) kind {
	k.most, k.reason = bytes, reason
	return k
}

// withTimers is for kinds that set a timer for the end of each tenth of their window, of ten seconds.
func (k kind) withTimers() kind {
	k.rest = 1200 * time.Millisecond
	return k
}
