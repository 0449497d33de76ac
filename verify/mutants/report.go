package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A report is what became of all mutants.
type report struct {
	mutants []mutant
	results map[string]result // by id
	judged  map[string]judgement
}

// A tally counts the mutants of one file and kind.
type tally struct{ tried, killed, equivalent, accepted, unjudged, unbuilt int }

func (t *tally) add(v verdict, j judgement, judged bool) {
	t.tried++
	switch {
	case v == killed:
		t.killed++
	case v == unbuilt:
		t.tried--
		t.unbuilt++
	case !judged:
		t.unjudged++
	case j.equivalent:
		t.equivalent++
	default:
		t.accepted++
	}
}

// score is the share killed of those that change behaviour, in percent.
func (t tally) score() float64 {
	return 100 * float64(t.killed) / float64(max(t.tried-t.equivalent, 1))
}

// tallies counts by file and kind.
func (r report) tallies(of func(mutant) string) map[string]tally {
	ts := map[string]tally{}
	for _, m := range r.mutants {
		j, judged := r.judged[m.id]
		t := ts[of(m)]
		t.add(r.results[m.id].Verdict, j, judged)
		ts[of(m)] = t
	}
	return ts
}

func kindOf(m mutant) string {
	if m.isPatch() {
		return "patches"
	}
	return "operators"
}

// unjudged are the survivors that nobody has judged.
func (r report) unjudged() (ids []string) {
	for _, m := range r.mutants {
		if _, judged := r.judged[m.id]; !judged && r.results[m.id].Verdict == survived {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// stale are the judgements on mutants that are dead or gone.
func (r report) stale() (ids []string) {
	for id := range r.judged {
		if r.results[id].Verdict != survived {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// markdown is the report for README.md.
func (r report) markdown() string {
	var s strings.Builder
	s.WriteString("| file | mutants | killed | survived: equivalent | survived: accepted | not judged | score | do not compile |\n")
	s.WriteString("|---|---|---|---|---|---|---|---|\n")
	table(&s, r.tallies(func(m mutant) string { return "`" + m.file + "`" }))
	s.WriteString("| | | | | | | | |\n")
	table(&s, r.tallies(kindOf))
	table(&s, r.tallies(func(mutant) string { return "**all**" }))
	s.WriteString("\n")
	r.survivors(&s, "Survivors that can be told from the original, and are accepted", false)
	r.survivors(&s, "Survivors that nobody can tell from the original", true)
	return s.String()
}

func table(s *strings.Builder, ts map[string]tally) {
	names := make([]string, 0, len(ts))
	for name := range ts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t := ts[name]
		fmt.Fprintf(s, "| %s | %d | %d | %d | %d | %d | %.1f %% | %d |\n",
			name, t.tried, t.killed, t.equivalent, t.accepted, t.unjudged, t.score(), t.unbuilt)
	}
}

// survivors lists those of one judgement.
func (r report) survivors(s *strings.Builder, title string, equivalent bool) {
	var lines []string
	for _, m := range r.mutants {
		j, judged := r.judged[m.id]
		if judged && j.equivalent == equivalent && r.results[m.id].Verdict == survived {
			lines = append(lines, fmt.Sprintf("- `%s`<br>%s\n", strings.ReplaceAll(m.id, "`", "'"), j.why))
		}
	}
	fmt.Fprintf(s, "<details><summary>%s (%d)</summary>\n\n%s\n</details>\n\n", title, len(lines), strings.Join(lines, ""))
}

// The report stands in README.md between these.
const (
	opens  = "<!-- mutants -->"
	closes = "<!-- /mutants -->"
)

// writeInto puts text between the markers of the file at path.
func writeInto(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), opens)
	_, after, ok2 := strings.Cut(rest, closes)
	if !ok || !ok2 {
		return fmt.Errorf("%s: no %s … %s to write between", path, opens, closes)
	}
	return os.WriteFile(path, []byte(before+opens+"\n"+text+closes+after), 0o600)
}

// byPlace puts mutants in the order of the files.
func byPlace(a, b mutant) int {
	return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.at, b.at), strings.Compare(a.id, b.id))
}
