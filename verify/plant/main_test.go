package main

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryFaultCanBePlanted(t *testing.T) {
	core := filepath.Join("..", "..")
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			path, err := plant(core, t.TempDir(), f.name)
			require.NoError(t, err)
			overlay := replaced(t, path)
			require.Len(t, overlay, len(files)+1)
			for original, file := range overlay {
				_, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
				assert.NoError(t, err)
				assert.True(t, filepath.IsAbs(original), original)
			}
		})
	}
}

func replaced(t *testing.T, path string) map[string]string {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var overlay struct{ Replace map[string]string }
	require.NoError(t, json.Unmarshal(text, &overlay))
	return overlay.Replace
}

func TestFaultThatDoesNotFitSaysSo(t *testing.T) {
	f, err := find("two-probes")
	require.NoError(t, err)
	for _, src := range []string{"package fx\n", f.old + f.old} {
		_, err = f.plant("breaker.go", []byte(src))
		assert.ErrorContains(t, err, "the fault two-probes cannot be planted: the core's text has changed. This stands in breaker.go ")
	}
	_, err = find("three-probes")
	assert.ErrorContains(t, err, `there is no fault "three-probes"; there are two-probes, `)
}

func TestYieldsKeepTheLines(t *testing.T) {
	for _, file := range files {
		src, err := os.ReadFile(filepath.Join("..", "..", file))
		require.NoError(t, err)
		out, err := withYields(file, src)
		require.NoError(t, err)
		assert.Equal(t, bytes.Count(src, []byte("\n")), bytes.Count(out, []byte("\n")))
		assert.Equal(t, string(src), string(bytes.ReplaceAll(out, []byte("plantedYield(); "), nil)))
		assert.Greater(t, bytes.Count(out, []byte("plantedYield(); ")), 50)
	}
}

func TestYieldStandsBeforeEveryStatement(t *testing.T) {
	out, err := withYields("x.go", []byte("package x\nfunc f(c chan int) {\n\tselect {\n\tcase <-c:\n\t\treturn\n\tdefault:\n\t\tgo func() { f(c) }()\n\t}\n}\n"))
	require.NoError(t, err)
	assert.Equal(t, "package x\nfunc f(c chan int) {\n\tplantedYield(); select {\n\tcase <-c:\n\t\tplantedYield(); return\n\tdefault:\n"+
		"\t\tplantedYield(); go func() { plantedYield(); f(c) }()\n\t}\n}\n", string(out))
}
