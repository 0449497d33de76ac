package main

import (
	"time"

	"example.com/fx"
)

// reasonTimeout is why the target of a timeout is missed.
const reasonTimeout = "Both make the same context of four objects. fx looks at the caller's before, has it ended and is its deadline nearer, and is one call more on the way: about as much as the target allows, so that it is missed in one run and met in another."

func timeoutRows() []row {
	contenders := []contender{
		{lib: libFx, build: func() policy { return fxTimeout(far) }, note: "the error says whose timeout it was"},
		{lib: libContext, build: func() policy { return contextTimeout(far) }, ahead: "it is the context alone, which fx makes too; see the target"},
		{lib: "eapache", build: eapacheDeadline, note: "leaves a call that does not end behind, so it takes a goroutine; no context", unlike: true},
		{lib: "failsafe", build: func() policy { return failsafeWithContext(failsafeTimeout()) }},
	}
	return []row{
		{
			name: "timeout, no parent deadline", op: same(answer), contenders: contenders,
			target: target{beside: libContext, objects: asContext, reason: reasonTimeout},
		},
		{
			name: "timeout under a nearer deadline", op: same(answer), near: true, contenders: contenders,
			target: target{ns: 30},
		},
	}
}

func fxTimeout(d time.Duration) policy {
	return func(op operation) operation { return fx.WithTimeout(op, d) }
}
