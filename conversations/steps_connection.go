package conversations

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// connectStep is "connect NAME ENDPOINT …" and "dial NAME ENDPOINT".
type connectStep struct {
	name, endpoint string
	// node is the node of a cluster; "" is any.
	node string
	// dial stops after the TCP connection.
	dial      bool
	path      string
	headers   []string
	protocols string
	nopong    bool
	reply     reply
}

func (s *connectStep) actor() string { return s.name }

func (s *connectStep) play(p *Player) error {
	u, err := p.nodeURL(s)
	if err != nil {
		return err
	}
	c, err := dial(p.ctx, s.name, u, p.script.Timeout, p.trusted)
	if err != nil {
		return err
	}
	c.nopong, c.unsynced = s.nopong, p.script.NoSync
	p.connections = append(p.connections, c)
	if s.dial {
		return nil
	}
	path, err := p.vars.expand(s.path)
	if err != nil {
		return err
	}
	fields, err := s.fields(p)
	if err != nil {
		return err
	}
	head := requestHead(target(u, path), u.Host, fields)
	c.note(">", fmt.Sprintf("GET %s", shorten(target(u, path))))
	c.write(head)
	return awaitAnswer(p, c, &s.reply)
}

// fields are the header lines of the request besides those that every upgrade has.
func (s *connectStep) fields(p *Player) ([]field, error) {
	var fields []field
	if s.protocols != "" {
		fields = append(fields, field{"Sec-WebSocket-Protocol", s.protocols})
	}
	for _, h := range s.headers {
		h, err := p.vars.expand(h)
		if err != nil {
			return nil, err
		}
		f, err := parseField(h)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// awaitAnswer reads an HTTP answer on a connection and compares it.
func awaitAnswer(p *Player, c *connection, r *reply) error {
	a, err := c.readAnswer()
	if instead, ok := errors.AsType[*errNoAnswer](err); ok {
		return &mismatch{expected: r.String(), arrived: instead.instead}
	}
	if err != nil {
		return err
	}
	return r.match(a, p)
}

// answerStep is "NAME <status 400".
type answerStep struct {
	name  string
	reply reply
}

func (s *answerStep) actor() string { return s.name }

func (s *answerStep) play(p *Player) error {
	return awaitAnswer(p, p.connection(s.name), &s.reply)
}

// habit is something that the player does, or stops doing, with a connection on its own.
type habit uint8

const (
	syncNow habit = iota // "sync NAME"
	nosync               // "NAME nosync"
	stall                // "NAME stall"
	resume               // "NAME resume"
	cut                  // "NAME cut": end the TCP connection in order
	abort                // "NAME abort": reset the TCP connection
)

// habitStep changes a habit.
type habitStep struct {
	name  string
	habit habit
}

func (s *habitStep) actor() string { return s.name }

func (s *habitStep) play(p *Player) error {
	c := p.connection(s.name)
	switch s.habit {
	case syncNow:
		c.unsynced = p.script.NoSync
		return p.sync(c)
	case nosync:
		c.unsynced = true
	case stall:
		c.stalled = true
	case resume:
		c.stalled = false
	case cut, abort:
		return s.end(c)
	}
	return nil
}

func (s *habitStep) end(c *connection) error {
	c.left, c.ended = true, true
	socket := c.conn
	if t, ok := c.conn.(interface{ NetConn() net.Conn }); ok { // TLS
		socket = t.NetConn()
	}
	if s.habit == abort {
		if t, ok := socket.(interface{ SetLinger(int) error }); ok {
			if err := t.SetLinger(0); err != nil {
				return fmt.Errorf("resetting %s: %w", s.name, err)
			}
		}
	}
	c.note(">", "end of the TCP connection")
	return socket.Close()
}

// silenceStep is "NAME silence [DURATION]".
type silenceStep struct {
	name string
	// wait is how long nothing may arrive; 0 is until a sync is answered.
	wait time.Duration
}

func (s *silenceStep) actor() string { return s.name }

func (s *silenceStep) play(p *Player) error {
	c := p.connection(s.name)
	if s.wait == 0 {
		if err := p.sync(c); err != nil {
			return err
		}
		for _, a := range c.queue {
			if a.kind != pingFrame {
				return &mismatch{expected: "nothing", arrived: a.String()}
			}
		}
		c.queue = nil
		return nil
	}
	deadline := time.Now().Add(p.script.slowed(s.wait))
	for {
		a, ok := c.next(deadline)
		if !ok {
			return nil
		}
		if a.kind != pingFrame {
			return &mismatch{expected: fmt.Sprintf("nothing for %v", s.wait), arrived: a.String()}
		}
	}
}
