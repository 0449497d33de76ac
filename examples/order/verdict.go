package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/fx"
)

// A verdict is what became of the order, in sentences.
type verdict struct {
	placed    bool
	sentences []string
}

// with adds what the parties' books hold, which is the truth.
func (v verdict) with(books []string) verdict {
	text := "The books are empty."
	if len(books) > 0 {
		text = "The books hold " + strings.Join(books, ", ") + "."
	}
	v.sentences = append(v.sentences, text)
	return v
}

// judge reads the saga's error. left is why the shopper's context has ended, nil if it has not.
func judge(o order, err, left error) verdict {
	var stopped *fx.SagaError
	switch {
	case err == nil:
		return verdict{true, []string{fmt.Sprintf("The order is placed: %s for %s, %s.", o.Item, o.price(), o.Parcel)}}
	case !errors.As(err, &stopped):
		return verdict{false, []string{"The order is not placed: " + err.Error() + "."}}
	}
	return explain(stopped, o.ID, why(stopped.Err, left))
}

// why is the cause in few words. Of a shopper who left the context knows more than the call that was cut off.
func why(err, left error) string {
	if left != nil && errors.Is(err, context.Canceled) {
		return "cut off: " + left.Error()
	}
	return strings.TrimPrefix(err.Error(), "fx: ")
}

// explain says what each field of the error means for the order.
func explain(e *fx.SagaError, id, why string) verdict {
	switch {
	case e.Committed:
		return verdict{true, []string{
			fmt.Sprintf("The order stands, for it was shipped. Committed: %s failed (%s).", e.Step, why),
			fmt.Sprintf("Repeat it until it succeeds; the key %s/%s makes that safe.", id, e.Step),
		}}
	case e.Uncertain:
		return verdict{false, []string{
			fmt.Sprintf("Nobody knows whether the order is placed. Uncertain: %s may have happened (%s).", e.Step, why),
			fmt.Sprintf("There is no way back from it, so nothing was undone. Ask for the key %s/%s.", id, e.Step),
		}}
	}
	return verdict{false, append([]string{
		fmt.Sprintf("The order is not placed, because of %s: %s.", e.Step, why), undone(e),
	}, notUndone(e)...)}
}

// undone lists the steps taken back. The one that failed is among them if it may have happened.
func undone(e *fx.SagaError) string {
	if len(e.Undone) == 0 {
		return "Undone: nothing."
	}
	steps := slices.Clone(e.Undone)
	if steps[0] == e.Step {
		steps[0] += " (it may have happened)"
	}
	return "Undone: " + strings.Join(steps, ", ") + "."
}

func notUndone(e *fx.SagaError) (sentences []string) {
	for _, f := range e.Failed {
		text := fmt.Sprintf("NOT undone: %s (%s). Somebody has to see to it.", f.Step, why(f.Err, nil))
		sentences = append(sentences, text)
	}
	return sentences
}
