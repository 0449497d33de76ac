package fxprom

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/fx/fxprom/internal/table"
)

// Metrics are the figures of calls and of their holders, to be registered like any other collector:
//
//	prometheus.MustRegister(fxprom.Default)
//
// The zero value works. It is safe for concurrent use and must not be copied after first use.
type Metrics struct {
	// Buckets are the upper bounds of the histogram of durations, in seconds and ascending. nil means those from 1 ms
	// to 30 s that are good for calls between services.
	Buckets []float64

	once     sync.Once
	duration *prometheus.HistogramVec
	problems *prometheus.CounterVec
	age      *prometheus.HistogramVec
	changes  *prometheus.CounterVec

	mu      sync.Mutex
	points  map[string]*point
	holders map[holder]func(chan<- prometheus.Metric)
}

// Default is where [Observe] counts unless it is told otherwise. Register it where your metrics are served from.
var Default = &Metrics{}

var (
	durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	ages      = []float64{1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600}
)

// maxNames is how many names have series of their own. More than that are not names of dependencies.
const maxNames = 1000

// A point is where calls of one name are counted.
type point struct {
	duration prometheus.Observer
	age      prometheus.Observer
	problems map[string]prometheus.Counter
}

// point returns that of name, which may have a slash before the point of the stack.
func (m *Metrics) point(name string) *point {
	m.open()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.points[name] == nil && len(m.points) >= maxNames {
		name = "other"
	}
	if p := m.points[name]; p != nil {
		return p
	}
	call, at, _ := strings.Cut(name, "/")
	if at == "" {
		at = table.Call
	}
	p := &point{duration: m.duration.WithLabelValues(call, at), age: m.age.WithLabelValues(call, at), problems: map[string]prometheus.Counter{}}
	for _, outcome := range table.Outcomes { // at 0 from the start, so that the first one shows in a rate
		p.problems[outcome] = m.problems.WithLabelValues(call, at, outcome)
	}
	m.points[name] = p
	return p
}

// open makes what the zero value lacks.
func (m *Metrics) open() {
	m.once.Do(func() {
		buckets := m.Buckets
		if buckets == nil {
			buckets = durations
		}
		m.duration = histogram(table.Duration, buckets)
		m.age = histogram(table.Age, ages)
		m.problems = counter(table.Problems)
		m.changes = counter(table.Transitions)
		m.points = map[string]*point{}
		m.holders = map[holder]func(chan<- prometheus.Metric){}
	})
}

func histogram(of *table.Metric, buckets []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: of.Name, Help: of.Help, Buckets: buckets}, of.Labels)
}

func counter(of *table.Metric) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: of.Name, Help: of.Help}, of.Labels)
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.open()
	for _, c := range []prometheus.Collector{m.duration, m.problems, m.age, m.changes} {
		c.Collect(ch)
	}
	for _, tell := range m.tellers() {
		tell(ch)
	}
}

// tellers are copied: a snapshot may wait for a lock of its holder, and so must not hold ours.
func (m *Metrics) tellers() (all []func(chan<- prometheus.Metric)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, tell := range m.holders {
		all = append(all, tell)
	}
	return all
}

// descs are the descriptions of the whole table.
var descs = func() map[*table.Metric]*prometheus.Desc {
	all := map[*table.Metric]*prometheus.Desc{}
	for _, m := range table.All {
		all[m] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
	}
	return all
}()
