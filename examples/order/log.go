package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A log is for people: one line for each event, as it happens.
type log struct {
	out   io.Writer
	start time.Time
}

func (l *log) begin(o order) {
	fmt.Fprintf(l.out, "%s: %s for %s\nreserve → charge → ship (no way back after it) → notify\n\n", o.ID, o.Item, o.price())
}

func (l *log) note(e event) {
	what, key := e.text, ""
	if e.kind == asks {
		what, key = e.step(), e.key
	}
	line := fmt.Sprintf("%5d ms  shop %s %-8s  %-28s  %s", time.Since(l.start).Milliseconds(), e.kind.arrow(), e.party, what, key)
	fmt.Fprintln(l.out, strings.TrimRight(line, " "))
}

func (k kind) arrow() string {
	return [...]string{asks: "──▶", says: "◀──", refuses: "◀─✗", breaks: "✗──", waits: "···"}[k]
}

func (l *log) end(v verdict) {
	fmt.Fprintln(l.out)
	for _, sentence := range v.sentences {
		fmt.Fprintln(l.out, sentence)
	}
}

func (o order) price() string { return fmt.Sprintf("%d.%02d €", o.Cents/100, o.Cents%100) }
