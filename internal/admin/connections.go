package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// Connections are the open connections of the broker. Any goroutine but those of the event loops.
type Connections interface {
	// List calls visit with each open connection that hears a whole topic, or with all if it is empty, on
	// the calling goroutine.
	List(ctx context.Context, topic string, visit func(core.ConnectionInfo)) error
	// Find returns a connection and what it has at the engine, End ends one with its format's goodbye.
	// The error is [core.ErrNoConnection] if there is none.
	Find(ctx context.Context, id uint64) (core.ConnectionInfo, core.Holdings, error)
	End(ctx context.Context, id uint64, r core.Reason) (core.ConnectionInfo, error)
}

const (
	defaultPage = 100
	maxPage     = 1000
	// apiTimeout bounds what a request of /v1 waits for.
	apiTimeout = 20 * time.Second
)

// connections serves /v1/connections.
type connections struct {
	all       Connections
	closed    func() []core.ClosedConnection
	endpoints func() []string
	api       api
	walking   chan struct{} // holds an element while a request walks through all connections
}

func newConnections(src Source, a api) *connections {
	return &connections{all: src.Connections, closed: src.Closed, endpoints: src.endpoints, api: a, walking: make(chan struct{}, 1)}
}

func (c *connections) serve(mux *http.ServeMux) {
	const look, end = "look at connections", "end connections"
	c.api.handle(mux, "GET /v1/connections", Read, look, []string{"endpoint", "protocol", "user", "address", "topic", "sort", "limit", "after"}, c.list)
	c.api.handle(mux, "GET /v1/connections/closed", Read, look, []string{"endpoint", "user", "address", "reason", "limit"}, c.ended)
	c.api.handle(mux, "GET /v1/connections/{id}", Read, look, nil, c.show)
	c.api.handle(mux, "DELETE /v1/connections/{id}", Operate, end, []string{"reason"}, c.end)
}

// Connection is a connection in the answers of /v1.
type Connection struct {
	ID       uint64    `json:"id"`
	Endpoint string    `json:"endpoint"`
	Protocol string    `json:"protocol"`
	Remote   string    `json:"remote"`
	User     string    `json:"user,omitempty"`
	Opened   time.Time `json:"opened"`
	// IdleSeconds is the time since its last message.
	IdleSeconds float64 `json:"idle_seconds"`
	QueuedBytes int     `json:"queued_bytes"`
	// Held says that its messages wait.
	Held       bool `json:"held,omitempty"`
	TLS        bool `json:"tls,omitempty"`
	Compressed bool `json:"compressed,omitempty"`
}

func connectionOf(c core.ConnectionInfo) Connection {
	return Connection{
		ID: c.ID, Endpoint: c.Endpoint, Protocol: c.Protocol, Remote: c.Remote, User: c.User, Opened: c.Opened.UTC(),
		IdleSeconds: c.Idle.Seconds(), QueuedBytes: c.Queued, Held: c.Held, TLS: c.TLS, Compressed: c.Compressed,
	}
}

// ConnectionList is the answer to GET /v1/connections.
type ConnectionList struct {
	Connections []Connection `json:"connections"`
	// Total is how many connections match, on all pages.
	Total int `json:"total"`
	// Next is what "after" continues with; empty on the last page.
	Next string `json:"next,omitempty"`
}

// ConnectionDetail is the answer to GET /v1/connections/{id}.
type ConnectionDetail struct {
	Connection
	// Topics and Patterns are what it hears, Services what it offers, Channels what it owns.
	Topics   []string `json:"topics"`
	Patterns []string `json:"patterns"`
	Services []string `json:"services"`
	Channels []string `json:"channels"`
	// More is how many names are left out: there are up to a thousand of each kind.
	More    int  `json:"more,omitempty"`
	Session bool `json:"session"`
	// Asking is how many of its calls have no outcome yet, Asked how many it has still to answer.
	Asking int `json:"asking"`
	Asked  int `json:"asked"`
}

