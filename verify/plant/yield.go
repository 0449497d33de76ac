package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
)

// yieldSource is the file that the core gets in addition. A yield mostly does nothing; sometimes it lets another
// goroutine run or loses some time, so that what usually happens within nanoseconds is torn apart anywhere.
const yieldSource = `package fx

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
)

var plantedSpin atomic.Int64

func plantedYield() {
	switch n := rand.Uint32N(256); {
	case n < 40:
		runtime.Gosched()
	case n < 80:
		for range n {
			plantedSpin.Load()
		}
	}
}
`

// withYields puts a yield before every statement of every function. Lines keep their numbers.
func withYields(file string, src []byte) ([]byte, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var places []int
	ast.Inspect(tree, func(n ast.Node) bool {
		for _, s := range statements(n) {
			places = append(places, set.Position(s.Pos()).Offset)
		}
		return true
	})
	slices.Sort(places)
	var out []byte
	done := 0
	for _, at := range places {
		out = append(append(out, src[done:at]...), "plantedYield(); "...)
		done = at
	}
	return append(out, src[done:]...), nil
}

// statements are those that n is a list of.
func statements(n ast.Node) []ast.Stmt {
	switch n := n.(type) {
	case *ast.BlockStmt:
		return slices.DeleteFunc(slices.Clone(n.List), isClause)
	case *ast.CaseClause:
		return n.Body
	case *ast.CommClause:
		return n.Body
	}
	return nil
}

// isClause says whether s is a case, which is a statement for the parser alone.
func isClause(s ast.Stmt) bool {
	switch s.(type) {
	case *ast.CaseClause, *ast.CommClause:
		return true
	}
	return false
}
