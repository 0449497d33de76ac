// Fleet re-plays failures that became famous, with fleets of clients in virtual time: code as it is often written beside
// the same code with fx. It prints and draws what happened, beside what was published, and fails unless each experiment
// shows what it claims.
//
//	go run ./examples/fleet
//	go run ./examples/fleet -only a,e -seeds 3
//	go run ./examples/fleet -fast
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// The exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func run(args []string, out, errs io.Writer) int {
	set, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(errs, "fleet: %v\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := playAll(ctx, set, experiments(set.fast), out, errs); {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(errs, "\nfleet: interrupted; nothing was written")
		return exitInterrupted
	default:
		fmt.Fprintf(errs, "fleet: %v\n", err)
		return exitFailed
	}
}

// settings is what the flags say.
type settings struct {
	only  []string
	seeds int
	fast  bool
	write bool
	plain bool
}

const usage = `Usage: go run ./examples/fleet [flags]

Re-plays famous failures with fleets of clients in virtual time, without and with fx, and checks what came of them.

  -only a,e  only these: a retry storm, b layers, c herd, d hedging, e order of breaker and retry, f probes, g shards
  -seeds n   how often each is played, with other random numbers each time (5; 1 with -fast)
  -fast      with shorter times and smaller fleets, for CI
  -plain     draw in ASCII
  -write     write the figures and pictures into README.md and *.svg of examples/fleet, with -only those parts alone;
             run it at the top of the module

Exit status: 0 if each experiment shows what it claims, 1 if one does not, 2 for a wrong flag, 130 if interrupted.
`

func parse(args []string) (set settings, err error) {
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	only := flags.String("only", "", "")
	flags.IntVar(&set.seeds, "seeds", 0, "")
	flags.BoolVar(&set.fast, "fast", false, "")
	flags.BoolVar(&set.write, "write", false, "")
	flags.BoolVar(&set.plain, "plain", false, "")
	if err = flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return set, err
	} else if err != nil {
		return set, fmt.Errorf("%w; -help lists the flags", err)
	}
	if *only != "" {
		set.only = strings.Split(*only, ",")
	}
	if err = set.check(flags.Args()); set.seeds == 0 {
		set.seeds = 5
		if set.fast {
			set.seeds = 1
		}
	}
	return set, err
}

func (s settings) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q: there are only flags; -help lists them", rest[0])
	}
	if s.seeds < 0 || s.seeds > 100 {
		return fmt.Errorf("-seeds %d is out of range: give 1 to 100, as in -seeds 5", s.seeds)
	}
	if s.write && s.fast {
		return errors.New("-write needs the experiments at full length: leave out -fast")
	}
	for _, key := range s.only {
		if len(key) != 1 || !strings.Contains(keys, key) {
			return fmt.Errorf("-only %q: the experiments are a to g, as in -only a,e", key)
		}
	}
	return nil
}

// keys are the experiments' letters.
const keys = "abcdefg"
