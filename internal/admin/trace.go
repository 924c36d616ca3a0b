package admin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// Routing is what the engine knows of who hears and answers what. Any goroutine.
type Routing interface {
	// Reach returns who would hear a message that is published in the name of an endpoint, and Heard who has
	// an interest that Interests has told, some at a time until visit returns false.
	Reach(ep *core.Endpoint, topic string, p core.Payload) core.Reach
	Heard(i core.Interest) []core.HeardBy
	Interests(visit func([]core.Interest) bool)
	// Answerers returns who would answer a call in the name of an endpoint, and ServiceNames what is offered, as
	// Interests does.
	Answerers(ep *core.Endpoint, service string) core.Answerers
	ServiceNames(visit func([]string) bool)
}

// Writing is what the network knows of how messages are written to clients. Any goroutine but those of the event loops.
type Writing interface {
	// Write returns a message in the format of an outlet, which gets nothing, or why it cannot be written; the zero
	// value if that is not known.
	Write(to core.Outlet, ev core.Event) (core.Written, error)
	// Members calls visit with the members of an audience until it returns false, and says what would become of a
	// message of n bytes.
	Members(ctx context.Context, of core.Audience, n int, visit func(core.Receiver) bool) error
	// Refused calls visit with the connections that were lately refused a command about a whole topic.
	Refused(ctx context.Context, v core.Verb, topic string, visit func(core.ConnectionInfo, core.RefusedCommand)) error
	// Rehearse tries what becomes of a publish of a client of an endpoint.
	Rehearse(endpoint, topic string, p core.Payload) core.Rehearsal
	// Examine returns the open ones of some connections, in no order.
	Examine(ctx context.Context, ids ...uint64) ([]core.ConnectionState, error)
	// TurnedAway returns who was refused last before it was connected, the last one first.
	TurnedAway() []core.TurnedAway
}

const (
	// maxSample bounds the message that a trace imagines, in bytes.
	maxSample = maxBody
	// maxLooked and maxLookTime bound how many names are compared in search of those that nearly match; after pauseEvery
	// of them others get the processor.
	maxLooked   = 1 << 20
	pauseEvery  = 4096
	maxLookTime = 2 * time.Second
)

// tracer serves /v1/trace and /v1/doctor.
type tracer struct {
	src   Source
	api   api
	lists *lists
	node  string // "" if the broker is alone
	turns turns  // of requests that look through what clients have
}

func newTracer(src Source, a api, l *lists) *tracer {
	t := &tracer{src: src, api: a, lists: l, node: l.self(), turns: newTurns("others are tracing; try again later")}
	l.local[examineConnection] = t.examineHere
	return t
}

func (t *tracer) serve(mux *http.ServeMux) {
	const what = "trace messages"
	t.api.handle(mux, "GET /v1/trace", Read, what, []string{"topic", "service", "from", "endpoint", "kind", "size", "limit"}, t.traceSample)
	t.api.handle(mux, "POST /v1/trace", Read, what, []string{"topic", "from", "endpoint", "limit"}, t.traceBody)
	t.api.handle(mux, "GET /v1/doctor", Read, "examine clients", []string{"connection", "address", "topic"}, t.doctor)
}

// TraceQuery is a message that nobody publishes, or a call that nobody makes.
type TraceQuery struct {
	// Topic is that of the message, or the service of the call, as the publisher or caller names it.
	Topic string
	// From is the connection to this broker in whose name it is published, with its rights; 0 is none. Then Endpoint is
	// in whose name it is, as for Broker.Publish; it may be empty if no endpoint has a topic prefix.
	From     uint64
	Endpoint string
	// Payload is that of the message, and borrowed.
	Payload core.Payload
	// Limit is how many clients of each sort are named, up to 1000; 0 is 100.
	Limit int
}

// The results of a step.
const (
	stepOK      = "ok"
	stepNote    = "note" // nothing is wrong; or it is not known
	stepProblem = "problem"
)

// Step is something that was looked at.
type Step struct {
	// Step is what it was: connection, topic, format, acl, ownership …
	Step string `json:"step"`
	// Result is ok, note or problem.
	Result string `json:"result"`
	Text   string `json:"text"`
	// Advice is what to do.
	Advice string `json:"advice,omitempty"`
}

// steps are what was looked at, in order.
type steps []Step

