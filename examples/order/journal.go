package main

import (
	"io"
	"strings"
	"time"

	"example.com/fx"
)

// An event is something that the shop sees.
type event struct {
	kind  kind
	party string
	key   string
	text  string
}

type kind int

const (
	asks    kind = iota // the shop asks the party
	says                // it says yes
	refuses             // it says no
	breaks              // the call ends without an answer
	waits               // the shop waits before it asks again
)

// step is what the key stands for.
func (e event) step() string {
	step := strings.Split(e.key, "/")[1]
	if e.isUndo() {
		return "undo " + step
	}
	return step
}

func (e event) isUndo() bool { return strings.HasSuffix(e.key, "/undo") }

// A scribe writes down what happens, in one form or another.
type scribe interface {
	begin(order)
	note(event)
	end(verdict)
}

func newScribe(set settings, out io.Writer) scribe {
	if set.mermaid {
		return &diagram{out: out}
	}
	return &log{out: out, start: time.Now()}
}

// A journal passes events on to a scribe, and can give an account of them.
type journal struct {
	scribe scribe
	events []event
}

func (j *journal) note(e event) {
	j.events = append(j.events, e)
	j.scribe.note(e)
}

// account is the SagaError that a panic does not bring along.
func (j *journal) account(why error) *fx.SagaError {
	a := &fx.SagaError{Err: why}
	for _, e := range j.events {
		step := strings.TrimPrefix(e.step(), "undo ")
		switch {
		case !e.isUndo():
			a.Step = step
		case e.kind == says:
			a.Undone = append(a.Undone, step)
		}
	}
	a.Uncertain, a.Committed = a.Step == "ship", a.Step == "notify"
	return a
}
