// Command generate makes the alert rules, the Grafana dashboard and the README's list of metrics from the table of all
// metrics, so that no name can drift.
//
//	go run ./generate
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"example.com/fx/fxprom/internal/table"
)

func main() {
	for name, make := range outputs {
		if err := update(name, make); err != nil {
			fmt.Fprintln(os.Stderr, "generate: "+err.Error()+"; run it in the folder fxprom, as go run ./generate")
			os.Exit(1)
		}
	}
}

// outputs are the files, each made from what it was.
var outputs = map[string]func(old []byte) ([]byte, error){
	"rules.yml":      func([]byte) ([]byte, error) { return rules(), nil },
	"dashboard.json": func([]byte) ([]byte, error) { return dashboard() },
	"README.md":      readme,
}

func update(name string, make func([]byte) ([]byte, error)) error {
	old, err := os.ReadFile(name)
	if err != nil && name == "README.md" {
		return err
	}
	text, err := make(old)
	if err != nil || bytes.Equal(old, text) {
		return err
	}
	fmt.Println("wrote", filepath.Base(name))
	return os.WriteFile(name, text, 0o644)
}

// --- expressions ---

// calls are the calls a second of each series, within the matchers.
func calls(window string, matchers ...string) string {
	return perSecond(table.Duration.Counts(), window, matchers...)
}

func problems(window, outcomes string) string {
	return perSecond(table.Problems.Name, window, `outcome=~"`+outcomes+`"`)
}

func perSecond(series, window string, matchers ...string) string {
	return "rate(" + selected(series, matchers...) + "[" + window + "])"
}

func selected(series string, matchers ...string) string {
	if len(matchers) == 0 {
		return series
	}
	return series + "{" + strings.Join(matchers, ",") + "}"
}

func sum(by, expr string) string { return "sum by (" + by + ") (" + expr + ")" }

func at(point string) string { return `point="` + point + `"` }

// share is the part of the calls that ended so, of each point of each call.
func share(window string, outcomes ...string) string {
	const by = "job, call, point"
	return sum(by, problems(window, table.Any(outcomes))) + " / " + sum(by, calls(window))
}

// amplification is the attempts that a call has made.
func amplification(window string) string {
	const by = "job, call"
	return sum(by, calls(window, at(table.Attempt))) + " / " + sum(by, calls(window, at(table.Call)))
}

func latency(quantile float64, window string) string {
	return fmt.Sprintf("histogram_quantile(%g, %s)", quantile, sum("job, call, point, le", perSecond(table.Duration.Buckets(), window)))
}

// --- alert rules ---

type alert struct{ name, expr, lasting, summary, advice string }

var alerts = []alert{
	{
		"FxBreakerOpen", selected(table.State.Name, `state="closed"`) + " == 0", "2m",
		`Circuit breaker {{ $labels.breaker }} has not been closed for two minutes.`,
		`Its dependency is down, or too slow. ` + table.Transitions.Name + ` tells why it opened; callers get fallbacks or errors at once.`,
	}, {
		"FxRejections", share("5m", table.Rejections...) + " > 0.05", "2m",
		`{{ $value | humanizePercentage }} of the calls of {{ $labels.call }} are refused before they leave.`,
		`By outcome in ` + table.Problems.Name + `: open is a breaker, full a bulkhead whose places are all taken, limited a rate limit.`,
	}, {
		"FxAmplification", amplification("5m") + " > 1.5", "2m",
		`Each call of {{ $labels.call }} costs its dependency {{ $value | humanize }} attempts.`,
		`Retries feed an overload: give them a Budget, and look at what the attempts fail of.`,
	}, {
		"FxDegraded", share("5m", table.Degraded) + " > 0.1", "2m",
		`{{ $value | humanizePercentage }} of the answers of {{ $labels.call }} are second best.`,
		table.Age.Name + ` tells how old they are; the attempts tell what the best answer fails of.`,
	},
}

