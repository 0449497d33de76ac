package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// newTeller tells in text, or in JSON for programs.
func newTeller(set settings, out io.Writer) teller {
	if set.json {
		return jsonTeller{json.NewEncoder(out)}
	}
	return textTeller{out, set.story()}
}

// width is that of the terminal we write for.
const width = 100

type textTeller struct {
	out   io.Writer
	story story
}

const intro = `A shop loses its catalog for %s, and you see it twice at the same time. This takes %s.

  shoppers > storefront > checkout > pricing > catalog
                                   > inventory
                                   > payment

All of it is HTTP on 127.0.0.1. %d orders a second come in, whatever became of the earlier ones.

  plain    clients with a timeout of %s that try again at once, up to 3 times, at every hop
  guarded  the same services, their calls guarded by fx; pricing falls back to the last good price

`

const phase = "  %7s  %s\n"

const (
	head = " time  phase         lane    done/s failed     p99 goroutines catalog/s   stale seats  breaker"
	line = "%5s  %-12s  %-7s %6d %6d %7s %10d %9d %7s %5s  %s\n"
)

func (t textTeller) begin(set settings, _, _ int) {
	s := t.story
	fmt.Fprintf(t.out, intro, secs(s.Dead), secs(s.ends()), set.rate, secs(s.Naive))
	fmt.Fprintf(t.out, phase, secs(s.Healthy), "healthy")
	fmt.Fprintf(t.out, phase, secs(s.Dead), "catalog dead: it accepts connections and never answers")
	fmt.Fprintf(t.out, phase, secs(s.Slow), "catalog slow: it answers, at first "+millis(s.Sick).String()+" later than usual")
	fmt.Fprintf(t.out, phase, secs(s.Well), "well again")
	fmt.Fprintf(t.out, "\n%s\n", head)
}

