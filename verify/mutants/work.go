package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// work is the trying of many mutants, several at a time.
type work struct {
	o     options
	kept  *results
	out   io.Writer
	model *lab // what the survey has found

	todo       []mutant
	try        func(*lab, context.Context, mutant) (verdict, string, error)
	began      time.Time
	next, done atomic.Int64
}

// passes goes from the quick to the thorough; each takes what those before it have not decided.
func (w *work) passes(ctx context.Context, ms []mutant) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	untried := func(m mutant) bool { return w.kept.verdict(m) == "" }
	if err := w.check(ctx, only(ms, untried)); err != nil {
		return err
	}
	if err := w.weave(ctx, only(ms, untried), dir); err != nil {
		return err
	}
	if err := w.pass(ctx, "quick tests", only(only(ms, untried), w.isWoven), (*lab).switched); err != nil {
		return err
	}
	left := func(m mutant) bool { return untried(m) || w.kept.verdict(m) == doubtful }
	return w.pass(ctx, "all tests", only(ms, left), (*lab).whole)
}

// check sorts out those that do not compile.
func (w *work) check(ctx context.Context, ms []mutant) error {
	if len(ms) == 0 {
		return nil
	}
	c, err := newChecker(ctx, w.model.root)
	if err != nil {
		return err
	}
	for _, m := range ms {
		if !c.compiles(m) {
			w.kept.keep(m, unbuilt, "")
		}
	}
	return ctx.Err()
}

// weave makes one binary for each file that has something to be tried. For a few mutants that takes longer than to try
// them alone.
func (w *work) weave(ctx context.Context, ms []mutant, dir string) error {
	w.model.woven = map[string]*woven{}
	return inLab(*w.model, func(l *lab) error {
		for _, file := range w.o.files {
			of := only(ms, func(m mutant) bool { return m.file == file })
			if len(of) < 3 {
				continue
			}
			woven, err := l.weave(ctx, file, of, dir)
			if err != nil {
				return err
			}
			if woven != nil {
				w.model.woven[file] = woven
			}
		}
		return nil
	})
}

func (w *work) isWoven(m mutant) bool {
	woven := w.model.woven[m.file]
	if woven == nil {
		return false
	}
	_, ok := woven.number[m.id]
	return ok
}

// pass tries each of todo once, in as many labs as asked for. The first fault of a lab ends it.
func (w *work) pass(ctx context.Context, name string, todo []mutant,
	try func(*lab, context.Context, mutant) (verdict, string, error)) error {
	fmt.Fprintf(w.out, "%s: %d mutants\n", name, len(todo))
	if len(todo) == 0 {
		return nil
	}
	w.todo, w.try, w.began = todo, try, time.Now()
	w.next.Store(0)
	w.done.Store(0)
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var labs sync.WaitGroup
	for range max(w.o.labs, 1) {
		labs.Go(func() {
			if err := inLab(*w.model, func(l *lab) error { return w.share(own, l) }); err != nil {
				cancel(err)
			}
		})
	}
	labs.Wait()
	return errors.Join(context.Cause(own), w.save())
}

// prepare has the suite surveyed.
func (w *work) prepare(ctx context.Context) error {
	root, err := filepath.Abs(w.o.root)
	if err != nil {
		return err
	}
	return inLab(lab{root: root}, func(l *lab) error {
		if err := l.survey(ctx, 300*time.Millisecond); err != nil {
			return err
		}
		w.model = l
		return nil
	})
}

// inLab has f work in a copy of model with a folder of its own.
func inLab(model lab, f func(*lab) error) (err error) {
	model.dir, err = os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(model.dir)) }()
	return f(&model)
}

// share takes one mutant after the other, until none is left.
func (w *work) share(ctx context.Context, l *lab) error {
	for ctx.Err() == nil {
		i := int(w.next.Add(1)) - 1
		if i >= len(w.todo) {
			return nil
		}
		m := w.todo[i]
		v, by, err := w.try(l, ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.id, err)
		}
		w.kept.keep(m, v, by)
		if err := w.tell(m, v, by); err != nil {
			return err
		}
	}
	return nil
}

// tell prints a line of progress, and saves the results now and then.
func (w *work) tell(m mutant, v verdict, by string) error {
	done := int(w.done.Add(1))
	left := time.Since(w.began) / time.Duration(done) * time.Duration(len(w.todo)-done)
	if by != "" {
		by = " by " + by
	}
	fmt.Fprintf(w.out, "%d/%d, %v left: %s%s: %s\n", done, len(w.todo), left.Round(time.Second), v, by, m.id)
	if done%25 == 0 {
		return w.save()
	}
	return nil
}

// save keeps the results, but for a sample.
func (w *work) save() error {
	if w.o.short {
		return nil
	}
	return w.kept.save()
}
