package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// A sample is what one call cost, on average over many.
type sample struct{ cpu, wall, bytes, objects float64 }

// A reading is what the process has used until now.
type reading struct {
	cpu, wall      time.Duration
	bytes, objects uint64
}

// start is the instant that readings count their wall time from.
var start = time.Now()

// begin reads the clocks last and end reads them first, so that reading the memory is not in the time between.
func begin() (r reading) {
	r.readMemory()
	r.readClocks()
	return r
}

func end() (r reading) {
	r.readClocks()
	r.readMemory()
	return r
}

func (r *reading) readMemory() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.bytes, r.objects = m.TotalAlloc, m.Mallocs
}

func (r *reading) readClocks() {
	r.wall, r.cpu = time.Since(start), cpuTime()
}

// cpuTime is the CPU time of all threads of the process, in the kernel too.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// since is the difference between two readings, for each of n calls.
func (r reading) since(before reading, n int) sample {
	per := 1 / float64(n)
	return sample{
		cpu:     float64(r.cpu-before.cpu) * per,
		wall:    float64(r.wall-before.wall) * per,
		bytes:   float64(r.bytes-before.bytes) * per,
		objects: float64(r.objects-before.objects) * per,
	}
}

// A load is ops to be called at the same time, each on a goroutine of its own.
type load struct {
	ctx context.Context
	ops []operation
}

// newLoad guards an op for each goroutine with the same policy.
func newLoad(ctx context.Context, p policy, op func() operation, goroutines int) load {
	l := load{ctx: ctx}
	for range goroutines {
		l.ops = append(l.ops, p(op()))
	}
	return l
}

// run calls each op n times. The goroutines stand ready before the clock starts.
func (l load) run(n int) sample {
	var ready, done sync.WaitGroup
	gun := make(chan struct{})
	ready.Add(len(l.ops))
	for _, op := range l.ops {
		done.Go(func() {
			ready.Done()
			<-gun
			sink.Add(int64(repeat(l.ctx, op, n)))
		})
	}
	ready.Wait()
	before := begin()
	close(gun)
	done.Wait()
	return end().since(before, n*len(l.ops))
}

// calibrate finds how many calls each goroutine has to make for a sample to last that long.
func (l load) calibrate(long time.Duration) int {
	for n := 1; ; {
		took := time.Duration(l.run(n).wall * float64(n*len(l.ops)))
		if took >= long/4 {
			return max(int(float64(n)*float64(long)/float64(took)), 1)
		}
		n *= 4
	}
}

// quietly measures with the garbage collector switched off, so that it does not fall into some samples and not into
// others. It is called between samples instead.
func quietly(measure func()) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	measure()
}

// onProcs runs f with that many processors for goroutines.
func onProcs(n int, f func()) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	f()
}
