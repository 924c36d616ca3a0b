package coretest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// BothSides are the two sides of a format, and what the format says of a command and of an event:
// a text that is the same before and after one was said, if nothing is lost that the format carries.
type BothSides struct {
	Format  core.ClientFormat
	Command func(core.Command) string
	Event   func(core.Event) string
	// Verbs and Events are what the format has words for; of all else nothing is said.
	Verbs  []core.Verb
	Events []core.EventKind
}

// Run lets a client say random commands to a server, and the server tell it random events and the
// outcome of each command, for which it may not wait any more: what one side writes the other reads, or
// else it is Unsayable.
func (s BothSides) Run(t *testing.T) {
	seed := rand.Uint64()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	r := random{rand.New(rand.NewPCG(seed, 0))}
	server, client := s.open(t)
	said, told := make(map[core.Verb]int), make(map[core.EventKind]int)
	for range 20_000 {
		if ev := r.event(); s.tell(t, server, client, ev) {
			told[ev.Kind]++
		}
		c := r.command()
		ok, ended := s.say(t, server, client, c, r)
		if ok {
			said[c.Verb]++
		}
		if ended {
			server, client = s.open(t)
		}
	}
	for v := core.None; v.String() != "unknown"; v++ {
		if has := slices.Contains(s.Verbs, v); has != (said[v] > 0) {
			t.Errorf("%v was said %d times", v, said[v])
		}
	}
	for k := core.Welcome; k.String() != "unknown"; k++ {
		if has := slices.Contains(s.Events, k); has != (told[k] > 0) {
			t.Errorf("%v was told %d times", k, told[k])
		}
	}
}

// open returns both sides of a new connection. A client that speaks first has done so, and was greeted.
func (s BothSides) open(t *testing.T) (core.Codec, core.ClientCodec) {
	t.Helper()
	server, client := s.Format.NewCodec(), s.Format.NewClientCodec()
	opener, ok := client.(core.ClientOpener)
	if !ok {
		return server, client
	}
	var got heard
	opener.Open(func(f core.Frame) {
		if err := server.Decode(f.Clone(), &got); err != nil {
			t.Fatalf("a client begins with %q: %v", f.Data, err)
		}
	})
	for _, c := range got.commands {
		s.hears(t, server, client, core.Event{Kind: core.Pong, Ref: c.Ref, As: c.As})
	}
	if got.refused > 0 || !client.Ready() {
		t.Fatalf("a client has begun with %s (%d refused), and is not ready", got.text(s.Command), got.refused)
	}
	return server, client
}

// say lets the client say c, and tells it the outcome. It reports whether c can be said, and whether the
// connection ends over it.
func (s BothSides) say(t *testing.T, server core.Codec, client core.ClientCodec, c core.Command, r random) (ok, ended bool) {
	t.Helper()
	var frames []core.Frame
	answered, err := client.Say(c, func(f core.Frame) { frames = append(frames, f.Clone()) })
	if _, unsayable := errors.AsType[*core.Unsayable](err); unsayable {
		if len(frames) > 0 || answered {
			t.Fatalf("%+v: %v, but it was said", c, err)
		}
		return false, false
	}
	if err != nil || len(frames) == 0 {
		t.Fatalf("%+v: %d frames, %v", c, len(frames), err)
	}
	var got heard
	for _, f := range frames {
		if err := server.Decode(f, &got); err != nil {
			t.Fatalf("%+v was said as %q: %v", c, f.Data, err)
		}
	}
	if len(got.commands) != 1 || got.refused > 0 || s.Command(got.commands[0]) != s.Command(c) {
		t.Fatalf("%s was said as %q, and heard as %s (%d refused)", s.Command(c), frames[0].Data, got.text(s.Command), got.refused)
	}
	if r.IntN(8) == 0 {
		client.Forget(c.Ref) // nobody waits for the outcome any more
		answered = false
	}
	ended = s.end(t, server, client, c, got.commands[0], answered, r)
	return true, ended || c.Verb == core.Leave
}

