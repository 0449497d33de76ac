package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A drawing is a file in the making. What was in it before stays until the new one is whole.
type drawing struct {
	path  string
	draft *os.File // nil if nobody asked for one
}

// openDrawing finds out at once whether the file can be written. Without a path there is no drawing.
func openDrawing(path string) (*drawing, error) {
	if path == "" {
		return &drawing{}, nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot draw into %s: it is no file", path)
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".outage-*.svg")
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err // its path is the draft's
	}
	if err != nil {
		return nil, fmt.Errorf("cannot draw into %s: %w", path, err)
	}
	return &drawing{path, draft}, nil
}

// keep draws the film into the file.
func (d *drawing) keep(f *film) error {
	if d.draft == nil {
		return nil
	}
	_, err := d.draft.WriteString(f.svg())
	err = errors.Join(err, d.draft.Chmod(0o644), d.draft.Close())
	if err == nil {
		err = os.Rename(d.draft.Name(), d.path)
	}
	if err != nil {
		return fmt.Errorf("cannot draw into %s: %w", d.path, err)
	}
	return nil
}

// drop removes a draft that was not kept.
func (d *drawing) drop() {
	if d.draft != nil {
		d.draft.Close()
		os.Remove(d.draft.Name())
	}
}
