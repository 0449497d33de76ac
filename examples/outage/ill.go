package main

import (
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// What ails the catalog when it is played with.
type ailment string

const (
	well     ailment = "well"
	silent   ailment = "silent" // it accepts connections and never answers
	refusing ailment = "503"
	cutting  ailment = "cut"  // it drops the connection in mid-response
	slow     ailment = "slow" // it answers late
)

var ailments = []ailment{well, silent, refusing, cutting, slow}

func (a ailment) known() bool { return slices.Contains(ailments, a) }

// late is by how much a slow catalog answers later: more than a guarded call waits, less than a plain one does.
const late = time.Second

// An illness is the ailment of the moment; its zero value is well. It is safe for concurrent use.
type illness struct{ is atomic.Value }

func (i *illness) set(a ailment) { i.is.Store(a) }

func (i *illness) now() ailment {
	if a, ok := i.is.Load().(ailment); ok {
		return a
	}
	return well
}

// mood is what the catalog itself has to know of it.
func (i *illness) mood() (hangs bool, extra time.Duration) {
	switch i.now() {
	case silent:
		return true, 0
	case slow:
		return false, late
	}
	return false, 0
}

// A ward is a catalog that falls ill at a word.
type ward struct {
	*catalog
	ill *illness
}

func (w *ward) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	switch w.ill.now() {
	case refusing:
		defer w.arrived()()
		http.Error(to, "out of order", http.StatusServiceUnavailable)
	case cutting:
		defer w.arrived()()
		cut(to)
	default:
		answer(productOf, w.look).ServeHTTP(to, r)
	}
}

// cut promises a whole answer, sends the beginning of one, and drops the connection.
func cut(to http.ResponseWriter) {
	to.Header().Set("Content-Length", "100")
	io.WriteString(to, `{"product":`)
	http.NewResponseController(to).Flush()
	panic(http.ErrAbortHandler)
}
