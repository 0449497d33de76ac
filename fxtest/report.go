package fxtest

import (
	"math"
	"slices"
	"time"
)

// A Report is what came of a [Fleet]: how much of what, over time and in all.
type Report struct {
	Every   time.Duration // the time of one bucket
	Buckets []Bucket      // from the beginning up to Fleet.For; what ended later is in Total alone
	Total   Bucket
	Took    time.Duration // until the last call had ended
	Outages []Outage      // of the dependencies
	// Crowded is how many calls had to share their instants, because their client had more calls under way than it has
	// classes: then the figures may differ a little from run to run.
	Crowded int
}

// A Bucket is what happened in some stretch of time.
type Bucket struct {
	Offered  int // calls that began
	Goodput  int // calls that ended in a success
	Errors   int // calls that ended in an error
	Attempts int // calls that were sent to a dependency, see Client.Call
	// How long calls took that ended then, however they ended: half of them at most P50, and so on. 0 if none ended.
	P50, P99, P999 time.Duration

	latencies []time.Duration
}

// AttemptsPerCall is how many attempts a call came to on average; 0 if there was none.
func (b Bucket) AttemptsPerCall() float64 { return ratio(b.Attempts, b.Offered) }

// Success is the share of the calls that ended which were successes; 0 if none ended.
func (b Bucket) Success() float64 { return ratio(b.Goodput, b.Goodput+b.Errors) }

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// rank finds the quantiles.
func (b *Bucket) rank() {
	slices.Sort(b.latencies)
	b.P50, b.P99, b.P999 = b.Quantile(0.5), b.Quantile(0.99), b.Quantile(0.999)
}

// Quantile is the time within which that share of the calls that ended had ended, by the nearest rank; 0 if none had.
func (b Bucket) Quantile(q float64) time.Duration {
	n := len(b.latencies)
	if n == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(n)))
	return b.latencies[min(max(rank, 1), n)-1]
}

// Within is the share of the calls that ended which took at most d; 0 if none ended.
func (b Bucket) Within(d time.Duration) float64 {
	n, _ := slices.BinarySearch(b.latencies, d+1)
	return ratio(n, len(b.latencies))
}

// Between adds up the buckets that begin in [from, until).
func (r Report) Between(from, until time.Duration) (sum Bucket) {
	for i, b := range r.Buckets {
		if at := time.Duration(i) * r.Every; at < from || at >= until {
			continue
		}
		sum.Offered += b.Offered
		sum.Goodput += b.Goodput
		sum.Errors += b.Errors
		sum.Attempts += b.Attempts
		sum.latencies = append(sum.latencies, b.latencies...)
	}
	sum.rank()
	return sum
}

// recovered is the goodput, as a share of what is offered, that counts as well again.
const recovered = 0.9

// Recovery is how long after the moment end, mostly the end of an outage, the fleet was well again: from then on, to the
// last bucket, goodput was at least 90 % of what was offered in each. ok is false if it never was. With few calls in a
// bucket chance decides; see that there are a hundred or more.
func (r Report) Recovery(end time.Duration) (after time.Duration, ok bool) {
	well := len(r.Buckets)
	for well > 0 && r.wellIn(well-1) {
		well--
	}
	return max(time.Duration(well)*r.Every-end, 0), well < len(r.Buckets)
}

func (r Report) wellIn(i int) bool {
	b := r.Buckets[i]
	return float64(b.Goodput) >= recovered*float64(b.Offered)
}
