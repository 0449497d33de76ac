package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// A progress tells on a terminal what is being done, in one line that changes, and elsewhere only what begins.
type progress struct {
	to       io.Writer
	terminal bool
	start    time.Time
	stage    string
	at, of   int
}

func newProgress(to *os.File) *progress {
	info, err := to.Stat()
	return &progress{to: to, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, start: time.Now()}
}

// begin starts a stage of that many steps.
func (p *progress) begin(stage string, steps int) {
	p.stage, p.at, p.of = stage, 0, steps
	if !p.terminal {
		fmt.Fprintf(p.to, "%4.0fs  %s\n", time.Since(p.start).Seconds(), stage)
	}
}

// step says what comes next.
func (p *progress) step(what string) {
	p.at++
	if p.terminal {
		line := fmt.Sprintf("%4.0fs  %s, %d of %d  %s", time.Since(p.start).Seconds(), p.stage, p.at, p.of, what)
		fmt.Fprintf(p.to, "\r\x1b[K%.*s", 100, line)
	}
}

// end leaves an empty line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
