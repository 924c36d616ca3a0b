package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// Connections are the open connections of the broker. Any goroutine but those of the event loops.
type Connections interface {
	// List calls visit with each open connection that hears a whole topic, or with all if it is empty, on
	// the calling goroutine.
	List(ctx context.Context, topic string, visit func(core.ConnectionInfo)) error
	// End ends one with its format's goodbye. The error is [core.ErrNoConnection] if there is none.
	End(ctx context.Context, id uint64, r core.Reason) (core.ConnectionInfo, error)
}

// connections serves /v1/connections.
type connections struct {
	all       Connections
	writing   Writing
	last      func() []core.ClosedConnection
	endpoints func() []string
	api       api
	lists     *lists
	open      kind[Connection]
	closed    kind[ClosedConnection]
}

func newConnections(src Source, a api, l *lists) *connections {
	c := &connections{all: src.Connections, writing: src.Writing, last: src.Closed, endpoints: src.endpoints, api: a, lists: l}
	c.open = kind[Connection]{name: "connections", collect: c.collect}
	c.closed = kind[ClosedConnection]{name: "closed connections", collect: c.collectClosed}
	c.open.serve(l)
	c.closed.serve(l)
	l.local[showConnection], l.local[endConnection] = c.showHere, c.endHere
	return c
}

// What other nodes may ask about one connection.
const showConnection, endConnection = "connection", "end connection"

func (c *connections) serve(mux *http.ServeMux) {
	const look, end = "look at connections", "end connections"
	c.api.handle(mux, "GET /v1/connections", Read, look, []string{"endpoint", "protocol", "user", "address", "topic", "sort", "limit", "after"}, c.list)
	c.api.handle(mux, "GET /v1/connections/closed", Read, look, []string{"endpoint", "protocol", "user", "address", "reason", "limit", "after"}, c.listClosed)
	c.api.handle(mux, "GET /v1/connections/{id}", Read, look, nil, c.show)
	c.api.handle(mux, "DELETE /v1/connections/{id}", Operate, end, []string{"reason"}, c.end)
}

// Connection is a connection in the answers of /v1.
type Connection struct {
	ID uint64 `json:"id"`
	// Node is the node of the cluster that has it; empty if there is no cluster.
	Node     string    `json:"node,omitempty"`
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
	// Messages that it has said and heard, and their payload bytes.
	MessagesIn  uint64 `json:"messages_in"`
	BytesIn     uint64 `json:"bytes_in"`
	MessagesOut uint64 `json:"messages_out"`
	BytesOut    uint64 `json:"bytes_out"`
	Rates       Rates  `json:"rates"`
}

// Rates are how much a connection says and hears a second, over the last Seconds.
type Rates struct {
	MessagesIn  float64 `json:"messages_in"`
	BytesIn     float64 `json:"bytes_in"`
	MessagesOut float64 `json:"messages_out"`
	BytesOut    float64 `json:"bytes_out"`
	Seconds     float64 `json:"seconds"`
}

// ratesOf returns the rates of a connection. One that was opened in the same tick has had a tick.
func ratesOf(c core.ConnectionInfo) Rates {
	seconds := max(c.RecentFor, 100*time.Millisecond).Seconds()
	return Rates{
		MessagesIn: float64(c.Recent.MessagesIn) / seconds, BytesIn: float64(c.Recent.BytesIn) / seconds,
		MessagesOut: float64(c.Recent.MessagesOut) / seconds, BytesOut: float64(c.Recent.BytesOut) / seconds, Seconds: seconds,
	}
}

func connectionOf(c core.ConnectionInfo, node string) Connection {
	return Connection{
		ID: c.ID, Node: node, Endpoint: c.Endpoint, Protocol: c.Protocol, Remote: c.Remote, User: c.User, Opened: c.Opened.UTC(),
		IdleSeconds: c.Idle.Seconds(), QueuedBytes: c.Queued, Held: c.Held, TLS: c.TLS, Compressed: c.Compressed,
		MessagesIn: c.Traffic.MessagesIn, BytesIn: c.Traffic.BytesIn, MessagesOut: c.Traffic.MessagesOut, BytesOut: c.Traffic.BytesOut, Rates: ratesOf(c),
	}
}

// ConnectionList is the answer to GET /v1/connections.
type ConnectionList struct {
	Connections []Connection `json:"connections"`
	List
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
	// LastRefusal is what it was refused last; nil if nothing was.
	LastRefusal *Refusal `json:"last_refusal,omitempty"`
	// Identity is who it is by its credential; nil if it has shown none.
	Identity *Identity `json:"identity,omitempty"`
	// Queue is what waits to be written to it.
	Queue Queue `json:"queue"`
}

// Identity is who a client is.
type Identity struct {
	// Subject names the user; empty if the credential names none.
	Subject string `json:"subject,omitempty"`
	// Method is how it was found out, a type of auth of the endpoint.
	Method string `json:"method"`
	// Expires is when the credential does, and the connection ends; nil is never.
	Expires *time.Time `json:"expires,omitempty"`
}

