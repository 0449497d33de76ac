package main

import (
	"fmt"
	"io"
	"strings"
)

// A diagram is the run as a Mermaid sequence diagram: https://mermaid.js.org/syntax/sequenceDiagram.html.
type diagram struct {
	out     io.Writer
	undoing bool
}

func (d *diagram) begin(o order) {
	d.line("sequenceDiagram")
	d.line("    participant shop")
	for _, name := range []string{"stock", "bank", "carrier", "mail"} {
		d.line("    participant %s", name)
	}
	d.line("    Note over shop,mail: %s: %s for %s", o.ID, o.Item, o.price())
}

func (d *diagram) note(e event) {
	if e.isUndo() && !d.undoing {
		d.undoing = true
		d.line("    rect rgb(255, 240, 225)")
		d.line("    Note over shop: take back, in reverse")
	}
	switch e.kind {
	case asks:
		d.line("    shop->>%s: %s (key %s)", e.party, e.step(), e.key)
	case says:
		d.line("    %s-->>shop: %s", e.party, e.text)
	case refuses:
		d.line("    %s-->>shop: no: %s", e.party, e.text)
	case breaks:
		d.line("    %s--xshop: %s", e.party, e.text)
	case waits:
		d.line("    Note over shop: %s", e.text)
	}
}

func (d *diagram) end(v verdict) {
	if d.undoing {
		d.line("    end")
	}
	for _, sentence := range v.sentences {
		d.line("    Note over shop,mail: %s", sentence)
	}
}

// line writes one, without the two characters that end a text in Mermaid.
func (d *diagram) line(format string, args ...any) {
	fmt.Fprintln(d.out, escape.Replace(fmt.Sprintf(format, args...)))
}

var escape = strings.NewReplacer(";", ",", "#", "no. ")
