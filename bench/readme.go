package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// above is the README of the whole library, which may have a place for the table.
const above = "../README.md"

// errNoPlace says that a README has no place for a part.
var errNoPlace = errors.New("no place in the README")

// rewriteFile returns the file with all parts in their places.
func rewriteFile(name string, parts map[string]string) (string, error) {
	raw, err := os.ReadFile(name)
	doc := string(raw)
	for part, text := range parts {
		if err == nil {
			doc, err = rewrite(doc, part, text)
		}
	}
	return doc, err
}

// rewrite puts text between the comments <!-- name --> and <!-- /name --> of doc.
func rewrite(doc, name, text string) (string, error) {
	open, shut := "<!-- "+name+" -->", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(doc, open)
	if !ok {
		return "", fmt.Errorf("%w: there is no %s", errNoPlace, open)
	}
	_, after, ok := strings.Cut(rest, shut)
	if !ok {
		return "", fmt.Errorf("there is no %s after %s", shut, open)
	}
	return before + open + "\n" + strings.Trim(text, "\n") + "\n" + shut + after, nil
}

// readmeParts are the parts of the README that are made of a report, by the names of their comments.
func (r Report) readmeParts() map[string]string {
	return map[string]string{
		"machine":    r.seenOn(),
		"table":      r.summaryTable().markdown(),
		"missed":     r.missed(),
		"ahead":      r.ahead(),
		"details":    r.detailTable().markdown(),
		"notes":      notes(r.rows),
		"memory":     r.memoryTable().markdown(),
		"goroutines": r.goroutineSentences(),
		"holders":    r.holderSentences(),
		"profile":    profileTable(r.Profile).markdown(),
	}
}

// partsAbove are the parts of the README of the whole library.
func (r Report) partsAbove() map[string]string {
	table := r.summaryTable().without("target", "verdict")
	return map[string]string{"bench": table.markdown() + "\n" + r.seenOn()}
}

func (r Report) seenOn() string {
	return fmt.Sprintf("Seen on: %s; %d rounds of samples of %v; a bare call took %s ns of CPU time.\n\nBeside: %s.",
		r.Machine, r.Effort.Rounds, r.Effort.Sample, number(r.bare()), strings.Join(r.Machine.Peers, ", "))
}

// write rewrites the README and the charts of this folder, and the table in the README above it.
func (r Report) write() error {
	files := r.charts()
	var err error
	if files["README.md"], err = rewriteFile("README.md", r.readmeParts()); err != nil {
		return err
	}
	if files[above], err = rewriteFile(above, r.partsAbove()); errors.Is(err, errNoPlace) {
		delete(files, above)
	} else if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// charts are the pictures by their file names.
func (r Report) charts() map[string]string {
	return map[string]string{
		"cost.svg":       r.costChart(),
		"goroutines.svg": lineChart("CPU time of a call, by the goroutines that share one holder", "goroutines", r.Goroutines),
		"holders.svg":    lineChart("CPU time of a call, by the holders that the calls are spread over", "holders", r.Holders),
	}
}
