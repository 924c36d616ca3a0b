package network

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/codecs/echo"
	"github.com/polywire/polywire/core"
)

// another is an endpoint of the echo format.
func another(name, listen, path string) Endpoint {
	return Endpoint{
		Endpoint: &core.Endpoint{Name: name, Protocol: "echo", Stats: new(core.Stats)},
		Format:   echo.Format{},
		Listen:   listen, Path: path, MaxMessage: 1 << 20, Settings: Settings{OutboundLimit: 1 << 20},
	}
}

// Endpoints that share a listener come and go independently.
func TestExchangeAtOneListener(t *testing.T) {
	r := start(t, nil)
	first, err := r.Exchange(nil, []Endpoint{another("port", "127.0.0.1:0", "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Run(t.Context(), 0); err != nil {
		t.Error(err)
	}
	address := r.Addr("port").String()
	// Now the port is free, and known.
	exchange := func(closing []string, opening ...Endpoint) {
		t.Helper()
		d, err := r.Exchange(closing, opening)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Run(t.Context(), 0) })
	}
	exchange([]string{"port"})
	if r.Addr("port") != nil {
		t.Error("the closed endpoint has an address")
	}
	exchange(nil, another("one", address, "/one"))
	exchange(nil, another("two", address, "/two"))
	says := func(endpoint, path, status string) *client {
		t.Helper()
		c := r.dialTCP(endpoint)
		c.write([]byte(strings.Replace(upgradeRequest(), "GET /", "GET "+path, 1)))
		c.readResponse("HTTP/1.1 " + status)
		return c
	}
	one, two := says("one", "/one", "101"), says("one", "/two", "101")
	if n := r.ConnectionsOf("two"); n != 1 {
		t.Errorf("%d connections of two", n)
	}
	d, err := r.Exchange([]string{"one"}, []Endpoint{another("three", address, "/three")})
	if err != nil {
		t.Fatal(err)
	}
	says("two", "/one", "404")
	says("two", "/three", "101")
	// A client is served until it gets its goodbye.
	one.send("x")
	one.expect("x")
	left := make(chan error, 1)
	go func() { left <- d.Run(t.Context(), 0) }()
	one.expectClose(1001)
	_ = one.Close()
	if err := <-left; err != nil {
		t.Error(err)
	}
	two.send("x")
	two.expect("x")
	secure := another("secure", address, "/secure")
	secure.ProxyProtocol = ProxyOptional
	if _, err := r.Exchange(nil, []Endpoint{secure}); err == nil || !strings.Contains(err.Error(), "endpoint secure: another endpoint") {
		t.Errorf("a listener of two kinds: %v", err)
	}
	two.send("x")
	two.expect("x")
}

// The connections of a closed endpoint get their goodbyes one after the other; those of
// other endpoints do not.
func TestDepartureIsPaced(t *testing.T) {
	const n, perSecond = 10, 50
	r := start(t, nil)
	stays := r.dial("chat")
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = r.dial("echo")
	}
	began := time.Now()
	d, err := r.Exchange([]string{"echo"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() { left <- d.Run(t.Context(), perSecond) }()
	for _, c := range clients {
		c.expectClose(1001)
		c.write(masked(ws.OpClose, true, "\x03\xe9"))
		_ = c.Close()
	}
	if err := <-left; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < (n-2)*time.Second/perSecond {
		t.Errorf("%d connections were closed in %s, at %d a second", n, took, perSecond)
	}
	stays.send("echo x")
	stays.expect("x")
	if n := r.Connections(); n != 1 {
		t.Errorf("%d connections are left", n)
	}
}

// A loop that is too busy to list its leaving connections in time closes them when it can.
// Broken version: sayGoodbyes without sayGoodbyesAtOnce.
func TestDepartureFromABusyLoop(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	leaves, stays := r.dial("echo"), r.dial("chat")
	d, err := r.Exchange([]string{"echo"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	busy := make(chan struct{})
	r.loopAt(0).post(mail{fn: func() { <-busy }})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err = d.Run(ctx, 0)
	close(busy)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a departure that nobody heard of: %v", err)
	}
	leaves.expectClose(1001)
	stays.send("echo x")
	stays.expect("x")
}
