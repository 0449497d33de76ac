package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
)

const usage = `Usage: go run ./examples/order [flags]

Places an order as a saga of four steps, reserve, charge, ship and notify, and shows what becomes of it. After ship
there is no way back. The services are simulated and their times short, so nothing takes longer than 2 s.

  -fail step        the step's service says no
  -hang step        it does what it is asked, but its answer never comes
  -panic step       our own code panics after the service has done it
  -cancel           the shopper leaves in mid-charge; so does Ctrl-C at any time
  -undo-fails step  reserve or charge cannot be taken back; on its own, ship fails so that there is something to undo
  -id name          of the saga; the idempotency keys begin with it (order-7)
  -mermaid          a sequence diagram for Markdown instead of the log

Exit status: 0 if the order was placed, 1 if it was not, 2 for a wrong flag.
`

// A fault is what goes wrong with a step.
type fault string

const (
	fails  fault = "-fail"
	hangs  fault = "-hang"
	panics fault = "-panic"
	leaves fault = "-cancel"
)

// settings is what the flags say.
type settings struct {
	id      string
	mermaid bool
	faults  map[string]fault // by step
	stuck   string           // the step that cannot be undone
}

func parse(args []string) (settings, error) {
	set := settings{faults: map[string]fault{}}
	flags := flag.NewFlagSet("order", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&set.id, "id", "order-7", "")
	flags.BoolVar(&set.mermaid, "mermaid", false, "")
	for _, f := range []fault{fails, hangs, panics} {
		flags.Func(string(f[1:]), "", func(step string) error { return set.fault(step, f) })
	}
	cancel := flags.Bool("cancel", false, "")
	flags.StringVar(&set.stuck, "undo-fails", "", "")
	if err := flags.Parse(args); err != nil {
		return set, help(err)
	}
	if *cancel {
		if err := set.fault("charge", leaves); err != nil {
			return set, err
		}
	}
	return set, set.check(flags.Args())
}

// help leaves the wish for help as it is: it is no mistake.
func help(err error) error {
	if err == flag.ErrHelp {
		return err
	}
	return fmt.Errorf("%w; -help lists the flags", err)
}

func (s *settings) fault(step string, f fault) error {
	if !slices.Contains(stepNames(), step) {
		return fmt.Errorf("there is no such step: write reserve, charge, ship or notify, as in %s charge", f)
	}
	if was := s.faults[step]; was != "" {
		return fmt.Errorf("%s has both %s and %s: give a step one fault", step, was, f)
	}
	s.faults[step] = f
	return nil
}

func stepNames() []string { return []string{"reserve", "charge", "ship", "notify"} }

// keyable keeps ids free of what has a meaning in keys and in diagrams.
var keyable = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func (s *settings) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q: there are only flags; -help lists them", rest[0])
	case !keyable.MatchString(s.id):
		return fmt.Errorf("-id %q: use letters, digits, dots, dashes and underscores, as in -id order-7", s.id)
	case !slices.Contains([]string{"", "reserve", "charge"}, s.stuck):
		return fmt.Errorf("-undo-fails %q: only reserve and charge have an undo; write one of them", s.stuck)
	}
	if s.stuck != "" && len(s.faults) == 0 {
		s.faults["ship"] = fails
	}
	return nil
}
