//go:build !race

package fxtest_test

const raceEnabled = false
