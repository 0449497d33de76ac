// Package fxprom shows Prometheus what fx does: calls and attempts by [Observe], and the state of breakers, bulkheads,
// budgets, hedges and caches by their snapshots.
//
//	fxprom.Default.Breakers(users)
//	fxprom.Default.Bulkheads(seats)
//	prometheus.MustRegister(fxprom.Default)
//
// The dashboard and the alert rules beside it are made for these metrics; see the README.
package fxprom
