package fxtest_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx/fxtest"
)

func ExampleVirtual() {
	begin := time.Now()
	fxtest.Virtual(func() {
		start := time.Now()
		time.Sleep(24 * time.Hour)
		fmt.Println(time.Since(start))
	})
	fmt.Println(time.Since(begin) < time.Hour)
	// Output:
	// 24h0m0s
	// true
}

func TestVirtualTimesAreApart(t *testing.T) {
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			ended := false
			fxtest.Virtual(func() {
				assert.Equal(t, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().UTC())
				time.Sleep(time.Duration(n) * time.Hour)
				assert.Equal(t, n%24, time.Now().UTC().Hour())
				ended = true
			})
			assert.True(t, ended)
		})
	}
	all.Wait()
}

func TestVirtualWaitsForAll(t *testing.T) {
	ended := false
	fxtest.Virtual(func() {
		hand := make(chan struct{})
		go func() {
			<-hand
			ended = true
		}()
		time.Sleep(time.Second)
		close(hand)
	})
	require.True(t, ended)
}

func TestVirtualPanicReachesTheCaller(t *testing.T) {
	require.PanicsWithValue(t, "boom", func() { fxtest.Virtual(func() { panic("boom") }) })
	fxtest.Virtual(func() {}) // nothing is left of it
}

func TestVirtualGoexitIsOne(t *testing.T) {
	var after, deferred bool
	var all sync.WaitGroup
	all.Go(func() {
		defer func() { deferred = recover() == nil }()
		fxtest.Virtual(runtime.Goexit)
		after = true
	})
	all.Wait()
	require.True(t, deferred)
	require.False(t, after)
}

func TestVirtualPanicsInABubble(t *testing.T) {
	fxtest.Virtual(func() { assert.Panics(t, func() { fxtest.Virtual(func() {}) }) })
}
