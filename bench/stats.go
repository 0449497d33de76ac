package main

import "slices"

// A summary is the middle of many numbers, and where the middle half of them lies.
type summary struct{ Median, Low, High float64 }

// times is the summary of the same numbers times x.
func (s summary) times(x float64) summary { return summary{s.Median * x, s.Low * x, s.High * x} }

func summarize(values []float64) summary {
	values = slices.Sorted(slices.Values(values))
	return summary{Median: quantile(values, 0.5), Low: quantile(values, 0.25), High: quantile(values, 0.75)}
}

// quantile is the share q of sorted numbers, between two of them where it falls between.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// each picks one number of every sample.
func each(samples []sample, pick func(sample) float64) (values []float64) {
	for _, s := range samples {
		values = append(values, pick(s))
	}
	return values
}
