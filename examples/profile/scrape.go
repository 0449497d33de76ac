package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A scrape is what /metrics said: the value of each series, by its name and labels as Prometheus writes them.
type scrape map[string]float64

// scrape reads the metrics of p. One that cannot be read is empty.
func (s *story) scrape(ctx context.Context, p *pod) scrape {
	_, text, err := get(ctx, s.client, p.url+"/metrics")
	if err != nil {
		return nil
	}
	got, err := parse(text)
	if err != nil {
		return nil
	}
	return got
}

func parse(text string) (scrape, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	all := scrape{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			labels := labels(m)
			switch {
			case m.Histogram != nil:
				all[name+"_count"+labels] = float64(m.Histogram.GetSampleCount())
				all[name+"_sum"+labels] = m.Histogram.GetSampleSum()
			case m.Counter != nil:
				all[name+labels] = m.Counter.GetValue()
			default:
				all[name+labels] = m.Gauge.GetValue()
			}
		}
	}
	return all, nil
}

func labels(m *dto.Metric) string {
	var all []string
	for _, l := range m.GetLabel() {
		all = append(all, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	slices.Sort(all)
	return "{" + strings.Join(all, ",") + "}"
}

// series are the names of all, in order.
func (s scrape) series() []string { return slices.Sorted(maps.Keys(s)) }

// firing are the alerts of fxprom that would fire, if what happened between two scrapes went on for two minutes. The
// tests ask promtool.
func firing(before, after scrape) (alerts []string) {
	const (
		closed   = `fx_breaker_state{breaker="users",state="closed"}`
		calls    = `fx_call_duration_seconds_count{call="users",point="call"}`
		attempts = `fx_call_duration_seconds_count{call="users",point="attempt"}`
		degraded = `fx_call_problems_total{call="users",outcome="degraded",point="call"}`
	)
	grown := func(series string) float64 { return after[series] - before[series] }
	if after[closed] == 0 {
		alerts = append(alerts, `FxBreakerOpen: circuit breaker users is not closed`)
	}
	if share := grown(degraded) / grown(calls); share > 0.1 {
		alerts = append(alerts, fmt.Sprintf("FxDegraded: %.0f %% of the answers of users are second best", 100*share))
	}
	if times := grown(attempts) / grown(calls); times > 1.5 {
		alerts = append(alerts, fmt.Sprintf("FxAmplification: each call of users costs %.1f attempts", times))
	}
	return alerts
}

// slowest is the longest wait for a page.
func (s *story) slowest() time.Duration {
	longest := time.Duration(0)
	for _, v := range s.views {
		longest = max(longest, v.took)
	}
	return longest
}
