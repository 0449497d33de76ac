package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// A result is what is kept of a mutant between runs.
type result struct {
	Key     string // of the mutant
	Verdict verdict
	By      string `json:",omitempty"` // the test that killed it
	Suite   string `json:",omitempty"` // of a survivor: the code and tests that it survived
}

// results are kept in a file, so that a run can go on where the last one stopped, and tries only what has changed.
type results struct {
	path  string
	suite string
	mu    sync.Mutex
	byID  map[string]result
}

func loadResults(path, suite string) (*results, error) {
	rs := &results{path: path, suite: suite, byID: map[string]result{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return rs, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &rs.byID)
	}
	return rs, err
}

// verdict returns what is known of m and still holds, or "". What was killed stays dead while its file is the same; a
// survivor is tried again whenever any code or test has changed.
func (rs *results) verdict(m mutant) verdict {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byID[m.id]
	if r.Key != m.key() || r.Suite != "" && r.Suite != rs.suite {
		return ""
	}
	return r.Verdict
}

func (rs *results) keep(m mutant, v verdict, by string) {
	r := result{Key: m.key(), Verdict: v, By: by}
	if v == survived || v == doubtful {
		r.Suite = rs.suite
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.byID[m.id] = r
}

// save writes the file, whole or not at all.
func (rs *results) save() error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	text, err := json.MarshalIndent(rs.byID, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(rs.path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(rs.path+".new", rs.path)
}

// suiteOf is a fingerprint of the package's code and tests.
func suiteOf(root string) (string, error) {
	names, err := filepath.Glob(filepath.Join(root, "*.go"))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		_, _ = sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}
