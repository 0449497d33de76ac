package main

import (
	"context"
	"testing"
	"time"
)

func TestALoadCallsEveryOpOfEveryGoroutine(t *testing.T) {
	calls := make([]int, 3)
	made := 0
	op := func() operation {
		mine := &calls[made]
		made++
		return func(context.Context) (int, error) { *mine++; return 1, nil }
	}
	newLoad(context.Background(), bare().build(), op, len(calls)).run(5)
	for i, n := range calls {
		if n != 5 {
			t.Errorf("goroutine %d made %d calls, want 5", i, n)
		}
	}
}

func TestCalibrationFindsHowManyCallsFillASample(t *testing.T) {
	sleep := func(context.Context) (int, error) { time.Sleep(time.Millisecond); return 1, nil }
	l := newLoad(context.Background(), bare().build(), same(sleep), 1)
	if n := l.calibrate(20 * time.Millisecond); n < 2 || n > 20 {
		t.Errorf("%d calls of a millisecond or more for 20 ms", n)
	}
}

func TestOpsFailWhenTheyShould(t *testing.T) {
	for _, c := range []struct {
		name string
		op   operation
		want string
	}{
		{"once in three", failsOnceIn(3, answer)(), "++-++-+"},
		{"third try", thirdTry(), "--+--+-"},
	} {
		got := ""
		for range c.want {
			if _, err := c.op(context.Background()); err != nil {
				got += "-"
			} else {
				got += "+"
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
