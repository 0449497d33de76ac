package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A verdict is what became of a mutant.
type verdict string

const (
	killed   verdict = "killed"
	survived verdict = "survived"
	doubtful verdict = "survived the quick tests" // for now
	unbuilt  verdict = "does not compile"         // neither killed nor survived
)

// A lab compiles the tests of the package in root with one file exchanged, and runs them. The files in root stay as
// they are: the compiler reads the exchanged one through an overlay. A lab is for one goroutine.
type lab struct {
	root  string            // of the module under test
	dir   string            // for what is built, the lab's own
	slow  string            // the tests that wait for real time, as a pattern
	woven map[string]*woven // by file: its mutants in one binary
}

// A woven is the tests with the mutants of a file in them.
type woven struct {
	binary string
	number map[string]int // the switch of each mutant, by id
	skip   string         // the tests that wait for real time, or cannot bear the switches, as a pattern
}

// quickly is how the tests run before the whole suite does.
var quickly = []string{"-test.short", "-test.timeout=20s"}

// switched tries a mutant that is woven in. It needs no compiler.
func (l *lab) switched(ctx context.Context, m mutant) (verdict, string, error) {
	w := l.woven[m.file]
	in := sandbox{binary: w.binary, env: "FX_MUTANT=" + strconv.Itoa(w.number[m.id])}
	return verdictOf(doubtful)(l.run(ctx, in, append(quickly, "-test.skip="+w.skip)...))
}

// whole tries all tests as CI does, and under the race detector if that may matter.
func (l *lab) whole(ctx context.Context, m mutant) (verdict, string, error) {
	if ok, err := l.build(ctx, m); !ok || err != nil {
		return unbuilt, "", err
	}
	by, err := l.run(ctx, sandbox{checks: 100}, "-test.timeout=120s")
	if by == "" && err == nil && m.race {
		if ok, err := l.build(ctx, m, "-race"); !ok || err != nil {
			return unbuilt, "", err
		}
		by, err = l.run(ctx, sandbox{race: true}, "-test.timeout=120s", "-test.skip="+l.slow)
	}
	return verdictOf(survived)(by, err)
}

// verdictOf is the verdict on one that something has killed, or else the given one.
func verdictOf(otherwise verdict) func(by string, err error) (verdict, string, error) {
	return func(by string, err error) (verdict, string, error) {
		if by == "" {
			return otherwise, "", err
		}
		return killed, by, err
	}
}

// build compiles the tests with m in the place of its file. false means that it does not compile.
func (l *lab) build(ctx context.Context, m mutant, flags ...string) (bool, error) {
	if err := l.overlay(m); err != nil {
		return false, err
	}
	args := append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", filepath.Join(l.dir, "overlay.json"),
		"-o", filepath.Join(l.dir, "mutant.test")}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir, cmd.Env = l.root, append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && ctx.Err() == nil {
		return false, refusedByCompiler(string(out))
	}
	return err == nil, err
}

