package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// A Machine is what the numbers were seen on, and with which versions.
type Machine struct {
	CPU   string
	Cores int
	Go    string
	OS    string
	Peers []string // modules and their versions
}

func thisMachine() Machine {
	return Machine{CPU: cpuModel(), Cores: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH, Peers: peers()}
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, %s", m.CPU, m.Cores, m.OS, m.Go)
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

// peers are the modules that fx is compared with, as they were linked.
func peers() (found []string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, m := range info.Deps {
		if slices.ContainsFunc(peerPaths(), func(path string) bool { return m.Path == path }) {
			found = append(found, m.Path+" "+m.Version)
		}
	}
	return found
}

func peerPaths() []string {
	return []string{
		"github.com/failsafe-go/failsafe-go",
		"github.com/sony/gobreaker/v2",
		"github.com/eapache/go-resiliency",
		"github.com/cenkalti/backoff/v6",
		"github.com/avast/retry-go/v5",
		"github.com/sethvargo/go-retry",
		"golang.org/x/sync",
		"github.com/cristalhq/hedgedhttp",
	}
}