// Queue is what waits to be written to a connection.
type Queue struct {
	// Bytes wait behind the message that is being written, and Limit may.
	Bytes int `json:"bytes"`
	Limit int `json:"limit"`
	// Policy is what happens beyond the limit, a slow_consumer of the configuration.
	Policy string `json:"policy"`
	// Stuck says that its socket takes nothing now.
	Stuck bool `json:"stuck,omitempty"`
	// Lost is how many messages it has lost because it reads too slowly.
	Lost uint64 `json:"lost,omitempty"`
}

// Refusal is something that a connection has asked for in vain.
type Refusal struct {
	At time.Time `json:"at"`
	// Reason is one of polywire_messages_refused_total, or of polywire_calls_failed_total.
	Reason string `json:"reason"`
	// Verb is what it has asked for, and Topic the beginning of the topic or service; empty if its message could not be
	// read.
	Verb  string `json:"verb,omitempty"`
	Topic string `json:"topic,omitempty"`
}

// lastOf returns the last of a connection's refusals; nil if there are none.
func lastOf(refused []core.RefusedCommand) *Refusal {
	if len(refused) == 0 {
		return nil
	}
	r := refused[0]
	shown := &Refusal{At: r.Last.UTC(), Reason: r.Reason.String(), Topic: r.Topic}
	if r.Verb != core.None {
		shown.Verb = r.Verb.String()
	}
	return shown
}

// list returns a page of connections.
func (c *connections) list(r *http.Request, q url.Values) (any, error) {
	if endpoint := q.Get("endpoint"); endpoint != "" && !slices.Contains(c.endpoints(), endpoint) {
		return nil, &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no endpoint %.100q", endpoint)}
	}
	all, list, err := c.open.everywhere(r.Context(), c.lists, q)
	if err != nil {
		return nil, err
	}
	return answered[Connection]{"connections", all, list}, nil
}

// collect adds the connections of this node that a query asks for.
func (c *connections) collect(ctx context.Context, q url.Values, add func(place, Connection)) error {
	wanted, err := filterOf(q)
	if err != nil {
		return err
	}
	at, err := orderOf(q)
	if err != nil {
		return err
	}
	node := c.lists.self()
	return c.all.List(ctx, q.Get("topic"), func(one core.ConnectionInfo) {
		if wanted.Means(one.Endpoint, one.Protocol, one.User, one.Remote) {
			add(at(one), connectionOf(one, node))
		}
	})
}

// show returns one connection.
func (c *connections) show(r *http.Request, _ url.Values) (any, error) {
	var detail ConnectionDetail
	err := c.lists.findOne(r.Context(), question{Op: showConnection, ID: r.PathValue("id")}, &detail)
	return detail, err
}

func (c *connections) showHere(ctx context.Context, text string, _ url.Values) (any, error) {
	id, err := connectionID(text)
	if err != nil {
		return nil, err
	}
	var found []core.ConnectionState
	err = c.lists.turns.take(ctx, func(ctx context.Context) (err error) {
		found, err = c.writing.Examine(ctx, id)
		return err
	})
	if err == nil && len(found) == 0 {
		err = core.ErrNoConnection
	}
	if err != nil {
		return nil, missing(id, err)
	}
	return detailOf(found[0], c.lists.self()), nil
}

func detailOf(c core.ConnectionState, node string) ConnectionDetail {
	some := func(names []string) []string { return append([]string{}, names...) }
	d := ConnectionDetail{
		Connection: connectionOf(c.ConnectionInfo, node),
		Topics:     some(c.Topics), Patterns: some(c.Patterns), Services: some(c.Services), Channels: some(c.Channels), More: c.More,
		Session: c.Session, Asking: c.Asking, Asked: c.Asked, LastRefusal: lastOf(c.Refused),
		Queue: Queue{Bytes: c.Backlog, Limit: c.Limit, Policy: c.Policy, Stuck: c.Stuck, Lost: c.Lost},
	}
	if id := c.Identity; id != nil {
		d.Identity = &Identity{id.Subject, id.Method, known(id.Expires)}
	}
	return d
}

// ClosedConnection is a connection that has ended, in the answers of /v1.
type ClosedConnection struct {
	ID uint64 `json:"id"`
	// Node is the node of the cluster that had it; empty if there is no cluster.
	Node     string    `json:"node,omitempty"`
	Endpoint string    `json:"endpoint"`
	Protocol string    `json:"protocol"`
	Remote   string    `json:"remote"`
	User     string    `json:"user,omitempty"`
	Opened   time.Time `json:"opened"`
	Closed   time.Time `json:"closed"`
	// Reason is one of polywire_connections_closed_total.
	Reason string `json:"reason"`
}

