package main

import "example.com/fx"

func retryRows() []row { return []row{retryFirst(), retryThird()} }

func retryFirst() row {
	return row{
		name:   "retry, first try good",
		op:     same(answer),
		target: target{ns: 3.5, reason: "The target leaves no room for a look at the context before the first try. \"By hand, careful\" is that look and the call, and nothing else."},
		contenders: []contender{
			{lib: libCareful, build: func() policy { return oneTryCareful }, note: "a look at the context, and the call"},
			{lib: libFx, build: func() policy { return fxRetry(fx.Retry{}) }},
			{lib: "eapache", build: eapacheRetrier, note: "the value goes through a captured variable; does not look at the context before the first try"},
			{lib: "retry-go", build: retryGo, note: "has the context of its making, not the caller's", unlike: true},
			{lib: "retry-go, context", build: retryGoWithContext, note: "made anew for each call, to have the caller's context"},
			{lib: "go-retry", build: goRetry, note: "its backoff is made anew for each call"},
			{lib: "backoff", build: exponentialBackoff, note: "its backoff is made anew for each call; bounds the time of all tries too; does not look at the context before the first try"},
			{lib: "failsafe", build: func() policy { return failsafeExecutor(failsafeRetry()) }, note: "no context"},
		},
	}
}

func retryThird() row {
	return row{
		name:   "retry, third try good, no delay",
		op:     thirdTry,
		target: target{ns: 200, objects: anyObjects},
		contenders: []contender{
			{lib: libByHand, build: threeTries, note: "a loop of three"},
			{lib: libFx, build: func() policy { return fxRetry(fx.Retry{Backoff: fx.Constant(0)}) }, note: "keeps all errors in case it fails"},
			{lib: "eapache", build: eapacheRetrier, note: "waits on a timer of 0"},
			{lib: "retry-go", build: retryGo, note: "has the context of its making, not the caller's; waits on a timer of 0", unlike: true},
			{lib: "retry-go, context", build: retryGoWithContext, note: "waits on a timer of 0"},
			{lib: "go-retry", build: goRetry, note: "waits on a timer of 1 ns, its least; marks each error as retryable"},
			{lib: "backoff", build: zeroBackoff, note: "waits on a timer of 0"},
			{lib: "failsafe", build: func() policy { return failsafeExecutor(failsafeRetry()) }, note: "no context"},
		},
	}
}
