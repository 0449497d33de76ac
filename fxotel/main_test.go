package fxotel_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // fx logs the panics that the laws are tried with
	goleak.VerifyTestMain(m)
}
