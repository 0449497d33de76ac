//go:build race

package fxotel_test

const raceDetector = true
