package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// A mutant is one file of the core with one mistake in it.
type mutant struct {
	id   string // names it in survivors.txt; it holds no line number, so that it outlives edits elsewhere
	file string
	at   int    // where in the file
	why  string // what would go wrong; only of patches
	race bool   // its kind of mistake shows under the race detector alone
	text []byte // the whole file
}

// key tells whether a result that was kept is one of this mutant, as it is today.
func (m mutant) key() string {
	sum := sha256.Sum256(m.text)
	return hex.EncodeToString(sum[:6])
}

// isPatch says whether it comes from patches.txt, not from an operator.
func (m mutant) isPatch() bool { return m.why != "" }

// splice is text with what stands at [from, to) replaced.
func splice(text []byte, from, to int, by string) []byte {
	return bytes.Join([][]byte{text[:from], []byte(by), text[to:]}, nil)
}

// flat is code on one line of bounded length, for an id.
func flat(code string) string {
	code = strings.Join(strings.Fields(code), " ")
	if r := []rune(code); len(r) > 90 {
		code = string(r[:60]) + "…" + string(r[len(r)-29:])
	}
	return code
}

// distinct numbers the ids that occur more than once: two equal expressions in one function.
func distinct(ms []mutant) {
	seen := map[string]int{}
	for i := range ms {
		seen[ms[i].id]++
		if n := seen[ms[i].id]; n > 1 {
			ms[i].id += fmt.Sprintf(" #%d", n)
		}
	}
}
