package fxhealth

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Register adds GET /livez, GET /readyz and GET /startupz to mux. It panics if a check is not fit to run.
//
// An answer has status 200 or, if the probe has failed, 503. Its body is one word of plain text, "ok" or "degraded";
// with ?verbose in the query (whatever its value), and whenever the probe has failed, a line for each check in the form
// that Kubernetes' own endpoints use. A client whose Accept header names application/json, and text/plain not with a
// higher weight (RFC 9110, section 12.5.1), gets a [Report] as JSON. HEAD is answered too, other methods with 405.
//
// Names of checks are shown to whoever asks, errors are not: see [Health.ShowErrors].
func (h *Health) Register(mux *http.ServeMux) {
	mux.Handle("GET /livez", h.Livez())
	mux.Handle("GET /readyz", h.Readyz())
	mux.Handle("GET /startupz", h.Startupz())
}

// Livez is the handler of /livez: it fails if a [Watchdog] is stuck. It never waits, and runs no check.
func (h *Health) Livez() http.Handler {
	for _, w := range h.Watchdogs {
		if w == nil || w.Name == "" {
			panic("fxhealth: each watchdog needs a name, as in &fxhealth.Watchdog{Name: \"consumer\"}")
		}
	}
	h.once.Do(func() { h.process.Name, h.process.Try = "process", breathe })
	return probe{"livez", h.liveness}
}

// Readyz is the handler of /readyz: it fails if a check that is Needed does, during the warm-up, and after Drain. It
// takes as long as the slowest check, at most its Timeout. It panics if a check is not fit to run.
func (h *Health) Readyz() http.Handler {
	h.validate()
	return probe{"readyz", h.readiness}
}

// Startupz is the handler of /startupz: it fails during the warm-up, and runs no check.
func (h *Health) Startupz() http.Handler {
	return probe{"startupz", func(context.Context) *Report {
		if !h.started() {
			return warmingUp
		}
		return started
	}}
}

var started = &Report{Status: OK}

func (h *Health) liveness(context.Context) *Report {
	r := &Report{Status: OK, Checks: make([]Result, 0, 1+len(h.Watchdogs))}
	r.Checks = append(r.Checks, h.process.look(h.hold()))
	for _, w := range h.Watchdogs {
		r.Checks = append(r.Checks, w.look(h.hold()))
	}
	for _, c := range r.Checks {
		r.Status = worse(r.Status, c.Status)
	}
	return r
}

// A probe is an endpoint. Its report is nil if the client has left.
type probe struct {
	name   string
	report func(context.Context) *Report
}

func (p probe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	if report := p.report(r.Context()); report != nil {
		p.write(w, r, report)
	}
}

// Shared by all answers, so that an answer costs no header values of its own.
var (
	plain   = []string{"text/plain; charset=utf-8"}
	asJSON  = []string{"application/json"}
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
	word    = map[Status][]byte{OK: []byte("ok\n"), Degraded: []byte("degraded\n")}
)

func (p probe) write(w http.ResponseWriter, r *http.Request, report *Report) {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"], header["X-Content-Type-Options"] = plain, noStore, noSniff
	var body []byte
	switch {
	case prefersJSON(r.Header["Accept"]):
		header["Content-Type"] = asJSON
		body, _ = json.Marshal(report) // strings alone: cannot fail
		body = append(body, '\n')
	case report.Status == Failed || r.URL.RawQuery != "" && r.URL.Query().Has("verbose"):
		body = p.verbose(report)
	default:
		body = word[report.Status]
	}
	if report.Status == Failed {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(body) // a client that has left
}

// oneLine keeps an error from looking like another check.
var oneLine = strings.NewReplacer("\n", " ", "\r", " ")

// verbose has a line for each check and one for the whole, as Kubernetes' endpoints have.
func (p probe) verbose(r *Report) []byte {
	var b strings.Builder
	for _, c := range r.Checks {
		switch c.Status {
		case OK:
			b.WriteString("[+]" + c.Name + " ok\n")
		case Degraded:
			b.WriteString("[~]" + c.Name + " degraded: " + oneLine.Replace(c.Error) + "\n")
		default:
			b.WriteString("[-]" + c.Name + " failed: " + oneLine.Replace(c.Error) + "\n")
		}
	}
	b.WriteString(p.name + map[Status]string{OK: " check passed", Degraded: " check passed: degraded", Failed: " check failed"}[r.Status])
	if r.Reason != "" {
		b.WriteString(": " + r.Reason)
	}
	return []byte(b.String() + "\n")
}

// prefersJSON says whether JSON is named, and plain text not with a higher weight. Wildcards name nothing.
func prefersJSON(accept []string) bool {
	if len(accept) == 1 && accept[0] == "*/*" { // the kubelet
		return false
	}
	var inJSON, inText float64
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			kind, params, err := mime.ParseMediaType(part)
			switch {
			case err != nil:
			case kind == "application/json":
				inJSON = max(inJSON, weight(params["q"]))
			case kind == "text/plain":
				inText = max(inText, weight(params["q"]))
			}
		}
	}
	return inJSON > 0 && inJSON >= inText
}

// weight is a q of RFC 9110, section 12.4.2: 1 if it is missing, 0 if it is none.
func weight(q string) float64 {
	if q == "" {
		return 1
	}
	v, err := strconv.ParseFloat(q, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0
	}
	return v
}
