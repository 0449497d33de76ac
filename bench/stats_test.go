package main

import "testing"

func TestSummaryIsTheMedianAndTheMiddleHalf(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   summary
	}{
		{nil, summary{}},
		{[]float64{7}, summary{7, 7, 7}},
		{[]float64{3, 1}, summary{2, 1.5, 2.5}},
		{[]float64{5, 1, 100, 2, 4}, summary{4, 2, 5}},
	} {
		if got := summarize(c.values); got != c.want {
			t.Errorf("summarize(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestReadingsAreDividedByTheCalls(t *testing.T) {
	before := reading{cpu: 100, wall: 1000, bytes: 10, objects: 1}
	after := reading{cpu: 500, wall: 3000, bytes: 90, objects: 5}
	if got, want := after.since(before, 4), (sample{cpu: 100, wall: 500, bytes: 20, objects: 1}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
