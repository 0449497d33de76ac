package fxtest

import (
	"fmt"
	"strings"
)

// Term says in which way a policy is not like the identity, and why that is meant. Without terms a policy must call
// op once, in the instant of the call, with a context that lives as long as the caller's, and return what op returned
// when op returned it. Each term takes back one of these demands, and needs its reason.
type Term struct {
	kind kind
	n    int
	why  string
}

type kind int

const (
	calls kind = iota
	answers
	refuses
	rejects
	waits
	cuts
	shares
	leaves
	adapts
	hides
	recovers
	prompt
)

var names = [...]string{"Calls", "Answers", "Refuses", "Rejects", "Waits", "Cuts", "Shares", "Leaves", "Adapts", "Hides", "Recovers", "Prompt"}

// Calls allows up to n calls of op for one call: a retry, a hedge. Without it one call of op is allowed.
func Calls(n int, why string) Term { return term(calls, n, why) }

// Answers allows a value of the policy's own in place of an error: a fallback.
func Answers(why string) Term { return term(answers, 0, why) }

// Refuses allows an error of the policy's own in place of a call of op: a breaker, a bulkhead, a rate limit.
func Refuses(why string) Term { return term(refuses, 0, why) }

// Rejects allows an error of the policy's own in place of a value: a check.
func Rejects(why string) Term { return term(rejects, 0, why) }

// Waits allows time to pass while op does not run: a backoff, a queue. The caller's end ends the wait at once.
func Waits(why string) Term { return term(waits, 0, why) }

// Cuts allows op's context to end before the caller's does: a timeout, a hedge.
func Cuts(why string) Term { return term(cuts, 0, why) }

// Shares allows one call of op to serve several callers, at the same time or later: request collapsing, a cache. The
// context of such a call need not end with any one caller's.
func Shares(why string) Term { return term(shares, 0, why) }

// Leaves allows op to run on when the call has returned, and then to be forgotten: a detached call, a hedge's loser.
func Leaves(why string) Term { return term(leaves, 0, why) }

// Adapts allows what a call meets to depend on how earlier calls went, even after ten minutes of rest: a budget, an
// adaptive limit, a long cooldown.
func Adapts(why string) Term { return term(adapts, 0, why) }

// Hides allows errors that do not match those of op: a translation at a border.
func Hides(why string) Term { return term(hides, 0, why) }

// Recovers allows a panic of op to become an error.
func Recovers(why string) Term { return term(recovers, 0, why) }

// Prompt demands more than the rest: the call returns when the caller's context ends, though op ignores its own.
func Prompt(why string) Term { return term(prompt, 0, why) }

func term(k kind, n int, why string) Term {
	if why == "" {
		panic(fmt.Sprintf(`fxtest: %s needs its reason, as in fxtest.Calls(3, "retries twice")`, names[k]))
	}
	return Term{kind: k, n: n, why: why}
}

// GoString is the term as Go code.
func (t Term) GoString() string {
	if t.kind == calls {
		return fmt.Sprintf("fxtest.Calls(%d, %q)", t.n, t.why)
	}
	return fmt.Sprintf("fxtest.%s(%q)", names[t.kind], t.why)
}

// contract is the terms of one policy.
type contract []Term

func (c contract) has(ks ...kind) bool {
	for _, t := range c {
		for _, k := range ks {
			if t.kind == k {
				return true
			}
		}
	}
	return false
}

// calls is how often op may be called for one call.
func (c contract) calls() int {
	n := 1
	for _, t := range c {
		if t.kind == calls {
			n = max(n, t.n)
		}
	}
	return n
}

// abandons tells whether a part of the policy may be left behind together with errors that it had collected.
func (c contract) abandons() bool {
	behind := 0
	for _, t := range c {
		if t.kind == leaves {
			behind++
		}
	}
	return behind > 1 || c.has(leaves) && c.has(waits) || c.has(shares) && c.has(cuts, calls, leaves)
}

// GoString is the terms as further arguments.
func (c contract) GoString() string {
	var b strings.Builder
	for _, t := range c {
		fmt.Fprintf(&b, ", %#v", t)
	}
	return b.String()
}
