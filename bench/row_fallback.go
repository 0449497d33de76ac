package main

import "example.com/fx"

// Why the targets of fallbacks are missed.
const (
	reasonNotTaken = "The target leaves no room for a look at the context, but a context that has ended starts nothing. \"By hand, careful\" is an `if` with that look."
	reasonTaken    = "The target leaves no room for three looks at the context: before the op, before the alternative, and for a note in it to say that second best was served. \"By hand, careful\" is an `if` with these looks. What is left is that the alternatives are a list, and that errors are kept in case all fail."
)

func fallbackRows() []row {
	contenders := []contender{
		{lib: libByHand, build: func() policy { return ifElse }, note: "an `if`"},
		{lib: libCareful, build: func() policy { return ifElseCareful }, note: "an `if` that looks at the context as fx does"},
		{lib: libFx, build: func() policy { return fxFallback }},
		{lib: "failsafe", build: func() policy { return failsafeExecutor(failsafeFallback()) }, note: "no context"},
	}
	return []row{
		{name: "fallback not taken", op: same(answer), target: target{ns: 3, reason: reasonNotTaken}, contenders: contenders},
		{name: "fallback taken", op: same(refuse), target: target{ns: 6, reason: reasonTaken}, contenders: contenders},
	}
}

// second is the answer of fallbacks.
const second = 2

func fxFallback(op operation) operation { return fx.WithFallback(op, fx.Value(second)) }
