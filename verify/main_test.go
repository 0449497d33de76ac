package verify

import (
	"runtime"
	"testing"

	"go.uber.org/goleak"
)

// TestMain sees to it that histories are concurrent even where there is one core.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 2))
	goleak.VerifyTestMain(m)
}