func (s *steps) ok(step, format string, args ...any) {
	*s = append(*s, Step{Step: step, Result: stepOK, Text: fmt.Sprintf(format, args...)})
}

func (s *steps) note(step, format string, args ...any) {
	*s = append(*s, Step{Step: step, Result: stepNote, Text: fmt.Sprintf(format, args...)})
}

func (s *steps) problem(step, advice, format string, args ...any) {
	*s = append(*s, Step{step, stepProblem, fmt.Sprintf(format, args...), advice})
}

// first returns the first problem; nil if there is none.
func (s steps) first() *Step {
	for i := range s {
		if s[i].Result == stepProblem {
			return &s[i]
		}
	}
	return nil
}

// MessageTrace is the answer to GET /v1/trace about a topic.
type MessageTrace struct {
	// Topic is as the publisher names it, Whole with its endpoint's topic prefix.
	Topic    string `json:"topic"`
	Whole    string `json:"whole"`
	Endpoint string `json:"endpoint"`
	// From is the connection in whose name it is published; missing without one.
	From uint64 `json:"from,omitempty"`
	// May says whether the publisher may publish, as Publisher explains.
	May       bool   `json:"may"`
	Publisher []Step `json:"publisher"`
	// Hears is how many connections to this node would get the message, and Missing how many would not although
	// they hear the topic. Those to other nodes are in OtherNodes.
	Hears   int `json:"hears"`
	Missing int `json:"missing"`
	// Audiences are who hears the topic, by endpoint and subscription.
	Audiences []Audience `json:"audiences"`
	// Receivers are the first of those who would get it, Silent the first of those who would not.
	Receivers []Connection `json:"receivers"`
	Silent    []Silent     `json:"silent"`
	// Near are subscriptions that nearly match, the nearest first.
	Near []Near `json:"near"`
	// Cut says that there are more names than were compared for Near.
	Cut bool `json:"cut,omitempty"`
	// Handler is the topic or pattern of the program's handler that hears it too.
	Handler string `json:"handler,omitempty"`
	// OtherNodes are who hears the topic at the other nodes of the cluster, by their names.
	OtherNodes []NodeAudience `json:"other_nodes,omitempty"`
}

// NodeAudience is who hears a topic at another node. What becomes of a message there only that node knows.
type NodeAudience struct {
	Node string `json:"node"`
	// Subscribers is how many subscriptions there are, and Endpoints of which endpoints.
	Subscribers int            `json:"subscribers"`
	Endpoints   []TopicHearing `json:"endpoints"`
	// Unknown says that the node has not answered.
	Unknown bool `json:"unknown,omitempty"`
}

// Audience is who hears a topic under one subscription at one endpoint.
type Audience struct {
	Endpoint string `json:"endpoint"`
	Protocol string `json:"protocol"`
	// Subscription is a topic or pattern as clients of the endpoint name it.
	Subscription string `json:"subscription"`
	Pattern      bool   `json:"pattern,omitempty"`
	Clients      int    `json:"clients"`
	// Bytes is how long the message is in their format; 0 if that is not known.
	Bytes int `json:"bytes,omitempty"`
	// Note says for whom the message is too long. Changed says how it differs in their format, Unwritable why
	// their format cannot carry it.
	Note       string `json:"note,omitempty"`
	Changed    string `json:"changed,omitempty"`
	Unwritable string `json:"unwritable,omitempty"`
}

// Silent is somebody who would not get a message, or one whole audience.
type Silent struct {
	Endpoint string `json:"endpoint"`
	// Connection is missing for a whole audience.
	Connection *Connection `json:"connection,omitempty"`
	Clients    int         `json:"clients"`
	// Cause is unwritable, slow, closing, self, or a reason of polywire_messages_refused_total for which it could
	// not subscribe.
	Cause  string `json:"cause"`
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
}

// Near is a subscription that nearly matches.
type Near struct {
	Endpoint     string `json:"endpoint"`
	Protocol     string `json:"protocol"`
	Subscription string `json:"subscription"`
	Pattern      bool   `json:"pattern,omitempty"`
	Clients      int    `json:"clients"`
	// How it differs: case, slash, separator, level, wildcard, prefix or spelling.
	How  string `json:"how"`
	Text string `json:"text"`
}

// publisher is in whose name something is published or asked.
type publisher struct {
	endpoint *core.Endpoint
	state    *core.ConnectionState // nil if it is no connection
}

