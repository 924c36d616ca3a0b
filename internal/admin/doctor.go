package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// maxPatients bounds the connections of an address that are examined.
const maxPatients = 10

// Diagnosis is the answer to GET /v1/doctor.
type Diagnosis struct {
	// Healthy says that no problem was found.
	Healthy bool `json:"healthy"`
	// Cause is the most likely cause, and Advice what to do; missing if no problem was found.
	Cause  string `json:"cause,omitempty"`
	Advice string `json:"advice,omitempty"`
	// Door says whether clients of the address were refused before they were connected.
	Door []Step `json:"door"`
	// Clients are the connections, the newest first, and More how many were not examined.
	Clients []Patient `json:"clients"`
	More    int       `json:"more,omitempty"`
}

// Patient is a connection that was examined.
type Patient struct {
	Connection Connection `json:"connection"`
	Steps      []Step     `json:"steps"`
}

// DoctorQuery is a client that hears nothing.
type DoctorQuery struct {
	// Connection is the number of its connection, which may have ended, to any node of the cluster; 0 is unknown. Then
	// From is where it comes from; only connections to this node are examined.
	Connection uint64
	From       From
	// Topic is what it should hear, as the client names it; "" is anything.
	Topic string
}

// doctor says why a client hears nothing.
func (t *tracer) doctor(r *http.Request, q url.Values) (any, error) {
	number, address := q.Get("connection"), q.Get("address")
	if (number == "") == (address == "") {
		return nil, invalid("give either a connection or an address: ?connection=7")
	}
	from, err := fromOf(address)
	if err != nil {
		return nil, err
	}
	if number == "" {
		return t.diagnose(r.Context(), DoctorQuery{From: from, Topic: q.Get("topic")})
	}
	id, err := connectionID(number)
	if err == nil && id == 0 {
		err = missing(0, core.ErrNoConnection)
	}
	if err != nil {
		return nil, err
	}
	return t.diagnose(r.Context(), DoctorQuery{Connection: id, Topic: q.Get("topic")})
}

// examineConnection is what other nodes may ask about a connection.
const examineConnection = "examine connection"

