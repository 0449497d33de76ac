package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"example.com/fx"
)

// A Series is how the cost of one thing grows with the number of another.
type Series struct {
	Name   string
	Points []Point
}

// A Point is the CPU time of a call, in ns, at a number of goroutines or holders.
type Point struct {
	N   int
	CPU summary
}

// steps are 1, 3, 10, 30 and so on, up to most.
func steps(most int) (ns []int) {
	for n := 1; n <= most; n *= 10 {
		ns = append(ns, n)
		if 3*n <= most {
			ns = append(ns, 3*n)
		}
	}
	return ns
}

// mostGoroutines is how many call one holder at most.
const mostGoroutines = 10_000

// roomFor is the limit of the bulkhead whose cost grows.
const roomFor = 100

// sharers are what goroutines share, by the names that the chart gives them. Every op lets the others run.
func sharers() []sharer {
	return []sharer{
		{"bare yield", func() policy { return bare().build() }, same(yield)},
		{"breaker", func() policy { return fxBreaker(&fx.Breaker{}) }, same(yield)},
		{"bulkhead of 100", func() policy { return fxBulkhead(&fx.Bulkhead{Limit: roomFor, Queue: mostGoroutines}) }, same(yield)},
		{"budget, 5 % retried", func() policy {
			return fxRetry(fx.Retry{Budget: &fx.Budget{}, Backoff: fx.Constant(0)})
		}, failsOnceIn(20, yield)},
	}
}

type sharer struct {
	name  string
	build func() policy
	op    func() operation
}

// growGoroutines lets ever more goroutines call through one holder, on all processors.
func growGoroutines(e effort, p *progress) []Series {
	all, counts := sharers(), steps(mostGoroutines)
	p.begin("growth with goroutines", e.Repeats*len(counts))
	samples := make(map[string]map[int][]float64)
	for _, s := range all {
		samples[s.name] = make(map[int][]float64)
	}
	quietly(func() {
		for range e.Repeats {
			for _, n := range counts {
				p.step(fmt.Sprint(n, " goroutines"))
				for _, s := range all {
					samples[s.name][n] = append(samples[s.name][n], s.sample(n, e.Calls))
				}
			}
		}
	})
	return inOrder(all, func(s sharer) string { return s.name }, counts, samples)
}

// sample is the CPU time of a call when so many goroutines make that many calls together.
func (s sharer) sample(goroutines, calls int) float64 {
	runtime.GC()
	l := newLoad(context.Background(), s.build(), s.op, goroutines)
	return l.run(max(calls/goroutines, 10)).cpu
}

// inOrder makes series of samples that were taken in any order.
func inOrder[T any](all []T, name func(T) string, counts []int, samples map[string]map[int][]float64) (found []Series) {
	for _, one := range all {
		s := Series{Name: name(one)}
		for _, n := range counts {
			s.Points = append(s.Points, Point{N: n, CPU: summarize(samples[s.Name][n])})
		}
		found = append(found, s)
	}
	return found
}

// A herd is many holders of one kind. Its calls go to any of them, in no order, so that the caches do not help more
// than they would in a program with so many tenants or hosts.
type herd struct {
	name   string
	make   func(n int) func(i int) // the function calls through the holder i
	settle time.Duration           // until the timers that calls have set have fired
}

// window is that of the budgets of a herd, short so that their timers fire soon.
const window = time.Second

func herds() []herd {
	return []herd{
		{name: "one word", make: words},
		{name: "breaker", make: breakers},
		{name: "bulkhead", make: bulkheads},
		{name: "budget", make: budgets, settle: window / 5},
	}
}

func words(n int) func(int) {
	cells := make([][8]int64, n) // a cache line each
	return func(i int) { cells[i][0]++ }
}

func breakers(n int) func(int) {
	held := make([]fx.Breaker, n)
	return func(i int) { _, _ = fx.WithBreaker(answer, &held[i])(context.Background()) }
}

func bulkheads(n int) func(int) {
	held := make([]fx.Bulkhead, n)
	return func(i int) { _, _ = fx.WithBulkhead(answer, &held[i])(context.Background()) }
}

func budgets(n int) func(int) {
	held := make([]fx.Budget, n)
	for i := range held {
		held[i].Window = window
	}
	return func(i int) { _, _ = fx.WithRetry(answer, fx.Retry{Budget: &held[i]})(context.Background()) }
}

// growHolders spreads calls of one goroutine over ever more holders.
func growHolders(e effort, p *progress) []Series {
	all, counts := herds(), steps(e.Most)
	p.begin("growth with holders", len(all)*len(counts))
	samples := make(map[string]map[int][]float64)
	for _, h := range all {
		samples[h.name] = make(map[int][]float64)
		for _, n := range counts {
			p.step(fmt.Sprintf("%d of: %s", n, h.name))
			samples[h.name][n] = h.samples(n, e.Calls, e.Repeats)
		}
	}
	return inOrder(all, func(h herd) string { return h.name }, counts, samples)
}

// samples makes n holders, calls through each of them once, and then measures calls here and there.
func (h herd) samples(n, calls, repeats int) (cpu []float64) {
	call := h.make(n)
	for i := range n {
		call(i)
	}
	time.Sleep(h.settle)
	quietly(func() {
		for range repeats {
			runtime.GC()
			before := begin()
			roam(n, calls, call)
			time.Sleep(h.settle)
			cpu = append(cpu, end().since(before, calls).cpu)
		}
	})
	return cpu
}

// roam makes calls with pseudo-random numbers below n.
func roam(n, calls int, call func(int)) {
	for x := uint64(1); calls > 0; calls-- {
		x = x*6364136223846793005 + 1442695040888963407
		call(int(x >> 33 * uint64(n) >> 31))
	}
}

// steep is how many times the cost at 1 is called a bend.
const steep = 1.5

// bend is the number from which on the cost stays above steep times that at 1, and 0 if there is none.
func (s Series) bend() (from int) {
	for i := len(s.Points) - 1; i > 0 && s.Points[i].CPU.Median > steep*s.Points[0].CPU.Median; i-- {
		from = s.Points[i].N
	}
	return from
}

// over is how many times the cost of base it is, at each number.
func (s Series) over(base Series) Series {
	ratios := Series{Name: s.Name}
	for i, p := range s.Points {
		ratios.Points = append(ratios.Points, Point{N: p.N, CPU: summary{Median: p.CPU.Median / base.Points[i].CPU.Median}})
	}
	return ratios
}

// sentence says in words where the bend is.
func (s Series) sentence(one, unit string) string {
	first, last := s.Points[0], s.Points[len(s.Points)-1]
	ends := fmt.Sprintf("**%s**: %s %s with one %s, %s with %s; ", s.Name,
		number(first.CPU.Median), unit, one, number(last.CPU.Median), thousands(last.N))
	if from := s.bend(); from > 0 {
		return ends + fmt.Sprintf("the bend is at %s, from where on it is more than %v times that of one.", thousands(from), steep)
	}
	return ends + "no bend."
}
