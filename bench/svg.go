package main

import (
	"fmt"
	"html"
	"strings"
)

// A drawing is an SVG in the making, on a page of its own, light or dark as the reader prefers.
type drawing struct {
	width, height float64
	parts         strings.Builder
}

const style = `
text { font: 11px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
.page { fill: #ffffff }
.title { font-size: 14px; font-weight: 600 }
.faint { fill: #656d76 }
.grid { stroke: #d0d7de; stroke-width: 1 }
.fx { fill: #0969da } .peer { fill: #afb8c1 } .best { fill: #6e7781 } .base { fill: #d4a72c }
.line { fill: none; stroke-width: 2 }
.s0 { stroke: #8c959f } .s1 { stroke: #0969da } .s2 { stroke: #bc4c00 } .s3 { stroke: #1a7f37 }
.t0 { fill: #656d76 } .t1 { fill: #0969da } .t2 { fill: #bc4c00 } .t3 { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #e6edf3 } .faint { fill: #8d96a0 } .grid { stroke: #30363d }
.fx { fill: #4493f8 } .peer { fill: #484f58 } .best { fill: #8b949e } .base { fill: #9e6a03 }
.s0 { stroke: #8d96a0 } .s1 { stroke: #4493f8 } .s2 { stroke: #f0883e } .s3 { stroke: #3fb950 }
.t0 { fill: #8d96a0 } .t1 { fill: #4493f8 } .t2 { fill: #f0883e } .t3 { fill: #3fb950 }
}`

func (d *drawing) text(x, y float64, class, anchor, words string) {
	fmt.Fprintf(&d.parts, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">%s</text>\n", x, y, class, anchor, html.EscapeString(words))
}

func (d *drawing) bar(x, y, width, height float64, class string) {
	fmt.Fprintf(&d.parts, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"%s\"/>\n", x, y, width, height, class)
}

func (d *drawing) rule(x1, y1, x2, y2 float64) {
	fmt.Fprintf(&d.parts, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n", x1, y1, x2, y2)
}

// line joins points given as x, y, x, y.
func (d *drawing) line(points []float64, class string) {
	var at []string
	for i := 0; i+1 < len(points); i += 2 {
		at = append(at, fmt.Sprintf("%.1f,%.1f", points[i], points[i+1]))
	}
	fmt.Fprintf(&d.parts, "<polyline points=\"%s\" class=\"line %s\"/>\n", strings.Join(at, " "), class)
}

func (d *drawing) String() string {
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\">\n<style>%s\n</style>\n<rect width=\"100%%\" height=\"100%%\" class=\"page\"/>\n%s</svg>\n",
		d.width, d.height, d.width, d.height, style, d.parts.String())
}