// traceSample says who would hear a message of a kind and size, or answer a service.
func (t *tracer) traceSample(r *http.Request, q url.Values) (any, error) {
	topic, service := q.Get("topic"), q.Get("service")
	if (topic == "") == (service == "") {
		return nil, invalid("give either a topic or a service: ?topic=news/today")
	}
	imagined, err := traceQuery(q, cmp.Or(topic, service))
	if err != nil {
		return nil, err
	}
	if imagined.Payload, err = sample(q); err != nil {
		return nil, err
	}
	if service != "" {
		return t.call(r.Context(), imagined)
	}
	return t.message(r.Context(), imagined)
}

// traceBody says who would hear the body.
func (t *tracer) traceBody(r *http.Request, q url.Values) (any, error) {
	imagined, err := traceQuery(q, q.Get("topic"))
	if err != nil {
		return nil, err
	}
	if imagined.Payload, err = payload(r); err != nil {
		return nil, err
	}
	return t.message(r.Context(), imagined)
}

// traceQuery reads what both have.
func traceQuery(q url.Values, topic string) (imagined TraceQuery, err error) {
	imagined = TraceQuery{Topic: topic, Endpoint: q.Get("endpoint")}
	if imagined.Limit, err = limitOf(q); err != nil {
		return imagined, err
	}
	if text := q.Get("from"); text != "" {
		if imagined.From, err = connectionID(text); err == nil && imagined.From == 0 {
			err = missing(0, core.ErrNoConnection)
		}
	}
	return imagined, err
}

// message says who would hear a message.
func (t *tracer) message(ctx context.Context, q TraceQuery) (trace *MessageTrace, err error) {
	if q.Topic == "" {
		return nil, invalid("give a topic: ?topic=news/today")
	}
	if err := q.Payload.Check(); err != nil {
		return nil, invalid("%v", err)
	}
	var r core.Reach
	err = t.as(ctx, &q, func(ctx context.Context, by publisher) (err error) {
		r = t.src.Routing.Reach(by.endpoint, q.Topic, q.Payload)
		trace, err = t.reach(ctx, by, r, q)
		return err
	})
	if err == nil && !r.Refusal.Failed() {
		trace.OtherNodes = t.otherNodes(ctx, trace.Whole)
	}
	return trace, err
}

// call says who would answer a call.
func (t *tracer) call(ctx context.Context, q TraceQuery) (trace *ServiceTrace, err error) {
	if q.Topic == "" {
		return nil, invalid("give a service: ?service=bots/echo")
	}
	err = t.as(ctx, &q, func(_ context.Context, by publisher) error {
		trace = t.answerers(by, q.Topic, q.Limit)
		return nil
	})
	return trace, err
}

// as calls f with in whose name something is.
func (t *tracer) as(ctx context.Context, q *TraceQuery, f func(context.Context, publisher) error) error {
	if q.Limit = cmp.Or(q.Limit, defaultPage); q.Limit < 1 || q.Limit > maxPage {
		return invalid("limit must be a number from 1 to %d, not %d", maxPage, q.Limit)
	}
	return t.turns.take(ctx, func(ctx context.Context) error {
		by, err := t.publisher(ctx, *q)
		if err != nil {
			return err
		}
		return f(ctx, by)
	})
}

