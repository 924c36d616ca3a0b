package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/polywire/polywire/core"
)

// Holders are who owns channels and who answers services. Any goroutine but those of the event loops.
type Holders interface {
	// ListChannels calls visit with each channel that a connection here owns, and ListServices with each service that one, or
	// the program, answers here, on the calling goroutine.
	ListChannels(ctx context.Context, visit func(core.ChannelInfo)) error
	ListServices(ctx context.Context, visit func(core.ServiceInfo)) error
}

// holders serves /v1/channels and /v1/services.
type holders struct {
	all      Holders
	upstream func() []Service
	api      api
	lists    *lists
	channels kind[Channel]
	services kind[AnsweredService]
}

func newHolders(src Source, a api, l *lists) *holders {
	h := &holders{all: src.Tables, upstream: src.Services, api: a, lists: l}
	h.channels = kind[Channel]{name: "channels", collect: h.collectChannels}
	h.services = kind[AnsweredService]{name: "services", collect: h.collectServices}
	h.channels.serve(l)
	h.services.serve(l)
	return h
}

func (h *holders) serve(mux *http.ServeMux) {
	h.api.handle(mux, "GET /v1/channels", Read, "look at channels", []string{"name", "prefix", "user", "limit", "after"}, h.listChannels)
	h.api.handle(mux, "GET /v1/services", Read, "look at services", []string{"name", "prefix", "sort", "limit", "after"}, h.listServices)
}

// Holder is a connection that owns a channel or answers a service.
type Holder struct {
	Connection uint64 `json:"connection"`
	Endpoint   string `json:"endpoint"`
	User       string `json:"user,omitempty"`
}

func holderOf(h core.HolderInfo) Holder { return Holder(h) }

// Channel is a channel that a connection owns, in the answers of /v1.
type Channel struct {
	// Node is the node of the owner; empty if there is no cluster.
	Node    string `json:"node,omitempty"`
	Channel string `json:"channel"`
	// Services is how many services the owner answers in it.
	Services int    `json:"services"`
	Owner    Holder `json:"owner"`
}

// ChannelList is the answer to GET /v1/channels.
type ChannelList struct {
	Channels []Channel `json:"channels"`
	List
}

func (h *holders) listChannels(r *http.Request, q url.Values) (any, error) {
	all, list, err := h.channels.everywhere(r.Context(), h.lists, q)
	if err != nil {
		return nil, err
	}
	return ChannelList{all, list}, nil
}

// collectChannels adds the channels of clients here that a query asks for.
func (h *holders) collectChannels(ctx context.Context, q url.Values, add func(place, Channel)) error {
	wanted, user, node := named(q), q.Get("user"), h.lists.self()
	return h.all.ListChannels(ctx, func(one core.ChannelInfo) {
		if wanted(one.Name) && (user == "" || one.Owner.User == user) {
			add(placeOfName(one.Name, node), Channel{Node: node, Channel: one.Name, Services: one.Services, Owner: holderOf(one.Owner)})
		}
	})
}

// AnsweredService is a service that somebody answers at a node, in the answers of /v1.
type AnsweredService struct {
	// Node is the node of who answers; empty if there is no cluster.
	Node string `json:"node,omitempty"`
	// Service is the whole service, with the prefix of its endpoint; of a handler or the configuration it is as clients
	// name it, or a pattern.
	Service string `json:"service"`
	// By says who answers: connections in turn, the owner of the channel that it lies in, a handler of the program, what
	// is configured, or the handler for what nobody else answers (otherwise).
	By string `json:"by"`
	// Connections are those that answer, core.MaxAnswerers at most, and Offers is how many there are.
	Connections []Holder `json:"connections"`
	Offers      int      `json:"offers"`
	// Pending is how many calls have no answer yet, and MaxPending how many there may be.
	Pending    int `json:"pending"`
	MaxPending int `json:"max_pending"`
	// Calls and Failed count the calls of an HTTP server.
	Calls  uint64 `json:"calls,omitempty"`
	Failed uint64 `json:"failed,omitempty"`
}

// ServiceList is the answer to GET /v1/services.
type ServiceList struct {
	Services []AnsweredService `json:"services"`
	List
}

// answeredBy are the words for who answers.
var answeredBy = map[core.ServiceKind]string{
	core.SharedService: "connections", core.OwnedService: "owner", core.HandledService: "handler", core.UpstreamService: "configured",
	core.OtherService: "otherwise",
}

func (h *holders) listServices(r *http.Request, q url.Values) (any, error) {
	all, list, err := h.services.everywhere(r.Context(), h.lists, q)
	if err != nil {
		return nil, err
	}
	return ServiceList{all, list}, nil
}

// collectServices adds the services that are answered here and that a query asks for.
func (h *holders) collectServices(ctx context.Context, q url.Values, add func(place, AnsweredService)) error {
	wanted, sort, node := named(q), q.Get("sort"), h.lists.self()
	if sort != "" && sort != "name" && sort != "pending" {
		return invalid("sort must be name or pending, not %.50q", sort)
	}
	counted := make(map[string]*core.ServiceStats)
	for _, s := range h.upstream() {
		counted[s.Match] = s.Stats
	}
	return h.all.ListServices(ctx, func(one core.ServiceInfo) {
		if !wanted(one.Name) {
			return
		}
		s := AnsweredService{
			Node: node, Service: one.Name, By: answeredBy[one.Kind], Connections: []Holder{}, Offers: one.Offers, Pending: one.Pending, MaxPending: one.Bound,
		}
		for _, by := range one.Answerers {
			s.Connections = append(s.Connections, holderOf(by))
		}
		if stats := counted[one.Name]; stats != nil && one.Kind == core.UpstreamService {
			s.Calls = stats.Calls.Load()
			for _, r := range core.ServiceFailures() {
				s.Failed += stats.Failed[r].Load()
			}
		}
		at := placeOfName(one.Name+"\x00"+s.By, node)
		if sort == "pending" {
			at.Key = -int64(one.Pending)
		}
		add(at, s)
	})
}
