package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin"
	"github.com/polywire/polywire/plugin/contract"
)

// speaking returns the check of the client's side.
func (v *verifier) speaking() []check {
	return []check{{"speaks as a client", v.checkSpeaks, "see \"Speaking\" in plugin/codec.proto", false}}
}

// sayings are what the client's side is to say.
var sayings = []core.Command{
	{Verb: core.Subscribe, Topic: []byte("news/today")},
	{Verb: core.Publish, Topic: []byte("news/today"), Payload: core.Payload{Kind: core.JSON, Data: []byte(`{"n":1}`)}},
	{Verb: core.Call, Topic: []byte("shop/price"), Payload: core.Payload{Kind: core.JSON, Data: []byte(`"tea"`)}},
	{Verb: core.Offer, Services: [][]byte{[]byte("shop/price")}},
	{Verb: core.Offer, Channel: []byte("shop"), Exclusive: true, Services: [][]byte{[]byte("price")}},
	{Verb: core.Unsubscribe, Topic: []byte("news/today")},
	{Verb: core.Ping},
	{Verb: core.UnsubscribeAll},
}

// checkSpeaks lets the client's side say something to the server's side of the same plugin, and hear
// nonsense.
func (v *verifier) checkSpeaks(ctx context.Context) (string, error) {
	if !v.facts.client {
		return "", unfounded("it offers no client's side")
	}
	i, err := v.ask()
	if err != nil {
		return "", err
	}
	both := &bothSides{interview: i, client: i.NewClientCodec()}
	defer both.client.Close()
	seen, err := both.converse()
	if err == nil {
		err = v.hearNonsense(ctx, i)
	}
	if err != nil {
		v.close() // another check gets a new process
	}
	return seen, err
}

// bothSides are both sides of one connection, in one plugin.
type bothSides struct {
	interview *plugin.Interview
	client    core.RemoteClientCodec
}

// speakingConn is the number of the connection; no other check uses it.
const speakingConn = 1 << 40

// converse says all sayings, and returns which were said.
func (b *bothSides) converse() (string, error) {
	greeting, err := b.ask(contract.Question{Kind: contract.Open, Conn: speakingConn})
	if err != nil {
		return "", err
	}
	if o, ok := b.client.(core.ClientOpener); ok {
		var first []core.Frame
		o.Open(func(f core.Frame) { first = append(first, f.Clone()) })
		if err := b.decode(core.None, first); err != nil {
			return "", err
		}
	}
	if err := b.hear(greeting.Frame); err != nil {
		return "", fmt.Errorf("hearing the greeting of its own server's side: %w", err)
	}
	if !b.client.Ready() {
		return "", errors.New("it is not ready although its own server's side has greeted it")
	}
	var said []string
	for n, c := range sayings {
		c.Ref = fmt.Appendf(nil, "ref%d", n)
		var frames []core.Frame
		_, err := b.client.Say(c, func(f core.Frame) { frames = append(frames, f.Clone()) })
		unsayable, ok := errors.AsType[*core.Unsayable](err)
		switch {
		case ok && unsayable.What == "":
			return "", fmt.Errorf("it does not say what it has no words for: %v", c.Verb)
		case ok:
			continue
		case err != nil:
			return "", fmt.Errorf("saying %v: %w", c.Verb, err)
		case len(frames) == 0:
			return "", fmt.Errorf("saying %v: it says nothing, and not that it has no words for it", c.Verb)
		}
		if err := b.decode(c.Verb, frames); err != nil {
			return "", err
		}
		if last := len(said) - 1; last < 0 || said[last] != c.Verb.String() {
			said = append(said, c.Verb.String())
		}
	}
	if len(said) == 0 {
		return "", errors.New("it has words for no command")
	}
	_, err = b.ask(contract.Question{Kind: contract.Closed, Conn: speakingConn})
	return "says " + strings.Join(said, ", "), err
}

// decode shows frames to the server's side, which may refuse them but must not take them for something
// else. Pings, which may be how it makes the connection, are answered.
func (b *bothSides) decode(said core.Verb, frames []core.Frame) error {
	for _, f := range frames {
		r, err := b.ask(contract.Question{Kind: contract.Decode, Conn: speakingConn, Frame: f.Clone()})
		if err != nil {
			return err
		}
		if r.Err != nil {
			return fmt.Errorf("its server's side ends the connection over %.200q, with which it says %v: %w", f.Data, said, r.Err)
		}
		for _, c := range r.Commands {
			if said != core.None && c.Verb != said {
				return fmt.Errorf("it says %v as %.200q, which its server's side takes for %v", said, f.Data, c.Verb)
			}
			if c.Verb != core.Ping {
				continue
			}
			pong, err := b.ask(contract.Question{Kind: contract.Encode, Conn: speakingConn, Event: core.Event{Kind: core.Pong, Ref: c.Ref, As: c.As}})
			if err == nil {
				err = b.hear(pong.Frame)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bothSides) ask(q contract.Question) (plugin.Reply, error) {
	replies, err := b.interview.Ask([]contract.Question{q})
	if err != nil {
		return plugin.Reply{}, err
	}
	return replies[0], nil
}

func (b *bothSides) hear(f core.Frame) error {
	if f.Kind == core.NoFrame {
		return nil
	}
	return b.client.Hear(f.Clone(), func(core.Event) {})
}

// hearNonsense shows the client's side what no server says: it may be an error, but not its end.
func (v *verifier) hearNonsense(ctx context.Context, i *plugin.Interview) error {
	r := rand.New(rand.NewPCG(v.Seed, 0))
	var said []byte
	client := i.NewClientCodec()
	defer func() { client.Close() }()
	for range v.Random / 10 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		said = said[:0]
		for range r.IntN(64) {
			said = append(said, byte(r.IntN(128)))
		}
		_ = client.Hear(core.Frame{Kind: core.TextFrame, Data: bytes.Clone(said)}, func(core.Event) {})
		select {
		case <-client.Ended():
			return fmt.Errorf("it hears %q: %w", said, client.Err())
		default:
		}
	}
	return nil
}
