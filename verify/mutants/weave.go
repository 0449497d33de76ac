package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// To compile the tests for every mutant takes many times as long as to run them. So the mutants of a file are woven
// into one text: each function holds its body once for every mistake in it, behind a switch that is set at run time,
// and then as it was. What survives there is tried again alone, so nothing but a kill rests on this.

// switches declares what the woven text asks, in a file of its own.
const switches = `package fx

import "os"

var mutantNow = os.Getenv("FX_MUTANT")

func mutantIs(n string) bool { return mutantNow == n }
`

// weave returns src with those of ms in it that lie inside a function, and the numbers of their switches by id.
func weave(src []byte, ms []mutant) (string, map[string]int, error) {
	bodies, err := bodiesOf(src)
	if err != nil {
		return "", nil, err
	}
	number := map[string]int{}
	var s strings.Builder
	done := 0
	for _, b := range bodies {
		s.Write(src[done:b.from])
		done = b.from
		for i, m := range ms {
			if code, ok := b.with(src, m.text); ok {
				number[m.id] = i
				fmt.Fprintf(&s, "\nif mutantIs(\"%d\") {\n%s\n%s}\n", i, code, b.ending)
			}
		}
	}
	s.Write(src[done:])
	return s.String(), number, nil
}

// A body is what stands between the braces of a function.
type body struct {
	from, to int
	ending   string // what keeps a mutant from going on with the original
}

func bodiesOf(src []byte) (bs []body, err error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, "", src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	base := fset.File(tree.Pos()).Base()
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		b := body{from: int(f.Body.Lbrace) + 1 - base, to: int(f.Body.Rbrace) - base}
		if f.Type.Results == nil {
			b.ending = "return\n"
		}
		bs = append(bs, b)
	}
	return bs, nil
}

// with is the body as it is in text, if text differs from src nowhere else.
func (b body) with(src, text []byte) (code string, ok bool) {
	grown := len(text) - len(src)
	same := string(text[:min(b.from, len(text))]) == string(src[:b.from]) && b.to+grown >= b.from &&
		string(text[b.to+grown:]) == string(src[b.to:])
	if !same {
		return "", false
	}
	return string(text[b.from : b.to+grown]), true
}
