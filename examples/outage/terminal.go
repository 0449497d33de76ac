package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
	"golang.org/x/term"
)

// A picture shows the run on a terminal, and ends as the plain form does. It is drawn in this process alone: the lanes
// do not know whether anybody looks.
//
// The terminal is tcell's: it takes cells, sends only those that changed, follows the size of the window, obeys NO_COLOR,
// and gives the terminal back. Frameworks with a loop of their own do no more for a picture that nobody types into.
type picture struct {
	textTeller
	film   *film
	screen tcell.Screen
	color  bool
	said   later // what the lanes say meanwhile would spoil it
}

// audience finds out who watches: a person at a terminal gets the picture. quit is called when that person has enough.
func audience(set settings, f *film, out io.Writer, quit func()) teller {
	words := newTeller(set, out)
	if set.json || set.plain || !drawable(out) {
		return words
	}
	screen, err := tcell.NewScreen()
	if err != nil || screen.Init() != nil {
		return words // a terminal of another kind: the plain form says all
	}
	go obeyKeys(screen, quit)
	return &picture{textTeller{out, f.story}, f, screen, os.Getenv("NO_COLOR") == "", later{}}
}

func drawable(out io.Writer) bool {
	file, ok := out.(*os.File)
	kind := os.Getenv("TERM")
	return ok && term.IsTerminal(int(file.Fd())) && kind != "" && kind != "dumb"
}

// obeyKeys ends with the screen. The terminal is raw, so Ctrl-C is a key.
func obeyKeys(screen tcell.Screen, quit func()) {
	for e := range screen.EventQ() {
		if k, ok := e.(*tcell.EventKey); ok && (k.Key() == tcell.KeyCtrlC || k.Str() == "q") {
			quit()
		}
	}
}

func (p *picture) begin(settings, int, int) { p.draw() }

// sample draws when both lanes have told of the moment, which the guarded one does last.
func (p *picture) sample(s sample) {
	if s.Lane == guardedLane {
		p.draw()
	}
}

func (p *picture) draw() {
	w, h := p.screen.Size()
	c := p.film.draw(w, h)
	p.screen.Clear()
	for i, r := range c.runes {
		p.screen.SetContent(i%w, i/w, r, nil, styles[c.inks[i]])
	}
	p.screen.Show()
}

// The colors are those that sgr names.
var styles = [...]tcell.Style{
	plainInk: tcell.StyleDefault,
	faintInk: tcell.StyleDefault.Dim(true),
	boldInk:  tcell.StyleDefault.Bold(true),
	goodInk:  tcell.StyleDefault.Foreground(color.XTerm2),
	warnInk:  tcell.StyleDefault.Foreground(color.XTerm3),
	badInk:   tcell.StyleDefault.Foreground(color.XTerm1),
	coolInk:  tcell.StyleDefault.Foreground(color.XTerm6),
}

// end leaves the last picture behind, and then says what the plain form says.
func (p *picture) end(plain, guarded figures, checks []check) {
	w, h := p.screen.Size()
	p.leave()
	for _, line := range p.film.draw(w, h).lines(p.color) {
		fmt.Fprintln(p.out, line)
	}
	p.textTeller.end(plain, guarded, checks)
}

// leave gives the terminal back.
func (p *picture) leave() {
	p.screen.Fini()
	p.said.flush(os.Stderr)
}

// later keeps what is written until it may be shown. It is safe for concurrent use.
type later struct {
	mu   sync.Mutex
	kept bytes.Buffer
}

func (l *later) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.Write(b)
}

func (l *later) flush(to io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.WriteTo(to)
}