// otherNodes returns who hears a whole topic at other nodes.
func (t *tracer) otherNodes(ctx context.Context, topic string) (all []NodeAudience) {
	for node, answer := range t.lists.askAll(ctx, question{Op: showTopic, ID: topic})() {
		var heard TopicDetail
		one := NodeAudience{Node: node, Endpoints: []TopicHearing{}}
		one.Unknown = answer.read(&heard) != nil
		one.Subscribers = heard.Subscribers
		for _, by := range heard.HeardBy {
			for _, h := range by.Endpoints {
				i := slices.IndexFunc(one.Endpoints, func(has TopicHearing) bool { return has.Endpoint == h.Endpoint })
				if i < 0 {
					one.Endpoints = append(one.Endpoints, h)
					continue
				}
				one.Endpoints[i].Subscribers += h.Subscribers
			}
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b NodeAudience) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

// sample returns a payload of the kind and size that a query wants, a small one in JSON if it does not say.
func sample(q url.Values) (core.Payload, error) {
	n := 2
	if text := q.Get("size"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 0 || n > maxSample {
			return core.Payload{}, invalid("size must be a number of bytes from 0 to %d, not %.50q", maxSample, text)
		}
	}
	switch q.Get("kind") {
	case "", "json":
		if n < 2 {
			return core.Payload{Kind: core.JSON, Data: []byte("0")}, nil
		}
		return core.Payload{Kind: core.JSON, Data: []byte(`"` + strings.Repeat("x", n-2) + `"`)}, nil
	case "text":
		return core.Payload{Kind: core.Text, Data: bytes.Repeat([]byte("x"), n)}, nil
	case "binary":
		return core.Payload{Kind: core.Binary, Data: bytes.Repeat([]byte{0xff}, n)}, nil
	}
	return core.Payload{}, invalid("kind must be json, text or binary, not %.50q", q.Get("kind"))
}

// publisher returns in whose name something would be published.
func (t *tracer) publisher(ctx context.Context, q TraceQuery) (publisher, error) {
	if q.From != 0 {
		if q.Endpoint != "" {
			return publisher{}, invalid("a connection has its endpoint: leave endpoint out, or from")
		}
		states, err := t.src.Writing.Examine(ctx, q.From)
		if err != nil {
			return publisher{}, err
		}
		if len(states) == 0 {
			return publisher{}, missing(q.From, core.ErrNoConnection)
		}
		return publisher{states[0].Settings, &states[0]}, nil
	}
	names, name := t.src.endpoints(), q.Endpoint
	if name == "" {
		if len(names) != 1 && !t.alike(names) {
			return publisher{}, invalid("say in whose name: ?from=CONNECTION, or ?endpoint=NAME, one of %s", strings.Join(names, ", "))
		}
		name = names[0]
	}
	if ep := t.endpoint(name); ep != nil && slices.Contains(names, name) {
		return publisher{endpoint: ep}, nil
	}
	return publisher{}, caused{&apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no endpoint %.100q", name)}, core.ErrNoEndpoint}
}

// alike reports whether some endpoints have no topic prefix, so that a topic is the same at each of them.
func (t *tracer) alike(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return t.endpoint(name).TopicPrefix != "" })
}

func (t *tracer) endpoint(name string) *core.Endpoint {
	for _, ep := range t.src.Endpoints() {
		if ep.Name == name {
			return ep
		}
	}
	return nil
}

// reach says who would hear a message here.
func (t *tracer) reach(ctx context.Context, by publisher, r core.Reach, q TraceQuery) (*MessageTrace, error) {
	topic, p := q.Topic, q.Payload
	a := &MessageTrace{
		Topic: topic, Whole: r.Topic, Endpoint: by.endpoint.Name, Audiences: []Audience{}, Receivers: []Connection{}, Silent: []Silent{}, Near: []Near{},
		Handler: r.Handler,
	}
	if by.state != nil {
		a.From = by.state.ID
	}
	rehearsal := t.src.Writing.Rehearse(by.endpoint.Name, topic, p)
	a.Publisher = publishing(by, topic, r, rehearsal)
	a.May = steps(a.Publisher).first() == nil
	h := hearers{trace: a, node: t.node, limit: q.Limit, seen: make(map[uint64]struct{}), self: by.state != nil && rehearsal.NotToSelf}
	for _, one := range r.Audiences {
		if err := h.add(ctx, t.src.Writing, one, p, r.Topic); err != nil {
			return nil, err
		}
	}
	err := t.src.Writing.Refused(ctx, core.Subscribe, r.Topic, func(c core.ConnectionInfo, refused core.RefusedCommand) {
		if _, hears := h.seen[c.ID]; !hears {
			h.silent(c, refused.Reason.String(), "it has asked for "+strconv.Quote(refused.Topic)+" and was refused"+because(refused.Why), adviceFor(refused))
		}
	})
	if err != nil {
		return nil, err
	}
	a.Near, a.Cut = t.near(by.endpoint, topic, r, p)
	return a, nil
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// hearers fills in who would hear a message.
type hearers struct {
	trace *MessageTrace
	node  string // this one
	limit int
	seen  map[uint64]struct{}
	self  bool // the publisher does not hear itself
}

// add adds an audience, whose members may be in others too.
func (h *hearers) add(ctx context.Context, w Writing, of core.HeardBy, p core.Payload, topic string) error {
	a := Audience{
		Endpoint: of.Endpoint.Name, Protocol: of.Endpoint.Protocol, Pattern: of.Pattern, Clients: of.Members,
		Subscription: strings.TrimPrefix(of.Name, cmp.Or(of.Prefix, of.Endpoint.TopicPrefix)),
	}
	if of.Pattern {
		a.Subscription = of.Name
	}
	written, err := w.Write(of.Outlet, core.Event{
		Kind: core.Message, Topic: []byte(strings.TrimPrefix(topic, of.Endpoint.TopicPrefix)), As: of.As, Payload: p,
	})
	size := written.Bytes
	a.Bytes = size
	if err == nil && p.Kind == core.Binary && written.Frame == core.TextFrame {
		a.Changed = `as {"$binary": "…"} with the bytes in base64, because the format has only text`
	}
	if err != nil {
		a.Unwritable = err.Error()
		h.trace.Missing += of.Members
		h.show(Silent{
			Endpoint: a.Endpoint, Clients: of.Members, Cause: core.ReasonUnwritable.String(), Text: "their format cannot carry the message: " + err.Error(),
			Advice: "publish what " + a.Protocol + " can carry: broker check --matrix shows what that is",
		})
	}
	h.audience(a)
	members := 0
	reached := func(one core.Receiver) bool {
		members++
		if _, twice := h.seen[one.ID]; twice {
			return true
		}
		h.seen[one.ID] = struct{}{}
		if err == nil {
			h.receiver(one, size)
		}
		if size > one.Limit {
			h.trace.Audiences[len(h.trace.Audiences)-1].Note = fmt.Sprintf("%d bytes may wait for a client (outbound_limit): it gets the message only if nothing else waits", one.Limit)
		}
		return true
	}
	if err := w.Members(ctx, of.Audience, size, reached); err != nil {
		return err
	}
	if members == 0 && err == nil && of.Members > 0 {
		h.trace.Hears += of.Members // a bridge
	}
	return nil
}

// audience puts together what the loops have of one subscription.
func (h *hearers) audience(a Audience) {
	if n := len(h.trace.Audiences); n > 0 {
		last := &h.trace.Audiences[n-1]
		if last.Endpoint == a.Endpoint && last.Subscription == a.Subscription && last.Pattern == a.Pattern && last.Bytes == a.Bytes {
			last.Clients += a.Clients
			return
		}
	}
	h.trace.Audiences = append(h.trace.Audiences, a)
}

// receiver adds one who hears the topic in a format that can carry the message.
func (h *hearers) receiver(one core.Receiver, size int) {
	switch {
	case h.self && one.ID == h.trace.From:
		h.silent(one.ConnectionInfo, "self", "it is the publisher, and in its format nobody hears what it says itself", "publish with another connection")
	case one.Fate == core.Closes:
		h.silent(one.ConnectionInfo, "closing", "its connection is being closed", "")
	case one.Fate == core.Misses, one.Fate == core.Ends:
		text, advice := slowly(one.Receiving)
		if size > one.Limit {
			text = fmt.Sprintf("the message has %d bytes, more than may wait for it; %s", size, text)
		}
		h.silent(one.ConnectionInfo, core.ReasonSlow.String(), text, advice)
	default:
		h.trace.Hears++
		if len(h.trace.Receivers) < h.limit {
			h.trace.Receivers = append(h.trace.Receivers, connectionOf(one.ConnectionInfo, h.node))
		}
	}
}

func (h *hearers) silent(c core.ConnectionInfo, cause, text, advice string) {
	h.trace.Missing++
	one := connectionOf(c, h.node)
	h.show(Silent{Endpoint: c.Endpoint, Connection: &one, Clients: 1, Cause: cause, Text: text, Advice: advice})
}

func (h *hearers) show(s Silent) {
	if len(h.trace.Silent) < h.limit {
		h.trace.Silent = append(h.trace.Silent, s)
	}
}

// slowly says how a connection reads, and what to do.
func slowly(r core.Receiving) (text, advice string) {
	text = fmt.Sprintf("it does not read as fast as it is written to: %d bytes wait, and %d may (outbound_limit)", r.Backlog, r.Limit)
	switch r.Policy {
	case "disconnect":
		text += "; the next message that does not fit ends it (slow_consumer: disconnect)"
	case "conflate":
		text += "; newer messages replace older ones of their topic (slow_consumer: conflate)"
	default:
		text += fmt.Sprintf("; what does not fit is dropped (slow_consumer: %s), %d messages so far", r.Policy, r.Lost)
	}
	return text, "look at why the client does not read; docs/slow-receivers.md says what the policies do"
}

// publishing says whether a publisher may publish.
func publishing(by publisher, topic string, r core.Reach, tried core.Rehearsal) (s steps) {
	if by.state == nil {
		s.ok("connection", "somebody in the name of endpoint %s: access lists are for clients", by.endpoint.Name)
	} else {
		s.ok("connection", "%d of %s, endpoint %s%s", by.state.ID, by.state.Remote, by.endpoint.Name, as(by.state.Identity))
	}
	if r.Refusal.Failed() {
		s.problem("topic", "name another topic, or raise the limits of the endpoint (docs/limits.md)", "refused (%s): %s", r.Reason, cmp.Or(r.Refusal.Text, string(r.Refusal.Code)))
	} else {
		s.ok("topic", "%s", r.Topic)
	}
	if by.state != nil {
		sayable(&s, by.endpoint, tried)
		mayPublish(&s, by, topic)
	}
	owning(&s, by, topic, r, tried)
	if by.state == nil {
		return s
	}
	if m := by.state.Refused; len(m) > 0 && m[0].Verb == core.Publish && m[0].Topic == topic {
		s.note("refused", "its last publish there was refused %s ago (%s)%s", since(m[0].Last), m[0].Reason, because(m[0].Why))
	}
	switch {
	case by.state.Throttled:
		s.note("rate", "it sends faster than it may (limits.messages, limits.bytes): its messages wait, and none is lost")
	case by.state.Held:
		s.note("rate", "its messages wait: for the outcome of a call, a hook, or room")
	default:
		s.ok("rate", "its messages do not wait")
	}
	return s
}

// as says who a client is.
func as(id *core.Identity) string {
	if id == nil {
		return ""
	}
	return fmt.Sprintf(", as %q by %s", id.Subject, id.Method)
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Second) }

// sayable says whether a client can say the message in its format.
func sayable(s *steps, ep *core.Endpoint, tried core.Rehearsal) {
	unsayable := new(core.Unsayable)
	switch {
	case !tried.Known:
		s.note("format", "whether a client of %s can say it is not known here", ep.Protocol)
	case errors.As(tried.Unsayable, &unsayable):
		s.note("format", "a client of %s has no words for it: %v", ep.Protocol, tried.Unsayable)
	case tried.Unsayable != nil:
		s.problem("format", "publish what the format can carry", "a client of %s cannot say it: %v", ep.Protocol, tried.Unsayable)
	case tried.Bytes > tried.Max && tried.Max > 0:
		s.problem("size", "raise max_message_size of the endpoint, or send less at once", "the client's message has %d bytes, and %d are allowed (max_message_size): it would be disconnected", tried.Bytes, tried.Max)
	case tried.Refused:
		s.problem("format", "look at the options of the endpoint, such as allow_send", "the endpoint refuses it (%s)%s", tried.Reason, because(tried.Refusal.Text))
	default:
		s.ok("format", "%s carries it, in %d bytes", ep.Protocol, tried.Bytes)
	}
}

// mayPublish says whether the access list of its endpoint lets a connection publish.
func mayPublish(s *steps, by publisher, topic string) {
	switch access := by.endpoint.Access; {
	case access != nil && !access.May(by.state.Identity, core.MayPublish, []byte(topic), false):
		s.problem("acl", "allow it in acl.publish of endpoint "+by.endpoint.Name, "the access list does not let it publish on %s", topic)
	default:
		s.ok("acl", "the access list lets it publish")
	}
	if by.endpoint.Authorizer != nil {
		s.note("authorizer", "the authorizer of the endpoint decides about each message; it is not asked now")
	}
}

// owning says whether the owners of channels let somebody publish.
func owning(s *steps, by publisher, topic string, r core.Reach, tried core.Rehearsal) {
	owns := by.state != nil && r.Owner != nil && r.Owner.Node == "" && r.Owner.ID == by.state.ID
	access := by.endpoint.Access
	switch {
	case owns:
		s.ok("ownership", "it owns channel %s", r.Channel)
	case r.Owner != nil && by.state != nil && !tried.AsOwner && access != nil && access.May(by.state.Identity, core.MayPublishOwned, []byte(topic), false):
		s.ok("ownership", "channel %s is owned by %s, and the access list lets it publish there (acl.publish_owned)", r.Channel, called(*r.Owner))
	case r.Owner != nil:
		s.problem("ownership", "publish with the owner's connection, or allow others in acl.publish_owned",
			"only its owner publishes in channel %s: %s", r.Channel, called(*r.Owner))
	case by.state != nil && tried.AsOwner:
		s.problem("ownership", "let the client register the channel first", "in %s only the owner of a channel publishes, and it owns none that %s lies in", by.endpoint.Protocol, topic)
	default:
		s.ok("ownership", "no client owns a channel that it lies in")
	}
}

// called names who has something.
func called(h core.Holder) string {
	if h.Node != "" {
		return "a client of node " + shownNode(h.Node)
	}
	text := fmt.Sprintf("connection %d of %s, endpoint %s", h.ID, h.Remote, h.Endpoint)
	if h.User != "" {
		text += fmt.Sprintf(", user %q", h.User)
	}
	return text
}

// near returns the subscriptions that nearly match, and whether there are more than were compared.
func (t *tracer) near(ep *core.Endpoint, topic string, r core.Reach, p core.Payload) (list []Near, cut bool) {
	hit := make(map[core.Interest]bool)
	for _, one := range r.Audiences {
		hit[one.Interest] = true
	}
	for _, other := range t.prefixes(ep) {
		for _, one := range t.src.Routing.Reach(other, topic, p).Audiences {
			if hit[one.Interest] = true; len(list) < maxNear {
				list = append(list, nearOf(one, nearness{how: "prefix", why: fmt.Sprintf("the prefix of endpoint %s is %q, and that of endpoint %s is %q (topic_prefix)",
					one.Endpoint.Name, one.Endpoint.TopicPrefix, ep.Name, ep.TopicPrefix)}))
			}
		}
	}
	list = append([]Near{}, together(list)...)
	near, cut := t.nearInterests(r.Topic, func(i core.Interest) bool { return hit[i] })
	for _, one := range near {
		var heard []Near
		for _, by := range t.src.Routing.Heard(one.Interest) {
			heard = append(heard, nearOf(by, one.nearness))
		}
		list = append(list, together(heard)...)
	}
	return list[:min(len(list), maxNear)], cut
}

func nearOf(by core.HeardBy, n nearness) Near {
	name := by.Name
	if !by.Pattern {
		name = strings.TrimPrefix(name, by.Endpoint.TopicPrefix)
	}
	return Near{Endpoint: by.Endpoint.Name, Protocol: by.Endpoint.Protocol, Subscription: name, Pattern: by.Pattern, Clients: by.Members, How: n.how, Text: n.why}
}

// together adds up what the loops have of one subscription.
func together(list []Near) (sums []Near) {
	for _, one := range list {
		if n := len(sums); n > 0 && sums[n-1].Endpoint == one.Endpoint && sums[n-1].Subscription == one.Subscription && sums[n-1].Pattern == one.Pattern {
			sums[n-1].Clients += one.Clients
			continue
		}
		sums = append(sums, one)
	}
	return sums
}

// prefixes returns an endpoint for each topic prefix but that of ep.
func (t *tracer) prefixes(ep *core.Endpoint) (list []*core.Endpoint) {
	seen := []string{ep.TopicPrefix}
	for _, other := range t.src.Endpoints() {
		if !slices.Contains(seen, other.TopicPrefix) {
			seen = append(seen, other.TopicPrefix)
			list = append(list, other)
		}
	}
	return list
}

// nearInterests returns what is nearest to a whole topic but does not match, and whether there is more than was
// compared. but says what is not wanted.
func (t *tracer) nearInterests(topic string, but func(core.Interest) bool) (near nearest, cut bool) {
	w, b := newWanted(topic), newBound()
	t.src.Routing.Interests(func(some []core.Interest) bool {
		for _, one := range some {
			if n, ok := w.near(one); ok && !but(one) {
				near.add(one, n)
			}
		}
		return b.goOn(len(some))
	})
	near.cut()
	return near, b.cut
}

// bound bounds a search.
type bound struct {
	looked int
	until  time.Time
	cut    bool
}

func newBound() *bound { return &bound{until: time.Now().Add(maxLookTime)} }

// goOn reports whether to go on after n more.
func (b *bound) goOn(n int) bool {
	if b.looked += n; b.looked%pauseEvery < n {
		time.Sleep(time.Millisecond) // others want the processor too
	}
	b.cut = b.looked >= maxLooked || time.Now().After(b.until)
	return !b.cut
}
