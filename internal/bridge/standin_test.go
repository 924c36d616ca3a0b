package bridge_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// original is one process of an original server: what it knows is gone with it. It is written from the
// descriptions of the originals alone, without the broker's codecs, and has the faults that a client notices.
// Its methods are called one at a time.
type original interface {
	// greets says what a new connection hears first.
	greets(c *caller)
	// takes handles a message, and reports false if the connection ends for it, without a goodbye.
	takes(c *caller, op ws.OpCode, message []byte) bool
	// parts handles the end of a connection; err is what ended its input.
	parts(c *caller, err error)
	// traits are the habits that do not depend on what is said.
	traits() traits
}

// traits are how a format's original treats WebSocket.
type traits struct {
	maxMessage int              // bytes a client message may have; 0 is no limit
	tooBig     []byte           // the body of the close frame for more; nil is none
	noPongs    bool             // pings are not answered
	pings      bool             // it pings clients
	noMerging  bool             // each fragment is a message
	always1000 bool             // every goodbye is answered with 1000
	sameOrigin bool             // pages of other origins are refused
	plainGET   int              // the answer to what is no upgrade; 0 is 400
	path       string           // of the WebSocket; empty is any
	also       http.HandlerFunc // what it answers at other paths; called on any goroutine
}

// standIn stands in for an original server: at a port of its own it is started, killed, and started again.
type standIn struct {
	t       *testing.T
	address string
	begins  func(p *process) original

	mu      sync.Mutex
	running *process   // nil while there is none
	lives   []*process // all, also the running one
	crashes []string   // why processes have ended by themselves
}

// process is one life of a stand-in.
type process struct {
	standIn  *standIn
	server   *http.Server
	serving  sync.WaitGroup
	behaves  original
	handling sync.Mutex // held while the original handles anything

	// Guarded by handling.
	dead    bool
	callers map[*caller]bool
	last    int    // the number of the newest connection
	taken   []said // every message of a client, in the order in which they were handled
	ponged  int    // pongs of clients
}

// said is a message of a client.
type said struct {
	bridge  bool // it is from a bridge
	message string
}

// stands starts a stand-in.
func stands(t *testing.T, begins func(p *process) original) *standIn {
	s := &standIn{t: t, address: fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t)), begins: begins}
	t.Cleanup(s.kill)
	s.start()
	return s
}

func (s *standIn) url() string { return "ws://" + s.address + "/ws" }

// start starts it, without a memory of earlier processes.
func (s *standIn) start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{standIn: s, callers: make(map[*caller]bool)}
	p.behaves = s.begins(p)
	p.server = &http.Server{Handler: p}
	s.mu.Lock()
	s.running, s.lives = p, append(s.lives, p)
	s.mu.Unlock()
	p.serving.Go(func() { _ = p.server.Serve(l) })
}

// kill ends it as the system ends a killed process: all sockets are closed at once, whatever waits in them.
func (s *standIn) kill() {
	s.mu.Lock()
	p := s.running
	s.running = nil
	s.mu.Unlock()
	if p == nil {
		return
	}
	p.handling.Lock()
	p.end()
	p.handling.Unlock()
	p.serving.Wait()
}

// crash ends the process for a fault of the original. On the goroutine that handles.
func (p *process) crash(why string) {
	p.standIn.mu.Lock()
	p.standIn.crashes = append(p.standIn.crashes, why)
	p.standIn.mu.Unlock()
	p.end()
}

// end closes all sockets. The caller holds handling.
func (p *process) end() {
	p.dead = true
	_ = p.server.Close()
	for c := range p.callers {
		c.cut()
	}
}

// crashed returns why processes have ended by themselves.
func (s *standIn) crashed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.crashes)
}

// took returns what the process has handled, of a bridge or of others; nothing if there is none.
func (s *standIn) took(bridge bool) []string {
	s.mu.Lock()
	p := s.running
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.took(bridge)
}

func (p *process) took(bridge bool) (all []string) {
	p.handling.Lock()
	defer p.handling.Unlock()
	for _, one := range p.taken {
		if one.bridge == bridge {
			all = append(all, one.message)
		}
	}
	return all
}

// tookEver returns what all processes have handled.
func (s *standIn) tookEver(bridge bool) (all []string) {
	s.mu.Lock()
	lives := slices.Clone(s.lives)
	s.mu.Unlock()
	for _, p := range lives {
		all = append(all, p.took(bridge)...)
	}
	return all
}

// takesSoon waits until the process has handled a message that has these words.
func (s *standIn) takesSoon(bridge bool, words ...string) {
	s.t.Helper()
	coretest.Eventually(s.t, fmt.Sprintf("the old server takes %q", words), func() bool {
		return slices.ContainsFunc(s.took(bridge), func(message string) bool {
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(message, word) })
		})
	})
}

