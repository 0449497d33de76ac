package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestFastStoryScalesEveryDuration(t *testing.T) {
	full, fast := durations(newStory(fullPace)), durations(newStory(fastPace))
	assert.Len(t, fast, len(full))
	for name, d := range full {
		assert.InDelta(t, d/fastPace, fast[name], float64(time.Millisecond), name)
		assert.Positive(t, fast[name], name)
	}
}

func TestFastStoryLeavesRoomInFifteenSeconds(t *testing.T) {
	s := newStory(fastPace)
	assert.LessOrEqual(t, s.ends(), 13*time.Second)
	assert.LessOrEqual(t, newStory(fullPace).ends(), 40*time.Second)
}

// A hop that gave up before the one behind it could would turn good answers into failures.
func TestEachHopWaitsLongerThanTheOneBehind(t *testing.T) {
	for _, pace := range []int{fullPace, fastPace} {
		s := newStory(pace)
		assert.Greater(t, s.Look.Whole, 2*s.Look.Attempt+2*s.Pause)
		assert.Greater(t, s.Price.Attempt, s.Look.Whole)
		assert.Greater(t, s.Checkout.Attempt, s.Price.Whole+2*s.Write.Whole)
		assert.Greater(t, s.Patience, s.Checkout.Whole)
		assert.Greater(t, s.Cooldown/2, s.Settle)
		assert.Greater(t, s.Settle, s.Look.Whole)
	}
}

func TestEveryProductIsPricedBeforeTheOutage(t *testing.T) {
	s := newStory(fastPace)
	assert.Less(t, products*time.Second/leastRate, s.Healthy/2)
	seen := map[int]bool{}
	for _, p := range newLoad(leastRate, 7).wishes {
		seen[p] = true
	}
	assert.Len(t, seen, products)
}

func TestMoodFollowsThePhases(t *testing.T) {
	s := newStory(fullPace)
	for _, c := range []struct {
		at    time.Duration
		phase string
		hangs bool
		extra time.Duration
	}{
		{0, "healthy", false, 0},
		{s.dies() - 1, "healthy", false, 0},
		{s.dies(), "catalog dead", true, 0},
		{s.recovers() - 1, "catalog dead", true, 0},
		{s.recovers(), "catalog slow", false, s.Sick},
		{s.recovers() + s.Slow/2, "catalog slow", false, s.Sick / 2},
		{s.recovers() + s.Slow, "well again", false, 0},
	} {
		hangs, extra := s.mood(c.at)
		assert.Equal(t, c.hangs, hangs, c.at)
		assert.Equal(t, c.extra, extra, c.at)
		assert.Equal(t, c.phase, s.phase(c.at), c.at)
	}
}

func TestCurrentCooldownDoublesUpToItsLimit(t *testing.T) {
	s := story{Cooldown: time.Second, MaxCooldown: 3 * time.Second}
	assert.Equal(t, time.Second, s.cooldown(1))
	assert.Equal(t, 2*time.Second, s.cooldown(2))
	assert.Equal(t, 3*time.Second, s.cooldown(3))
	assert.Equal(t, 3*time.Second, s.cooldown(40))
}

// durations finds every duration of a story by its name, those of limits included.
func durations(s story) map[string]time.Duration {
	found := map[string]time.Duration{}
	var visit func(string, reflect.Value)
	visit = func(name string, v reflect.Value) {
		if d, ok := v.Interface().(time.Duration); ok {
			found[name] = d
			return
		}
		for i := range v.NumField() {
			visit(name+"."+v.Type().Field(i).Name, v.Field(i))
		}
	}
	visit("story", reflect.ValueOf(s))
	return found
}
