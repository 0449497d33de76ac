//go:build unix

package main

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// served starts the real program with its page. end interrupts it and gives its exit status.
func served(t *testing.T) (page string, end func() int) {
	cmd := exec.Command(build(t), "-serve", "-rate", "50")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() }) // its lanes end with it
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	page = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(line)
	require.NotEmpty(t, page, line)
	return page, func() int {
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		hard := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer hard.Stop()
		cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}

func TestBreakerOpensAndClosesAtTheSwitch(t *testing.T) {
	page, end := served(t)
	defer http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := subscribe(t, ctx, page)
	until(t, next, func(m moment) bool { return m.Guarded.Completed > 20 && m.Plain.Completed > 20 })
	makeIll(t, page, silent)
	until(t, next, func(m moment) bool {
		return m.Ill == silent && m.Guarded.Breaker == open && m.Guarded.Stale == 1 && m.Guarded.StaleAge > 0 && m.Plain.Completed == 0
	})
	makeIll(t, page, well)
	until(t, next, func(m moment) bool { return m.Ill == well && m.Guarded.Breaker == closed && m.Guarded.Stale == 0 })
	assert.Equal(t, exitOK, end(), "Ctrl-C is how it ends")
}

// browser finds the Chromium of the machine. Without one the test is skipped, but not in CI.
func browser(t *testing.T) string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "no Chromium: apt-get install chromium")
	return ""
}

// missing skips a test for want of a tool. In CI the tools have to be there.
func missing(t *testing.T, what string) {
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func TestPersonPlaysWithTheCatalog(t *testing.T) {
	path := browser(t)
	page, end := served(t)
	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.WindowSize(1120, 1000), chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), flags...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(page), see(`+document.querySelector('#guarded .gauges b').textContent > 20`)))
	for _, a := range ailments[1:] {
		require.NoError(t, chromedp.Do(ctx,
			click(a),
			see(`document.querySelector('#breaker').dataset.state === 'open'`),
			see(`document.querySelector('#stale').textContent === '100 %'`),
			see(`document.querySelector('[data-ill="`+string(a)+`"]').getAttribute('aria-pressed') === 'true'`)), a)
		shoot(t, ctx, "open-"+string(a))
		require.NoError(t, chromedp.Do(ctx,
			click(well),
			see(`document.querySelector('#breaker').dataset.state === 'closed'`),
			see(`document.querySelector('#stale').textContent === '0 %'`)), a)
	}
	shoot(t, ctx, "well")
	events, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#events")))
	require.NoError(t, err)
	assert.Contains(t, events, "breaker closed: the probes succeeded")
	assert.Contains(t, events, "the catalog is slow")
	assert.Contains(t, events, "breaker open: timeout after")
	require.NoError(t, chromedp.Do(ctx, see(`document.querySelector('#trouble').hidden`)))
	assert.Equal(t, exitOK, end())
	require.NoError(t, chromedp.Do(ctx, see(`document.querySelector('#trouble').textContent.includes('Ctrl-C')`)), "the page says that the shop is closed")
}

func click(a ailment) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(`[data-ill="` + string(a) + `"]`))
}

// see waits until something is true on the page.
func see(what string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](what, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(time.Minute))
}

// shoot keeps a screenshot if OUTAGE_SHOTS names a folder to look at them.
func shoot(t *testing.T, ctx context.Context, name string) {
	dir := os.Getenv("OUTAGE_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}
