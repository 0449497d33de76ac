package main

import (
	"strings"
	"unicode/utf8"
)

// width is that of the text in a box.
const width = 76

// box draws sections of lines, one below the other.
func box(head string, sections ...[]string) string {
	var b strings.Builder
	b.WriteString("┌─ " + head + " " + line(width-1-runes(head)) + "┐\n")
	for i, section := range sections {
		if i > 0 {
			b.WriteString("├" + line(width+2) + "┤\n")
		}
		for _, text := range section {
			for _, row := range wrap(text) {
				b.WriteString("│ " + row + strings.Repeat(" ", max(width-runes(row), 0)) + " │\n")
			}
		}
	}
	return b.String() + "└" + line(width+2) + "┘\n"
}

func line(n int) string { return strings.Repeat("─", max(n, 0)) }

func runes(s string) int { return utf8.RuneCountInString(s) }

// wrap breaks a text between words, and hangs what follows a little deeper than its beginning.
func wrap(text string) (rows []string) {
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	row, space := indent, ""
	for word := range strings.FieldsSeq(text) {
		if space != "" && runes(row+space+word) > width {
			rows = append(rows, row)
			row, space = indent+"  ", ""
		}
		row, space = row+space+word, " "
	}
	return append(rows, row)
}