// pongs returns how many pongs the process has got, and how many connections it has.
func (s *standIn) pongs() (pongs, connections int) {
	s.mu.Lock()
	p := s.running
	s.mu.Unlock()
	p.handling.Lock()
	defer p.handling.Unlock()
	return p.ponged, len(p.callers)
}

// ServeHTTP answers upgrades and what else the original answers.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	about := p.behaves.traits()
	switch {
	case about.path != "" && r.URL.Path != about.path:
		if about.also != nil {
			about.also(w, r)
		} else {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		w.WriteHeader(max(about.plainGET, http.StatusBadRequest))
		return
	case about.sameOrigin && foreign(r):
		w.WriteHeader(http.StatusForbidden)
		return
	}
	conn, rw, _, err := ws.HTTPUpgrader{}.Upgrade(r, w)
	if err != nil {
		return
	}
	c := &caller{conn: conn, from: rw.Reader, bridge: r.Header.Get(core.BridgeHeader) != "", wake: make(chan struct{}, 1)}
	p.handling.Lock()
	if p.dead {
		p.handling.Unlock()
		c.cut()
		return
	}
	p.last++
	c.number = p.last
	p.callers[c] = true
	p.serving.Add(2)
	p.behaves.greets(c)
	if about.pings {
		c.send(ws.NewPingFrame([]byte("are you there?")))
	}
	p.handling.Unlock()
	go func() {
		defer p.serving.Done()
		c.write()
	}()
	go func() {
		defer p.serving.Done()
		p.reads(c, about)
	}()
}

// foreign reports whether a page of another origin asks.
func foreign(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

// reads handles what a connection says until it ends.
func (p *process) reads(c *caller, about traits) {
	err := p.readAll(c, about)
	p.handling.Lock()
	defer p.handling.Unlock()
	delete(p.callers, c)
	if !p.dead {
		p.behaves.parts(c, err)
	}
	c.finish()
}

var errHard = errors.New("the connection is cut")

func (p *process) readAll(c *caller, about traits) error {
	var message []byte
	var op ws.OpCode
	for {
		h, err := ws.ReadHeader(c.from)
		if err != nil {
			return err
		}
		if !h.Masked {
			c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusProtocolError, "")))
			return errHard
		}
		if about.maxMessage > 0 && int64(len(message))+h.Length > int64(about.maxMessage) {
			if about.tooBig != nil {
				c.send(ws.NewCloseFrame(about.tooBig))
			}
			return errHard
		}
		data := make([]byte, h.Length)
		if _, err := io.ReadFull(c.from, data); err != nil {
			return err
		}
		ws.Cipher(data, h.Mask, 0)
		switch h.OpCode {
		case ws.OpPing:
			if !about.noPongs {
				c.send(ws.NewPongFrame(data))
			}
			continue
		case ws.OpPong:
			p.handling.Lock()
			p.ponged++
			p.handling.Unlock()
			continue
		case ws.OpClose:
			if about.always1000 || len(data) < 2 {
				data = ws.NewCloseFrameBody(ws.StatusNormalClosure, "")
			}
			c.send(ws.NewCloseFrame(data[:2]))
			return io.EOF
		case ws.OpText, ws.OpBinary:
			op = h.OpCode
		}
		if message = append(message, data...); !h.Fin && !about.noMerging {
			continue
		}
		if !p.handle(c, op, message) {
			return errHard
		}
		message = nil
	}
}

func (p *process) handle(c *caller, op ws.OpCode, message []byte) bool {
	p.handling.Lock()
	defer p.handling.Unlock()
	if p.dead {
		return false
	}
	p.taken = append(p.taken, said{c.bridge, string(message)})
	return p.behaves.takes(c, op, message)
}

// caller is a connection of a stand-in. What is sent waits without a bound: that the originals drop what is over
// 256 messages would make a test depend on speed.
type caller struct {
	conn   net.Conn
	from   *bufio.Reader
	number int
	bridge bool          // it has shown itself as a bridge
	state  any           // of the original
	wake   chan struct{} // holds an element if there is something to write, or the end

	mu   sync.Mutex
	out  []byte
	over bool // after what is in out, the connection ends
}

// send writes a frame, later and in order. Any goroutine.
func (c *caller) send(f ws.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.out = append(c.out, ws.MustCompileFrame(f)...)
		c.signal()
	}
}

func (c *caller) text(message string) { c.send(ws.NewTextFrame([]byte(message))) }

// finish ends the connection after what was sent.
func (c *caller) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.signal()
}

// cut ends the connection at once.
func (c *caller) cut() {
	_ = c.conn.Close()
	c.finish()
}

func (c *caller) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what is sent until the connection ends.
func (c *caller) write() {
	defer func() { _ = c.conn.Close() }()
	for range c.wake {
		c.mu.Lock()
		out, over := c.out, c.over
		c.out = nil
		c.mu.Unlock()
		if _, err := c.conn.Write(out); err != nil || over {
			return
		}
	}
}
