package fxotel_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"

	"example.com/fx"
	"example.com/fx/fxotel"
)

// The zero value uses the global providers, and those of the otel package pass on what was made before they were set.
func TestZeroValueUsesTheGlobalProvidersHoweverLateTheyAreSet(t *testing.T) {
	run := fmt.Sprint(time.Now().UnixNano()) // once set they stay, also when the test is run again
	zero, b := &fxotel.Telemetry{}, &fx.Breaker{Name: run}
	zero.Breakers(b)
	ops := []fx.Op[int]{fxotel.Observe(fx.Value(1), "zero"+run, zero), fxotel.Observe(fx.Value(1), "default"+run)}
	for _, op := range ops {
		_, err := op(t.Context())
		require.NoError(t, err, "goes nowhere")
	}

	otel.SetTracerProvider(global.TracerProvider)
	otel.SetMeterProvider(global.MeterProvider)
	otel.SetLoggerProvider(global.LoggerProvider)
	global.spans.Reset()
	for _, op := range ops {
		_, err := op(t.Context())
		require.NoError(t, err)
	}
	require.Len(t, global.spans.GetSpans(), 2)
	assert.Equal(t, reflect.TypeFor[fxotel.Telemetry]().PkgPath(), global.spans.GetSpans()[0].InstrumentationScope.Name)
	metrics := global.metrics(t, "")
	assert.Contains(t, metrics, "fx.call.duration fx.call=zero"+run)
	assert.Contains(t, metrics, "fx.call.duration fx.call=default"+run)
	assert.Contains(t, metrics, "fx.breaker.state fx.name="+run+" fx.state=closed 1")
	b.Force(fx.StateOpen)
	assert.Eventually(t, func() bool { return strings.Contains(global.events.String(), "fx.name="+run) }, 10*time.Second, time.Millisecond)
}

var global = newLab()

// A program that only traces, or only counts, sets only that.
func TestEachSignalAlone(t *testing.T) {
	l := newLab()
	_, err := fxotel.Observe(fx.Value(1), "traced", &fxotel.Telemetry{TracerProvider: l.TracerProvider})(t.Context())
	require.NoError(t, err)
	_, err = fxotel.Observe(fx.Value(1), "counted", &fxotel.Telemetry{MeterProvider: l.MeterProvider})(t.Context())
	require.NoError(t, err)
	golden(t, `
fx.call.duration fx.call=counted fx.outcome=success fx.point=call 1 calls
`, regexp.MustCompile(`calls .*`).ReplaceAllString(l.metrics(t, ""), "calls"))
	assert.Equal(t, "traced", l.spans.GetSpans()[0].Name)
	assert.Len(t, l.spans.GetSpans(), 1)
}

func TestLibraryNeedsNoSDK(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			assert.NotContains(t, path, "/sdk", file)
			assert.NotContains(t, path, "/exporters", file)
		}
	}
}

// --- the README ---

func TestReadmeShowsCodeThatWasCompiled(t *testing.T) {
	code, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	blocks := strings.Split(readme(t), "```go\n")
	require.Len(t, blocks, 2)
	block, _, _ := strings.Cut(blocks[1], "```")
	assert.Contains(t, string(code), block)
}

// The tables have every metric with its attributes, every attribute of spans and events, and nothing else.
func TestReadmeListsAllThatIsTold(t *testing.T) {
	told := map[string]bool{}
	note := func(text string) {
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" =\n", r) }) {
			if (strings.HasPrefix(word, "fx.") || word == "error.type") && !strings.HasSuffix(word, "Error") {
				told[word] = true
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab()
		b := &fx.Breaker{Name: "users"}
		l.Breakers(b)
		l.Bulkheads(&fx.Bulkhead{Name: "users"})
		l.Budget("users", &fx.Budget{})
		l.Hedge("users", &fx.Hedge{})
		c := &fx.Cache[string, int]{}
		l.Cache("users", c)
		_, _ = fx.Remember(fx.Value(7), c, "a")(t.Context())
		time.Sleep(time.Second)
		op := fxotel.Observe(takes(time.Second, fx.WithDegraded(fx.Fail[int](errBoom), c.Recall("a"))), "users/copy", l.Telemetry)
		op = fx.WithHedge(op, &fx.Hedge{After: time.Millisecond})
		_, _ = fxotel.Observe(op, "users", l.Telemetry)(t.Context())
		_, _ = fxotel.Observe(fx.Fail[int](errBoom), "users", l.Telemetry)(t.Context())
		b.Force(fx.StateOpen)
		synctest.Wait()
		time.Sleep(time.Second)
		for _, s := range l.spans.GetSpans() {
			note(spelled(s.Attributes))
		}
		note(l.events.String())
		note(l.metrics(t, ""))
	})
	assert.Len(t, told, 36)
	text := readme(t)
	for word := range told {
		assert.Contains(t, text, "`"+word+"`")
	}
	for i, word := range strings.Split(text, "`") {
		if i%2 == 1 && strings.HasPrefix(word, "fx.") && !strings.ContainsAny(word, "(ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			assert.True(t, told[word], word)
		}
	}
}

func readme(t *testing.T) string {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}
