package network

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// dialFrom connects from an address of the loopback network.
func (r *rig) dialFrom(address string) *client {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	nc, err := d.Dial("tcp", r.Addr("chat").String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	return &client{r.t, nc}
}

// dialAfter is dialFrom once no earlier client is still in its handshake.
func (r *rig) dialAfter(address string) *client {
	r.t.Helper()
	r.awaitHandshakes(0)
	return r.dialFrom(address)
}

// ask sends a plain request and reads the head of its answer, which has no body.
func (c *client) ask(path, status string) {
	c.t.Helper()
	c.write([]byte("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"))
	c.readResponse("HTTP/1.1 " + status)
}

// awaitIdle waits until n plain connections wait for their next requests.
func (r *rig) awaitIdle(n int) {
	r.t.Helper()
	places := &r.eps["chat"].door.plain.open
	eventually(r.t, "the connections are idle", func() bool {
		places.mu.Lock()
		defer places.mu.Unlock()
		waiting := 0
		for _, t := range places.of {
			waiting += t.waiting[idle].Len()
		}
		return waiting == n
	})
}

// startPlain starts a rig with the places of plain HTTP that limits has. A POST to /wait
// is answered when goOn is closed.
func startPlain(t *testing.T, limits Limits) (r *rig, waiting <-chan struct{}, goOn chan struct{}) {
	begun := make(chan struct{}, 100)
	goOn = make(chan struct{})
	r = start(t, func(o *Options, ep *Endpoint) {
		o.Limits, ep.Path = limits, "/ws"
		ep.HTTP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				begun <- struct{}{}
				<-goOn
			}
			w.WriteHeader(http.StatusNoContent)
		})
	})
	return r, begun, goOn
}

// Kept-alive connections of one address block nobody: a new client gets the place of the
// one that waits longest.
func TestIdlePlacesAreGivenUp(t *testing.T) {
	r, _, _ := startPlain(t, Limits{MaxHandshakes: 8, MaxHTTPPerAddress: 8})
	var idle []*client
	for range 8 {
		c := r.dialAfter("127.0.0.2")
		c.ask("/", "204")
		idle = append(idle, c)
		r.awaitIdle(len(idle))
	}
	for range 3 {
		r.dialAfter("127.0.0.1").ask("/", "204")
	}
	for _, c := range idle[:3] {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("reading from a connection that was given up: %v", err)
		}
	}
	for _, c := range idle[3:] {
		c.ask("/", "204")
	}
	r.dial("echo")
	if n := r.eps["chat"].door.plain.open.Load(); n != 8 {
		t.Errorf("%d places are taken, want 8", n)
	}
}

// The pending requests of one address have their own bound, besides the one for all.
func TestPlacesOfOneAddress(t *testing.T) {
	r, begun, goOn := startPlain(t, Limits{MaxHandshakes: 6, MaxHTTPPerAddress: 3})
	wait := func(from string) *client {
		c := r.dialAfter(from)
		c.write([]byte("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"))
		select {
		case <-begun:
		case <-time.After(time.Minute):
			t.Fatal("the request has not begun")
		}
		return c
	}
	clients := []*client{wait("127.0.0.2"), wait("127.0.0.2"), wait("127.0.0.2")}
	r.dialAfter("127.0.0.2").ask("/", "429")
	r.dialAfter("127.0.0.1").ask("/", "204")
	r.awaitIdle(1)
	clients = append(clients, wait("127.0.0.3"), wait("127.0.0.3"), wait("127.0.0.4"))
	r.dialAfter("127.0.0.1").ask("/", "503")
	close(goOn)
	for _, c := range clients {
		c.readResponse("HTTP/1.1 204")
	}
	r.dialAfter("127.0.0.1").ask("/", "204")
	if n, m := r.Stats().Rejected[core.ReasonLimit].Load(), r.Stats().Rejected[core.ReasonOverload].Load(); n != 1 || m != 1 {
		t.Errorf("counted %d as limit and %d as overload, want 1 each", n, m)
	}
}

