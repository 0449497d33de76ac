package fx_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/fx"
)

// usualSaga is what articles print: steps push their undo on a stack that lives in the saga, and a failure pops it.
type usualSaga struct {
	steps []fx.Step[string]
	undos []func(context.Context) error
}

func (s *usualSaga) run(ctx context.Context) error {
	state := ""
	for _, step := range s.steps {
		next, err := step.Do(ctx, state)
		if err != nil {
			for i := len(s.undos) - 1; i >= 0; i-- {
				_ = s.undos[i](ctx)
			}
			return err
		}
		s.undos = append(s.undos, func(ctx context.Context) error { return step.Undo(ctx, next) })
		state = next
	}
	return nil
}

// The mistakes of the usual code, each as a check that it fails and fx passes.
func TestUsualMistakesAreNotOurs(t *testing.T) {
	type runner = func(context.Context) error
	type check = func(t *testing.T, saga func(...fx.Step[string]) runner) bool
	for name, check := range map[string]check{
		"a saga run twice undoes only what its own run did": func(t *testing.T, saga func(...fx.Step[string]) runner) bool {
			var d diary
			run := saga(d.step("a", nil), fx.Step[string]{Name: "b", Do: func(context.Context, string) (string, error) { return "", errBoom }})
			_ = run(t.Context())
			d.lines = nil
			_ = run(t.Context())
			return len(d.lines) == 2 // a, undo a
		},
		"an undo runs although the caller has left": func(t *testing.T, saga func(...fx.Step[string]) runner) bool {
			var d diary
			ctx, cancel := context.WithCancel(t.Context())
			a := d.step("a", nil)
			alive := false
			a.Undo = func(ctx context.Context, _ string) error { alive = ctx.Err() == nil; return nil }
			_ = saga(a, fx.Step[string]{Name: "b", Do: func(ctx context.Context, s string) (string, error) {
				cancel()
				return s, ctx.Err()
			}, Undo: a.Undo})(ctx)
			return alive
		},
		"the error of an undo is told": func(t *testing.T, saga func(...fx.Step[string]) runner) bool {
			var d diary
			a := d.step("a", nil)
			a.Undo = func(context.Context, string) error { return errCause }
			err := saga(a, d.step("b", errBoom))(t.Context())
			return strings.Contains(err.Error(), errCause.Error())
		},
		"a step that may have happened is undone": func(t *testing.T, saga func(...fx.Step[string]) runner) bool {
			var d diary
			_ = saga(d.step("a", fx.ErrTimeout))(t.Context())
			return len(d.lines) == 2 // a, undo a
		},
		"an undo does not overtake its Do": func(t *testing.T, saga func(...fx.Step[string]) runner) bool {
			var d diary
			late := fx.Lift(func(context.Context, string) (string, error) {
				time.Sleep(time.Minute)
				d.write("a happens")
				return "a", nil
			}, func(op fx.Op[string]) fx.Op[string] { return fx.WithTimeout(fx.Detached(op), time.Second) })
			a := fx.Step[string]{Name: "a", Do: late, Undo: d.step("a", nil).Undo}
			a.UndoLimit = time.Hour
			_ = saga(a)(t.Context())
			time.Sleep(time.Hour)
			synctest.Wait()
			d.mu.Lock()
			defer d.mu.Unlock()
			return len(d.lines) == 2 && d.lines[0] == "a happens"
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				assert.True(t, check(t, func(steps ...fx.Step[string]) runner {
					op := fx.Saga("", steps)
					return func(ctx context.Context) error { _, err := op(ctx); return err }
				}), "fx")
				assert.False(t, check(t, func(steps ...fx.Step[string]) runner {
					return (&usualSaga{steps: steps}).run
				}), "the usual code")
			})
		})
	}
}
