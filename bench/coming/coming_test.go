package coming

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// hystrix-go keeps goroutines for each command for ever.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/afex/hystrix-go/hystrix.(*metricExchange).Monitor"),
		goleak.IgnoreAnyFunction("github.com/afex/hystrix-go/hystrix.(*poolMetrics).Monitor"))
}

var errBoom = errors.New("boom")

func TestBothSidesDoTheSame(t *testing.T) {
	for name, pair := range map[string][2]call{
		"gobreaker": {gobreakers(), gobreakerInFx()},
		"failsafe":  {failsafes(), failsafeInFx()},
		"retry-go":  {retries(), retryInFx()},
		"hystrix":   {hystrixes(), hystrixInFx()},
	} {
		for _, c := range pair {
			v, err := c(t.Context(), func(_ context.Context, id string) (User, error) { return User{id}, nil }, "ann")
			require.NoError(t, err, name)
			assert.Equal(t, User{"ann"}, v, name)
		}
		fails := func(context.Context, string) (User, error) { return User{}, errBoom }
		was, wasErr := pair[0](t.Context(), fails, "ann")
		is, isErr := pair[1](t.Context(), fails, "ann")
		assert.Equal(t, was, is, name)
		assert.Equal(t, errors.Is(wasErr, errBoom), errors.Is(isErr, errBoom), name)
	}
	assert.ErrorIs(t, unrecoverable(errBoom), errBoom)
	assert.ErrorIs(t, permanent(errBoom), errBoom)
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// Every piece of code in the README's tables stands in coming.go.
func TestTablesWereCompiled(t *testing.T) {
	code, err := os.ReadFile("coming.go")
	require.NoError(t, err)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(readme), "\n## Coming from another library\n")
	require.True(t, ok, "the README has no such section")
	section, _, _ = strings.Cut(section, "\n## ")
	compiled, spans := flat(string(code)), 0
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
			spans++
			assert.Contains(t, compiled, flat(strings.ReplaceAll(span[1], `\|`, "|")))
		}
	}
	assert.Greater(t, spans, 30)
}

// flat makes one space of any.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }
