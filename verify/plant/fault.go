package main

import (
	"bytes"
	"fmt"
	"strings"
)

// A fault is a race, or another mistake that only concurrent callers see: one piece of the core's text and what it
// becomes.
type fault struct{ name, file, old, new string }

var faults = []fault{
	{"two-probes", "breaker.go", // whether a probe is out is asked before the lock is held, and not again
		"\tcase now < p.until:\n",
		"\tcase now < p.until && p.state == StateOpen:\n"},
	{"stale-failure", "breaker.go", // Trip's answer opens whatever period there is by then
		"\tif b.now.Load() == p {\n\t\tb.open(cause)\n\t}\n",
		"\tb.open(cause)\n"},
	{"stale-success", "breaker.go", // a late success is taken for one of the current period
		"\tcase b.now.Load() != p:\n\tcase p.state == StateClosed:\n\t\tb.count(p, true)\n",
		"\tcase p.state == StateClosed:\n\t\tb.count(b.now.Load(), true)\n"},
	{"two-rows", "breaker.go", // the failures in a row are read and then written
		"\t\tp.row.Add(1)\n",
		"\t\trow := p.row.Load()\n\t\tb.mu.Unlock()\n\t\tb.mu.Lock()\n\t\tp.row.Store(row + 1)\n"},
	{"long-window", "breaker.go", // a slice is counted that has left the window
		"\treturn r.sum(tenths)\n",
		"\treturn r.sum(tenths + 1)\n"},
	{"seat-beyond-limit", "bulkhead.go", // a seat is seen to be free and then taken
		"\treturn s.free(b.limit()) && b.swap(s, s+oneRunning)\n",
		"\treturn s.free(b.limit()) && b.state.Add(uint64(oneRunning)) > 0\n"},
	{"last-in-first-out", "bulkhead.go", // the queue is a stack
		"\tif w := b.first; w != nil {\n\t\tb.remove(w)\n",
		"\tif w := b.last; w != nil {\n\t\tb.remove(w)\n"},
	{"lost-first-attempt", "breaker.go", // first attempts are read and then forgotten, with those that came between
		"\tif n := r.fresh.Swap(0); slice > r.newest-tenths {\n",
		"\tn := r.fresh.Load()\n\tr.fresh.Store(0)\n\tif slice > r.newest-tenths {\n"},
	{"retry-beyond-ratio", "retry.go", // there is seen to be room for a retry, and then it is counted
		"\tb.calls.bad()\n\treturn true\n",
		"\tb.calls.mu.Unlock()\n\tb.calls.mu.Lock()\n\tb.calls.bad()\n\treturn true\n"},
	{"short-memory", "retry.go", // first attempts count no longer than nine tenths of the window
		"\tfirst, _ := b.calls.sum(tenths)\n\t_, again",
		"\tfirst, _ := b.calls.sum(tenths - 1)\n\t_, again"},
}

func names() (all []string) {
	for _, f := range faults {
		all = append(all, f.name)
	}
	return all
}

func find(name string) (fault, error) {
	for _, f := range faults {
		if f.name == name {
			return f, nil
		}
	}
	return fault{}, fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(names(), ", "))
}

// plant puts f into src if that is the file it belongs to.
func (f fault) plant(file string, src []byte) ([]byte, error) {
	if file != f.file {
		return src, nil
	}
	if n := bytes.Count(src, []byte(f.old)); n != 1 {
		return nil, fmt.Errorf("the fault %s cannot be planted: the core's text has changed. This stands in %s %d times, not once:\n%s"+
			"Write into verify/plant/fault.go what stands there instead", f.name, f.file, n, f.old)
	}
	return bytes.Replace(src, []byte(f.old), []byte(f.new), 1), nil
}
