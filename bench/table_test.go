package main

import (
	"strings"
	"testing"
)

func TestTablesAreAligned(t *testing.T) {
	tab := table{head: []string{"case", "ns"}, numbers: []int{1}}
	tab.add("one ÷ two", "1.5")
	tab.add("b", "1,200")
	text := "case          ns\n" + strings.Repeat("─", 16) + "\none ÷ two    1.5\nb          1,200\n"
	if got := tab.text(); got != text {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
	markdown := "| case      |    ns |\n| --------- | ----: |\n| one ÷ two |   1.5 |\n| b         | 1,200 |\n"
	if got := tab.markdown(); got != markdown {
		t.Errorf("got\n%s\nwant\n%s", got, markdown)
	}
}

func TestColumnsCanBeLeftOut(t *testing.T) {
	tab := table{head: []string{"case", "why", "ns"}, numbers: []int{2}}
	tab.add("a", "because", "1")
	if got, want := tab.without("why").markdown(), "| case | ns |\n| ---- | -: |\n| a    |  1 |\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNumbersHaveTheDigitsThatCount(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 0.004: "0", 0.05: "0.05", 0.5: "0.5", 1: "1", 1.44: "1.4", 99.96: "100", 100: "100", 1234.5: "1,235", 1e6: "1,000,000", 10: "10", -2: "-2",
	} {
		if got := number(x); got != want {
			t.Errorf("number(%v) = %s, want %s", x, got, want)
		}
	}
}
