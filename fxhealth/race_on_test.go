//go:build race

package fxhealth_test

const raceEnabled = true
