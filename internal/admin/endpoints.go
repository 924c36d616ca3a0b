package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/polywire/polywire/core"
)

// EndpointAddress is where an endpoint is reached.
type EndpointAddress struct {
	// Name is that of the endpoint, Listen the address of its listener, and URL what clients dial.
	Name, Listen, URL string
}

// endpoints serves /v1/endpoints.
type endpoints struct {
	src   Source
	lists *lists
	kind  kind[Endpoint]
	api   api
}

func newEndpoints(src Source, a api, l *lists) *endpoints {
	e := &endpoints{src: src, lists: l, api: a}
	e.kind = kind[Endpoint]{name: "endpoints", collect: e.collect}
	e.kind.serve(l)
	return e
}

func (e *endpoints) serve(mux *http.ServeMux) {
	e.api.handle(mux, "GET /v1/endpoints", Read, "look at endpoints", []string{"name", "prefix", "limit", "after"}, e.list)
}

// Endpoint is an endpoint of a node, in the answers of /v1.
type Endpoint struct {
	Endpoint string `json:"endpoint"`
	// Node is the node of the cluster; empty if there is no cluster.
	Node     string `json:"node,omitempty"`
	Protocol string `json:"protocol"`
	// Listen is the address of its listener, and URL what clients dial; empty for a bridge, which connects to an old server.
	Listen string `json:"listen,omitempty"`
	URL    string `json:"url,omitempty"`
	Bridge bool   `json:"bridge,omitempty"`
	// Connections are open now, and QueuedBytes wait because their clients do not read them. Slow is how many connections
	// have such bytes.
	Connections int64 `json:"connections"`
	QueuedBytes int64 `json:"queued_bytes"`
	Slow        int   `json:"slow"`
	// The others are counters, from the start of the broker on.
	Opened      uint64 `json:"opened"`
	Rejected    uint64 `json:"rejected"`
	Closed      uint64 `json:"closed"`
	MessagesIn  uint64 `json:"messages_in"`
	BytesIn     uint64 `json:"bytes_in"`
	MessagesOut uint64 `json:"messages_out"`
	BytesOut    uint64 `json:"bytes_out"`
	Published   uint64 `json:"published"`
	Calls       uint64 `json:"calls"`
	CallsFailed uint64 `json:"calls_failed"`
	Refused     uint64 `json:"refused"`
	Dropped     uint64 `json:"dropped"`
}

// EndpointList is the answer to GET /v1/endpoints.
type EndpointList struct {
	Endpoints []Endpoint `json:"endpoints"`
	List
}

func (e *endpoints) list(r *http.Request, q url.Values) (any, error) {
	all, list, err := e.kind.everywhere(r.Context(), e.lists, q)
	if err != nil {
		return nil, err
	}
	return EndpointList{all, list}, nil
}

// collect adds the endpoints of this node that a query asks for.
func (e *endpoints) collect(ctx context.Context, q url.Values, add func(place, Endpoint)) error {
	wanted, node := named(q), e.lists.self()
	queued, slow := make(map[string]int64), make(map[string]int)
	err := e.src.Connections.List(ctx, "", func(c core.ConnectionInfo) {
		if c.Queued > 0 {
			queued[c.Endpoint] += int64(c.Queued)
			slow[c.Endpoint]++
		}
	})
	if err != nil {
		return err
	}
	addresses := make(map[string]EndpointAddress)
	for _, at := range e.src.Addresses() {
		addresses[at.Name] = at
	}
	for _, ep := range e.src.Endpoints() {
		if !wanted(ep.Name) {
			continue
		}
		at, listens := addresses[ep.Name]
		s := ep.Stats
		if !listens { // a bridge has no connection of a client
			queued[ep.Name] = s.Queued.Now()
		}
		add(placeOfName(ep.Name, node), Endpoint{
			Endpoint: ep.Name, Node: node, Protocol: ep.Protocol, Listen: at.Listen, URL: at.URL, Bridge: !listens,
			Connections: s.Open.Load(), QueuedBytes: queued[ep.Name], Slow: slow[ep.Name],
			Opened: s.Opened.Load(), Rejected: s.Rejected.Sum(), Closed: s.Closed.Sum(),
			MessagesIn: s.MessagesIn.Load(), BytesIn: s.BytesIn.Load(), MessagesOut: s.MessagesOut.Load(), BytesOut: s.BytesOut.Load(),
			Published: s.Published.Load(), Calls: s.Calls.Load(), CallsFailed: s.CallsFailed.Sum(), Refused: s.Refused.Sum(), Dropped: s.Dropped.Sum(),
		})
	}
	return nil
}
