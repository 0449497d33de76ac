//go:build linux && !race

package fx

import (
	"context"
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inReadOnlyMemory lays a used, healthy breaker and its period into a page of memory, write-protects the page, and
// reports whether f faults on it.
func inReadOnlyMemory(t *testing.T, f func(*Breaker)) (faulted bool) {
	page, err := syscall.Mmap(-1, 0, syscall.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Munmap(page)) }()
	b, p := (*Breaker)(unsafe.Pointer(&page[0])), (*period)(unsafe.Pointer(&page[2048]))
	require.Less(t, unsafe.Sizeof(*b), uintptr(2048))
	b.now.Store(p)
	require.NoError(t, syscall.Mprotect(page, syscall.PROT_READ))
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { faulted = recover() != nil }()
	f(b)
	return false
}

func TestHealthyCallWritesNoSharedMemory(t *testing.T) {
	ctx := context.Background()
	assert.False(t, inReadOnlyMemory(t, func(b *Breaker) {
		for range 1000 {
			_, _ = WithBreaker(Value(1), b)(ctx)
		}
		done, _ := b.Allow(ctx)
		done(nil)
		b.State()
	}))
	assert.True(t, inReadOnlyMemory(t, func(b *Breaker) { b.now.Load().row.Store(0) }), "a write faults, so the proof can fail")
	assert.True(t, inReadOnlyMemory(t, func(b *Breaker) { b.mu.Lock() }))
}
