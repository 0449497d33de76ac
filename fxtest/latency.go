package fxtest

import (
	"math"
	"math/rand/v2"
	"time"
)

// A Latency draws how long a [Dependency] works on a call. What it draws below zero counts as zero. nil takes no time.
type Latency func(*rand.Rand) time.Duration

// Constant takes d for every call.
func Constant(d time.Duration) Latency {
	return func(*rand.Rand) time.Duration { return d }
}

// Uniform takes any time in [least, most] equally often. It panics if most is below least.
func Uniform(least, most time.Duration) Latency {
	if most < least {
		panic("fxtest: Uniform needs the shorter time first, as in fxtest.Uniform(10*time.Millisecond, 30*time.Millisecond)")
	}
	return func(r *rand.Rand) time.Duration { return least + time.Duration(r.Float64()*float64(most-least)) }
}

// Exponential takes mean on average, and x times mean or more in the share e^-x of the calls: the service time of the
// queueing model M/M/c.
func Exponential(mean time.Duration) Latency {
	return func(r *rand.Rand) time.Duration { return duration(r.ExpFloat64() * float64(mean)) }
}

// z99 is where the normal distribution has 99 % of its weight below.
const z99 = 2.3263478740408408

// LogNormal takes median or less in half of the calls and p99 or less in 99 % of them, the shape that measured latencies
// mostly have. It panics unless 0 < median <= p99.
func LogNormal(median, p99 time.Duration) Latency {
	if median <= 0 || p99 < median {
		panic("fxtest: LogNormal needs a median above 0 and then the p99, as in fxtest.LogNormal(20*time.Millisecond, 200*time.Millisecond)")
	}
	sigma := math.Log(float64(p99)/float64(median)) / z99
	return func(r *rand.Rand) time.Duration {
		return duration(float64(median) * math.Exp(sigma*r.NormFloat64()))
	}
}

// Tail lets slow draw in place of l for that share of the calls. It panics unless 0 <= share <= 1.
//
//	fxtest.LogNormal(10*time.Millisecond, 25*time.Millisecond).Tail(0.02, fxtest.Constant(time.Second))
func (l Latency) Tail(share float64, slow Latency) Latency {
	if !(share >= 0 && share <= 1) {
		panic("fxtest: Tail needs a share from 0 to 1, as in fast.Tail(0.02, slow)")
	}
	return func(r *rand.Rand) time.Duration {
		if r.Float64() < share {
			return slow.draw(r)
		}
		return l.draw(r)
	}
}

func (l Latency) draw(r *rand.Rand) time.Duration {
	if l == nil {
		return 0
	}
	return max(l(r), 0)
}

// duration is ns as a Duration, the longest one if it does not fit.
func duration(ns float64) time.Duration {
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}
