package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestRewritingKeepsWhatIsNotBetweenTheMarkers(t *testing.T) {
	const doc = "before <!-- a -->old<!-- /a --> between <!-- b -->\nkept\n<!-- /b --> after"
	once, err := rewrite(doc, "a", "\nnew\n")
	if want := "before <!-- a -->\nnew\n<!-- /a --> between <!-- b -->\nkept\n<!-- /b --> after"; err != nil || once != want {
		t.Errorf("%q, %v", once, err)
	}
	if twice, _ := rewrite(once, "a", "new"); twice != once {
		t.Errorf("the same again made %q", twice)
	}
}

func TestRewritingNeedsBothMarkers(t *testing.T) {
	for _, doc := range []string{"", "<!-- a -->", "<!-- /a -->", "<!-- /a --><!-- a -->"} {
		if _, err := rewrite(doc, "a", "new"); err == nil {
			t.Errorf("%q was rewritten", doc)
		}
	}
}

func TestAReadmeWithoutAPlaceForTheTableIsLeftAlone(t *testing.T) {
	t.Chdir(t.TempDir())
	name := "README.md"
	parts := planted().partsAbove()
	for doc, want := range map[string]bool{"nothing": false, "a <!-- bench -->\nold\n<!-- /bench --> b": true} {
		if err := os.WriteFile(name, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := rewriteFile(name, parts)
		if errors.Is(err, errNoPlace) == want || want && !strings.Contains(got, "| job ") {
			t.Errorf("%q: %q, %v", doc, got, err)
		}
	}
}

func TestWritingReachesBothReadmesAndTheCharts(t *testing.T) {
	own, err := os.ReadFile("README.md")
	must(err)
	house := t.TempDir()
	t.Chdir(house)
	must(os.Mkdir("bench", 0o700))
	must(os.WriteFile("bench/README.md", own, 0o600))
	t.Chdir("bench")
	for _, doc := range []string{"no place", "<!-- bench -->", "<!-- bench --><!-- /bench -->"} {
		must(os.WriteFile(above, []byte(doc), 0o600))
		if err := planted().write(); (err == nil) != (doc != "<!-- bench -->") {
			t.Errorf("%q: %v", doc, err)
		}
	}
	for file, part := range map[string]string{above: "| job ", "README.md": "| job ", "cost.svg": "<svg", "holders.svg": "<svg"} {
		if got, err := os.ReadFile(file); err != nil || !strings.Contains(string(got), part) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestTheReadmeHasAPlaceForEveryPart(t *testing.T) {
	doc, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range planted().readmeParts() {
		if _, err := rewrite(string(doc), name, ""); err != nil {
			t.Error(err)
		}
	}
}