// ClosedList is the answer to GET /v1/connections/closed: of those that the nodes remember.
type ClosedList struct {
	Connections []ClosedConnection `json:"connections"`
	List
}

// listClosed returns a page of connections that have ended.
func (c *connections) listClosed(r *http.Request, q url.Values) (any, error) {
	all, list, err := c.closed.everywhere(r.Context(), c.lists, q)
	if err != nil {
		return nil, err
	}
	return ClosedList{all, list}, nil
}

// collectClosed adds the connections that have ended at this node and that a query asks for, the last one first.
func (c *connections) collectClosed(_ context.Context, q url.Values, add func(place, ClosedConnection)) error {
	wanted, err := filterOf(q)
	if err != nil {
		return err
	}
	reason, node := q.Get("reason"), c.lists.self()
	for _, one := range c.last() {
		if !wanted.Means(one.Endpoint, one.Protocol, one.User, one.Remote) || reason != "" && one.Reason.String() != reason {
			continue
		}
		add(place{Key: -one.Closed.UnixNano(), ID: ^one.ID, Node: node}, ClosedConnection{
			ID: one.ID, Node: node, Endpoint: one.Endpoint, Protocol: one.Protocol, Remote: one.Remote, User: one.User,
			Opened: one.Opened.UTC(), Closed: one.Closed.UTC(), Reason: one.Reason.String(),
		})
	}
	return nil
}

// end ends a connection.
func (c *connections) end(r *http.Request, q url.Values) (any, error) {
	var one Connection
	reason, err := reasonOf(q)
	if err == nil {
		err = c.lists.findOne(r.Context(), question{Op: endConnection, ID: r.PathValue("id"), Query: q}, &one)
	}
	if err != nil {
		return nil, err
	}
	c.api.log.LogAttrs(r.Context(), slog.LevelInfo, "an operator ends a connection", slog.String("endpoint", one.Endpoint), slog.Uint64("conn", one.ID),
		slog.String("remote", one.Remote), logging.Quoted("user", one.User), slog.String("reason", reason.String()), slog.String("by", r.RemoteAddr))
	return one, nil
}

func (c *connections) endHere(ctx context.Context, text string, q url.Values) (any, error) {
	id, err := connectionID(text)
	if err != nil {
		return nil, err
	}
	reason, err := reasonOf(q)
	if err != nil {
		return nil, err
	}
	var one core.ConnectionInfo
	err = c.lists.turns.take(ctx, func(ctx context.Context) (err error) {
		one, err = c.all.End(ctx, id, reason)
		return err
	})
	if err != nil {
		return nil, missing(id, err)
	}
	return connectionOf(one, c.lists.self()), nil
}

// reasonOf returns why a query wants connections to end.
func reasonOf(q url.Values) (core.Reason, error) {
	name := q.Get("reason")
	if name == "" {
		return core.ReasonDenied, nil
	}
	reason, known := core.ReasonNamed(name)
	if !known {
		return 0, invalid("%.50q is no reason; those of polywire_connections_closed_total are, such as denied (1008), drain (1001) and slow (1013)", name)
	}
	return reason, nil
}

func connectionID(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid("%.50q is no number of a connection", text)
	}
	return id, nil
}

func missing(id uint64, err error) error {
	if errors.Is(err, core.ErrNoConnection) {
		return caused{&apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no connection %d; it may have ended", id)}, err}
	}
	return err
}

// orders are the ways to sort connections: what comes first has the smallest place. Those that are alike otherwise are
// sorted by their numbers, of which newer connections have greater ones.
var orders = map[string]func(core.ConnectionInfo) place{
	"id":     func(c core.ConnectionInfo) place { return place{ID: c.ID} },
	"queued": func(c core.ConnectionInfo) place { return place{Key: -int64(c.Queued), ID: c.ID} },
	"idle":   func(c core.ConnectionInfo) place { return place{Key: -int64(c.Idle), ID: c.ID} },
	"oldest": func(c core.ConnectionInfo) place { return place{Key: c.Opened.UnixNano(), ID: c.ID} },
	"newest": func(c core.ConnectionInfo) place { return place{Key: -c.Opened.UnixNano(), ID: ^c.ID} },
	"rate": func(c core.ConnectionInfo) place {
		r := ratesOf(c)
		return place{Key: -int64(1000 * (r.MessagesIn + r.MessagesOut)), ID: c.ID}
	},
	"busy": func(c core.ConnectionInfo) place {
		r := ratesOf(c)
		return place{Key: -int64(1000 * (r.BytesIn + r.BytesOut)), ID: c.ID}
	},
}

// orderOf returns how a query wants connections to be sorted.
func orderOf(q url.Values) (func(core.ConnectionInfo) place, error) {
	at, ok := orders[cmp.Or(q.Get("sort"), "id")]
	if !ok {
		return nil, invalid("sort must be id, queued, idle, oldest, newest, rate or busy, not %.50q", q.Get("sort"))
	}
	return at, nil
}
