package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// planted is a report with costs that are easy to divide.
func planted() Report {
	r := Report{
		rows: []row{bareRow(), {
			name: "job", op: same(answer), target: target{ns: 2 * targetBare, reason: "Because."},
			contenders: []contender{{lib: libFx}, {lib: "near"}, {lib: "far"}, {lib: "cheap", unlike: true}, {lib: libByHand}},
		}},
		Goroutines: []Series{grown(1, 1, 1), grown(1, 2, 4)},
		Holders:    []Series{grown(5, 5, 50)},
	}
	r.plant("bare call", libBare, 2)
	for lib, ns := range map[string]float64{libFx: 6, "near": 12, "far": 600, "cheap": 1, libByHand: 1} {
		r.plant("job", lib, ns)
	}
	return r
}

func (r *Report) plant(row, lib string, ns float64) {
	r.Costs = append(r.Costs, Cost{Row: row, Lib: lib, Mode: alone, CPU: summary{ns, ns, ns}, rounds: []float64{ns, ns, ns}})
}

// reprice gives a library of the job another cost.
func (r *Report) reprice(lib string, ns float64) {
	for i, c := range r.Costs {
		if c.Lib == lib {
			r.Costs[i].rounds = []float64{ns, ns, ns}
		}
	}
}

func grown(costs ...float64) (s Series) {
	s.Name = "thing"
	for i, c := range costs {
		s.Points = append(s.Points, Point{N: []int{1, 10, 100}[i], CPU: summary{Median: c}})
	}
	return s
}

func TestTheBestPeerIsTheCheapestThatDoesTheSame(t *testing.T) {
	r := planted()
	if best, ok := r.bestPeer(r.rows[1]); !ok || best.Lib != "near" {
		t.Error(best, ok)
	}
	line := r.summaryTable().lines[1]
	if got, want := strings.Join(line, "|"), "job|6|6–6|0|0|3|≤ 2× (2.8 ns)|missed|near|12|2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestATargetIsAMultipleOfTheBareCall(t *testing.T) {
	r := planted()
	if got, want := r.missed(), "- **job**: 3× instead of ≤ 2× (2.8 ns). Because.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.rows[1].target.ns = 3 * targetBare
	if got := r.missed(); got != "None.\n" {
		t.Error(got)
	}
	r.rows[1].target = target{beside: "near"}
	if j, ok := r.judge(r.rows[1]); !ok || !j.met {
		t.Error(j, ok)
	}
}

func TestAMissWithoutAReasonIsLoud(t *testing.T) {
	r := planted()
	r.rows[1].target.reason = ""
	if got, want := r.missed(), "- **job**: 3× instead of ≤ 2× (2.8 ns). **NO REASON KNOWN.**\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.kinds = []kind{kind{name: "thing", lib: libFx}.within(100, "")}
	r.Memory = []Memory{{Kind: "thing", Lib: libFx, Used: footprint{Bytes: 101}}}
	if got, want := r.missed(), "- **memory of a thing**: 101 B after a call instead of ≤ 100 B. **NO REASON KNOWN.**\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q at its end", got, want)
	}
}

func TestAMissThatMayBeNoiseSaysSo(t *testing.T) {
	r := planted()
	for i := range r.Costs {
		r.Costs[i].CPU.Low /= 2
	}
	if got, want := r.missed(), "- **job**: 3× instead of ≤ 2× (2.8 ns), but met in a quarter of the rounds or more. Because.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTooManyObjectsMissATarget(t *testing.T) {
	r := planted()
	r.rows[1].target = target{ns: 1000}
	for i := range r.Costs {
		r.Costs[i].Objects = 1
	}
	if got, want := r.missed(), "- **job**: 3× and 1 objects instead of ≤ 714× (1,000 ns). **NO REASON KNOWN.**\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.rows[1].target.objects = 1
	if got := r.missed(); got != "None.\n" {
		t.Error(got)
	}
}

func TestAPeerAheadIsToldWithItsReason(t *testing.T) {
	r := planted()
	if got := r.ahead(); got != "In none.\n" {
		t.Error(got)
	}
	r.reprice("near", 3)
	const line = "- **job**: *near* takes 0.5× of what fx takes (0.5–0.5). "
	if got, want := r.ahead(), line+"**NO REASON KNOWN.**\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.rows[1].contenders[1].ahead = "it does less"
	if got, want := r.ahead(), line+"It does less.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRatiosAreTakenWithinRounds(t *testing.T) {
	busy := Cost{rounds: []float64{10, 1000, 12}}
	other := Cost{rounds: []float64{5, 500, 4}}
	if got, want := busy.over(other), (summary{2, 2, 2.5}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheBendIsWhereCostStaysHigh(t *testing.T) {
	for _, c := range []struct {
		costs []float64
		want  int
	}{{[]float64{1, 1, 1}, 0}, {[]float64{1, 1, 2}, 100}, {[]float64{1, 2, 2}, 10}, {[]float64{1, 2, 1}, 0}} {
		if got := grown(c.costs...).bend(); got != c.want {
			t.Errorf("%v bends at %d, want %d", c.costs, got, c.want)
		}
	}
}

func TestStepsAreHalfDecades(t *testing.T) {
	if got := steps(1000); len(got) != 7 || got[0] != 1 || got[1] != 3 || got[6] != 1000 {
		t.Error(got)
	}
}

func TestChartsAreXML(t *testing.T) {
	for name, chart := range planted().charts() {
		for d := xml.NewDecoder(strings.NewReader(chart)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(name, err)
			}
		}
	}
}
