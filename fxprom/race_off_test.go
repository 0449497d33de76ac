//go:build !race

package fxprom_test

const raceDetector = false
