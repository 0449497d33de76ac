package fxtest_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx"
	"example.com/fx/fxtest"
)

// twice is a retry that forgets to look at the caller, and at the kind of the error.
func twice(op fx.Op[int]) fx.Op[int] {
	return func(ctx context.Context) (int, error) {
		if v, err := op(ctx); err == nil {
			return v, nil
		}
		return op(ctx)
	}
}

// What the kit reports is the shortest story, and Go code that shows the same again.
func TestReportCanBePasted(t *testing.T) {
	out := caught(t, func(t *testing.T) { fxtest.Check(t, twice, fxtest.Calls(2, "tries twice")) })
	story := regexp.MustCompile(`(?s)(fxtest\.Replay\(t, policy, .*?"tries twice"\)\))\n`).FindString(out)
	require.NotEmpty(t, story, out)
	assert.Equal(t, 3, strings.Count(story, "\n"), "the shortest story has one call:\n%s", story)

	again := paste(t, `package fxtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/fx"
	"example.com/fx/fxtest"
)

var _, _, _, _, _ = context.Canceled, errors.New, fmt.Errorf, time.Second, fx.ErrFull

func TestPasted(t *testing.T) {
	policy := twice
	`+story+`
}
`)
	law := regexp.MustCompile(`law broken: .*`)
	assert.Equal(t, law.FindString(out), law.FindString(again), again)
}

// paste runs TestPasted of a file that is in this folder only for the compiler, and returns what it printed.
func paste(t *testing.T, file string) string {
	dir := t.TempDir()
	written := filepath.Join(dir, "pasted_test.go")
	require.NoError(t, os.WriteFile(written, []byte(file), 0o600))
	here, err := filepath.Abs("pasted_test.go")
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{here: written}})
	require.NoError(t, err)
	plan := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(plan, overlay, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", plan, "-run", "^TestPasted$", ".").CombinedOutput()
	require.Error(t, err, "%s", out)
	return string(out)
}

// Every kind of turn and error is printed as code that the compiler takes.
func TestStoriesArePrintedAsGo(t *testing.T) {
	story := fxtest.Story[string]{Calls: []fxtest.Call[string]{
		{At: time.Hour, Times: 3, Every: 90 * time.Second, Limit: 1500 * time.Microsecond, Cancel: 1, Turns: []fxtest.Turn[string]{
			{Value: "a", Take: time.Second, Deaf: true}, {Err: errDown}, {Panic: 7}, {Goexit: true},
		}},
		{Dead: true},
	}}
	assert.Equal(t, strings.TrimSpace(`
fxtest.Story[string]{Calls: []fxtest.Call[string]{
	{At: time.Hour, Times: 3, Every: 90 * time.Second, Limit: 1500 * time.Microsecond, Cancel: 1, Turns: []fxtest.Turn[string]{{Value: "a", Take: time.Second, Deaf: true}, {Err: errors.New("`+errDown.Error()+`")}, {Panic: 7}, {Goexit: true}}},
	{Dead: true},
}}`), story.GoString())
}

// A story that breaks no law passes.
func TestReplayOfAnInnocentStory(t *testing.T) {
	fxtest.Replay(t, twice, fxtest.Story[int]{Calls: []fxtest.Call[int]{{Turns: []fxtest.Turn[int]{{Value: 7}}}}}, fxtest.Calls(2, "tries twice"))
}

// A breaker that has had a rest lets one probe in: who comes at once with it and is refused shows no broken law.
func TestManyAtOnceAfterTrouble(t *testing.T) {
	fxtest.Replay(t, guarded[int], fxtest.Story[int]{Calls: []fxtest.Call[int]{
		{Times: 5, Turns: []fxtest.Turn[int]{{Err: errDown}}},
		{At: 700 * time.Second, Times: 3, Turns: []fxtest.Turn[int]{{Take: 100 * time.Millisecond}}},
	}}, guardedTerms...)
}

// guarded is a stack as users write it, for any type.
func guarded[T any](op fx.Op[T]) fx.Op[T] {
	op = fx.WithTimeout(op, time.Second)
	op = fx.WithRetry(op, fx.Retry{})
	op = fx.WithBreaker(op, &fx.Breaker{Trip: fx.FailureRate(0.5, 5)})
	return fx.WithBulkhead(op, &fx.Bulkhead{})
}

var guardedTerms = []fxtest.Term{
	fxtest.Calls(3, "two more attempts"), fxtest.Waits("backs off"), fxtest.Cuts("a second for each attempt"), fxtest.Refuses("open or full"),
}

// curious is a policy that has a law for numbers of its own.
func curious[T any](op fx.Op[T]) fx.Op[T] {
	return func(ctx context.Context) (T, error) {
		v, err := op(ctx)
		if _, number := any(v).(int); number && err != nil {
			return op(ctx)
		}
		return v, err
	}
}

func TestTheSameForEveryType(t *testing.T) {
	type user struct {
		Name  string
		Score *float64
	}
	fxtest.CheckTypes(t, guarded[int], guarded[user], guardedTerms...)
	fxtest.CheckTypes(t, guarded[struct{}], guarded[[]string], guardedTerms...)
	fxtest.CheckTypes(t, guarded[any], guarded[*user], guardedTerms...)
}

func TestPolicyThatLooksAtTypesIsCaught(t *testing.T) {
	out := caught(t, func(t *testing.T) { fxtest.CheckTypes(t, curious[int], curious[string]) })
	assert.Contains(t, out, "law broken: a policy does the same for every type")
	assert.Contains(t, out, "fxtest.Story[string]{")
}

func TestMisuseOfTheKit(t *testing.T) {
	assert.PanicsWithValue(t, `fxtest: Waits needs its reason, as in fxtest.Calls(3, "retries twice")`, func() { fxtest.Waits("") })
	assert.PanicsWithValue(t, "fxtest: Check needs a policy, a func(fx.Op[T]) fx.Op[T] such as guarded[int]", func() { fxtest.Laws[int](nil) })
	assert.PanicsWithValue(t, "fxtest: CheckTypes needs a policy, a func(fx.Op[T]) fx.Op[T] such as guarded[int]", func() { fxtest.TypeLaws[int, string](nil, nil) })
}

func FuzzGuardedKeepsTheLaws(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(fxtest.Laws(guarded[int], guardedTerms...)))
}