func rules() []byte {
	var b bytes.Buffer
	b.WriteString("# Made by go run ./generate; check it with promtool check rules.\ngroups:\n  - name: fx\n    rules:\n")
	for _, a := range alerts {
		fmt.Fprintf(&b, "      - alert: %s\n        expr: %q\n        for: %s\n        labels:\n          severity: warning\n"+
			"        annotations:\n          summary: %q\n          description: %q\n", a.name, a.expr, a.lasting, a.summary, a.advice)
	}
	return b.Bytes()
}

// --- the dashboard ---

type object = map[string]any

// A panel is a picture of a few expressions.
type panel struct {
	title, kind, unit string
	width             int
	queries           []query
	more              object // of fieldConfig.defaults
}

type query struct{ expr, legend string }

// window is what Grafana sets to fit the picture.
const window = "$__rate_interval"

func rows() [][]panel {
	ofCall := []string{`job=~"$job"`, `call=~"$call"`}
	return [][]panel{
		{
			{"Breakers that are not closed", "stat", "short", 4, []query{{"sum(1 - " + selected(table.State.Name, `job=~"$job"`, `state="closed"`) + ")", ""}}, thresholds(1)},
			{"Calls a second", "timeseries", "reqps", 10, []query{{sum("call", calls(window, append(ofCall, at(table.Call))...)), "{{call}}"}}, nil},
			{"Calls that did not end in a plain success", "timeseries", "percentunit", 10, []query{{within(share(window, table.Outcomes...)), "{{call}} {{point}}"}}, nil},
		},
		{
			{"Latency", "timeseries", "s", 8, []query{{latency(0.5, window), "{{call}} {{point}} p50"}, {latency(0.99, window), "{{call}} {{point}} p99"}}, nil},
			{"Outcomes", "timeseries", "reqps", 8, []query{{sum("call, point, outcome", problems(window, ".+")), "{{call}} {{point}} {{outcome}}"}}, nil},
			{"Attempts a call", "timeseries", "short", 8, []query{{amplification(window), "{{call}}"}}, thresholds(1.5)},
		},
		{
			{"Breakers: 0 closed, 1 half-open, 2 open", "state-timeline", "short", 12, []query{{"max by (breaker) (2 * " + selected(table.State.Name, `state="open"`) +
				" + ignoring(state) " + selected(table.State.Name, `state="half-open"`) + ")", "{{breaker}}"}}, thresholds(1, 2)},
			{"Changes and their causes", "timeseries", "short", 12, []query{{sum("breaker, from, to, cause", "increase("+table.Transitions.Name+"["+window+"])"), "{{breaker}}: {{from}} to {{to}}, {{cause}}"}}, nil},
		},
		{
			{"Degraded answers", "timeseries", "percentunit", 8, []query{{share(window, table.Degraded), "{{call}}"}}, thresholds(0.1)},
			{"Age of degraded answers, p99", "timeseries", "s", 8, []query{{fmt.Sprintf("histogram_quantile(0.99, %s)", sum("call, le", perSecond(table.Age.Buckets(), window))), "{{call}}"}}, nil},
			{"Refused before they left", "timeseries", "percentunit", 8, []query{{share(window, table.Rejections...), "{{call}} {{point}}"}}, thresholds(0.05)},
		},
		{
			{"Bulkheads: places in use", "timeseries", "percentunit", 8, []query{{table.Running.Name + " / " + table.Limit.Name, "{{bulkhead}}"}}, thresholds(0.9)},
			{"Bulkheads: waiting", "timeseries", "short", 8, []query{{table.Waiting.Name, "{{bulkhead}}"}, {table.Queue.Name, "{{bulkhead}} has room for"}}, nil},
			{"Failures in a row", "timeseries", "short", 8, []query{{table.Consecutive.Name, "{{breaker}}"}}, nil},
		},
		{
			{"Retry budget", "timeseries", "short", 8, []query{{table.Left.Name, "{{budget}} left"}, {table.Again.Name, "{{budget}} used"}, {table.First.Name, "{{budget}} first attempts"}}, nil},
			{"Retries stopped by a budget", "timeseries", "reqps", 8, []query{{perSecond(table.Denied.Name, window), "{{budget}}"}}, nil},
			{"Hedges", "timeseries", "reqps", 8, []query{{perSecond(table.Hedges.Name, window), "{{hedge}} started"}, {perSecond(table.Won.Name, window), "{{hedge}} won"}, {perSecond(table.Wasted.Name, window), "{{hedge}} wasted"}}, nil},
		},
		{
			{"Wait for a hedge", "timeseries", "s", 6, []query{{table.Delay.Name, "{{hedge}}"}}, nil},
			{"Cache: values", "timeseries", "short", 6, []query{{table.Entries.Name, "{{cache}}"}}, nil},
			{"Cache: found", "timeseries", "reqps", 6, []query{{perSecond(table.Hits.Name, window), "{{cache}} in memory"}, {perSecond(table.Fetched.Name, window), "{{cache}} in the store"}, {perSecond(table.Misses.Name, window), "{{cache}} not in memory"}}, nil},
			{"Cache: trouble with the store", "timeseries", "reqps", 6, []query{{perSecond(table.Errs.Name, window), "{{cache}}"}}, nil},
		},
	}
}

// within gives an expression brackets to be used in another.
func within(expr string) string { return "(" + expr + ")" }

// thresholds colour a panel from the first on orange, from the second on red.
func thresholds(from ...float64) object {
	steps := []object{{"color": "green", "value": nil}}
	for i, v := range from {
		steps = append(steps, object{"color": []string{"orange", "red"}[i], "value": v})
	}
	return object{"thresholds": object{"mode": "absolute", "steps": steps}}
}

const height = 8

func dashboard() ([]byte, error) {
	var panels []object
	for y, row := range rows() {
		x := 0
		for _, p := range row {
			panels = append(panels, p.json(len(panels)+1, x, y*height))
			x += p.width
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"title": "fx", "uid": "fx", "tags": []string{"fx", "resilience"}, "schemaVersion": 39, "editable": true, "graphTooltip": 1,
		"refresh": "10s", "time": object{"from": "now-1h", "to": "now"}, "panels": panels,
		"templating": object{"list": []object{
			{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
			variable("job", table.Duration.Counts(), "job"),
			variable("call", table.Duration.Counts(), "call"),
		}},
	})
	return b.Bytes(), err
}

var source = object{"type": "prometheus", "uid": "${datasource}"}

func variable(name, series, label string) object {
	return object{"name": name, "label": name, "type": "query", "datasource": source, "refresh": 2, "multi": true, "includeAll": true, "allValue": ".*",
		"query": object{"query": "label_values(" + series + ", " + label + ")", "refId": name}, "current": object{"text": "All", "value": "$__all"}}
}

func (p panel) json(id, x, y int) object {
	var targets []object
	for i, q := range p.queries {
		targets = append(targets, object{"refId": string(rune('A' + i)), "expr": q.expr, "legendFormat": q.legend, "datasource": source})
	}
	defaults := object{"unit": p.unit, "min": 0}
	for k, v := range p.more {
		defaults[k] = v
	}
	return object{"id": id, "title": p.title, "type": p.kind, "datasource": source, "targets": targets,
		"gridPos": object{"x": x, "y": y, "w": p.width, "h": height}, "fieldConfig": object{"defaults": defaults, "overrides": []object{}}}
}

// --- the README ---

const (
	begin = "<!-- metrics -->\n"
	end   = "<!-- /metrics -->"
)

func readme(old []byte) ([]byte, error) {
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return nil, fmt.Errorf("README.md lacks the lines %q and %q", strings.TrimSpace(begin), end)
	}
	var b strings.Builder
	b.WriteString(before + begin + "| metric | type | labels | |\n|---|---|---|---|\n")
	for _, m := range table.All {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
	}
	b.WriteString("\n| alert | fires when for two minutes |\n|---|---|\n")
	for _, a := range alerts {
		fmt.Fprintf(&b, "| `%s` | `%s` |\n", a.name, a.expr)
	}
	b.WriteString(end + after)
	return []byte(b.String()), nil
}
