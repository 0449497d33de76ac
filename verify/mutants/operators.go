package main

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
)

// The first group of operators is that of gremlins (github.com/go-gremlins/gremlins), under the names that it gives
// them; `go run ./mutants -gremlins` compares. The others are what gremlins lacks.
var tokenOperators = map[string]map[token.Token]token.Token{
	"arithmetic-base": {
		token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
	},
	"conditionals-boundary": {
		token.GEQ: token.GTR, token.GTR: token.GEQ, token.LEQ: token.LSS, token.LSS: token.LEQ,
	},
	"conditionals-negation": {
		token.EQL: token.NEQ, token.NEQ: token.EQL,
		token.GEQ: token.LSS, token.GTR: token.LEQ, token.LEQ: token.GTR, token.LSS: token.GEQ,
	},
	"increment-decrement": {token.INC: token.DEC, token.DEC: token.INC},
	"invert-assignments": {
		token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
		token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN,
	},
	"invert-bitwise": {
		token.AND: token.OR, token.OR: token.AND, token.XOR: token.AND, token.AND_NOT: token.AND,
		token.SHL: token.SHR, token.SHR: token.SHL,
	},
	"invert-bwassign": {
		token.AND_ASSIGN: token.OR_ASSIGN, token.OR_ASSIGN: token.AND_ASSIGN, token.XOR_ASSIGN: token.AND_ASSIGN,
		token.AND_NOT_ASSIGN: token.AND_ASSIGN, token.SHL_ASSIGN: token.SHR_ASSIGN, token.SHR_ASSIGN: token.SHL_ASSIGN,
	},
	"invert-logical":  {token.LAND: token.LOR, token.LOR: token.LAND},
	"invert-loopctrl": {token.BREAK: token.CONTINUE, token.CONTINUE: token.BREAK},
	"remove-self-assignments": {
		token.ADD_ASSIGN: token.ASSIGN, token.SUB_ASSIGN: token.ASSIGN, token.MUL_ASSIGN: token.ASSIGN,
		token.QUO_ASSIGN: token.ASSIGN, token.AND_ASSIGN: token.ASSIGN, token.OR_ASSIGN: token.ASSIGN,
		token.AND_NOT_ASSIGN: token.ASSIGN, token.XOR_ASSIGN: token.ASSIGN, token.REM_ASSIGN: token.ASSIGN,
	},
}

// generate makes the mutants that the operators find in one file.
func generate(file string, src []byte) ([]mutant, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	g := &generator{file: file, src: src, base: fset.File(tree.Pos()).Base()}
	for _, d := range tree.Decls {
		g.declaration(d)
	}
	slices.SortStableFunc(g.found, func(a, b mutant) int { return cmp.Compare(a.at, b.at) })
	distinct(g.found)
	return g.found, nil
}

// A generator walks over one file.
type generator struct {
	file  string
	src   []byte
	base  int
	place string // the function or type that it is in
	found []mutant
}

func (g *generator) declaration(d ast.Decl) {
	if gen, ok := d.(*ast.GenDecl); ok && gen.Tok == token.IMPORT {
		return
	}
	g.place = "package"
	if f, ok := d.(*ast.FuncDecl); ok {
		g.place = f.Name.Name
		if f.Recv != nil {
			g.place = receiver(f.Recv.List[0].Type) + "." + f.Name.Name
		}
		if f.Body != nil {
			g.results(f.Type, f.Body)
		}
	}
	ast.Inspect(d, func(n ast.Node) bool {
		g.node(n)
		return true
	})
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

// node applies the operators that begin at n.
func (g *generator) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		g.tokens(n, n.OpPos, n.Op)
	case *ast.IncDecStmt:
		g.tokens(n, n.TokPos, n.Tok)
	case *ast.AssignStmt:
		g.tokens(n, n.TokPos, n.Tok)
	case *ast.BranchStmt:
		g.tokens(n, n.TokPos, n.Tok)
	case *ast.UnaryExpr:
		g.unary(n)
	case *ast.IfStmt:
		g.condition(n.Cond)
		if n.Else != nil {
			g.replace("else-removed", n, n.Else.Pos(), n.Else.End(), "{}")
		}
	case *ast.SwitchStmt:
		g.cases(n)
	case *ast.BlockStmt:
		g.statements(n.List)
	case *ast.CaseClause:
		g.statements(n.Body)
	case *ast.CommClause:
		g.statements(n.Body)
	case *ast.FuncLit:
		g.results(n.Type, n.Body)
	case *ast.CompositeLit:
		g.fields(n)
	case *ast.BasicLit:
		g.number(n)
	}
}

func (g *generator) tokens(n ast.Node, at token.Pos, tok token.Token) {
	for name, swaps := range tokenOperators {
		by, ok := swaps[tok]
		end := at + token.Pos(len(tok.String()))
		switch {
		case !ok || joinsText(n) && by != token.ASSIGN:
		case name == "invert-logical": // in brackets, or the other operators around it would bind otherwise
			g.replace(name, n, n.Pos(), n.End(), "("+g.code(n.Pos(), at)+by.String()+g.code(end, n.End())+")")
		default:
			g.replace(name, n, at, end, by.String())
		}
	}
}

