package main

import (
	"bytes"
	"fmt"
	"strings"
)

// A patch is a mistake written by hand. In patches.txt it is
//
//	breaker.go/stale-result: a result that comes late closes a breaker that has opened since
//	- if b.now.Load() != p {
//	+ if false {
//
// The old text has to occur exactly once in the file; it may be a part of a line, or several lines. Without a line
// that begins with + it is deleted. A name that ends in "!race" asks for the race detector. Lines that begin with #
// are for the reader.
type patch struct {
	file, name, why string
	race            bool
	old, new        []string
}

// parsePatches reads patches.txt.
func parsePatches(text string) (ps []*patch, err error) {
	names := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "- ") && len(ps) > 0:
			p := ps[len(ps)-1]
			p.old = append(p.old, line[2:])
		case strings.HasPrefix(line, "+ ") && len(ps) > 0:
			p := ps[len(ps)-1]
			p.new = append(p.new, line[2:])
		default:
			p, err := parseHead(line)
			if err != nil || names[p.id()] {
				return nil, fmt.Errorf("patches.txt:%d: no head of a patch, or one seen before: %q", i+1, line)
			}
			names[p.id()] = true
			ps = append(ps, p)
		}
	}
	return ps, nil
}

// parseHead reads "file/name: why".
func parseHead(line string) (*patch, error) {
	place, why, ok := strings.Cut(line, ": ")
	file, name, ok2 := strings.Cut(place, "/")
	if !ok || !ok2 || why == "" || strings.Contains(name, " ") {
		return nil, fmt.Errorf("want file/name: why")
	}
	name, race := strings.CutSuffix(name, "!race")
	return &patch{file: file, name: name, why: why, race: race}, nil
}

func (p *patch) id() string { return p.file + "/" + p.name }

// apply makes the mutant. A patch that does not fit is an error: one that is never tried must not count as killed.
func (p *patch) apply(src []byte) (mutant, error) {
	old := []byte(strings.Join(p.old, "\n"))
	if n := bytes.Count(src, old); n != 1 || len(old) == 0 {
		return mutant{}, fmt.Errorf("patch %s: its old text occurs %d times in %s, want once: %q", p.id(), n, p.file, old)
	}
	at := bytes.Index(src, old)
	text := splice(src, at, at+len(old), strings.Join(p.new, "\n"))
	return mutant{id: p.id(), file: p.file, at: at, why: p.why, race: p.race, text: text}, nil
}
