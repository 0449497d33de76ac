//go:build !race

package fx_test

const raceEnabled = false
