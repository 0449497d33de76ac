//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A terminal is one in a tmux of its own.
type terminal struct {
	*testing.T
	socket string
	before string // the settings of the terminal before the program
}

// terminalFor opens a window, and types a command in it.
func terminalFor(t *testing.T, w, h int, command string) *terminal {
	if _, err := exec.LookPath("tmux"); err != nil {
		missing(t, "no tmux: apt-get install tmux")
	}
	x := &terminal{T: t, socket: filepath.Join(t.TempDir(), "tmux")}
	x.tmux("-f", os.DevNull, "new-session", "-d", "-x", fmt.Sprint(w), "-y", fmt.Sprint(h), "env PS1='ready> ' TERM=screen-256color sh")
	t.Cleanup(func() { exec.Command("tmux", "-S", x.socket, "kill-server").Run() })
	x.see("ready>")
	x.before = x.settings()
	x.tmux("send-keys", "clear; "+command+"; echo status $?", "Enter")
	return x
}

func (x *terminal) tmux(args ...string) string {
	said, err := exec.Command("tmux", append([]string{"-u", "-S", x.socket}, args...)...).CombinedOutput()
	require.NoError(x, err, "%v: %s", args, said)
	return string(said)
}

// settings are those of the terminal, as stty tells them.
func (x *terminal) settings() string {
	tty := strings.TrimSpace(x.tmux("display-message", "-p", "#{pane_tty}"))
	said, err := exec.Command("stty", "-F", tty, "-a").CombinedOutput()
	require.NoError(x, err, string(said))
	_, modes, _ := strings.Cut(string(said), ";") // without the speed; rows and columns may change
	_, modes, _ = strings.Cut(modes, "line =")
	return modes
}

func (x *terminal) screen() string { return x.tmux("capture-pane", "-p") }

func (x *terminal) is(what string) string {
	return strings.TrimSpace(x.tmux("display-message", "-p", "#{"+what+"}"))
}

// see waits until the screen shows a text.
func (x *terminal) see(what string) string {
	var screen string
	require.Eventually(x, func() bool {
		screen = x.screen()
		return strings.Contains(screen, what)
	}, time.Minute, 50*time.Millisecond, "%q is not on the screen", what)
	return screen
}

func (x *terminal) fits(screen string, w, h int) {
	lines := strings.Split(strings.TrimRight(screen, "\n"), "\n")
	assert.LessOrEqual(x, len(lines), h)
	for _, l := range lines {
		assert.LessOrEqual(x, utf8.RuneCountInString(l), w, l)
	}
}

// restored checks that the terminal is as it was before the program.
func (x *terminal) restored() {
	assert.Equal(x, "0", x.is("alternate_on"), "the screen of before is back")
	assert.Equal(x, "1", x.is("cursor_flag"), "the cursor is visible")
	assert.Equal(x, "0", x.is("mouse_any_flag"))
	assert.Equal(x, x.before, x.settings())
}

func TestPictureOnATerminal(t *testing.T) {
	x := terminalFor(t, 100, 30, build(t)+" -fast")
	x.see("the catalog dies")
	assert.Equal(t, "1", x.is("alternate_on"))
	assert.NotEqual(t, x.before, x.settings(), "raw")
	x.see("breaker open: ")
	screen := x.see(" old")
	x.fits(screen, 100, 30)
	for _, want := range []string{"PLAIN", "GUARDED", "orders/s", "p99", "goroutines", "catalog/s", "bulkhead", "stale", "█", "well again"} {
		assert.Contains(t, screen, want)
	}
	assert.Contains(t, x.tmux("capture-pane", "-p", "-e"), "\x1b[31m", "red")

	x.tmux("resize-window", "-x", "80", "-y", "24")
	require.Eventually(t, func() bool {
		lines := strings.Split(strings.TrimRight(x.screen(), "\n"), "\n")
		return len(lines) == 24 && strings.Contains(lines[23], "Ctrl-C ends it") && strings.HasSuffix(lines[0], "of 12.0 s") && utf8.RuneCountInString(lines[0]) == 79
	}, time.Minute, 50*time.Millisecond, "it is drawn for the new size")

	x.tmux("send-keys", "C-c")
	screen = x.see("status 130")
	assert.NotContains(t, screen, "GUARDED", "an interrupted story leaves nothing behind")
	x.restored()
}

func TestPictureEndsAsThePlainForm(t *testing.T) {
	x := terminalFor(t, 100, 30, build(t)+" -fast")
	x.see("GUARDED")
	x.see("within ") // of the checks
	x.see("status ")
	x.restored()
	all := x.tmux("capture-pane", "-p", "-e", "-S", "-200")
	frame, rest, found := strings.Cut(all, "-------- plain ----------")
	require.True(t, found)
	for _, want := range []string{"GUARDED", "well again", "breaker closed: the probes succeeded", "\x1b[32m"} {
		assert.Contains(t, frame, want, "the last picture stays")
	}
	for _, want := range []string{"orders completed", "The difference, from guard.go", "op = fx.WithBreaker(op, &g.breaker)", "breaker opens in the outage"} {
		assert.Contains(t, rest, want)
	}
}

func TestPipeGetsThePlainForm(t *testing.T) {
	x := terminalFor(t, 100, 30, build(t)+" -fast | cat")
	x.see("goroutines catalog/s   stale seats  breaker")
	assert.Equal(t, "0", x.is("alternate_on"))
	assert.Equal(t, x.before, x.settings())
}

func TestPlainAndNoColorAreObeyed(t *testing.T) {
	path := build(t)
	x := terminalFor(t, 100, 30, path+" -fast -plain")
	x.see("goroutines catalog/s   stale seats  breaker")
	assert.Equal(t, "0", x.is("alternate_on"))
	x.tmux("send-keys", "C-c")
	x.see("status 130")
	x.tmux("send-keys", "clear; NO_COLOR=1 "+path+" -fast; echo status $?", "Enter")
	x.see("the catalog dies")
	assert.NotRegexp(t, `\x1b\[[0-9;]*\b(3[0-7]|9[0-7]|38|48)\b[0-9;:]*m`, x.tmux("capture-pane", "-p", "-e"))
	x.tmux("send-keys", "q")
	x.see("status 130")
	x.tmux("send-keys", "clear; TERM=dumb "+path+" -fast; echo status $?", "Enter")
	x.see("goroutines catalog/s   stale seats  breaker")
	x.tmux("send-keys", "C-c")
	x.see("status 130")
	x.restored()
}

func TestPanicGivesTheTerminalBack(t *testing.T) {
	if os.Getenv("OUTAGE_PANIC") != "" {
		f := filmUntil(time.Second)
		enough := make(chan struct{})
		tell := audience(f.settings, f, os.Stdout, func() { close(enough) })
		show(tell, func() error {
			tell.begin(f.settings, 0, 0)
			<-enough
			panic("in the middle of the picture")
		})
	}
	self, err := os.Executable()
	require.NoError(t, err)
	x := terminalFor(t, 100, 30, "OUTAGE_PANIC=1 "+self+" -test.run=TestPanicGivesTheTerminalBack$")
	x.see("GUARDED")
	assert.Equal(t, "1", x.is("alternate_on"))
	x.tmux("send-keys", "q")
	x.see("status 2")
	x.restored()
	assert.Contains(t, x.tmux("capture-pane", "-p", "-S", "-100"), "panic: in the middle of the picture")
}
