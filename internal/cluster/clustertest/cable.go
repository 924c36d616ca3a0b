package clustertest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Cable passes a connection on, as long as it is not cut.
type Cable struct {
	// Static.
	to string
	ln net.Listener

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

// NewCable returns a cable to an address, which ends with the test.
func NewCable(t testing.TB, to string) *Cable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cable{to: to, ln: ln}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { c.pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		c.Cut(true)
		serving.Wait()
	})
	return c
}

func (c *Cable) pass(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer out.Close()
	c.mu.Lock()
	cut := c.cut
	c.conns = append(c.conns, in, out)
	c.mu.Unlock()
	if cut {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	both.Wait()
}

// Cut cuts the cable or repairs it. Any goroutine.
func (c *Cable) Cut(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	if cut {
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		c.conns = nil
	}
}

// Addr returns the address that is the beginning of the cable.
func (c *Cable) Addr() string { return c.ln.Addr().String() }
