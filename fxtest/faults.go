package fxtest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Fault is what [Faults] does to one request.
type Fault int

// The faults. HTTP/2 has no connection of its own for each request: there the stream is reset where a connection is named
// here, and Garbage is a reset too.
const (
	Pass             Fault = iota // none: Next answers
	Unavailable                   // 503
	UnavailableFor                // 503 with Retry-After in seconds
	UnavailableUntil              // 503 with Retry-After as a date
	TooMany                       // 429 with Retry-After in seconds
	TooManyUntil                  // 429 with Retry-After as a date
	Drop                          // the connection closes before the response
	Reset                         // the connection is reset before the response (RST)
	DropBody                      // the connection closes in the middle of the body
	ResetBody                     // the connection is reset in the middle of the body, 20 ms after its first half
	Stall                         // no response
	StallBody                     // no more than the headers and the first half of the body
	Trickle                       // a slow body: a sixteenth of it in every Pause
	Garbage                       // bytes that are no HTTP
	faultCount
)

var faultNames = [faultCount]string{"Pass", "Unavailable", "UnavailableFor", "UnavailableUntil", "TooMany", "TooManyUntil", "Drop", "Reset",
	"DropBody", "ResetBody", "Stall", "StallBody", "Trickle", "Garbage"}

func (f Fault) String() string {
	if f < 0 || f >= faultCount {
		return fmt.Sprintf("Fault(%d)", int(f))
	}
	return faultNames[f]
}

// Faults is an http.Handler that goes wrong as servers and networks do, for tests on real sockets:
//
//	faults := &fxtest.Faults{Next: handler, Turns: []fxtest.Fault{fxtest.Drop, fxtest.Pass}}
//	server := httptest.NewServer(faults)
//	defer server.Close()
//	defer faults.Close()
//
// What stalls ends when the request's context does, as when its client has left, or with Close; so a server that closes
// after it never waits for long. Half of the faults strike after the client has got its headers: there the operation
// under test must contain the reading of the body. An http.Client may repeat a request by itself when a connection that it
// had used before is lost; to count attempts, ask Requests.
//
// The zero value passes everything on. It is safe for concurrent use and must not be copied.
type Faults struct {
	// Next answers where nothing is wrong, and its answer is what is cut in two or slowed down. nil answers 200 with a
	// KiB of dots, and so does Next for the body faults where its own body has less than two bytes.
	Next http.Handler
	// Turns is what is done, one fault a request, and the last one again and again. Use changes it.
	Turns []Fault
	// RetryAfter is how long a client is asked to wait, rounded up to whole seconds. 0 means 1s.
	RetryAfter time.Duration
	// Pause is the time from one piece of a slow body to the next. 0 means 100ms.
	Pause time.Duration

	mu       sync.Mutex
	used     bool
	turns    []Fault
	counts   [faultCount]int
	requests int
	closed   chan struct{}
	shut     bool
}

// Use goes on with other turns from the next request on. Without any it passes everything on.
func (f *Faults) Use(turns ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.use(turns)
}

// Requests is how many requests have come.
func (f *Faults) Requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// Count is how many requests have met the fault.
func (f *Faults) Count(fault Fault) int {
	mustFault(fault)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[fault]
}

// Close ends all that stalls or trickles, now and from now on, by closing its connection. It may be called again.
func (f *Faults) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open()
	if !f.shut {
		f.shut = true
		close(f.closed)
	}
}

// ServeHTTP does to the request what its turn says.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch fault := f.next(); fault {
	case Pass:
		f.answer(w, r)
	case Unavailable, UnavailableFor, UnavailableUntil, TooMany, TooManyUntil:
		f.refuse(w, fault)
	case Drop:
		panic(http.ErrAbortHandler)
	case Reset:
		reset(w)
	case Garbage:
		garbage(w)
	case Stall:
		f.stall(r)
	default:
		f.body(w, r, fault)
	}
}

// next takes the turn of one request.
func (f *Faults) next() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open()
	fault := Pass
	if len(f.turns) > 0 {
		fault = f.turns[0]
		if len(f.turns) > 1 {
			f.turns = f.turns[1:]
		}
	}
	f.requests++
	f.counts[fault]++
	return fault
}

