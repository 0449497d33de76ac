// Package verify checks that the breaker, the bulkhead and the budget of fx are linearizable: whatever goroutines do to
// one at the same time, each sees what it would have seen if the operations had happened one after the other, each at
// some instant between its call and its return (Herlihy and Wing, Linearizability, ACM TOPLAS 1990).
//
// It is a set of tests, see README.md. Programs import nothing from here.
package verify