// overlay writes the mutant, and what the go command has to see otherwise than it is.
func (l *lab) overlay(m mutant) error {
	text, board := filepath.Join(l.dir, "mutant.go"), filepath.Join(l.dir, "switches.go")
	replace := map[string]string{filepath.Join(l.root, m.file): text}
	if m.id == "" { // woven
		replace[filepath.Join(l.root, "mutant_switches.go")] = board
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	return errors.Join(err,
		os.WriteFile(text, m.text, 0o600),
		os.WriteFile(board, []byte(switches), 0o600),
		os.WriteFile(filepath.Join(l.dir, "overlay.json"), overlay, 0o600))
}

// refusedByCompiler is nil if the compiler has refused the mutant: anything else is a fault of the lab.
func refusedByCompiler(out string) error {
	if strings.Contains(out, "# ") && strings.Contains(out, ".go:") {
		return nil
	}
	return fmt.Errorf("the tests cannot be built: %s", out)
}

// A sandbox is how a test binary runs.
type sandbox struct {
	binary string // "" means the one built last
	env    string
	checks int  // examples a property; 0 means 30
	race   bool // it has the race detector in it
}

// memory bounds what a mutant that never stops can take, in kB of address space. The race detector needs far more.
const memory = 6 << 20

// run runs the tests and returns what killed the mutant, "" if nothing did. A test binary that does not come to its
// end, for whatever reason, has noticed.
func (l *lab) run(ctx context.Context, in sandbox, flags ...string) (by string, err error) {
	out, err := l.output(ctx, in, append(flags, "-test.failfast")...)
	if err == nil || ctx.Err() != nil {
		return "", ctx.Err()
	}
	return culprit(out, err), nil
}

func (l *lab) output(ctx context.Context, in sandbox, flags ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 150*time.Second)
	defer cancel()
	script := "ulimit -v " + strconv.Itoa(memory) + `; exec "$@"`
	if in.race {
		script = `exec "$@"`
	}
	binary := cmp.Or(in.binary, filepath.Join(l.dir, "mutant.test"))
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh", binary}, flags...)...)
	cmd.Dir, cmd.WaitDelay = l.root, time.Second
	cmd.Env = append(os.Environ(), in.env, "RAPID_CHECKS="+strconv.Itoa(cmp.Or(in.checks, 30)),
		"RAPID_SEED=1", "RAPID_SHRINKTIME=10ms", "RAPID_NOFAILFILE=true") // the same verdict each time, and soon
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var (
	failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	runningNow = regexp.MustCompile(`(?m)^\t+((?:Test|Example|Fuzz)\w+)`)
	inTest     = regexp.MustCompile(`fx_test\.((?:Test|Example)\w+)`)
)

// culprit is the name of the test that failed, or how else the run ended.
func culprit(out string, err error) string {
	switch {
	case failedTest.MatchString(out):
		return failedTest.FindStringSubmatch(out)[1]
	case strings.Contains(out, "panic: test timed out"):
		if hung := runningNow.FindStringSubmatch(out); hung != nil {
			return hung[1] + ", which hung"
		}
		return "the time limit"
	case inTest.MatchString(out):
		return inTest.FindStringSubmatch(out)[1] + ", which crashed"
	case strings.Contains(out, "DATA RACE"):
		return "the race detector"
	case strings.Contains(out, "goleak"):
		return "goleak"
	}
	return err.Error()
}

// survey finds the tests that take long although nothing is wrong with them, so that the quick ones can do without. It
// fails if any fails: then no verdict would mean anything.
func (l *lab) survey(ctx context.Context, long time.Duration) error {
	all := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", ".")
	all.Dir, all.Env = l.root, append(os.Environ(), "GOWORK=off")
	out, err := all.CombinedOutput()
	if err != nil {
		return fmt.Errorf("the tests fail without any mutant: %w\n%s", err, out[max(0, len(out)-3000):])
	}
	names := []string{"^$"}
	for _, found := range passedTest.FindAllStringSubmatch(string(out), -1) {
		if took, err := time.ParseDuration(found[2]); err == nil && took > long {
			names = append(names, "^"+found[1]+"$")
		}
	}
	l.slow = strings.Join(names, "|")
	return nil
}

var passedTest = regexp.MustCompile(`(?m)^--- PASS: (\w+) \(([0-9.]+s)\)`)

// weave builds the tests with a file's mutants in them. It returns nil if that does not work, as it may not for code
// that is to come: then each is tried alone.
func (l *lab) weave(ctx context.Context, file string, ms []mutant, dir string) (*woven, error) {
	src, err := os.ReadFile(filepath.Join(l.root, file))
	if err != nil {
		return nil, err
	}
	text, number, err := weave(src, ms)
	if err != nil {
		return nil, err
	}
	if ok, err := l.build(ctx, mutant{file: file, text: []byte(text)}); !ok || err != nil {
		return nil, err
	}
	w := &woven{binary: filepath.Join(dir, file+".test"), number: number}
	if err := os.Rename(filepath.Join(l.dir, "mutant.test"), w.binary); err != nil {
		return nil, err
	}
	return w, l.unswitched(ctx, w)
}

// unswitched runs the woven tests without any mutant, to learn which cannot bear the switches: those that count
// objects.
func (l *lab) unswitched(ctx context.Context, w *woven) error {
	out, err := l.output(ctx, sandbox{binary: w.binary}, append(quickly, "-test.skip="+l.slow)...)
	skip := []string{l.slow}
	for _, failed := range failedTest.FindAllStringSubmatch(out, -1) {
		skip = append(skip, "^"+failed[1]+"$")
	}
	if err != nil && len(skip) == 1 || len(skip) > 8 {
		return fmt.Errorf("the woven tests fail without any mutant: %w\n%s", err, out)
	}
	w.skip = strings.Join(skip, "|")
	return nil
}
