package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

// errVerdict is the end of a run in which a check failed.
var errVerdict = errors.New("a check failed")

// A teller shows the run to whoever watches.
type teller interface {
	begin(set settings, plain, guarded int) // with the ids of the processes
	sample(sample)
	end(plain, guarded figures, checks []check)
	leave() // however the run ended, a panic included; after end it does nothing
}

// playBoth plays both lanes at the same time and tells of them.
func playBoth(ctx context.Context, set settings, out, errs io.Writer) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	f := &film{settings: set, story: set.story()}
	drawing, err := openDrawing(set.svg)
	if err != nil {
		return err
	}
	defer drawing.drop()
	tell := audience(set, f, out, quit)
	if p, ok := tell.(*picture); ok {
		errs = &p.said
	}
	return show(tell, func() error {
		checks, err := play(ctx, set, filmed{tell, f}, errs)
		if err != nil {
			return err
		}
		if err := drawing.keep(f); err != nil {
			return err
		}
		if !passed(checks) {
			return errVerdict
		}
		return nil
	})
}

// show runs a run, and has the teller leave whatever comes of it.
func show(tell teller, run func() error) error {
	defer tell.leave()
	return run()
}

// filmed tells, and keeps what it tells.
type filmed struct {
	teller
	*film
}

func (f filmed) sample(s sample) {
	f.add(s)
	f.teller.sample(s)
}

// play plays the story and says what the figures prove.
func play(ctx context.Context, set settings, tell teller, errs io.Writer) ([]check, error) {
	plain, guarded, err := startLanes(ctx, set, errs)
	if err != nil {
		return nil, err
	}
	defer plain.end()
	defer guarded.end()
	tell.begin(set, plain.cmd.Process.Pid, guarded.cmd.Process.Pid)
	if err := follow(ctx, tell, plain, guarded); err != nil {
		return nil, err
	}
	checks := verdict(*plain.figures, *guarded.figures)
	tell.end(*plain.figures, *guarded.figures, checks)
	return checks, nil
}

// startLanes starts both lanes and lets them begin.
func startLanes(ctx context.Context, set settings, errs io.Writer) (plain, guarded *process, err error) {
	if plain, err = startLane(set, plainLane, errs); err != nil {
		return nil, nil, err
	}
	if guarded, err = startLane(set, guardedLane, errs); err != nil {
		plain.end()
		return nil, nil, err
	}
	if err := bothReady(ctx, plain, guarded); err != nil {
		plain.end()
		guarded.end()
		return nil, nil, err
	}
	return plain, guarded, nil
}

// bothReady lets both lanes begin at the same moment.
func bothReady(ctx context.Context, lanes ...*process) error {
	for _, l := range lanes {
		if _, err := l.next(ctx); err != nil {
			return err
		}
	}
	for _, l := range lanes {
		if _, err := io.WriteString(l.in, goOn); err != nil {
			return fmt.Errorf("the %s lane does not listen: %w", l.lane, err)
		}
	}
	return nil
}

// follow tells of the samples of the lanes, one of each in turn, until all have given their figures.
func follow(ctx context.Context, tell teller, lanes ...*process) error {
	for len(lanes) > 0 {
		for _, l := range lanes {
			r, err := l.next(ctx)
			if err != nil {
				return err
			}
			if l.figures = r.Figures; r.Sample != nil {
				tell.sample(*r.Sample)
			}
		}
		lanes = slices.DeleteFunc(lanes, func(l *process) bool { return l.figures != nil })
	}
	return nil
}

// A process plays one lane.
type process struct {
	lane    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	reports chan report // closed when it says no more
	figures *figures    // its last word
}

// startLane starts this program again.
func startLane(set settings, lane string, errs io.Writer) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot start the %s lane: %w", lane, err)
	}
	cmd := exec.Command(self, laneArgs(set, lane)...)
	cmd.Stderr = errs
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the %s lane: %w", lane, err)
	}
	p := &process{lane: lane, cmd: cmd, in: in, reports: make(chan report, 1)}
	go p.listen(out)
	return p, nil
}

// laneArgs has nothing of how the run is shown: a lane plays the same whoever looks.
func laneArgs(set settings, lane string) []string {
	return []string{"-lane", lane, "-rate", strconv.Itoa(set.rate), "-seed", strconv.FormatUint(set.seed, 10),
		"-fast=" + strconv.FormatBool(set.fast), "-serve=" + strconv.FormatBool(set.serve)}
}

func (p *process) listen(out io.Reader) {
	defer close(p.reports)
	for from := json.NewDecoder(out); ; {
		var r report
		if from.Decode(&r) != nil {
			return
		}
		p.reports <- r
	}
}

func (p *process) next(ctx context.Context) (report, error) {
	select {
	case r, ok := <-p.reports:
		if ok {
			return r, nil
		}
		if ctx.Err() == nil {
			return r, fmt.Errorf("the %s lane ended early", p.lane)
		}
	case <-ctx.Done():
	}
	return report{}, ctx.Err()
}

// end closes the lane's input, which ends it, and waits until it is gone.
func (p *process) end() {
	p.in.Close()
	hard := time.AfterFunc(5*time.Second, func() { p.cmd.Process.Kill() })
	defer hard.Stop()
	for range p.reports { // Wait must not come before the last of them
	}
	p.cmd.Wait() // how it ended has been told by itself
}