// A trusted proxy has no bound of its own, and its idle connections are the last to be
// evicted.
func TestPlacesOfTrustedProxies(t *testing.T) {
	r, _, _ := startPlain(t, Limits{MaxHandshakes: 4, MaxHTTPPerAddress: 1, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}})
	var proxy []*client
	for range 3 {
		c := r.dialAfter("127.0.0.9")
		c.ask("/", "204")
		proxy = append(proxy, c)
	}
	other := r.dialAfter("127.0.0.2")
	other.ask("/", "204")
	r.awaitIdle(4)
	r.dialAfter("127.0.0.3").ask("/", "204")
	if _, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("reading from the connection that was to be given up: %v", err)
	}
	for _, c := range proxy {
		c.ask("/", "204")
	}
}

// Whatever happens in whatever order, the places add up.
func TestPlacesAddUp(t *testing.T) {
	const most = 5
	l := &Limits{MaxHandshakes: 20, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}
	var p places
	in := map[*place]stage{}
	pick := func() *place {
		for v := range in {
			return v
		}
		return nil
	}
	from := func(at *place) netip.Addr { return at.visitor.client.Addr() }
	unheardOf := func(a netip.Addr) (n int) {
		for one, s := range in {
			if s == unheard && from(one) == a {
				n++
			}
		}
		return n
	}
	for range 20_000 {
		switch at := pick(); rand.IntN(4) {
		case 0, 1:
			at := new(place)
			v := &visitor{client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rand.IntN(8))}), 1)}
			own := unheardOf(v.client.Addr())
			if l.trusts(v.client.Addr()) {
				own = min(own, 1)
			}
			evicted, r, ok := p.take(at, v, most, l)
			if evicted != nil {
				s, there := in[evicted]
				if !there || s == working || s == unheard && unheardOf(from(evicted)) <= own {
					t.Fatalf("one in stage %d was evicted", s)
				}
				delete(in, evicted)
				if p.set(evicted, stage(rand.IntN(3))) {
					t.Fatal("who was evicted is not told")
				}
				p.leave(evicted)
			}
			if ok {
				in[at] = working
				break
			}
			for one, s := range in {
				switch {
				case s == idle && (r == core.ReasonOverload || from(one) == v.client.Addr()):
					t.Fatalf("turned away for %s although one is idle", r)
				case s == unheard && r == core.ReasonOverload && !l.trusts(from(one)) && unheardOf(from(one)) > own:
					t.Fatalf("turned away although %s has more unheard", from(one))
				}
			}
		case 2:
			if at != nil {
				in[at] = stage(rand.IntN(3))
				p.set(at, in[at])
			}
		case 3:
			if at != nil {
				delete(in, at)
				p.leave(at)
			}
		}
		if int(p.Load()) != len(in) || len(in) > l.MaxHandshakes {
			t.Fatalf("%d places are taken by %d", p.Load(), len(in))
		}
		of := map[netip.Addr]int{}
		for at := range in {
			if of[from(at)]++; of[from(at)] > most && !l.trusts(from(at)) {
				t.Fatalf("%s has more than its part", from(at))
			}
		}
	}
	for at := range in {
		p.leave(at)
	}
	if p.Load() != 0 || len(p.of) != 0 {
		t.Error("something is left")
	}
}

// Finding out that a client's address is the one assumed does not change who is evicted first.
func TestPlacesKeepTheirOrder(t *testing.T) {
	l := &Limits{MaxHandshakes: 2}
	var p places
	take := func(address string) (at *place, evicted *place) {
		at = new(place)
		evicted, _, _ = p.take(at, &visitor{client: netip.MustParseAddrPort(address)}, 0, l)
		p.set(at, unheard)
		return at, evicted
	}
	first, _ := take("10.0.0.1:1")
	second, _ := take("10.0.0.1:2")
	p.move(second, second.visitor.client.Addr())
	p.move(first, first.visitor.client.Addr())
	if _, evicted := take("10.0.0.2:1"); evicted != first {
		t.Error("the one that came second makes room")
	}
}

// A connection may be idle for longer than a load balancer keeps its own.
func TestPlainIdleTimeout(t *testing.T) {
	if got := (Options{}).withDefaults().HTTPIdleTimeout; got < 75*time.Second {
		t.Errorf("plain connections are kept for %s by default, want 75s at least", got)
	}
	r := start(t, func(o *Options, ep *Endpoint) { o.HTTPIdleTimeout = 50 * time.Millisecond; ep.Path = "/ws" })
	c := r.dialTCP("chat")
	c.write([]byte("GET /other HTTP/1.1\r\nHost: x\r\n\r\n"))
	all, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 404") {
		t.Errorf("got %q, %v", all, err)
	}
}
