package core

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Client is a connection as the application sees it. It is comparable and may be kept
// for any time. Its methods may be called from any goroutine; once the connection is gone
// they do nothing, or fail with Gone. The zero Client stands for nobody and is gone.
type Client struct {
	// Connection is the connection's number, unique in the process; 0 for nobody.
	Connection uint64
	// Endpoint and Protocol are the labels of its endpoint.
	Endpoint, Protocol string
	// Remote is the address of the client, "ip:port".
	Remote string
	// Identity is who the client is; nil if the client was not authenticated.
	Identity *Identity

	link Link
	peer ClientPeer
}

// ClientPeer is a connection's side of the engine as its Client uses it. It is comparable.
// Any goroutine.
type ClientPeer interface {
	// These are the methods of Client.
	Left() <-chan struct{}
	Close(r Reason)
	Session() (Session, bool)
	OpenSession(info []byte) (Session, error)
	CloseSession() error
}

// NewClient returns the client at the other end of l.
func NewClient(l Link, p ClientPeer) Client {
	ep := l.Endpoint()
	return Client{
		Connection: l.ID(), Endpoint: ep.Name, Protocol: ep.Protocol, Remote: l.Remote(), Identity: l.Identity(),
		link: l, peer: p,
	}
}

// errLeft is the error for a connection that is gone.
var errLeft = Failure{Code: Gone, Text: "the client has left"}

// Send sends the client a message on topic, whether or not the client subscribes to it; a
// webwire client gets a signal of that name. topic is written as the client writes topics.
// p is copied. The error says what is wrong with topic, which must be UTF-8, or with p, or
// that the client's format cannot write the message (a webwire client takes none that is
// empty or larger than its buffer), or it is Gone; then nothing is sent. A message without an
// error may still be lost: the client may leave, or be too slow. Send does not block.
func (c Client) Send(topic string, p Payload) error {
	if c.left() {
		return errLeft
	}
	ev := Event{Kind: Message, Topic: []byte(topic), Payload: p}
	err := p.Check()
	if !utf8.ValidString(topic) {
		err = errTopic
	}
	if err == nil {
		err = c.link.Outlet().Writable(ev)
	}
	if err != nil {
		return fmt.Errorf("sending to connection %d: %w", c.Connection, err)
	}
	c.link.Send(ev)
	return nil
}

// errTopic is returned before anything is sent: the client would end the connection over
// such a topic.
var errTopic = errors.New("the topic is not UTF-8")

// Close ends the connection, after what was sent before, with the goodbye that the
// client's format has for r; use ReasonNormal if nothing is wrong. An unknown reason counts
// as ReasonInternal. Close does not block.
func (c Client) Close(r Reason) {
	if r >= NumReasons {
		r = ReasonInternal
	}
	if c.peer != nil {
		c.peer.Close(r)
	}
}

// nobodyLeft is closed.
var nobodyLeft = func() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// Left is closed when the connection has ended.
func (c Client) Left() <-chan struct{} {
	if c.peer == nil {
		return nobodyLeft
	}
	return c.peer.Left()
}

// left reports whether the connection has ended.
func (c Client) left() bool {
	select {
	case <-c.Left():
		return true
	default:
		return false
	}
}

// Info returns what BeforeUpgrade stored in Handshake.Info; nil if nothing.
func (c Client) Info() any {
	if c.link == nil {
		return nil
	}
	return c.link.Info()
}

// OpenedAt returns when the connection was opened, to a tenth of a second; zero for nobody.
func (c Client) OpenedAt() time.Time {
	if c.link == nil {
		return time.Time{}
	}
	return c.link.OpenedAt()
}

// Session returns the session of the connection, if it has one. If the connection has left,
// it is the last one it had. Its Info must not be changed.
func (c Client) Session() (Session, bool) {
	if c.peer == nil {
		return Session{}, false
	}
	return c.peer.Session()
}

// OpenSession makes a session for the connection; info is its information, JSON or nil, and
// is copied. When it returns, the client has been told. It fails with SessionsOff, with
// SessionExists if the connection has a session already, with Gone if it has left or is
// being closed, or with the error of the session store; then no session is made. It
// may block.
func (c Client) OpenSession(info []byte) (Session, error) {
	if c.peer == nil {
		return Session{}, errLeft
	}
	return c.peer.OpenSession(info)
}

// CloseSession ends the session of the connection: all connections of the session are told,
// and nobody can restore it. Without a session it does nothing. It fails with SessionsOff,
// with Gone, or with the error of the session store. It may block.
func (c Client) CloseSession() error {
	if c.peer == nil {
		return errLeft
	}
	return c.peer.CloseSession()
}
