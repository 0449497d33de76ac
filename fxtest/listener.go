package fxtest

import (
	"fmt"
	"net"
	"sync"
)

// ConnFault is what a [Listener] does to one connection.
type ConnFault int

// The faults of connections.
const (
	Accept ConnFault = iota // none: the server gets it
	Mute                    // it is accepted, and nobody ever reads from it or answers; it ends with Close
	HangUp                  // it is accepted, and reset at once (RST), perhaps while its client is still dialling
	connFaultCount
)

// A Listener is a net.Listener with faults below HTTP:
//
//	listener := &fxtest.Listener{Listener: inner, Fault: fxtest.Mute}
//	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
//	server.Start()
//
// For a connection that is refused, close it: then nobody listens. A Listener is safe for concurrent use and must not be
// copied.
type Listener struct {
	// Listener is the real one. It must not be nil.
	net.Listener
	// Fault is what is done to connections. Use changes it.
	Fault ConnFault
	// Most is how many connections the server has at once. Others are left to wait in the system's queue, so that their
	// clients believe to be connected. 0 means any number.
	Most int

	mu     sync.Mutex
	places chan struct{} // one token for each connection that the server has; nil without Most
	closed chan struct{}
	used   bool
	fault  ConnFault
	mute   []net.Conn
	counts [connFaultCount]int
}

// Use lets the connections to come have another fault.
func (l *Listener) Use(fault ConnFault) {
	mustConnFault(fault)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	l.fault = fault
}

// Count is how many connections have met the fault.
func (l *Listener) Count(fault ConnFault) int {
	mustConnFault(fault)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[fault]
}

// Accept returns the next connection that has no fault.
func (l *Listener) Accept() (net.Conn, error) {
	places, closed := l.opened()
	for {
		if places != nil {
			select {
			case places <- struct{}{}:
			case <-closed:
				return nil, net.ErrClosed
			}
		}
		conn, err := l.Listener.Accept()
		if err == nil && !l.strike(conn) {
			return &placed{Conn: conn, free: sync.OnceFunc(func() { leave(places) })}, nil
		}
		leave(places)
		if err != nil {
			return nil, err
		}
	}
}

func leave(places chan struct{}) {
	if places != nil {
		<-places
	}
}

// Close ends the listening and the connections that are mute.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	for _, conn := range l.mute {
		_ = conn.Close()
	}
	l.mute = nil
	return l.Listener.Close()
}

// strike does to conn what is due, and says whether there is anything.
func (l *Listener) strike(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[l.fault]++
	switch l.fault {
	case Mute:
		l.mute = append(l.mute, conn)
	case HangUp:
		hangUp(conn)
	default:
		return false
	}
	return true
}

func (l *Listener) opened() (places, closed chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	return l.places, l.closed
}

// open is the first use. mu is held.
func (l *Listener) open() {
	if l.used {
		return
	}
	mustConnFault(l.Fault)
	if l.Listener == nil || l.Most < 0 {
		panic("fxtest: a Listener needs the real one, and Most of 0 or more, as in fxtest.Listener{Listener: inner}")
	}
	l.used, l.fault, l.closed = true, l.Fault, make(chan struct{})
	if l.Most > 0 {
		l.places = make(chan struct{}, l.Most)
	}
}

func mustConnFault(f ConnFault) {
	if f < 0 || f >= connFaultCount {
		panic(fmt.Sprintf("fxtest: there is no ConnFault %d; write fxtest.Accept, fxtest.Mute or fxtest.HangUp", int(f)))
	}
}

// placed is a connection that the server has.
type placed struct {
	net.Conn
	free func()
}

func (c *placed) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// NetConn is the connection beneath, for those who set its options.
func (c *placed) NetConn() net.Conn { return c.Conn }
