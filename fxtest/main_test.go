package fxtest_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // of panics that come when nobody waits any more
	goleak.VerifyTestMain(m)
}
