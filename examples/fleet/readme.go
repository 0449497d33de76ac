package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// folder is where this program's own README is.
const folder = "examples/fleet"

// seenOn names the machine and the effort.
func seenOn(seeds int) string {
	return fmt.Sprintf("Seen on: %s, %d cores, %s/%s, %s; %d seeds", cpuModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), seeds)
}

// cpuModel is what Linux calls the processor.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, model, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}

// write puts the results into the README and draws the pictures beside it.
func write(all []results, set settings, took time.Duration) error {
	name := filepath.Join(folder, "README.md")
	raw, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("-write belongs at the top of the module: %w", err)
	}
	doc := string(raw)
	parts := map[string]string{}
	if len(set.only) == 0 {
		parts["machine"] = fmt.Sprintf("`go run ./examples/fleet -write`. %s; %v.", seenOn(set.seeds), took.Round(time.Second))
	}
	for _, r := range all {
		parts[r.key] = r.part()
	}
	for part, text := range parts {
		if doc, err = rewrite(doc, part, text); err != nil {
			return err
		}
	}
	for _, r := range all {
		if r.picture == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, r.picture.file), []byte(r.chart().SVG()), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(name, []byte(doc), 0o644)
}

// part is the results as they stand in the README.
func (r results) part() string {
	text := r.about + "\n\n" + r.table()
	if r.picture != nil {
		text += fmt.Sprintf("\n![%s](%s)\n", r.picture.title, r.picture.file)
	}
	if r.compare != "" {
		text += "\n" + r.compare + "\n"
	}
	text += "\nIt claims, and checks with each seed:\n\n"
	for _, c := range r.claims {
		text += "- " + c.says + "\n"
	}
	return text
}

// rewrite puts text between the comments <!-- name --> and <!-- /name --> of doc.
func rewrite(doc, name, text string) (string, error) {
	open, shut := "<!-- "+name+" -->", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(doc, open)
	if !ok {
		return "", fmt.Errorf("there is no %s in the README", open)
	}
	_, after, ok := strings.Cut(rest, shut)
	if !ok {
		return "", fmt.Errorf("there is no %s after %s in the README", shut, open)
	}
	return before + open + "\n" + strings.Trim(text, "\n") + "\n" + shut + after, nil
}