// open is the first use. mu is held.
func (f *Faults) open() {
	if f.closed == nil {
		f.closed = make(chan struct{})
	}
	if f.RetryAfter < 0 || f.Pause < 0 {
		panic(fmt.Sprintf("fxtest: Faults with RetryAfter of %v and Pause of %v; neither may be negative, write 0 for the default", f.RetryAfter, f.Pause))
	}
	if !f.used {
		f.use(f.Turns)
	}
}

func (f *Faults) use(turns []Fault) {
	for _, fault := range turns {
		mustFault(fault)
	}
	f.used = true
	f.turns = append([]Fault(nil), turns...)
}

func mustFault(f Fault) {
	if f < 0 || f >= faultCount {
		panic(fmt.Sprintf("fxtest: there is no %v; write one of the faults, such as fxtest.Drop", f))
	}
}

// refuse answers with a status, and perhaps with the time after which to come again.
func (f *Faults) refuse(w http.ResponseWriter, fault Fault) {
	wait := (f.RetryAfter + time.Second - 1).Truncate(time.Second)
	if f.RetryAfter == 0 {
		wait = time.Second
	}
	switch fault {
	case UnavailableFor, TooMany:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	case UnavailableUntil, TooManyUntil:
		at := time.Now().Add(wait + time.Second - 1).UTC() // a date has no fractions: rather late than early
		w.Header().Set("Retry-After", at.Format(http.TimeFormat))
	}
	if fault == TooMany || fault == TooManyUntil {
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	http.Error(w, "unavailable", http.StatusServiceUnavailable)
}

// answer is what comes where nothing is wrong.
func (f *Faults) answer(w http.ResponseWriter, r *http.Request) {
	if f.Next != nil {
		f.Next.ServeHTTP(w, r)
		return
	}
	_, _ = w.Write(dots)
}

var dots = bytes.Repeat([]byte("."), 1024)

// body sends the headers of the right answer, and then its body with the fault.
func (f *Faults) body(w http.ResponseWriter, r *http.Request, fault Fault) {
	a := &answer{header: w.Header(), status: http.StatusOK}
	f.answer(a, r)
	body := a.body.Bytes()
	if len(body) < 2 {
		body = dots
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if fault == Trickle {
		f.trickle(w, r, body)
		return
	}
	_, _ = w.Write(body[:len(body)/2])
	flush(w)
	switch fault {
	case ResetBody:
		f.pause(r, 20*time.Millisecond) // a reset overtakes what the client has not read yet
		reset(w)
	case StallBody:
		f.stall(r)
	}
	panic(http.ErrAbortHandler)
}

// An answer keeps what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// trickle sends the body in sixteen pieces.
func (f *Faults) trickle(w http.ResponseWriter, r *http.Request, body []byte) {
	piece, pause := (len(body)+15)/16, f.Pause
	if pause == 0 {
		pause = 100 * time.Millisecond
	}
	for len(body) > 0 {
		if !f.pause(r, pause) {
			panic(http.ErrAbortHandler)
		}
		n := min(piece, len(body))
		_, _ = w.Write(body[:n])
		flush(w)
		body = body[n:]
	}
}

// pause waits for d, and says whether nothing ended it before.
func (f *Faults) pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-f.closed:
	}
	return false
}

// stall does nothing until the client has left, or Close. The rest of the request is read first, for a server sees that a
// client has left only when it has nothing to read.
func (f *Faults) stall(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case <-r.Context().Done():
	case <-f.closed:
	}
	panic(http.ErrAbortHandler)
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// reset closes the connection with an RST, or what HTTP/2 has in its place.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	hangUp(conn)
}

// garbage answers with something that is not HTTP.
func garbage(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = conn.Write([]byte("\x16\x03\x01 what is this\r\n\r\n"))
	_ = conn.Close()
}

// hangUp closes a connection without the usual farewell: the other end is reset.
func hangUp(conn net.Conn) {
	under := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS would say good-bye
		under = t.NetConn()
	}
	if t, ok := under.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = under.Close()
}