// end tells the client how its command has ended, which it hears if it is answered. It reports whether the
// server ends the connection over it.
func (s BothSides) end(t *testing.T, server core.Codec, client core.ClientCodec, said, got core.Command, answered bool, r random) (ended bool) {
	t.Helper()
	ev := core.Event{Kind: core.Done, Verb: got.Verb, Ref: got.Ref, Topic: got.Topic, As: got.As}
	failure := core.Failure{Code: pick(r, core.Timeout, core.Gone, core.Denied, core.Overloaded, core.Shutdown)}
	switch {
	case got.Verb == core.Ping:
		ev.Kind = core.Pong
	case got.Verb == core.RestoreSession:
		ev.Kind, ev.Session = core.SessionOpened, r.session()
	case got.Verb == core.Call:
		ev.Call = core.NewCallID()
		if accepted := s.hears(t, server, client, ev); accepted > 1 || accepted > 0 && !answered {
			t.Fatalf("%s was accepted %d times", s.Command(said), accepted)
		}
		ev.Kind, ev.Payload = core.Answer, r.payload()
	}
	if r.IntN(3) == 0 && got.Verb != core.Ping {
		ev.Kind, ev.Failure, ev.Payload = core.Failed, failure, core.Payload{}
	}
	dst, kind, err := server.Encode(nil, ev)
	if _, ended = errors.AsType[*core.Violation](err); ended {
		err = nil
	}
	switch {
	case kind == core.NoFrame && !answered:
		return ended
	case err != nil || kind == core.NoFrame:
		t.Fatalf("%s is answered, but %s is not written: %v", s.Command(said), s.Event(ev), err)
	}
	var heard []core.Event
	if err := client.Hear(core.Frame{Kind: kind, Data: dst}, func(e core.Event) { heard = append(heard, e.Clone()) }); err != nil {
		t.Fatalf("%q: %v", dst, err)
	}
	if !answered {
		// A format may have an error that names no command.
		if len(heard) > 0 && len(heard[0].Ref) > 0 {
			t.Fatalf("%s is not answered, but heard: %s", s.Command(said), texts(heard, s.Event))
		}
		return ended
	}
	want := ev
	want.Ref = said.Ref
	if len(heard) != 1 || s.Event(heard[0]) != s.Event(want) || !bytes.Equal(heard[0].Ref, said.Ref) {
		t.Fatalf("%s was told as %q, and heard as %+v, ref %x", s.Event(want), dst, heard, said.Ref)
	}
	return ended
}

// hears tells the client an event, and returns how many it heard of it.
func (s BothSides) hears(t *testing.T, server core.Codec, client core.ClientCodec, ev core.Event) (n int) {
	t.Helper()
	dst, kind, err := server.Encode(nil, ev)
	if err != nil {
		t.Fatalf("%+v: %v", ev, err)
	}
	if kind == core.NoFrame {
		return 0
	}
	if err := client.Hear(core.Frame{Kind: kind, Data: dst}, func(core.Event) { n++ }); err != nil {
		t.Fatalf("%q: %v", dst, err)
	}
	return n
}

// tell lets the server tell ev. It reports whether the format has words for it.
func (s BothSides) tell(t *testing.T, server core.Codec, client core.ClientCodec, ev core.Event) bool {
	t.Helper()
	dst, kind, err := server.Encode(nil, ev)
	if err != nil || kind == core.NoFrame {
		return false
	}
	var heard []core.Event
	if err := client.Hear(core.Frame{Kind: kind, Data: bytes.Clone(dst)}, func(e core.Event) { heard = append(heard, e.Clone()) }); err != nil {
		t.Fatalf("%s was told as %q: %v", s.Event(ev), dst, err)
	}
	if len(heard) != 1 || s.Event(heard[0]) != s.Event(ev) {
		t.Fatalf("%s was told as %q, and heard as %s", s.Event(ev), dst, texts(heard, s.Event))
	}
	return true
}

// heard is a sink that keeps the commands.
type heard struct {
	commands []core.Command
	refused  int
}

func (h *heard) Do(c core.Command) { h.commands = append(h.commands, c.Clone()) }

func (h *heard) Refuse(core.Reason, []byte, core.Failure) { h.refused++ }

func (h *heard) text(describe func(core.Command) string) string { return texts(h.commands, describe) }

func texts[T any](all []T, describe func(T) string) string {
	var out strings.Builder
	for _, one := range all {
		out.WriteString("\n" + describe(one))
	}
	return out.String()
}

