package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
)

// A breach is a call that allocated more than it may.
type breach struct {
	row            string
	objects, limit float64
}

// The guard counts over guardCalls calls, guardTries times, and takes the least: now and then the runtime allocates
// for itself, and a window sets a timer for each of its slices.
const (
	guardCalls = 2_000
	guardTries = 5
)

// guard counts the objects of every row of fx, says what it finds, and returns those that are too many.
func guard(rows []row, to io.Writer) (found []breach) {
	t := table{head: []string{"case", "objects", "may be", ""}, numbers: []int{1, 2}}
	for _, r := range rows {
		c, ok := r.contender(libFx)
		limit := r.objectLimit()
		if !ok || math.IsInf(limit, 1) {
			continue
		}
		b := breach{r.name, r.objects(c), limit}
		if b.objects > limit {
			found = append(found, b)
		}
		t.add(b.row, number(b.objects), number(b.limit), verdict(b.objects <= limit))
	}
	fmt.Fprint(to, t.text())
	return found
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "TOO MANY"
}

// objectLimit is how many objects a call of fx may make.
func (r row) objectLimit() float64 {
	switch r.target.objects {
	case anyObjects:
		return math.Inf(1)
	case asContext:
		c, _ := r.contender(libContext)
		return r.objects(c)
	}
	return float64(r.target.objects)
}

// objects is how many objects a call makes.
func (r row) objects(c contender) float64 {
	ctx, cancel := r.context()
	defer cancel()
	least := math.Inf(1)
	onProcs(1, func() {
		op := c.build()(r.op())
		repeat(ctx, op, 1000) // what happens once
		for range guardTries {
			least = min(least, allocated(func() { repeat(ctx, op, guardCalls) })/guardCalls)
		}
	})
	return least
}

// allocated is how many objects f makes.
func allocated(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}
