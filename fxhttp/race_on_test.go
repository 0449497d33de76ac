//go:build race

package fxhttp_test

const raced = true
