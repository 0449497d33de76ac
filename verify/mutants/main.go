// Command mutants plants mistakes in the seven files of the core, one at a time, and runs the core's tests on each: a
// mistake that no test notices is a test that is missing, unless nobody could notice.
//
//	go run ./mutants          # all that are not known from the last run; from the folder verify
//	go run ./mutants -short   # a fixed sample of the patches, for CI
//	go run ./mutants -write   # all, then the report into README.md
//
// The mistakes are of two kinds: what operators make of the syntax tree (see operators.go), and what people do
// (patches.txt). The judgements on survivors are in survivors.txt. A survivor without one makes the exit status 1.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
)

// core is what mutants are made of.
var core = []string{"fx.go", "breaker.go", "bulkhead.go", "retry.go", "fallback.go", "hedge.go", "saga.go"}

var (
	//go:embed patches.txt
	patchesText string
	//go:embed survivors.txt
	survivorsText string
)

// options are the flags, and what they do not say.
type options struct {
	root, results, readme string
	short, write, fresh   bool
	run                   *regexp.Regexp
	sample, labs          int

	files              []string
	patches, survivors string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o := options{run: new(regexp.Regexp), files: core, patches: patchesText, survivors: survivorsText}
	flag.StringVar(&o.root, "root", "..", "the module that has the core")
	flag.StringVar(&o.results, "results", "mutants/results.json", "where results are kept between runs")
	flag.StringVar(&o.readme, "readme", "README.md", "where -write puts the report")
	flag.BoolVar(&o.short, "short", false, "try a fixed sample of the patches, and keep nothing")
	flag.IntVar(&o.sample, "sample", 20, "how many patches -short tries")
	flag.BoolVar(&o.write, "write", false, "write the report")
	flag.BoolVar(&o.fresh, "fresh", false, "forget the results of earlier runs")
	flag.IntVar(&o.labs, "labs", 2, "how many mutants are tried at a time")
	flag.TextVar(o.run, "run", regexp.MustCompile(""), "only mutants whose id matches")
	flag.Parse()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run tries the mutants and says what became of them.
func run(ctx context.Context, o options, out io.Writer) error {
	judged, err := parseJudgements(o.survivors)
	if err != nil {
		return err
	}
	all, err := mutantsOf(o)
	if err != nil {
		return err
	}
	ms := choose(all, o)
	kept, err := tryAll(ctx, o, ms, out)
	if err != nil {
		return err
	}
	return conclude(o, report{ms, kept.byID, judged}, out)
}

// mutantsOf makes all mutants of the files: those of the operators, and the patches. A patch that does not fit is an
// error, as is one of a file that is not looked at: neither would ever be tried.
func mutantsOf(o options) (all []mutant, err error) {
	ps, err := parsePatches(o.patches)
	if err != nil {
		return nil, err
	}
	srcs := map[string][]byte{}
	for _, file := range o.files {
		if srcs[file], err = os.ReadFile(filepath.Join(o.root, file)); err != nil {
			return nil, err
		}
		ms, err := generate(file, srcs[file])
		if err != nil {
			return nil, err
		}
		all = append(all, ms...)
	}
	for _, p := range ps {
		m, err := p.apply(srcs[p.file])
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, byPlace)
	return all, nil
}

// choose leaves what the flags ask for. The sample of -short is every so manyth patch, so all files are in it.
func choose(all []mutant, o options) []mutant {
	chosen := only(all, func(m mutant) bool { return o.run.MatchString(m.id) && (!o.short || m.isPatch()) })
	if !o.short || len(chosen) <= o.sample {
		return chosen
	}
	sample := make([]mutant, o.sample)
	for i := range sample {
		sample[i] = chosen[i*len(chosen)/o.sample]
	}
	return sample
}

// tryAll tries those whose result is not known: the quick tests on all, then the whole suite on what is left.
func tryAll(ctx context.Context, o options, ms []mutant, out io.Writer) (*results, error) {
	kept, err := openResults(o)
	if err != nil {
		return nil, err
	}
	w := &work{o: o, kept: kept, out: out}
	todo := only(ms, func(m mutant) bool { return kept.verdict(m) == "" || kept.verdict(m) == doubtful })
	fmt.Fprintf(out, "%d mutants, %d to try\n", len(ms), len(todo))
	if len(todo) == 0 {
		return kept, nil
	}
	if err := w.prepare(ctx); err != nil {
		return nil, err
	}
	return kept, w.passes(ctx, ms)
}

func only(ms []mutant, is func(mutant) bool) (some []mutant) {
	for _, m := range ms {
		if is(m) {
			some = append(some, m)
		}
	}
	return some
}

func openResults(o options) (*results, error) {
	suite, err := suiteOf(o.root)
	if err != nil {
		return nil, err
	}
	if o.short || o.fresh { // a sample keeps nothing either
		return &results{path: o.results, suite: suite, byID: map[string]result{}}, nil
	}
	return loadResults(o.results, suite)
}

// conclude prints the report, or writes it, and fails if a survivor is not judged.
func conclude(o options, r report, out io.Writer) error {
	if o.write {
		if err := writeInto(o.readme, r.markdown()); err != nil {
			return err
		}
	}
	t := r.tallies(func(mutant) string { return "" })[""]
	fmt.Fprintf(out, "%d killed of %d, %d of the survivors equivalent: %.1f %%; %d do not compile\n",
		t.killed, t.tried, t.equivalent, t.score(), t.unbuilt)
	var errs []error
	for _, id := range r.unjudged() {
		errs = append(errs, fmt.Errorf("survived, and is not judged in survivors.txt: %s", id))
	}
	if all := !o.short && o.run.String() == ""; all {
		for _, id := range r.stale() {
			errs = append(errs, fmt.Errorf("survivors.txt judges one that is killed or gone: %s", id))
		}
	}
	return errors.Join(errs...)
}
