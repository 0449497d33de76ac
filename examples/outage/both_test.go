//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program is the real one, with both lanes as processes of their own.
type program struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	pids  []int
	alone chan string // what was said on stderr, once every process that could write to it is gone
}

func build(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "outage")
	said, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, string(said))
	return path
}

func start(t *testing.T, path string) *program {
	p := &program{cmd: exec.Command(path, "-fast", "-json"), alone: make(chan string, 1)}
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.lines = bufio.NewScanner(out)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	p.cmd.Stderr = w // an *os.File, so the lanes inherit the pipe itself
	require.NoError(t, p.cmd.Start())
	w.Close()
	go func() {
		said, _ := io.ReadAll(r)
		r.Close()
		p.alone <- string(said)
	}()
	return p
}

// watch reads on to the first sample.
func (p *program) watch(t *testing.T) {
	var begin struct{ Pids map[string]int }
	require.True(t, p.lines.Scan())
	require.NoError(t, json.Unmarshal(p.lines.Bytes(), &begin))
	require.Len(t, begin.Pids, 2)
	for _, pid := range begin.Pids {
		require.NoError(t, syscall.Kill(pid, 0), "a lane is a process")
		p.pids = append(p.pids, pid)
	}
	require.True(t, p.lines.Scan())
	require.Contains(t, p.lines.Text(), `"kind":"sample"`)
}

// gone waits until neither the program nor its lanes exist.
func (p *program) gone(t *testing.T) (status int) {
	for p.lines.Scan() { // to the end
	}
	p.cmd.Wait()
	select {
	case said := <-p.alone:
		assert.Empty(t, said)
	case <-time.After(10 * time.Second):
		t.Fatal("a lane outlives its parent")
	}
	return p.cmd.ProcessState.ExitCode()
}

func TestInterruptEndsBothLanes(t *testing.T) {
	path := build(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, path)
			p.watch(t)
			require.NoError(t, p.cmd.Process.Signal(signal))
			assert.Equal(t, exitInterrupted, p.gone(t))
			for _, pid := range p.pids {
				assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
			}
		})
	}
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		p := start(t, path)
		p.watch(t)
		require.NoError(t, p.cmd.Process.Kill())
		p.gone(t)
	})
}