// list returns a page of connections.
func (c *connections) list(r *http.Request, q url.Values) (any, error) {
	wanted, err := c.filter(q)
	if err != nil {
		return nil, err
	}
	p, err := newPage(q)
	if err != nil {
		return nil, err
	}
	err = c.walk(r.Context(), func(ctx context.Context) error {
		return c.all.List(ctx, q.Get("topic"), func(one core.ConnectionInfo) {
			if wanted(one) {
				p.add(one)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return p.result(), nil
}

// show returns one connection.
func (c *connections) show(r *http.Request, _ url.Values) (any, error) {
	id, err := connectionID(r)
	if err != nil {
		return nil, err
	}
	var one core.ConnectionInfo
	var h core.Holdings
	err = c.walk(r.Context(), func(ctx context.Context) (err error) {
		one, h, err = c.all.Find(ctx, id)
		return err
	})
	if err != nil {
		return nil, missing(id, err)
	}
	some := func(names []string) []string { return append([]string{}, names...) }
	return ConnectionDetail{
		Connection: connectionOf(one),
		Topics:     some(h.Topics), Patterns: some(h.Patterns), Services: some(h.Services), Channels: some(h.Channels), More: h.More,
		Session: h.Session, Asking: h.Asking, Asked: h.Asked,
	}, nil
}

// ClosedConnection is a connection that has ended, in the answers of /v1.
type ClosedConnection struct {
	ID       uint64    `json:"id"`
	Endpoint string    `json:"endpoint"`
	Protocol string    `json:"protocol"`
	Remote   string    `json:"remote"`
	User     string    `json:"user,omitempty"`
	Opened   time.Time `json:"opened"`
	Closed   time.Time `json:"closed"`
	// Reason is one of polywire_connections_closed_total.
	Reason string `json:"reason"`
}

// ClosedList is the answer to GET /v1/connections/closed.
type ClosedList struct {
	Connections []ClosedConnection `json:"connections"`
	// Total is how many of those that are remembered match.
	Total int `json:"total"`
}

// ended returns connections that have ended.
func (c *connections) ended(_ *http.Request, q url.Values) (any, error) {
	from, err := addresses(q.Get("address"))
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(q)
	if err != nil {
		return nil, err
	}
	list := ClosedList{Connections: []ClosedConnection{}}
	is := func(name, value string) bool { return q.Get(name) == "" || q.Get(name) == value }
	for _, one := range c.closed() {
		if !is("endpoint", one.Endpoint) || !is("user", one.User) || !is("reason", one.Reason.String()) || !from(one.Remote) {
			continue
		}
		if list.Total++; list.Total <= limit {
			list.Connections = append(list.Connections, ClosedConnection{
				ID: one.ID, Endpoint: one.Endpoint, Protocol: one.Protocol, Remote: one.Remote, User: one.User,
				Opened: one.Opened.UTC(), Closed: one.Closed.UTC(), Reason: one.Reason.String(),
			})
		}
	}
	return list, nil
}

// end ends a connection.
func (c *connections) end(r *http.Request, q url.Values) (any, error) {
	id, err := connectionID(r)
	if err != nil {
		return nil, err
	}
	reason := core.ReasonDenied
	if name := q.Get("reason"); name != "" {
		known := false
		if reason, known = core.ReasonNamed(name); !known {
			return nil, invalid("%.50q is no reason; those of polywire_connections_closed_total are, such as denied (1008), drain (1001) and slow (1013)", name)
		}
	}
	var one core.ConnectionInfo
	err = c.walk(r.Context(), func(ctx context.Context) (err error) {
		one, err = c.all.End(ctx, id, reason)
		return err
	})
	if err != nil {
		return nil, missing(id, err)
	}
	c.api.log.LogAttrs(r.Context(), slog.LevelInfo, "an operator ends a connection", slog.String("endpoint", one.Endpoint), slog.Uint64("conn", one.ID),
		slog.String("remote", one.Remote), logging.Quoted("user", one.User), slog.String("reason", reason.String()), slog.String("by", r.RemoteAddr))
	return connectionOf(one), nil
}

func connectionID(r *http.Request) (uint64, error) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, invalid("%.50q is no number of a connection", r.PathValue("id"))
	}
	return id, nil
}

func missing(id uint64, err error) error {
	if errors.Is(err, core.ErrNoConnection) {
		return &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no connection %d; it may have ended", id)}
	}
	return err
}

// walk calls f, which walks through all connections, one at a time: who asks for them again and again waits
// for their own lists, and the loops have no more to do.
func (c *connections) walk(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	select {
	case c.walking <- struct{}{}:
	case <-ctx.Done():
		return errors.New("others are looking through the connections; try again later")
	}
	defer func() { <-c.walking }()
	return f(ctx)
}

// filter returns which connections a query asks for.
func (c *connections) filter(q url.Values) (func(core.ConnectionInfo) bool, error) {
	endpoint, protocol, user := q.Get("endpoint"), q.Get("protocol"), q.Get("user")
	if endpoint != "" && !slices.Contains(c.endpoints(), endpoint) {
		return nil, &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no endpoint %.100q", endpoint)}
	}
	from, err := addresses(q.Get("address"))
	if err != nil {
		return nil, err
	}
	return func(one core.ConnectionInfo) bool {
		return (endpoint == "" || one.Endpoint == endpoint) && (protocol == "" || one.Protocol == protocol) && (user == "" || one.User == user) && from(one.Remote)
	}, nil
}

// addresses returns which clients are at an address, in a network, or at an address with a port.
func addresses(text string) (func(remote string) bool, error) {
	if text == "" {
		return func(string) bool { return true }, nil
	}
	if one, err := netip.ParseAddrPort(text); err == nil {
		return func(remote string) bool {
			at, err := netip.ParseAddrPort(remote)
			return err == nil && at.Port() == one.Port() && at.Addr().Unmap() == one.Addr().Unmap()
		}, nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		one, err := netip.ParseAddr(text)
		if err != nil {
			return nil, invalid("address must be an address, a network such as 10.0.0.0/8, or an address with a port, not %.50q", text)
		}
		network = netip.PrefixFrom(one.Unmap(), one.Unmap().BitLen())
	}
	return func(remote string) bool {
		at, err := netip.ParseAddrPort(remote)
		return err == nil && network.Contains(at.Addr().Unmap())
	}, nil
}

// orders are the ways to sort connections: what comes first has the smallest number.
var orders = map[string]func(core.ConnectionInfo) int64{
	"id":     func(core.ConnectionInfo) int64 { return 0 },
	"queued": func(c core.ConnectionInfo) int64 { return -int64(c.Queued) },
	"idle":   func(c core.ConnectionInfo) int64 { return -int64(c.Idle) },
	"oldest": func(c core.ConnectionInfo) int64 { return c.Opened.UnixNano() },
	"newest": func(c core.ConnectionInfo) int64 { return -c.Opened.UnixNano() },
}

// place is where a connection stands in the order of a list.
type place struct {
	key int64
	id  uint64
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.key, q.key), cmp.Compare(p.id, q.id))
}

type placed struct {
	place
	one core.ConnectionInfo
}

// page keeps the connections of one page of a list.
type page struct {
	key   func(core.ConnectionInfo) int64
	limit int
	after *place // nil on the first page
	total int
	found []placed // at most twice the limit
	more  bool     // others come behind those that were found
}

func newPage(q url.Values) (*page, error) {
	p := new(page)
	var ok bool
	if p.key, ok = orders[cmp.Or(q.Get("sort"), "id")]; !ok {
		return nil, invalid("sort must be id, queued, idle, oldest or newest, not %.50q", q.Get("sort"))
	}
	var err error
	if p.limit, err = limitOf(q); err != nil {
		return nil, err
	}
	if text := q.Get("after"); text != "" {
		key, id, _ := strings.Cut(text, ":")
		k, err1 := strconv.ParseInt(key, 10, 64)
		n, err2 := strconv.ParseUint(id, 10, 64)
		if err1 != nil || err2 != nil {
			return nil, invalid("after must be the next of the page before, not %.50q", text)
		}
		p.after = &place{k, n}
	}
	return p, nil
}

// limitOf returns how many connections a query wants at most.
func limitOf(q url.Values) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, invalid("limit must be a number from 1 to %d, not %.50q", maxPage, text)
	}
	return n, nil
}

// add takes a connection into the page, if it may be in it.
func (p *page) add(one core.ConnectionInfo) {
	p.total++
	at := place{p.key(one), one.ID}
	if p.after != nil && at.compare(*p.after) <= 0 {
		return
	}
	p.found = append(p.found, placed{at, one})
	if len(p.found) == 2*p.limit {
		p.cut()
	}
}

// cut forgets all but the first of what was found.
func (p *page) cut() {
	slices.SortFunc(p.found, func(a, b placed) int { return a.compare(b.place) })
	if len(p.found) > p.limit {
		p.found, p.more = p.found[:p.limit], true
	}
}

func (p *page) result() ConnectionList {
	p.cut()
	list := ConnectionList{Connections: []Connection{}, Total: p.total}
	for _, one := range p.found {
		list.Connections = append(list.Connections, connectionOf(one.one))
	}
	if p.more {
		last := p.found[len(p.found)-1]
		list.Next = fmt.Sprintf("%d:%d", last.key, last.id)
	}
	return list
}
