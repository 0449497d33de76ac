package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/fx"
)

func price(context.Context) (string, error) { return "", errors.New("catalog: connection refused") }

func main() {
	catalog := &fx.Breaker{Name: "catalog", Failures: 3}

	op := fx.WithTimeout(price, 200*time.Millisecond)      // each attempt
	op = fx.WithBreaker(op, catalog)                       // three failures in a row open it
	op = fx.WithRetry(op, fx.Retry{Attempts: 2})           // full jitter, only what may help
	shown := fx.WithDegraded(op, fx.Value("7 € (cached)")) // second best, and it says so

	for range 5 {
		p, err := shown(context.Background())
		fmt.Println(p.Value, "| degraded:", p.Degraded, "| error:", err, "| why:", p.Cause)
	}
}
