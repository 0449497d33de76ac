//go:build !race

package fxhealth_test

const raceEnabled = false
