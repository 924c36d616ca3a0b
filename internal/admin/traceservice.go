package admin

import (
	"cmp"
	"fmt"

	"github.com/polywire/polywire/core"
)

// ServiceTrace is the answer to GET /v1/trace about a service.
type ServiceTrace struct {
	// Service is as the caller names it, Whole with its endpoint's topic prefix.
	Service  string `json:"service"`
	Whole    string `json:"whole"`
	Endpoint string `json:"endpoint"`
	From     uint64 `json:"from,omitempty"`
	// May says whether the caller may call, as Caller explains.
	May    bool   `json:"may"`
	Caller []Step `json:"caller"`
	// Answered says that somebody would be asked. Answerers are who, in turn if they are several, up to the limit.
	Answered  bool       `json:"answered"`
	Answerers []Answerer `json:"answerers"`
	// Why says why nobody, or nobody else, is asked.
	Why string `json:"why,omitempty"`
	// Near are services that are named nearly so, the nearest first.
	Near []NearService `json:"near"`
	Cut  bool          `json:"cut,omitempty"`
}

// Answerer is who answers a service.
type Answerer struct {
	// Kind is handler (of the configuration or the program), owner, client or node.
	Kind string `json:"kind"`
	Text string `json:"text"`
	// Connection is that of a client here, Node the node of a client elsewhere.
	Connection uint64 `json:"connection,omitempty"`
	Node       string `json:"node,omitempty"`
	// Busy says that it does not read what it is asked: it is passed over while others answer the service.
	Busy bool `json:"busy,omitempty"`
}

// NearService is a service with a name that is nearly the one that was asked for.
type NearService struct {
	// Service is its whole name.
	Service string `json:"service"`
	How     string `json:"how"`
	Text    string `json:"text"`
}

// answerers says who would answer a call.
func (t *tracer) answerers(by publisher, service string, limit int) *ServiceTrace {
	r := t.src.Hearing.Answerers(by.endpoint, service)
	a := &ServiceTrace{Service: service, Whole: r.Service, Endpoint: by.endpoint.Name, Answerers: []Answerer{}, Near: []NearService{}}
	if by.state != nil {
		a.From = by.state.ID
	}
	a.Caller = calling(by, service, r)
	a.May = steps(a.Caller).first() == nil
	add := func(one Answerer) {
		if a.Answered = true; len(a.Answerers) < limit {
			a.Answerers = append(a.Answerers, one)
		}
	}
	handler := func(match, when string) {
		add(Answerer{Kind: "handler", Text: "the handler of " + match + ", " + when})
	}
	if r.First != "" {
		handler(r.First, "which is asked before all clients")
		return a
	}
	here := len(r.Offers) > 0 && r.Offers[0].Node == ""
	for _, one := range r.Offers {
		if here && one.Node != "" {
			a.Why = "clients of other nodes offer it too; they are asked when nobody here does"
			break
		}
		add(answererOf("client", one))
	}
	if r.Owns && r.Owner != nil {
		add(answererOf("owner", *r.Owner))
	}
	if a.Answered {
		return a
	}
	switch {
	case r.Last != "":
		handler(r.Last, "because no client offers the service")
	case r.Otherwise:
		add(Answerer{Kind: "handler", Text: "the program's handler of last resort"})
	}
	a.Why = "no client offers it, and no handler or HTTP server answers it"
	if r.Owner != nil {
		a.Why = fmt.Sprintf("it lies in channel %s, whose owner alone could offer it, and does not: %s", r.Channel, called(*r.Owner))
	}
	a.Near, a.Cut = t.nearServices(by.endpoint, service, r.Service)
	return a
}

func answererOf(kind string, h core.Holder) Answerer {
	if h.Node != "" {
		kind = "node"
	}
	return Answerer{Kind: kind, Text: called(h), Connection: h.ID, Node: string(h.Node), Busy: h.Busy}
}

// calling says whether somebody may call.
func calling(by publisher, service string, r core.Answerers) (s steps) {
	if by.state == nil {
		s.ok("connection", "somebody in the name of endpoint %s: access lists are for clients", by.endpoint.Name)
	} else {
		s.ok("connection", "%d of %s, endpoint %s%s", by.state.ID, by.state.Remote, by.endpoint.Name, as(by.state.Identity))
	}
	if r.Refusal.Failed() {
		s.problem("service", "name another service, or raise the limits of the endpoint (docs/limits.md)", "refused: %s", cmp.Or(r.Refusal.Text, string(r.Refusal.Code)))
	} else {
		s.ok("service", "%s", r.Service)
	}
	if by.state == nil {
		return s
	}
	if access := by.endpoint.Access; access != nil && !access.May(by.state.Identity, core.MayCall, []byte(service), false) {
		s.problem("acl", "allow it in acl.call of endpoint "+by.endpoint.Name, "the access list does not let it call %s", service)
	} else {
		s.ok("acl", "the access list lets it call")
	}
	if limit := by.endpoint.Limits.Get().Calls; limit > 0 && by.state.Asking >= limit {
		s.problem("calls", "wait for answers, or raise max_calls of the endpoint", "%d of its calls have no outcome yet, and it may have %d (max_calls)", by.state.Asking, limit)
	} else {
		s.ok("calls", "%d of its calls have no outcome yet", by.state.Asking)
	}
	return s
}

// nearServices returns the services that are named nearly so, and whether there are more than were compared.
func (t *tracer) nearServices(ep *core.Endpoint, service, whole string) (list []NearService, cut bool) {
	list = []NearService{}
	offered := make(map[string]bool)
	for _, other := range t.prefixes(ep) {
		if r := t.src.Hearing.Answerers(other, service); len(r.Offers) > 0 || r.Owns {
			offered[r.Service] = true
			list = append(list, NearService{r.Service, "prefix", fmt.Sprintf("it is offered at an endpoint whose prefix is %q, and that of endpoint %s is %q (topic_prefix)", other.TopicPrefix, ep.Name, ep.TopicPrefix)})
		}
	}
	w, b := newWanted(whole), newBound()
	var near nearest
	t.src.Hearing.ServiceNames(func(some []string) bool {
		for _, name := range some {
			if n, ok := w.nearName(name); ok && !offered[name] {
				near.add(core.Interest{Name: name}, n)
			}
		}
		return b.goOn(len(some))
	})
	near.cut()
	for _, one := range near {
		list = append(list, NearService{one.Name, one.how, one.why})
	}
	return list[:min(len(list), maxNear)], b.cut
}
