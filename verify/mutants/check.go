package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A checker tells which mutants do not compile, without a compiler.
type checker struct {
	fset    *token.FileSet
	imports types.Importer
	files   map[string]*ast.File // of the package, by name
}

// newChecker reads the package in root. What that imports it takes from the go command's cache.
func newChecker(ctx context.Context, root string) (*checker, error) {
	exports, err := exportsOf(ctx, root)
	if err != nil {
		return nil, err
	}
	c := &checker{fset: token.NewFileSet(), files: map[string]*ast.File{}}
	c.imports = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	names, err := filepath.Glob(filepath.Join(root, "*.go"))
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if c.files[filepath.Base(name)], err = parser.ParseFile(c.fset, name, nil, parser.SkipObjectResolution); err != nil {
			return nil, err
		}
	}
	return c, err
}

// exportsOf names the file with the compiled form of each package that the one in root needs.
func exportsOf(ctx context.Context, root string) (map[string]string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", ".")
	list.Dir, list.Env = root, append(os.Environ(), "GOWORK=off")
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := map[string]string{}
	for _, line := range strings.Fields(string(out)) {
		path, file, _ := strings.Cut(line, "=")
		exports[path] = file
	}
	return exports, nil
}

// compiles says whether the package is well typed with m in it.
func (c *checker) compiles(m mutant) bool {
	text, err := parser.ParseFile(c.fset, m.file, m.text, parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	var files []*ast.File
	for name, file := range c.files {
		if name == m.file {
			file = text
		}
		files = append(files, file)
	}
	conf := types.Config{Importer: c.imports, GoVersion: "go1.25"}
	_, err = conf.Check("fx", c.fset, files, nil)
	return err == nil
}
