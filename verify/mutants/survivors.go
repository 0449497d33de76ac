package main

import (
	"fmt"
	"strings"
)

// A judgement says why a mutant may live.
type judgement struct {
	equivalent bool // nobody can tell it from the original; else it can be told, and is accepted
	why        string
}

// parseJudgements reads survivors.txt, where a judgement is the id of a mutant and, on the next line,
//
//	equivalent: why nobody can see a difference
//	accepted: why no test has to see it
func parseJudgements(text string) (map[string]judgement, error) {
	js := map[string]judgement{}
	id := ""
	for i, line := range strings.Split(text, "\n") {
		kind, why, judged := strings.Cut(strings.TrimSpace(line), ": ")
		judged = judged && (kind == "equivalent" || kind == "accepted")
		switch {
		case line == "" || line[0] == '#':
		case judged && id != "":
			js[id] = judgement{kind == "equivalent", why}
			id = ""
		case judged || id != "" || js[line] != (judgement{}):
			return nil, fmt.Errorf("survivors.txt:%d: want an id that is new, then its judgement: %q", i+1, line)
		default:
			id = line
		}
	}
	if id != "" {
		return nil, fmt.Errorf("survivors.txt: no judgement on %q", id)
	}
	return js, nil
}