// diagnose says why a client hears nothing.
func (t *tracer) diagnose(ctx context.Context, q DoctorQuery) (d *Diagnosis, err error) {
	switch {
	case q.Connection != 0:
		d = new(Diagnosis)
		asked := question{Op: examineConnection, ID: strconv.FormatUint(q.Connection, 10), Query: url.Values{"topic": {q.Topic}}}
		if err := t.lists.findOne(ctx, asked, d); err != nil {
			return nil, err
		}
	case q.From == From{}:
		return nil, invalid("give either a connection or an address")
	default:
		err := t.turns.take(ctx, func(ctx context.Context) (err error) {
			d, err = t.byAddress(ctx, q.From, q.Topic)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	d.conclude()
	return d, nil
}

// examineHere examines a connection to this node.
func (t *tracer) examineHere(ctx context.Context, text string, q url.Values) (any, error) {
	id, err := connectionID(text)
	if err != nil {
		return nil, err
	}
	var d *Diagnosis
	err = t.turns.take(ctx, func(ctx context.Context) (err error) {
		d, err = t.byNumber(ctx, id, q.Get("topic"))
		return err
	})
	return d, err
}

// conclude finds the most likely cause.
func (d *Diagnosis) conclude() {
	p := steps(d.Door).first()
	for _, one := range d.Clients {
		if p == nil {
			p = steps(one.Steps).first()
		}
	}
	if d.Healthy = p == nil; p != nil {
		d.Cause, d.Advice = p.Step+": "+p.Text, p.Advice
	}
}

// byNumber examines a connection, which may have ended.
func (t *tracer) byNumber(ctx context.Context, id uint64, topic string) (*Diagnosis, error) {
	d := &Diagnosis{Door: []Step{}, Clients: []Patient{}}
	states, err := t.src.Writing.Examine(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(states) > 0 {
		d.Clients = append(d.Clients, t.examine(states[0], topic))
		return d, nil
	}
	for _, one := range t.src.Closed() {
		if one.ID == id {
			d.Door = closed(one)
			return d, nil
		}
	}
	return nil, missing(id, core.ErrNoConnection)
}

// byAddress examines the connections of an address, and whether others of it were refused.
func (t *tracer) byAddress(ctx context.Context, from From, topic string) (*Diagnosis, error) {
	d := &Diagnosis{Door: []Step{}, Clients: []Patient{}}
	var open []core.ConnectionInfo
	err := t.src.Connections.List(ctx, "", func(one core.ConnectionInfo) {
		if !from.Has(one.Remote) {
			return
		}
		open = append(open, one)
		if len(open) == 2*maxPatients {
			d.More += maxPatients
			open = newest(open)
		}
	})
	if err != nil {
		return nil, err
	}
	d.More += max(0, len(open)-maxPatients)
	open = newest(open)
	ids := make([]uint64, len(open))
	for i, one := range open {
		ids[i] = one.ID
	}
	states, err := t.src.Writing.Examine(ctx, ids...)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(states, func(a, b core.ConnectionState) int { return cmp.Compare(b.ID, a.ID) })
	for _, one := range states {
		d.Clients = append(d.Clients, t.examine(one, topic))
	}
	d.Door = t.door(from, open)
	return d, nil
}

// newest returns the newest connections.
func newest(all []core.ConnectionInfo) []core.ConnectionInfo {
	slices.SortFunc(all, func(a, b core.ConnectionInfo) int { return cmp.Compare(b.ID, a.ID) })
	return all[:min(len(all), maxPatients)]
}

// door says whether clients of an address were refused, or have left. open are those that are connected, the
// newest first.
func (t *tracer) door(from From, open []core.ConnectionInfo) []Step {
	s := steps{}
	known := false
	near := from.wide()
	for _, one := range t.src.Writing.TurnedAway() {
		if !near.Has(one.Remote) || len(s) == maxPatients {
			continue
		}
		known = true
		text := fmt.Sprintf("refused%s (%s): %s; %d times, the last time %s ago, from %s", at(one), one.Reason, one.Why, one.Count, since(one.Last), one.Remote)
		if one.Details != "" {
			text += " (" + one.Details + ")"
		}
		if len(open) > 0 && open[0].ID > one.After {
			s.note(doorStep(one.Reason), "%s; it, or another client there, is connected since", text)
			continue
		}
		s.problem(doorStep(one.Reason), doorAdvice(one.Reason), "%s", text)
	}
	for _, one := range t.src.Closed() {
		if known || len(open) > 0 || !from.Has(one.Remote) {
			continue
		}
		known = true
		s = append(s, closed(one)...)
	}
	if !known && len(open) == 0 {
		s.problem("connection", "check the URL that it uses, name resolution, firewalls and proxies; behind a proxy clients have its address unless network.trusted_proxies names it",
			"no client of %s is connected, none of the last thousand that have left was, and none was refused: it does not reach the broker, or has another address here", from)
	}
	if len(s) == 0 {
		s.ok("admission", "no client of %s was refused lately", from)
	}
	return s
}

func at(one core.TurnedAway) string {
	if one.Endpoint != "" {
		return " at endpoint " + one.Endpoint
	}
	return " at " + one.Listen
}

// doorStep returns at which step clients are refused for a reason.
func doorStep(r core.Reason) string {
	switch r {
	case core.ReasonOrigin:
		return "origin"
	case core.ReasonDenied, core.ReasonUnavailable:
		return "auth"
	case core.ReasonHandshake, core.ReasonTLS, core.ReasonTooLarge, core.ReasonTimeout:
		return "endpoint"
	}
	return "admission"
}

// doorAdvice says what to do about clients that are refused for a reason.
func doorAdvice(r core.Reason) string {
	switch r {
	case core.ReasonOrigin:
		return "add the page's origin to origins of the endpoint, if it may connect (docs/security.md)"
	case core.ReasonDenied:
		return "look at the credential that it shows, and at auth and authorizer of the endpoint (docs/security.md)"
	case core.ReasonUnavailable:
		return "look at the server that authenticates or authorizes clients: it does not answer"
	case core.ReasonHandshake:
		return "let it connect with a WebSocket client, at the path of the endpoint; proxies must pass Upgrade and Connection on"
	case core.ReasonTLS:
		return "let it use wss:// where the endpoint has tls, and ws:// where it has not; look at certificates and their names"
	case core.ReasonTooLarge:
		return "let it send less header, such as cookies, or raise network.max_header"
	case core.ReasonTimeout:
		return "its request did not come in time: look at the way to the broker"
	case core.ReasonLimit, core.ReasonRate, core.ReasonOverload:
		return "raise the limit on connections, or find out why there are so many (docs/limits.md)"
	case core.ReasonMemory:
		return "the process is short of memory: docs/running.md"
	case core.ReasonDrain:
		return "the broker was shutting down; let clients connect again"
	}
	return "look at the log of the broker"
}

// closed says why a connection has ended.
func closed(one core.ClosedConnection) (s steps) {
	text := fmt.Sprintf("connection %d of %s, endpoint %s, has ended %s ago, after %s: %s", one.ID, one.Remote, one.Endpoint, since(one.Closed), one.Closed.Sub(one.Opened).Round(time.Second), one.Reason)
	s.problem("connection", closedAdvice(one.Reason), "%s", text)
	return s
}

// closedAdvice says what to do about connections that end for a reason.
func closedAdvice(r core.Reason) string {
	switch r {
	case core.ReasonNormal, core.ReasonLost, core.ReasonDrain:
		return "the client has left, or the network, and must connect again"
	case core.ReasonSlow:
		return "it did not read as fast as it was written to; docs/slow-receivers.md says what else there is than disconnect"
	case core.ReasonIdle, core.ReasonNoPong:
		return "the client must send something, or answer pings, in time: look at idle_timeout, ping_interval and pong_timeout"
	case core.ReasonTooLarge:
		return "its message was longer than max_message_size of the endpoint"
	case core.ReasonExpired:
		return "its credential has expired; it must connect again with a new one"
	case core.ReasonDenied, core.ReasonUnavailable:
		return "an operator or the authorizer has ended it"
	}
	return "the client breaks its format or the protocol: docs/troubleshooting.md"
}

// examine walks through all that decides what a connection hears.
func (t *tracer) examine(c core.ConnectionState, topic string) Patient {
	var s steps
	ep := c.Settings
	s.ok("endpoint", "connected to %s (%s) since %s", ep.Name, ep.Protocol, since(c.Opened))
	s.ok("admission", "it was let in from %s: limits on connections and origin allow it", c.Remote)
	if c.Identity != nil {
		s.ok("auth", "it is %q, by %s", c.Identity.Subject, c.Identity.Method)
	} else {
		s.ok("auth", "it has shown no credential, and the endpoint lets it in")
	}
	by := heardBy(c, topic)
	refused := refusals(&s, c, topic, by != "")
	t.subscribed(&s, c, topic, by, refused)
	if topic != "" {
		t.ownership(&s, c, topic)
	}
	reading(&s, c)
	return Patient{connectionOf(c.ConnectionInfo, t.node), s}
}

// heardBy returns the topic or pattern by which a connection hears a topic, or anything; "" if it does not.
func heardBy(c core.ConnectionState, topic string) string {
	for i, names := range [][]string{c.Topics, c.Patterns} {
		for _, name := range names {
			if topic == "" || name == topic || i == 1 && core.MatchPattern(name, []byte(topic)) {
				return name
			}
		}
	}
	return ""
}

// subscribed says whether a connection hears a topic, or anything. by is by what it does, refused that it was refused
// to subscribe.
func (t *tracer) subscribed(s *steps, c core.ConnectionState, topic, by string, refused bool) {
	access, prefix := c.Settings.Access, c.Settings.TopicPrefix
	switch {
	case by != "" && topic == "":
		s.ok("subscription", "it has subscribed to %d topics or patterns", len(c.Topics)+len(c.Patterns)+c.More)
	case by != "":
		s.ok("subscription", "it hears %s by its subscription to %s", topic, by)
		if prefix != "" {
			s.note("prefix", "its endpoint puts %q before its topics: at an endpoint without prefix this one is called %s (topic_prefix)", prefix, prefix+topic)
		}
	case refused:
		s.note("subscription", "that is why it has no such subscription")
	case topic == "":
		s.problem("subscription", "let the client subscribe; name a topic to see more", "it has never subscribed, or no more: it has subscribed to nothing")
	case access != nil && !access.May(c.Identity, core.MaySubscribe, []byte(topic), false):
		s.problem("acl", "allow it in acl.subscribe of endpoint "+c.Settings.Name, "the access list does not let it subscribe to %s", topic)
	default:
		t.unsubscribed(s, c, topic)
	}
}

// unsubscribed says to what a connection has subscribed instead of a topic.
func (t *tracer) unsubscribed(s *steps, c core.ConnectionState, topic string) {
	var near nearest
	w := newWanted(topic)
	for i, names := range [][]string{c.Topics, c.Patterns} {
		for _, name := range names {
			if n, ok := w.near(core.Interest{Name: name, Pattern: i == 1}); ok {
				near.add(core.Interest{Name: name, Pattern: i == 1}, n)
			}
		}
	}
	near.cut()
	prefix := c.Settings.TopicPrefix
	rest, prefixed := strings.CutPrefix(topic, prefix)
	switch {
	case c.More > 0:
		s.note("subscription", "it has subscribed to more than %d topics, and %s is not among those that were looked at", core.MaxHoldings, topic)
	case len(near) > 0:
		s.problem("subscription", "let the client subscribe to "+topic+", or publish on "+near[0].Name, "it has subscribed to %s, not to %s: %s", near[0].Name, topic, near[0].why)
	case prefix != "" && prefixed && slices.Contains(c.Topics, rest):
		s.problem("subscription", "ask for "+rest, "it has subscribed to %s: its endpoint puts %q before that (topic_prefix), and here topics are named as the client names them", rest, prefix)
	case len(c.Topics)+len(c.Patterns) == 0:
		s.problem("subscription", "let the client subscribe to "+topic, "it has never subscribed, or no more: it has subscribed to nothing")
	default:
		some := slices.Concat(c.Topics, c.Patterns)
		s.problem("subscription", "let the client subscribe to "+topic, "it has not subscribed to %s, but to %s", topic, enumerate(some))
	}
}

// enumerate names some of many.
func enumerate(names []string) string {
	const most = 5
	text := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// about reports whether a refusal is about a topic.
func about(r core.RefusedCommand, topic string) bool {
	return r.Topic == topic || r.Verb == core.Subscribe && core.MatchPattern(r.Topic, []byte(topic))
}

// refusals says what a connection was refused: what is about the topic, if there is one, and is not made good. It
// reports whether a subscription is among it.
func refusals(s *steps, c core.ConnectionState, topic string, hears bool) (subscription bool) {
	for _, r := range c.Refused {
		switch {
		case r.Verb == core.Subscribe && (hears && topic != "" || !about(r, topic) && topic != ""):
			continue
		case r.Verb != core.Subscribe && r.Verb != core.None && r.Topic != "" && topic != "" && r.Topic != topic:
			continue
		}
		what := "a message"
		if r.Verb != core.None {
			what = fmt.Sprintf("%s %s", r.Verb, r.Topic)
		}
		s.problem(refusalStep(r), adviceFor(r), "%s was refused %s ago, %d times (%s)%s", strings.TrimSpace(what), since(r.Last), r.Count, r.Reason, because(r.Why))
		subscription = subscription || r.Verb == core.Subscribe
	}
	return subscription
}

// refusalStep returns at which step something was refused.
func refusalStep(r core.RefusedCommand) string {
	switch {
	case r.Verb == core.OpenSession, r.Verb == core.RestoreSession, r.Verb == core.CloseSession:
		return "session"
	case r.Reason == core.ReasonDenied, r.Reason == core.ReasonUnavailable:
		return "acl"
	case r.Reason == core.ReasonNotOwner, r.Reason == core.ReasonTaken:
		return "ownership"
	case r.Reason == core.ReasonOverload, r.Reason == core.ReasonTooLarge, r.Reason == core.ReasonTooDeep:
		return "limits"
	case r.Verb == core.None, r.Reason == core.ReasonMalformed:
		return "format"
	}
	return "message"
}

// adviceFor says what to do about a refusal.
func adviceFor(r core.RefusedCommand) string {
	switch refusalStep(r) {
	case "session":
		return "look at sessions of the endpoint, and at the key that the client shows"
	case "acl":
		return "allow it in acl of the endpoint, or in its authorizer"
	case "ownership":
		return "the owner of the channel decides: broker trace says who that is"
	case "limits":
		return "raise the limit (docs/limits.md), or let the client ask for less"
	case "format":
		return "the client does not speak the endpoint's format as the endpoint does: broker tap shows its messages"
	}
	return "docs/failures.md says what it means"
}

// ownership says who may publish on a topic. That others may not is no fault of who hears it.
func (t *tracer) ownership(s *steps, c core.ConnectionState, topic string) {
	r := t.src.Routing.Reach(c.Settings, topic, core.Payload{})
	switch {
	case r.Refusal.Failed():
		s.problem("topic", "name another topic", "nobody can publish on it (%s)%s", r.Reason, because(r.Refusal.Text))
	case r.Owner == nil:
		s.ok("ownership", "no client owns a channel that %s lies in", topic)
	case r.Owner.Node == "" && r.Owner.ID == c.ID:
		s.ok("ownership", "it owns channel %s itself: nobody else publishes there", r.Channel)
	default:
		s.note("ownership", "only its owner publishes in channel %s: %s", r.Channel, called(*r.Owner))
	}
}

// reading says whether a connection takes what is written to it.
func reading(s *steps, c core.ConnectionState) {
	if c.Unwritable {
		s.problem("format", "publish what "+c.Protocol+" can carry: broker check --matrix shows what that is", "its format could not carry a message, which was dropped (unwritable)")
	}
	switch text, advice := slowly(c.Receiving); {
	case c.Stuck && c.Backlog >= c.Limit/2:
		s.problem("slow", advice, "%s", text)
	case c.Lost > 0:
		s.problem("slow", advice, "it has lost %d messages because it did not read fast enough (slow_consumer: %s)", c.Lost, c.Policy)
	case c.Conflated:
		s.note("slow", "it has got only the newest message of each topic for a while, because it did not read fast enough")
	case c.Stuck:
		s.note("slow", "its socket is full, and %d bytes wait; %d may (outbound_limit)", c.Backlog, c.Limit)
	default:
		s.ok("slow", "it reads what is written to it")
	}
}