func secs(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// sample prints a line. The plain lane comes first, so the guarded one need not repeat the time.
func (t textTeller) sample(s sample) {
	if s.Tenth%perSecond != 0 {
		return
	}
	at, name, p99 := fmt.Sprintf("%d s", s.Second), s.Phase, s.P99.String()
	stale, seats := percent(s.Stale), fmt.Sprint(s.Running+s.Waiting)
	if s.Completed+s.Failed == 0 {
		p99, stale = "-", "-"
	}
	if s.Lane == guardedLane {
		at, name = "", ""
	} else {
		stale, seats, s.Breaker = "-", "-", "-"
	}
	fmt.Fprintf(t.out, line, at, name, s.Lane, s.Completed, s.Failed, p99, s.Goroutines, s.Calls, stale, seats, s.Breaker)
	for _, c := range s.Changes {
		if told := tellChange(c); told != "" {
			fmt.Fprintln(t.out, hang("       > "+told, "         "))
		}
	}
}

func (t textTeller) leave() {}

// tellChange says what the breaker did and why. That it is half-open is not told: what the probe finds is.
func tellChange(c change) string {
	at, why := secs(c.At), strings.TrimPrefix(c.Cause, "fx: ")
	switch {
	case c.To == "open" && c.From == "closed":
		return "the catalog's breaker opens at " + at + ": " + why
	case c.To == "open":
		return "a probe fails at " + at + ": " + why
	case c.To == "closed":
		return "the catalog's breaker closes at " + at + ": the probes succeeded"
	}
	return ""
}

func (t textTeller) end(plain, guarded figures, checks []check) {
	t.table(plain, guarded)
	fmt.Fprintf(t.out, "\n%s\n", hang(moral(plain, guarded), ""))
	fmt.Fprintf(t.out, "\nThe difference, from guard.go:\n\n%s\n", indent(excerpt()))
	t.checks(checks)
}

func (t textTeller) table(p, g figures) {
	row := func(what string, of func(spell) string) {
		fmt.Fprintf(t.out, "%-33s %12s %12s   %12s %12s %10s\n",
			what, of(p.Healthy), of(p.Dead), of(g.Healthy), of(g.Dead), of(g.Open))
	}
	fmt.Fprintf(t.out, "\n%-33s %25s   %36s\n", "", "-------- plain ----------", "------------- guarded --------------")
	fmt.Fprintf(t.out, "%-33s %12s %12s   %12s %12s %10s\n", "", "healthy", "catalog dead", "healthy", "catalog dead", "breaker *")
	row("orders placed", func(s spell) string { return fmt.Sprint(s.Orders) })
	row("orders completed", func(s spell) string { return percent(s.completed()) })
	row("of these with a stale price", func(s spell) string { return percent(s.stale()) })
	row("p99", func(s spell) string { return s.P99.String() })
	row("goroutines, at most **", func(s spell) string { return fmt.Sprint(s.Goroutines) })
	row("calls that reached the catalog", func(s spell) string { return fmt.Sprint(s.Calls) })
	row("of them a second", func(s spell) string { return fmt.Sprintf("%.1f", float64(s.Calls)/s.Seconds) })
	row("of them at once, at most", func(s spell) string { return fmt.Sprint(s.Inside) })
	fmt.Fprintf(t.out, notes, millis(t.story.Settle), reservedEach(p), reservedEach(g))
}

const notes = `
 *  catalog dead, breaker open; goroutines and calls from %v later, when what ran before is over
**  all of the lane's process: services, connections, shoppers

Pieces taken from the stock for each order sold, in the whole story: plain %s, guarded %s.
`

func reservedEach(f figures) string { return fmt.Sprintf("%.2f", share(f.Reserved, f.Sold)) }

// moral is the story in a few words.
func moral(p, g figures) string {
	return fmt.Sprintf("One dead service behind three others took the plain shop down: it completed %s of the orders "+
		"placed in the outage, and %d goroutines waited for nothing. The guarded shop gave up on the catalog after %s "+
		"and completed %s, of these %s at the last good price; from then on its p99 was %v, and the %d calls of %d probes "+
		"were all that reached the catalog. %s after the recovery began it asked for fresh prices again.",
		percent(p.Dead.completed()), p.Dead.Goroutines, when(g.Opened, g.OpenedIn), percent(g.Dead.completed()),
		percent(g.Dead.stale()), g.Open.P99, g.Open.Calls, g.Probes, when(g.Closed, g.ClosedIn))
}

func (t textTeller) checks(checks []check) {
	for _, c := range checks {
		mark := "ok"
		if !c.OK {
			mark = "FAILED"
		}
		fmt.Fprintf(t.out, "%-6s  %-7s  %-33s  %8s  %s\n", mark, c.Lane, c.Name, c.Measured, c.Bound)
	}
}

func indent(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\t", "    "), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = "  " + l
		}
	}
	return strings.Join(lines, "\n")
}

// hang breaks a text into lines that fit, the further ones after the given margin.
func hang(text, margin string) string {
	var b strings.Builder
	for line := text; ; line = margin + line {
		end := strings.LastIndexByte(line[:min(width+1, len(line))], ' ')
		if len(line) <= width || end <= len(margin) {
			return b.String() + line
		}
		b.WriteString(line[:end] + "\n")
		line = line[end+1:]
	}
}

// jsonTeller writes one object a line; its kind says which.
type jsonTeller struct{ *json.Encoder }

func (t jsonTeller) begin(set settings, plain, guarded int) {
	t.Encode(map[string]any{
		"kind": "begin", "seconds": set.story().ends().Seconds(), "rate": set.rate, "seed": set.seed,
		"pids": map[string]int{plainLane: plain, guardedLane: guarded},
	})
}

func (t jsonTeller) leave() {}

func (t jsonTeller) sample(s sample) {
	if s.Tenth%perSecond != 0 {
		return
	}
	s.Tenth = 0 // all of them are whole seconds
	t.Encode(struct {
		Kind string `json:"kind"`
		sample
	}{"sample", s})
}

func (t jsonTeller) end(plain, guarded figures, checks []check) {
	t.Encode(map[string]any{
		"kind": "end", "ok": passed(checks), "checks": checks,
		"figures": map[string]figures{plainLane: plain, guardedLane: guarded},
	})
}
