package fxhttp

import (
	"net"
	"net/http"
	"time"
)

// Base returns a new http.Transport with the limits that a Transport without Base uses, to be changed at will:
//
//   - 5 s to dial, 5 s for the TLS handshake, 30 s from the request sent to the headers received, as a backstop for
//     policies without a timeout, 1 s to wait for "100 Continue";
//   - 256 idle connections, 32 to a host, for 90 s; the number in use is the bulkhead's business;
//   - 1 MiB of response headers;
//   - HTTP/2 where TLS negotiates it; a connection that has been silent for 15 s is pinged, and closed when no answer
//     comes in 15 s, for TCP would take a quarter of an hour to notice that its peer has vanished;
//   - a proxy as the environment says.
func Base() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}
