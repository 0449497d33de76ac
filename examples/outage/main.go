// Outage plays an outage in a shop of real HTTP servers twice, side by side: once with plain HTTP clients that have a
// long timeout and insist, once with the same calls guarded by fx. It measures both, shows what made the difference,
// and fails unless the guarded shop stays up and the plain one collapses. On a terminal it is a live picture.
//
//	go run ./examples/outage
//	go run ./examples/outage -fast
//	go run ./examples/outage -svg outage.svg
//	go run ./examples/outage -serve
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// The exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func run(args []string, in io.Reader, out, errs io.Writer) int {
	set, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(errs, "outage: %v\n", err)
		return exitUsage
	}
	if set.lane != "" {
		signal.Ignore(os.Interrupt, syscall.SIGTERM) // a terminal sends them to all; the lanes obey their parent
		return status(playLane(context.Background(), set, in, out), "outage: "+set.lane+" lane", errs)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it the hard way
	if set.serve {
		return status(playServe(ctx, set, out, errs), "outage", errs)
	}
	return status(playBoth(ctx, set, out, errs), "outage", errs)
}

func status(err error, who string, errs io.Writer) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, errVerdict): // it has been told in full
		return exitFailed
	}
	fmt.Fprintf(errs, "%s: %v\n", who, err)
	return exitFailed
}

// settings is what the flags say.
type settings struct {
	fast  bool
	json  bool
	plain bool
	serve bool
	rate  int
	seed  uint64
	svg   string
	lane  string
}

func (s settings) story() story {
	if s.fast {
		return newStory(fastPace)
	}
	return newStory(fullPace)
}

const usage = `Usage: go run ./examples/outage [flags]

Plays an outage in a shop of HTTP servers on 127.0.0.1, without and with fx, and checks what came of it.

  -plain     lines of text on a terminal too, instead of the live picture (NO_COLOR takes the colors out of that)
  -svg file  draw the whole run into that file
  -serve     play on and on, on a page where you make the catalog ill and well again
  -fast      a third of all times, for CI (12 s instead of 36 s)
  -json      one JSON object a line instead of text
  -rate n    orders a second, 50 to 200 (100)
  -seed n    of the shoppers' wishes and of the time that services take (1)

Exit status: 0 if all checks hold, 1 if one does not, 2 for a wrong flag, 130 if interrupted; -serve ends with 0.
`

// Below the least rate a handful of probes would be more than 1 % of the orders; above the most the plain lane's
// pile-up would need more sockets than a machine gives a process unasked.
const leastRate, mostRate = 50, 200

func parse(args []string) (set settings, err error) {
	flags := flag.NewFlagSet("outage", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&set.fast, "fast", false, "")
	flags.BoolVar(&set.json, "json", false, "")
	flags.BoolVar(&set.plain, "plain", false, "")
	flags.BoolVar(&set.serve, "serve", false, "")
	flags.Func("svg", "", func(path string) error {
		if set.svg = path; path == "" {
			return errors.New("name a file, as in -svg outage.svg")
		}
		return nil
	})
	flags.IntVar(&set.rate, "rate", 100, "")
	flags.Uint64Var(&set.seed, "seed", 1, "")
	flags.StringVar(&set.lane, "lane", "", "") // for the program's own use, so not in the usage
	if err = flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return set, err
	} else if err != nil {
		return set, fmt.Errorf("%w; -help lists the flags", err)
	}
	return set, set.check(flags.Args())
}

func (s settings) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q: there are only flags; -help lists them", rest[0])
	case s.serve && s.lane == "" && (s.fast || s.json || s.plain || s.svg != ""):
		return errors.New("-serve goes with -rate and -seed alone: it plays no story that -fast, -json, -plain or -svg could tell")
	case s.rate < leastRate || s.rate > mostRate:
		return fmt.Errorf("-rate %d is out of range: give %d to %d orders a second, as in -rate 100", s.rate, leastRate, mostRate)
	case !slices.Contains([]string{"", plainLane, guardedLane}, s.lane):
		return fmt.Errorf("-lane %q is not one of %s and %s: leave it out, the program sets it itself", s.lane, plainLane, guardedLane)
	}
	return nil
}
