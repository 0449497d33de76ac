// Plant makes an overlay for the go command under which the core of fx is compiled with yields between its statements,
// and, if one is named, with a fault. The core's own files stay as they are. It prints the overlay's path:
//
//	go test -overlay "$(go run ./plant)" -run Histories .
//	go test -overlay "$(go run ./plant -fault two-probes)" -run BreakerHistories .
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	core := flag.String("core", "..", "the folder of the core")
	dir := flag.String("dir", "", "where to write; by default a new folder among the temporary ones")
	name := flag.String("fault", "", "plant this fault too, one of "+strings.Join(names(), ", "))
	flag.Parse()
	path, err := plant(*core, *dir, *name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "plant:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}

// files of the core get yields.
var files = []string{"breaker.go", "bulkhead.go", "retry.go"}

// plant writes the changed files and the overlay that puts them in the place of the core's.
func plant(core, dir, name string) (string, error) {
	core, err := filepath.Abs(core)
	if err != nil {
		return "", err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "fx-plant-"); err != nil {
			return "", err
		}
	}
	overlay := map[string]string{}
	put := func(file string, src []byte) error {
		path := filepath.Join(dir, file)
		overlay[filepath.Join(core, file)] = path
		return os.WriteFile(path, src, 0o644)
	}
	for _, file := range files {
		src, err := planted(core, file, name)
		if err != nil {
			return "", err
		}
		if err := put(file, src); err != nil {
			return "", err
		}
	}
	if err := put("planted_yield.go", []byte(yieldSource)); err != nil {
		return "", err
	}
	return write(filepath.Join(dir, "overlay.json"), overlay)
}

// planted is a file of the core with the named fault, if that is its home, and with yields.
func planted(core, file, name string) ([]byte, error) {
	src, err := os.ReadFile(filepath.Join(core, file))
	if err != nil {
		return nil, err
	}
	if name != "" {
		f, err := find(name)
		if err != nil {
			return nil, err
		}
		if src, err = f.plant(file, src); err != nil {
			return nil, err
		}
	}
	return withYields(file, src)
}

func write(path string, overlay map[string]string) (string, error) {
	text, err := json.MarshalIndent(map[string]any{"Replace": overlay}, "", "\t")
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, text, 0o644)
}