// random makes commands and events of every kind.
type random struct{ *rand.Rand }

func pick[T any](r random, from ...T) T { return from[r.IntN(len(from))] }

func (r random) name() []byte {
	return []byte(pick(r, "news", "news/today", "a,b", "100%", "a%2Cb", `q"\`, "é/😀", "$reply/7f", "$serve/x", "x/y/z", "%C3%A9"))
}

func (r random) payload() core.Payload {
	texts := []string{"", "hello", "42", `"x"`, "é😀", `{"a":1}`, "null", `say "hi"`, "a,b,c"}
	switch r.IntN(5) {
	case 0:
		return core.Payload{}
	case 1:
		return core.Payload{Kind: core.JSON, Data: []byte(pick(r, `{"n":9007199254740993}`, `[1,2]`, `"text"`, "0", "false", "null", `"42"`, `"\u00e9"`))}
	case 2:
		return core.Payload{Kind: core.Binary, Data: []byte(pick(r, "\xff\x00\xfe", "plain", "\x80"))}
	case 3:
		return core.TextUTF16(core.AppendUTF16(nil, []byte(pick(r, texts...))))
	}
	return core.Payload{Kind: core.Text, Data: []byte(pick(r, texts...))}
}

func (r random) session() core.Session {
	at := core.Session{Key: fmt.Sprintf("key%d", r.IntN(100))}
	at.Created, at.LastLookup = at.Created.AddDate(2020, r.IntN(12), r.IntN(28)), at.Created.AddDate(2021, 0, r.IntN(28))
	if r.IntN(2) == 0 {
		at.Info = []byte(`{"user":1}`)
	}
	return at
}

func (r random) command() core.Command {
	c := core.Command{
		Verb: core.Verb(r.IntN(int(core.Leave) + 1)), Ref: fmt.Appendf(nil, "ref%d", r.IntN(1<<20)), Topic: r.name(),
		Pattern: r.IntN(2) == 0, Payload: r.payload(), OneWay: r.IntN(4) == 0, NotToSelf: r.IntN(2) == 0,
		Call: core.NewCallID(), Key: []byte("a session's key"),
	}
	if c.Pattern && r.IntN(3) == 0 {
		c.Topic = []byte(pick(r, "news/+", "#", "a/#"))
	}
	switch c.Verb {
	case core.Publish, core.Call:
		if r.IntN(8) == 0 {
			c.Headers = []byte(`{"traceparent":"00-01-02-01"}`)
		}
	case core.Reply:
		if r.IntN(4) == 0 {
			c.Failure, c.Payload = core.Failure{Code: "mine", Text: "no"}, core.Payload{}
		}
	}
	if c.Verb == core.Offer && r.IntN(2) == 0 || c.Verb == core.Publish && r.IntN(2) == 0 {
		c.Channel = []byte("news")
		c.Exclusive = c.Verb == core.Offer
		c.AsOwner = c.Verb == core.Publish
		c.Topic = []byte(pick(r, "news", "news/today", "news/a/b"))
		for range r.IntN(4) {
			c.Services = append(c.Services, pick(r, []byte("m"), []byte(""), []byte("a/b"), []byte(`"`)))
		}
	}
	return c
}

func (r random) event() core.Event {
	ev := core.Event{Kind: core.EventKind(r.IntN(int(core.Goodbye) + 1)), Topic: r.name(), Payload: r.payload()}
	switch ev.Kind {
	case core.Done, core.Failed, core.Answer, core.Pong:
		ev.Kind = core.Message // outcomes are told when there was something to end
	case core.Request:
		ev.Call = core.NewCallID()
	case core.SessionOpened:
		ev = core.Event{Kind: ev.Kind, Verb: core.OpenSession, Session: r.session()}
	case core.OfferLost:
		ev.Payload = core.Payload{}
		ev.Failure = core.Failure{Code: pick(r, core.Taken, core.NotOwner, core.Unreachable)}
	case core.Welcome, core.SessionClosed, core.Goodbye:
		ev = core.Event{Kind: ev.Kind}
	}
	if ev.Kind == core.Message && r.IntN(8) == 0 {
		ev.Headers = []byte(`{"traceparent":"00-01-02-01"}`)
	}
	return ev
}
