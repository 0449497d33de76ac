// Command bench measures fx beside its peers, in one process and in turns, and writes the tables and charts of the
// README.
//
//	go run .          # a few minutes; the tables go to the terminal
//	go run . -quick   # seconds, to see that everything runs
//	go run . -write   # into README.md and the charts as well
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
)

// options are the flags.
type options struct {
	quick, write, json, guard, profile bool
	rounds                             int
	only                               *regexp.Regexp
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		err = o.run(newProgress(os.Stderr))
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 2
	}
	return 1
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "measure for seconds only, to see that everything runs")
	f.BoolVar(&o.write, "write", false, "rewrite README.md and the charts of this folder")
	f.BoolVar(&o.json, "json", false, "print everything as JSON")
	f.BoolVar(&o.guard, "guard", false, "only count the objects of healthy calls, and fail where there are too many")
	f.BoolVar(&o.profile, "profile", false, "only profile the full stack")
	f.IntVar(&o.rounds, "rounds", 0, "samples of each case, if not the usual number")
	only := f.String("case", "", "measure only the cases whose name matches this `regexp`, without memory and growth")
	if err = f.Parse(args); err != nil {
		return o, flag.ErrHelp
	}
	if *only != "" {
		o.only, err = regexp.Compile(*only)
	}
	if o.only != nil && o.write {
		err = errors.New("-write needs all cases, so not -case")
	}
	return o, err
}

func (o options) run(p *progress) error {
	switch {
	case o.guard:
		return runGuard(rows(), os.Stdout, p)
	case o.profile:
		return runProfile(o.effort(), p)
	}
	r, err := o.measure(p)
	if err != nil {
		return err
	}
	p.end()
	if o.write {
		if err := r.write(); err != nil {
			return err
		}
	}
	return o.print(r)
}

func (o options) effort() effort {
	e := thorough()
	if o.quick {
		e = quick()
	}
	if o.rounds > 0 {
		e.Rounds = o.rounds
	}
	return e
}

// measure measures everything, or only the costs of some cases.
func (o options) measure(p *progress) (r Report, err error) {
	r = Report{Machine: thisMachine(), Effort: o.effort(), rows: rows()}
	if o.only != nil {
		r.rows = matching(r.rows, o.only)
	}
	r.Costs = measureCosts(r.rows, r.Effort, p)
	if o.only != nil {
		return r, nil
	}
	r.kinds = kinds()
	r.Memory = measureMemory(r.kinds, r.Effort.Holders, p)
	r.Goroutines = growGoroutines(r.Effort, p)
	r.Holders = growHolders(r.Effort, p)
	r.Profile, err = profileFull(r.Effort.Profile, p)
	return r, err
}

func (o options) print(r Report) error {
	if o.json {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	fmt.Printf("%s\n\n%s\n%s\n", r.seenOn(), r.detailTable().text(), r.summaryTable().text())
	if o.only == nil {
		fmt.Printf("%s\n%s\n%s\n%s\n", r.memoryTable().text(), r.goroutineSentences(), r.holderSentences(), profileTable(r.Profile).text())
	}
	fmt.Printf("Targets missed:\n%s\nPeers ahead:\n%s", r.missed(), r.ahead())
	return nil
}

// runGuard is what CI asks for: objects are counted exactly, and time is only told.
func runGuard(all []row, to io.Writer, p *progress) error {
	found := guard(all, to)
	e := quick()
	e.modes = modes()[:2]
	r := Report{Effort: e, rows: ownRows(all)}
	r.Costs = measureCosts(r.rows, e, p)
	p.end()
	fmt.Fprintf(to, "\nCPU time beside a bare call of this process, which nothing here depends on:\n%s", r.ratios().text())
	if len(found) > 0 {
		return fmt.Errorf("%d healthy cases allocate more than they may", len(found))
	}
	return nil
}

func runProfile(e effort, p *progress) error {
	hot, err := profileFull(e.Profile, p)
	p.end()
	fmt.Print(profileTable(hot).text())
	return err
}
