package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A small module stands in for the core: it takes seconds, and all that can become of a mutant happens in it.
const (
	smallMod = "module example.com/small\n\ngo 1.25\n"
	small    = `package fx

// Larger returns the larger of a and b.
func Larger(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// Untested is what nobody looks at.
func Untested(n int) int {
	n++
	return n
}
`
	smallTest = `package fx_test

import (
	"testing"

	fx "example.com/small"
)

func TestLarger(t *testing.T) {
	if fx.Larger(1, 2) != 2 || fx.Larger(2, 1) != 2 {
		t.Error("not the larger")
	}
}
`
)

// inSmall is the options for the small module with these patches.
func inSmall(t *testing.T, patches string) options {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": smallMod, "small.go": small, "small_test.go": smallTest} {
		write(t, filepath.Join(dir, name), text)
	}
	return options{
		root: dir, results: filepath.Join(dir, "results.json"), readme: filepath.Join(dir, "README.md"),
		run: regexp.MustCompile("^small.go/"), labs: 2, files: []string{"small.go"}, patches: patches,
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// has runs o and checks what it prints and how it fails; with "" it must not fail.
func has(t *testing.T, o options, printed, failure string) {
	t.Helper()
	var out bytes.Buffer
	err := run(context.Background(), o, &out)
	if !strings.Contains(out.String(), printed) {
		t.Errorf("no %q in\n%s", printed, out.String())
	}
	switch {
	case failure == "" && err != nil:
		t.Error(err)
	case failure != "" && (err == nil || !strings.Contains(err.Error(), failure)):
		t.Errorf("want an error with %q, have %v", failure, err)
	}
}

const swapped = "small.go/smaller: the smaller of the two\n- a > b\n+ a < b\n"

func TestMistakeIsKilled(t *testing.T) {
	has(t, inSmall(t, swapped), "killed by TestLarger: small.go/smaller", "")
}

func TestPatchThatChangesNothingSurvives(t *testing.T) {
	o := inSmall(t, "small.go/comment: nothing\n- the larger of a and b.\n+ the larger of b and a.\n")
	has(t, o, "survived: small.go/comment", "survived, and is not judged in survivors.txt: small.go/comment")
	o.survivors = "small.go/comment\n\tequivalent: it is a comment\n"
	has(t, o, "0 to try", "")
}

func TestPatchThatDoesNotFitFailsLoudly(t *testing.T) {
	for patch, failure := range map[string]string{
		"small.go/x: why\n- no such text\n+ y\n": "occurs 0 times in small.go, want once",
		"small.go/x: why\n- int {\n+ y\n":        "occurs 2 times in small.go, want once",
		"small.go/x: why\n+ y\n":                 "in small.go, want once",
		"large.go/x: why\n- a > b\n+ y\n":        "occurs 0 times in large.go, want once",
		swapped + swapped:                        "patches.txt:4",
		"small.go: why\n- a > b\n+ y\n":          "patches.txt:1",
	} {
		has(t, inSmall(t, patch), "", failure)
	}
}

func TestMutantThatDoesNotCompileCountsForNothing(t *testing.T) {
	o := inSmall(t, swapped+"small.go/typo: no such name\n- a > b\n+ a > c\n")
	has(t, o, "1 killed of 1, 0 of the survivors equivalent: 100.0 %; 1 do not compile", "")
}

func TestMutantThatHangsIsKilled(t *testing.T) {
	defer func(was []string) { quickly = was }(quickly)
	quickly = []string{"-test.timeout=2s"}
	o := inSmall(t, "small.go/hang: it never returns\n- if a > b {\n+ for a > b {\n+ \t}\n+ \tif a > b {\n")
	has(t, o, "killed by TestLarger, which hung: small.go/hang", "")
}

func TestSuiteThatFailsWithoutAnyMutantProvesNothing(t *testing.T) {
	o := inSmall(t, swapped)
	write(t, filepath.Join(o.root, "small_test.go"), strings.ReplaceAll(smallTest, "!= 2", "!= 3"))
	has(t, o, "", "the tests fail without any mutant")
}

func TestOnlyWhatHasChangedIsTriedAgain(t *testing.T) {
	o := inSmall(t, swapped)
	has(t, o, "1 to try", "")
	has(t, o, "0 to try", "")
	write(t, filepath.Join(o.root, "small.go"), small+"\n// More.\n")
	has(t, o, "1 to try", "")
}

func TestJudgementOnTheDeadIsReported(t *testing.T) {
	o := inSmall(t, swapped)
	o.run = regexp.MustCompile("")
	o.survivors = "small.go/smaller\n\taccepted: nobody minds\n"
	has(t, o, "killed by TestLarger: small.go/smaller", "judges one that is killed or gone: small.go/smaller")
}

func TestWovenIsAsAlone(t *testing.T) {
	o := inSmall(t, "")
	o.run = regexp.MustCompile("^small.go (Larger|Untested) ")
	has(t, o, "quick tests: 8 mutants", "Untested increment-decrement: n++ => n--")
	woven := verdicts(t, o)
	all, err := mutantsOf(o)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{root: o.root, dir: t.TempDir(), slow: "^$"}
	for _, m := range all {
		alone, _, err := l.whole(context.Background(), m)
		if err != nil || alone != woven[m.id] {
			t.Errorf("%s: %s when woven, %s alone, %v", m.id, woven[m.id], alone, err)
		}
	}
	if len(all) < 8 {
		t.Errorf("only %d mutants", len(all))
	}
}

func verdicts(t *testing.T, o options) map[string]verdict {
	t.Helper()
	kept, err := loadResults(o.results, "")
	if err != nil {
		t.Fatal(err)
	}
	vs := map[string]verdict{}
	for id, r := range kept.byID {
		vs[id] = r.Verdict
	}
	return vs
}

func TestReportIsWrittenBetweenItsMarkers(t *testing.T) {
	o := inSmall(t, swapped)
	o.write = true
	has(t, o, "", "README.md")
	write(t, o.readme, "before\n"+opens+"\nthe last one\n"+closes+"\nafter\n")
	has(t, o, "", "")
	text, err := os.ReadFile(o.readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n" + opens, "| `small.go` | 1 | 1 | 0 | 0 | 0 | 100.0 % | 0 |", closes + "\nafter\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "the last one") {
		t.Error("the old report is still there")
	}
}

func TestEachPatchFitsTheCore(t *testing.T) {
	ms, err := mutantsOf(options{root: "../..", files: core, patches: patchesText})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(only(ms, mutant.isPatch)); n < 150 {
		t.Errorf("%d patches, want 150", n)
	}
	if _, err := parseJudgements(survivorsText); err != nil {
		t.Error(err)
	}
}
