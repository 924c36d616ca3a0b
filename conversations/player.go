package conversations

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Player plays one script once. Its methods are called on one goroutine.
type Player struct {
	// Stop starts to shut down the server, for the statement "broker stop", and returns when it
	// refuses calls and new clients. It is nil if scripts cannot stop the server. Set it before
	// Play.
	Stop func() error

	// Nodes are the names of the nodes of a cluster. A connection whose statement does not say on
	// which it is goes to the next one in turn. The addresses of all nodes but the first have the
	// name of the node and a slash before the endpoint: "b/wsify". Settle returns when all nodes know
	// what each has carried out; it is called after each sync, and before each statement once a
	// connection has left. Set both before Play, or neither.
	Nodes  []string
	Settle func() error

	script      *Script
	vars        variables
	webhooks    map[string]*webhook
	endpoints   map[string]*url.URL
	trusted     *x509.CertPool
	connections []*connection
	syncs       int
	connects    int
	ctx         context.Context // from Play
}

// NewPlayer starts the webhooks of a script, so that [Player.Config] knows their addresses. listen
// maps names of webhooks to listen addresses; those that it lacks get a free port on this machine.
// Close ends the player.
func NewPlayer(s *Script, listen map[string]string) (*Player, error) {
	p := &Player{script: s, vars: variables{slowness: strconv.Itoa(max(1, s.Slowness))}, webhooks: map[string]*webhook{}}
	for _, name := range s.webhooks {
		address := listen[name]
		if address == "" {
			address = "127.0.0.1:0"
		}
		h, err := newWebhook(address)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.webhooks[name] = h
		p.vars["webhook."+name] = h.url
	}
	return p, nil
}

// Config returns the broker configuration of the script, in YAML, or [DefaultConfig] if it has
// none.
func (p *Player) Config(protocols []string) (string, error) {
	if p.script.Config == "" {
		return DefaultConfig(protocols), nil
	}
	return p.vars.expand(p.script.Config)
}

// Trust sets the trusted authorities of TLS servers; the default is those of the system. Call it
// before Play.
func (p *Player) Trust(authorities *x509.CertPool) { p.trusted = authorities }

// Set gives a variable its value before the script begins, such as a password that is not in the
// script. Call it before Play.
func (p *Player) Set(name, value string) { p.vars[name] = value }

// Play plays the script against the servers at the given addresses: one ws:// or wss:// URL for
// each endpoint of the script and, for metrics, "admin". If the conversation fails the error is a
// [*Failure].
func (p *Player) Play(ctx context.Context, endpoints map[string]*url.URL) error {
	p.ctx, p.endpoints = ctx, endpoints
	for _, s := range p.script.statements {
		if err := p.perform(s); err != nil {
			return err
		}
	}
	return p.finish()
}

// Close ends all connections and webhooks of the player. It may be called again.
func (p *Player) Close() error {
	for _, c := range p.connections {
		_ = c.conn.Close() // the server may have ended it already
	}
	var errs []error
	for _, h := range p.webhooks {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}

// perform executes one statement, after syncing the other connections.
func (p *Player) perform(s statement) error {
	if err := p.ctx.Err(); err != nil {
		return p.failure(s, "", err)
	}
	actor := s.step.actor()
	for _, c := range p.connections {
		if c.name == actor || !c.dirty || c.unsynced || c.stalled || !c.upgraded {
			continue
		}
		if err := p.sync(c); err != nil {
			return p.failure(s, c.name, err)
		}
	}
	// What leaves takes its offers along.
	if p.Settle != nil && slices.ContainsFunc(p.connections, func(c *connection) bool { return c.left }) {
		if err := p.Settle(); err != nil {
			return p.failure(s, actor, err)
		}
	}
	if err := s.step.play(p); err != nil {
		return p.failure(s, actor, err)
	}
	return nil
}

// sync waits until the server has carried out everything that a connection sent.
func (p *Player) sync(c *connection) error {
	p.syncs++
	if !c.sync("sync " + strconv.Itoa(p.syncs)) {
		return &mismatch{
			expected: "the pong of a sync of " + c.name,
			arrived:  fmt.Sprintf("nothing within %v", c.timeout),
		}
	}
	if p.Settle != nil {
		return p.Settle()
	}
	return nil
}

// finish proves that the script is complete: each connection that is still open answers one more
// sync and has no unexpected message.
func (p *Player) finish() error {
	last := statement{line: p.script.end(), text: "(end of the script)"}
	for _, c := range p.connections {
		if c.left || c.stalled || !c.upgraded {
			continue
		}
		if !c.unsynced {
			if err := p.sync(c); err != nil {
				return p.failure(last, c.name, err)
			}
		}
		for _, a := range c.queue {
			if a.kind != pingFrame {
				return p.failure(last, c.name, &mismatch{expected: "nothing more on " + c.name, arrived: a.String()})
			}
		}
	}
	return nil
}

// end is the line of the last statement.
func (s *Script) end() int {
	if len(s.statements) == 0 {
		return 1
	}
	return s.statements[len(s.statements)-1].line
}

// failure turns an error into a report.
func (p *Player) failure(s statement, connection string, err error) error {
	if _, ok := errors.AsType[*Failure](err); ok {
		return err
	}
	f := &Failure{File: p.script.File, Line: s.line, Statement: s.text, Connection: connection}
	if m, ok := errors.AsType[*mismatch](err); ok {
		f.Expected, f.Arrived, f.Why = m.expected, m.arrived, m.why
	} else {
		f.Err = err
	}
	if c := p.connection(connection); c != nil {
		f.Last = slices.Clone(c.log)
	}
	return f
}

// connection returns the connection with a name; nil if it does not exist yet.
func (p *Player) connection(name string) *connection {
	for _, c := range p.connections {
		if c.name == name {
			return c
		}
	}
	return nil
}

// nodeURL returns the address of the endpoint of a connection on its node.
func (p *Player) nodeURL(s *connectStep) (*url.URL, error) {
	node := s.node
	if node == "" && len(p.Nodes) > 0 {
		node = p.Nodes[p.connects%len(p.Nodes)]
		p.connects++
	}
	switch i := slices.Index(p.Nodes, node); {
	case node == "" || i == 0:
		return p.url(s.endpoint)
	case i < 0:
		return nil, fmt.Errorf("there is no node %q: the script is played with %d nodes: %s", node, len(p.Nodes), strings.Join(p.Nodes, ", "))
	}
	return p.url(node + "/" + s.endpoint)
}

// pages returns the addresses of the metrics of all nodes.
func (p *Player) pages() ([]*url.URL, error) {
	first, err := p.url("admin")
	if err != nil {
		return nil, err
	}
	all := []*url.URL{first}
	for i, node := range p.Nodes {
		if i == 0 {
			continue
		}
		u, err := p.url(node + "/admin")
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// url returns the address of an endpoint.
func (p *Player) url(endpoint string) (*url.URL, error) {
	u, ok := p.endpoints[endpoint]
	if !ok {
		names := slices.Sorted(maps.Keys(p.endpoints))
		return nil, fmt.Errorf("there is no endpoint %q: give its address (known: %s)",
			endpoint, strings.Join(names, ", "))
	}
	return u, nil
}
