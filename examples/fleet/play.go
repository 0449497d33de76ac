package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"example.com/fx/fxtest"
)

// errClaims is the end of a run in which an experiment did not show what it claims.
var errClaims = errors.New("an experiment does not show what it claims, see above")

// experiments are all there are, in order.
func experiments(fast bool) []experiment {
	all := []experiment{
		retryStorm(newStorm(fast)),
		layers(fast),
		herd(fast),
		atTheCap(),
		tail(fast),
		brakes(fast),
	}
	all = append(all, breakerOrder(newStorm(fast), fast)...)
	return append(all, probes(fast), shards(fast))
}

// wanted says whether the flags ask for e.
func (s settings) wanted(e experiment) bool {
	return len(s.only) == 0 || slices.ContainsFunc(s.only, func(key string) bool { return strings.HasPrefix(e.key, key) })
}

// playAll plays those of the experiments that are wanted, one after the other, and tells of them.
func playAll(ctx context.Context, set settings, experiments []experiment, out, progress io.Writer) error {
	begin, wrong := time.Now(), false
	var all []results
	for _, e := range experiments {
		if !set.wanted(e) {
			continue
		}
		r, err := play(ctx, e, set.seeds, progress)
		if err != nil {
			return err
		}
		tell(out, r, set.plain)
		wrong = wrong || len(r.failed()) > 0
		all = append(all, r)
	}
	took := time.Since(begin)
	fmt.Fprintf(out, "%s; %s\n", seenOn(set.seeds), took.Round(time.Second))
	if wrong {
		return errClaims
	}
	if set.write {
		return write(all, set, took)
	}
	return nil
}

// play plays each lane with each seed, as many at once as there are processors: a bubble keeps little more than one busy.
// When ctx ends it returns at once; what still runs then has nothing to give back.
func play(ctx context.Context, e experiment, seeds int, progress io.Writer) (results, error) {
	r := results{experiment: e, plays: map[string][]played{}}
	todo := make(chan turn)
	done := make(chan turn, seeds*len(e.lanes)) // so that nobody waits for one who has gone
	defer close(todo)
	for range runtime.GOMAXPROCS(0) {
		go work(todo, done)
	}
	defer fmt.Fprintln(progress)
	turns := e.turns(seeds)
	for left := len(turns); left > 0; {
		fmt.Fprintf(progress, "\r%s. %s: %d to go  ", e.key, e.title, left)
		to, next := todo, turn{}
		if len(turns) > 0 {
			next = turns[0]
		} else {
			to = nil
		}
		select {
		case to <- next:
			turns = turns[1:]
		case t := <-done:
			left--
			r.take(t, seeds)
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
	return r, nil
}

// A turn is a lane to be played with a seed, and what came of it.
type turn struct {
	lane lane
	seed int
	played
}

// turns are all lanes with one seed, then with the next.
func (e experiment) turns(seeds int) (all []turn) {
	for seed := range seeds {
		for _, l := range e.lanes {
			all = append(all, turn{lane: l, seed: seed})
		}
	}
	return all
}

func work(todo <-chan turn, done chan<- turn) {
	for t := range todo {
		t.played = playOnce(t.lane, t.seed)
		done <- t
	}
}

func (r results) take(t turn, seeds int) {
	if r.plays[t.lane.name] == nil {
		r.plays[t.lane.name] = make([]played, seeds)
	}
	r.plays[t.lane.name][t.seed] = t.played
}

// playOnce plays a lane in a time of its own. Only the first seed's report is kept, for the picture.
func playOnce(l lane, seed int) (p played) {
	fxtest.Virtual(func() { p = l.play(uint64(seed) + 1) })
	if seed > 0 {
		p.report = fxtest.Report{}
	}
	return p
}

func tell(out io.Writer, r results, plain bool) {
	fmt.Fprintf(out, "%s. %s\n\n%s\n\n%s\n", r.key, r.title, r.about, r.table())
	if r.picture != nil {
		c := r.chart()
		c.Plain = plain
		fmt.Fprintln(out, c.Text())
	}
	if r.compare != "" {
		fmt.Fprintf(out, "%s\n\n", r.compare)
	}
	failed := r.failed()
	for _, c := range r.claims {
		sign := "ok  "
		if slices.Contains(failed, c.says) {
			sign = "FAIL"
		}
		fmt.Fprintf(out, "%s  %s\n", sign, c.says)
	}
	fmt.Fprintln(out)
}