// joinsText says that n adds strings for certain: nothing else compiles there.
func joinsText(n ast.Node) (yes bool) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op != token.ADD {
			return false
		}
	case *ast.AssignStmt:
		if n.Tok != token.ADD_ASSIGN {
			return false
		}
	}
	ast.Inspect(n, func(n ast.Node) bool {
		e, ok := n.(*ast.BasicLit)
		yes = yes || ok && e.Kind == token.STRING
		_, call := n.(*ast.CallExpr)
		return !call
	})
	return yes
}

func (g *generator) unary(n *ast.UnaryExpr) {
	switch n.Op {
	case token.SUB:
		g.replace("invert-negatives", n, n.Pos(), n.X.Pos(), "+")
	case token.NOT:
		g.replace("not-removed", n, n.Pos(), n.X.Pos(), "")
	}
}

// condition has a branch never taken. What the condition reads it still reads, so that it compiles.
func (g *generator) condition(e ast.Expr) {
	g.replace("branch-removed", e, e.Pos(), e.End(), "("+g.code(e.Pos(), e.End())+") && false")
}

// cases does the same to the cases of a switch without a tag.
func (g *generator) cases(n *ast.SwitchStmt) {
	for _, s := range n.Body.List {
		for _, e := range s.(*ast.CaseClause).List {
			if n.Tag == nil {
				g.condition(e)
			}
		}
	}
}

// statements removes each statement that is more than the making of a name.
func (g *generator) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt, *ast.DeferStmt, *ast.GoStmt, *ast.IncDecStmt, *ast.SendStmt:
		default:
			continue
		}
		g.replace("statement-removed", s, s.Pos(), s.End(), "")
	}
}

// fields removes each named field of a literal.
func (g *generator) fields(n *ast.CompositeLit) {
	for _, e := range n.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return
		}
		end := g.offset(kv.End())
		if g.src[end] == ',' {
			end++
		}
		g.replace("field-removed", kv, kv.Pos(), token.Pos(g.base+end), "")
	}
}

// number is off by one.
func (g *generator) number(n *ast.BasicLit) {
	if v, err := strconv.ParseInt(n.Value, 0, 64); n.Kind == token.INT && err == nil {
		g.replace("constant-off-by-one", n, n.Pos(), n.End(), strconv.FormatInt(v+1, 10))
	}
}

// results swaps what a function returns with zero, or with its opposite. The results of a function inside it are its
// own.
func (g *generator) results(t *ast.FuncType, body *ast.BlockStmt) {
	types := resultTypes(t)
	ast.Inspect(body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) == len(types) {
			for i, e := range r.Results {
				g.result(r, e, types[i])
			}
		}
		_, inner := n.(*ast.FuncLit)
		return !inner
	})
}

func resultTypes(t *ast.FuncType) (types []ast.Expr) {
	if t.Results == nil {
		return nil
	}
	for _, f := range t.Results.List {
		for range max(len(f.Names), 1) {
			types = append(types, f.Type)
		}
	}
	return types
}

func (g *generator) result(r *ast.ReturnStmt, e, t ast.Expr) {
	code := g.code(e.Pos(), e.End())
	zero := opposite(t, code)
	if zero == "" || zero == code {
		return
	}
	m := g.mutant("return-swapped", r, e.Pos(), e.End(), zero)
	g.found = append(g.found, m)
}

// opposite is a value of type t that is not the one of code, as far as a syntax tree can tell.
func opposite(t ast.Expr, code string) string {
	switch t := t.(type) {
	case *ast.StarExpr, *ast.ArrayType, *ast.FuncType, *ast.ChanType, *ast.MapType:
		return "nil"
	case *ast.Ident:
		switch t.Name {
		case "error", "any", "Backoff":
			return "nil"
		case "bool":
			return "!(" + code + ")"
		case "int", "int64", "float64", "seats":
			return "0"
		case "State", "verdict":
			return "1 - (" + code + ")"
		case "string":
			return `""`
		}
	case *ast.SelectorExpr:
		if t.Sel.Name == "Duration" {
			return "0"
		}
	}
	return ""
}

func (g *generator) offset(p token.Pos) int { return int(p) - g.base }

func (g *generator) code(from, to token.Pos) string {
	return string(g.src[g.offset(from):g.offset(to)])
}

func (g *generator) replace(op string, around ast.Node, from, to token.Pos, by string) {
	g.found = append(g.found, g.mutant(op, around, from, to, by))
}

// mutant replaces [from, to) and shows the node around it before and after.
func (g *generator) mutant(op string, around ast.Node, from, to token.Pos, by string) mutant {
	a, b, f, t := g.offset(around.Pos()), g.offset(around.End()), g.offset(from), g.offset(to)
	after := string(g.src[a:f]) + by
	if t < b {
		after += string(g.src[t:b])
	}
	id := g.file + " " + g.place + " " + op + ": " + flat(string(g.src[a:b]))
	if short := flat(after); short != "" && op != "branch-removed" {
		id += " => " + short
	}
	return mutant{id: id, file: g.file, at: f, text: splice(g.src, f, t, by)}
}
