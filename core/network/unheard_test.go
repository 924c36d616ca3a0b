package network

import (
	"errors"
	"io"
	"testing"

	"github.com/polywire/polywire/core"
)

// wantEnd expects that the client's connection was closed.
func (c *client) wantEnd(who string) {
	c.t.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		c.t.Errorf("reading from %s: %v, want the end", who, err)
	}
}

// awaitHandshakes waits until n connections have places of handshakes: a connected client
// keeps its place for a moment.
func (r *rig) awaitHandshakes(n int64) {
	r.t.Helper()
	eventually(r.t, "the handshakes are those that are expected", func() bool { return r.admission.handshakes.Load() == n })
}

// fillHandshakes begins handshakes until all n places are taken, of which some are already.
func (r *rig) fillHandshakes(n, taken int64, begin func() *client) (begun []*client) {
	r.t.Helper()
	r.awaitHandshakes(taken)
	for at := taken; at < n; at++ {
		begun = append(begun, begin())
		r.awaitHandshakes(at + 1)
	}
	return begun
}

// One address that opens silent connections again and again takes no place from others: its
// oldest are evicted, and there is no more room for itself.
func TestUnheardMakeRoom(t *testing.T) {
	const places, rounds = 4, 3
	r := start(t, func(o *Options, _ *Endpoint) { o.MaxHandshakes = places })
	var flood []*client
	taken := int64(0)
	for round := range rounds {
		flood = append(flood, r.fillHandshakes(places, taken, func() *client { return r.dialFrom("127.0.0.2") })...)
		r.dialFrom("127.0.0.2").readResponse("HTTP/1.1 503")
		r.dial("chat")
		flood[round].wantEnd("the oldest")
		taken = places - 1
	}
	eventually(t, "all is counted", func() bool { return r.Stats().Rejected[core.ReasonOverload].Load() == 2*rounds })
	for _, c := range flood[rounds:] {
		c.write([]byte(upgradeRequest()))
		c.readResponse("HTTP/1.1 101")
	}
	r.awaitHandshakes(0)
}

// The same with TLS.
func TestSecureUnheardMakeRoom(t *testing.T) {
	const places = 4
	r := startSecure(t, func(o *Options, _ *Endpoint) { o.MaxHandshakes = places })
	flood := r.fillHandshakes(places, 0, func() *client {
		c := r.dialFrom("127.0.0.2")
		c.write([]byte{tlsHandshake, 3, 1})
		return c
	})
	c := r.dial(r.config(), nil)
	c.send("echo in")
	c.expect("in")
	flood[0].wantEnd("the oldest")
	eventually(t, "it is counted", func() bool { return r.Stats().Rejected[core.ReasonOverload].Load() == 1 })
}

// Clients behind a proxy that sends their addresses are counted separately.
func TestUnheardBehindProxy(t *testing.T) {
	const places = 4
	r := start(t, func(o *Options, ep *Endpoint) {
		o.MaxHandshakes, o.TrustedProxies, ep.ProxyProtocol = places, trusting, ProxyRequired
	})
	for _, taken := range []int64{0, places - 1} {
		r.fillHandshakes(places, taken, func() *client {
			c := r.dialFrom("127.0.0.9")
			c.write([]byte(v1))
			return c
		})
		c := r.dialFrom("127.0.0.9")
		c.write([]byte("PROXY TCP4 203.0.113.10 192.0.2.1 4711 80\r\n" + upgradeRequest()))
		c.readResponse("HTTP/1.1 101")
	}
	eventually(t, "it is counted", func() bool { return r.Stats().Rejected[core.ReasonOverload].Load() == 2 })
}

// A connection that sends the body of a request slowly is evicted like an idle one, for an
// address that has fewer of these pending.
func TestSlowBodiesMakeRoom(t *testing.T) {
	r, begun, goOn := startPlain(t, Limits{MaxHandshakes: 4, MaxHTTPPerAddress: 2})
	begin := func(from, head string) *client {
		c := r.dialAfter(from)
		c.write([]byte("POST /wait HTTP/1.1\r\nHost: x\r\n" + head + "\r\n\r\n"))
		<-begun
		return c
	}
	slow := []*client{
		begin("127.0.0.2", "Content-Length: 1000"), begin("127.0.0.3", "Transfer-Encoding: chunked"),
		begin("127.0.0.2", "Transfer-Encoding: chunked"),
	}
	whole := begin("127.0.0.3", "Content-Length: 3\r\n\r\nabc")
	r.dialAfter("127.0.0.1").ask("/", "204")
	slow[0].wantEnd("the oldest of the address that has most")
	eventually(t, "it is counted", func() bool { return r.Stats().Rejected[core.ReasonOverload].Load() == 1 })
	close(goOn)
	for _, c := range slow[1:] {
		c.write([]byte("0\r\n\r\n"))
	}
	for _, c := range append(slow[1:], whole) {
		c.readResponse("HTTP/1.1 204")
	}
}
