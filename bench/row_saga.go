package main

import (
	"context"

	"example.com/fx"
)

func sagaRows() []row { return []row{sagaDone()} }

// sagaDone has three steps, each of them one call of the op, and nothing to undo.
func sagaDone() row {
	return row{
		name:   "saga of three steps, all good",
		op:     same(answer),
		target: target{objects: 21},
		contenders: []contender{
			{lib: libByHand, build: func() policy { return handSaga }, note: "a loop over a slice of structs; no keys, no names, undoes only what returned well"},
			{lib: libFx, build: func() policy { return fxSaga }, note: "draws a random id, and makes each step a key and a context"},
		},
	}
}

func fxSaga(op operation) operation {
	step := func(name string) fx.Step[int] {
		return fx.Step[int]{Name: name, Do: adding(op), Undo: nothing}
	}
	return fx.Saga(0, []fx.Step[int]{step("reserve"), step("charge"), step("ship")})
}

// adding is a step that adds what op says.
func adding(op operation) func(context.Context, int) (int, error) {
	return func(ctx context.Context, sum int) (int, error) {
		v, err := op(ctx)
		return sum + v, err
	}
}

func nothing(context.Context, int) error { return nil }

// handStep is a step as one writes it without a library.
type handStep struct {
	do   func(context.Context, int) (int, error)
	undo func(context.Context, int) error
}

func handSaga(op operation) operation {
	step := handStep{adding(op), nothing}
	steps := []handStep{step, step, step}
	return func(ctx context.Context) (state int, err error) {
		for i, s := range steps {
			next, err := s.do(ctx, state)
			if err != nil {
				return state, undoAll(ctx, steps[:i], state, err)
			}
			state = next
		}
		return state, nil
	}
}

func undoAll(ctx context.Context, done []handStep, state int, why error) error {
	for i := len(done) - 1; i >= 0; i-- {
		_ = done[i].undo(context.WithoutCancel(ctx), state)
	}
	return why
}
