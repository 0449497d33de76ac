// Package table is the list of all metrics. The collector, the dashboard, the rules and the README are made from it, so
// that no name stands anywhere else.
package table

import "strings"

// A Kind is a type of metric.
type Kind string

// The kinds of metrics.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// A Metric is one line of the table.
type Metric struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []string
}

// All are the metrics in the order of the README.
var All []*Metric

func metric(name string, kind Kind, help string, labels ...string) *Metric {
	m := &Metric{Name: name, Kind: kind, Help: help, Labels: labels}
	All = append(All, m)
	return m
}

// What Observe tells.
var (
	Duration = metric("fx_call_duration_seconds", Histogram,
		"How long calls took, all of them, however they ended. Its count is the number of calls.", "call", "point")
	Problems = metric("fx_call_problems_total", Counter,
		"Calls that did not end in a plain success, by outcome. Those that did are the rest of the calls.", "call", "point", "outcome")
	Age = metric("fx_degraded_age_seconds", Histogram,
		"How old the degraded answers were.", "call", "point")
)

// What breakers tell.
var (
	State = metric("fx_breaker_state", Gauge,
		"1 for the state that the breaker is in, 0 for the others.", "breaker", "state")
	Transitions = metric("fx_breaker_transitions_total", Counter,
		"Changes of state, and why.", "breaker", "from", "to", "cause")
	Consecutive = metric("fx_breaker_consecutive_failures", Gauge,
		"Failures since the latest success.", "breaker")
)

// What bulkheads tell.
var (
	Running = metric("fx_bulkhead_running", Gauge, "Places in use.", "bulkhead")
	Waiting = metric("fx_bulkhead_waiting", Gauge, "Calls in the queue.", "bulkhead")
	Limit   = metric("fx_bulkhead_limit", Gauge, "Places there are.", "bulkhead")
	Queue   = metric("fx_bulkhead_queue", Gauge, "Calls that the queue has room for.", "bulkhead")
)

// What budgets tell.
var (
	First  = metric("fx_budget_first_attempts", Gauge, "First attempts in the latest window.", "budget")
	Again  = metric("fx_budget_repeats", Gauge, "Retries and hedges in the latest window.", "budget")
	Left   = metric("fx_budget_left", Gauge, "Retries and hedges that there is room for.", "budget")
	Denied = metric("fx_budget_denied_total", Counter, "Retries and hedges that the budget has stopped.", "budget")
)

// What hedges tell.
var (
	Hedges = metric("fx_hedge_started_total", Counter, "Further copies that were started.", "hedge")
	Won    = metric("fx_hedge_won_total", Counter, "Further copies whose answer was taken.", "hedge")
	Wasted = metric("fx_hedge_wasted_total", Counter, "Further copies that ended in vain.", "hedge")
	Delay  = metric("fx_hedge_delay_seconds", Gauge, "How long the next call waits for a further copy.", "hedge")
)

// What caches tell.
var (
	Entries = metric("fx_cache_entries", Gauge, "Values in memory.", "cache")
	Hits    = metric("fx_cache_hits_total", Counter, "Looks that found a value in memory.", "cache")
	Misses  = metric("fx_cache_misses_total", Counter, "Looks that did not.", "cache")
	Fetched = metric("fx_cache_fetched_total", Counter, "Of the misses, those that the store answered.", "cache")
	Errs    = metric("fx_cache_store_errors_total", Counter, "Troubles with the store, as OnErr hears of them.", "cache")
)

// The outcomes of a call that are not a plain success.
const (
	Degraded = "degraded" // second best, see fx.Result
	Failure  = "failure"  // any error that is none of the others
	Timeout  = "timeout"  // fx.ErrTimeout, or a deadline
	Canceled = "canceled" // the caller has left
	Panicked = "panic"    // a panic or a Goexit
	Open     = "open"     // refused by a circuit breaker
	Full     = "full"     // refused by a bulkhead
	Closed   = "closed"   // refused by a bulkhead that is closed
	Limited  = "limited"  // refused by a rate limit
)

// Outcomes are all of them.
var Outcomes = []string{Degraded, Failure, Timeout, Canceled, Panicked, Open, Full, Closed, Limited}

// Rejections are the outcomes of calls that never left.
var Rejections = []string{Open, Full, Closed, Limited}

// The points of the stack where calls are counted.
const (
	Call    = "call"    // outside: what a caller sees
	Attempt = "attempt" // inside the retry: what the dependency sees
)

// States are the values of the label state.
var States = []string{"closed", "open", "half-open"}

// The causes of a change, beside the outcomes.
const (
	Slow      = "slow"      // a call longer than Slow
	Forced    = "forced"    // Force or Reset
	Cooled    = "cooldown"  // it was over
	Recovered = "recovered" // enough probes were good
)

// Counts is the name of the series that counts what a histogram has seen.
func (m *Metric) Counts() string { return m.Name + "_count" }

// Buckets is the name of the series of a histogram.
func (m *Metric) Buckets() string { return m.Name + "_bucket" }

// Any matches any of the values of a label.
func Any(values []string) string { return strings.Join(values, "|") }
