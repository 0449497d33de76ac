package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/fx/fxprom/internal/table"
)

func TestFilesAreAsTheTableMakesThem(t *testing.T) {
	t.Chdir("..")
	for name, make := range outputs {
		old, err := os.ReadFile(name)
		require.NoError(t, err)
		text, err := make(old)
		require.NoError(t, err)
		assert.Equal(t, string(old), string(text), "%s; run go run ./generate", name)
	}
}

func TestReadmeWithoutItsPlaceIsNotTouched(t *testing.T) {
	for _, text := range []string{"", begin, end, "no place"} {
		_, err := readme([]byte(text))
		assert.ErrorContains(t, err, "README.md lacks the lines")
	}
}

func TestRulesPassPromtool(t *testing.T) {
	promtool(t, "check", "rules", "../rules.yml")
}

func TestAlertsFireWhenTheyShouldAndOnlyThen(t *testing.T) {
	promtool(t, "test", "rules", "testdata/alerts.yml")
}

func TestDashboardAsksOnlyForWhatThereIs(t *testing.T) {
	names := map[string]bool{}
	for _, m := range table.All {
		names[m.Name] = false
	}
	exprs := dashboardExprs(t)
	for _, expr := range exprs {
		for _, name := range regexp.MustCompile(`\bfx_[a-z_]+`).FindAllString(expr, -1) {
			name = strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
			assert.Contains(t, names, name)
			names[name] = true
		}
	}
	for name, shown := range names {
		assert.True(t, shown, "%s is on no panel", name)
	}
	promtool(t, "check", "rules", asRules(t, exprs))
}

func TestPanelsFillTheirRows(t *testing.T) {
	for _, row := range rows() {
		width := 0
		for _, p := range row {
			width += p.width
		}
		assert.Equal(t, 24, width, row[0].title)
	}
}

// dashboardExprs are the queries of dashboard.json, as Prometheus gets them.
func dashboardExprs(t *testing.T) (exprs []string) {
	text, err := os.ReadFile("../dashboard.json")
	require.NoError(t, err)
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	require.NoError(t, json.Unmarshal(text, &d))
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			exprs = append(exprs, strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$call", ".*").Replace(target.Expr))
		}
	}
	require.Greater(t, len(exprs), 20)
	return exprs
}

// asRules is a file of recording rules with the expressions, which promtool can check.
func asRules(t *testing.T, exprs []string) string {
	text := "groups:\n  - name: dashboard\n    rules:\n"
	for i, expr := range exprs {
		text += "      - record: dashboard:expr:" + strconv.Itoa(i) + "\n        expr: " + strconv.Quote(expr) + "\n"
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// promtool runs Prometheus' own checker, which has to be there in CI.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("promtool is not installed; on Debian: apt-get install prometheus")
	}
	require.NoError(t, err)
	out, err := exec.Command(tool, args...).CombinedOutput()
	require.NoError(t, err, "promtool %s:\n%s", strings.Join(args, " "), out)
	assert.False(t, slices.Contains(strings.Fields(string(out)), "FAILED"), string(out))
}
