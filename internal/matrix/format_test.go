package matrix_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/matrix"
)

// TestFormats proves what clients of each format have words for, at a real broker.
func TestFormats(t *testing.T) {
	m := matrixOf(configured(t, formats...))
	for _, f := range m.Formats {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, f.Protocol)
			for i, c := range f.Cells {
				if want := matrix.FormatProperties()[i]; c.Property != want {
					t.Fatalf("cell %d is %s, want %s", i, c.Property, want)
				}
				t.Run(c.Property, func(t *testing.T) {
					if c.Property == "publish" {
						s.provesOwner(t, f.Protocol, c)
					}
					is, proved := s.proves(t, f.Protocol, c.Property)
					if !proved {
						is = carried(t, m, f.Name, c.Property)
					}
					if is != (c.Outcome == matrix.Yes) || c.Outcome != matrix.Yes && c.Outcome != matrix.No {
						t.Errorf("the cell is %+v", c)
					}
				})
			}
		})
	}
}

// proves tries a property with a new client; proved is false if that is no way to.
func (s *stage) proves(t *testing.T, protocol, property string) (is, proved bool) {
	k := s.connect(t, protocol)
	do := func(c core.Command) (core.Event, error) { return k.Do(t.Context(), c) }
	publish := func(topic string) core.Event {
		ev, err := do(core.Command{Verb: core.Publish, Topic: []byte(topic), Payload: text("x")})
		if f, refused := errors.AsType[core.Failure](err); refused {
			return core.Event{Kind: core.Failed, Failure: f}
		}
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	own := core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("own"), Services: [][]byte{[]byte("m")}}
	subscribe := core.Command{Verb: core.Subscribe, Topic: []byte("own/topic")}
	switch property {
	case "publish":
		_, _ = do(own)
		publish("own/topic")
		return !k.hears(t, core.Failed), true
	case "publish_acknowledged":
		_, _ = do(own)
		return publish("own/topic").Kind == core.Done, true
	case "publish_refusal_told":
		return publish("$serve/x").Kind == core.Failed || k.hears(t, core.Failed), true
	case "publish_unheard_told":
		_, _ = do(own)
		publish("own/topic")
		return k.hears(t, core.Done), true
	case "subscribe":
		_, err := do(subscribe)
		return err == nil, true
	case "patterns":
		_, err := do(core.Command{Verb: core.Subscribe, Topic: []byte("own/+"), Pattern: true})
		return said(t, err), true
	case "unsubscribe":
		_, _ = do(subscribe)
		_, err := do(core.Command{Verb: core.Unsubscribe, Topic: []byte("own/topic")})
		return said(t, err), true
	case "subscribe_acknowledged":
		ev, err := do(subscribe)
		return err == nil && ev.Verb == core.Subscribe, true
	case "hears_itself":
		_, _ = do(own)
		_, _ = do(subscribe)
		publish("own/topic")
		k.settled(t)
		// What another one says comes behind it. In wubsub nobody else may, but there it comes.
		other := s.connect(t, protocol)
		_, _ = other.Do(t.Context(), core.Command{Verb: core.Publish, Topic: []byte("own/topic"), Payload: text("other")})
		first := coretest.Receive(t, "a message", k.heard)
		return string(core.AppendText(nil, first.ev.Payload)) == "x", true
	case "own":
		_, err := do(own)
		return said(t, err), true
	case "no_service_told":
		_, err := do(core.Command{Verb: core.Call, Topic: []byte("none/such"), Payload: text("x")})
		f, failed := errors.AsType[core.Failure](err)
		return failed && f.Code == core.NoService, true
	case "call_accepted_told":
		_, _ = do(core.Command{Verb: core.Subscribe, Topic: []byte("$serve/svc/x")})
		if protocol == "wubsub" {
			_, _ = do(own)
		}
		messages := k.answered(t)
		return strings.Contains(messages, "pie-ack"), true
	case "sessions":
		_, err := do(core.Command{Verb: core.RestoreSession, Key: []byte("none")})
		f, failed := errors.AsType[core.Failure](err)
		return failed && f.Code == core.SessionUnknown, true
	}
	return false, false
}

// provesOwner tries whether only the owner of a channel may publish.
func (s *stage) provesOwner(t *testing.T, protocol string, c matrix.Cell) {
	t.Helper()
	k := s.connect(t, protocol)
	if _, err := k.Do(t.Context(), core.Command{Verb: core.Publish, Topic: []byte("nobodys/topic"), Payload: text("x")}); err != nil {
		t.Fatal(err)
	}
	if refused := k.hears(t, core.Failed); refused != (c.Detail == matrix.AsOwner) {
		t.Errorf("refused is %v, but the cell is %+v", refused, c)
	}
}

// said reports whether a format had words for a command; another error fails the test.
func said(t *testing.T, err error) bool {
	t.Helper()
	if _, unsayable := errors.AsType[*core.Unsayable](err); !unsayable && err != nil {
		t.Fatal(err)
	}
	return err == nil
}

// carried reports what the cells of pairs say, which [TestMatrix] proves.
func carried(t *testing.T, m matrix.Matrix, format, property string) bool {
	t.Helper()
	for _, p := range m.Pairs {
		for _, c := range p.Cells {
			switch {
			case property == "max_message" && p.From == format && c.Property == "message.size":
				return c.Limit > 0
			case property == "sees_topics" && p.To == format && c.Property == "message.topic":
				return c.Outcome != matrix.Lost
			case property == "call" && p.From == format && c.Property == "request.json", property == "answer" && p.To == format && c.Property == "answer.json":
				return c.Outcome == matrix.Whole
			case p.From == format && (c.Property == "message."+property || c.Property == "request."+property):
				return c.Outcome != matrix.Unsayable
			}
		}
	}
	t.Fatalf("nothing proves %s", property)
	return false
}

// hears reports whether the client hears an event of a kind before the outcome of a call that is made now.
func (s *speaker) hears(t *testing.T, kind core.EventKind) bool {
	t.Helper()
	for _, ev := range s.settled(t) {
		if ev.Kind == kind {
			return true
		}
	}
	return false
}

// settled returns all that the client hears before the outcome of a call that is made now.
func (s *speaker) settled(t *testing.T) []core.Event {
	t.Helper()
	_, _ = s.Do(t.Context(), core.Command{Verb: core.Call, Topic: []byte("none/such"), Payload: text("x")})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events
}

// answered lets the client call a service that it answers itself, and returns what it read before the answer.
func (s *speaker) answered(t *testing.T) string {
	t.Helper()
	service := "svc/x"
	if s.protocol == "wubsub" {
		service = "own/m"
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Do(t.Context(), core.Command{Verb: core.Call, Topic: []byte(service), Payload: text("x")})
		done <- err
	}()
	request := coretest.Receive(t, "the request", s.heard)
	s.mu.Lock()
	before := s.read
	s.mu.Unlock()
	if _, err := s.Do(t.Context(), core.Command{Verb: core.Reply, Call: request.ev.Call, Topic: request.ev.Topic, As: request.ev.As, Payload: text("y")}); err != nil {
		t.Fatal(err)
	}
	if err := coretest.Receive(t, "the answer", done); err != nil {
		t.Fatal(err)
	}
	return before
}
