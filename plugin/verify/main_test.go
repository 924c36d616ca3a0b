package verify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
	"github.com/polywire/polywire/plugin/sdk"
)

// roleVariable makes the test binary a plugin that gets one thing wrong.
const roleVariable = "POLYWIRE_TEST_PLUGIN"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "exits":
		fmt.Fprintln(os.Stderr, "the licence has expired")
		os.Exit(3)
	case "garbage":
		fmt.Fprintln(os.Stdout, "Welcome to the plugin!")
		time.Sleep(time.Minute)
	case "newer":
		fmt.Fprintln(os.Stdout, "1|2|unix|/nowhere|grpc")
		time.Sleep(time.Minute)
	case "raw", "other contract", "no profile", "nonsense", "fickle", "too many", "too few", "unasked", "bad text":
		serveRaw(role)
	case "quits":
		if starts() > 7 { // of the broker that kills it, the first
			os.Exit(1)
		}
		sdk.Serve(talk(role))
	default:
		sdk.Serve(talk(role))
	}
}

// startsVariable names the file in which the starts of a plugin are counted.
const startsVariable = "POLYWIRE_TEST_STARTS"

// starts counts the starts of the plugin, this one included.
func starts() int {
	f, err := os.OpenFile(os.Getenv(startsVariable), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.WriteString("."); err != nil {
		panic(err)
	}
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	return int(info.Size())
}

// talk is the protocol of the conversations in testdata: join TOPIC, say TOPIC TEXT.
// Its codec gets wrong what role says.
func talk(role string) core.Protocol {
	type options struct {
		Greeting string `koanf:"greeting"`
	}
	return core.Protocol{
		Name: "talk", Listen: "127.0.0.1:0", Path: "/talk",
		Options: func() any { return &options{} },
		Validate: func(o any) error {
			if role == "demanding" && o.(*options).Greeting == "" {
				return errors.New("greeting: must not be empty")
			}
			return nil
		},
		New: func(any, int) (core.Format, error) {
			if strings.HasPrefix(role, "client") {
				return mumbling{talkFormat{role}}, nil
			}
			return talkFormat{role}, nil
		},
	}
}

type talkFormat struct{ role string }

func (f talkFormat) NewCodec() core.Codec {
	c := talkCodec(f)
	if strings.HasPrefix(f.role, "stateful") {
		return &c
	}
	return c
}

func (f talkFormat) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	switch told++; {
	case f.role == "hoards":
		hoard = append(hoard, slices.Repeat(ev.Payload.Data, 4))
	case f.role == "drops" && told%500 == 0:
		return dst, core.NoFrame, nil
	}
	return talkCodec(f).Encode(dst, ev)
}

// mumbling is talk with a client's side, which gets wrong what role says.
type mumbling struct{ talkFormat }

func (mumbling) NamesTopics() bool { return false }

func (mumbling) HearsItself() bool { return true }

func (f mumbling) NewClientCodec() core.ClientCodec { return f }

func (f mumbling) Ready() bool { return f.role != "client never ready" }

func (mumbling) KeepAlive() (time.Duration, core.Frame) { return 0, core.Frame{} }

func (mumbling) Forget([]byte) {}

func (f mumbling) Say(c core.Command, say func(core.Frame)) (bool, error) {
	switch word := map[core.Verb]string{core.Subscribe: "join ", core.Publish: "say "}[c.Verb]; {
	case word == "" && f.role == "client says nothing":
		return false, nil
	case word == "":
		return false, &core.Unsayable{What: c.Verb.String()}
	case f.role == "client says another thing":
		say(core.Frame{Kind: core.TextFrame, Data: append([]byte("say "), c.Topic...)})
	default:
		say(core.Frame{Kind: core.TextFrame, Data: append([]byte(word), c.Topic...)})
	}
	return false, nil
}

func (f mumbling) Hear(core.Frame, func(core.Event)) error {
	if f.role == "client panics" {
		panic("what was that?")
	}
	return errors.New("nothing that a server says")
}

// told counts the messages, and hoard is where a plugin that keeps everything keeps it.
var (
	told  int
	hoard [][]byte
)

func (f talkFormat) Goodbye(r core.Reason) (uint16, string) { return r.CloseCode(), r.String() }

func (f talkFormat) Profile() core.Profile { return core.Profile{MaxMessage: 64 << 10} }

type talkCodec struct{ role string }

func (c talkCodec) Decode(f core.Frame, to core.Sink) error {
	word, rest, whole := strings.Cut(string(f.Data), " ")
	topic, text, _ := strings.Cut(rest, " ")
	switch {
	case f.Kind != core.TextFrame:
		return errors.New("not a text")
	case c.role == "crashes when cut" && !whole && word == "sa":
		os.Exit(1)
	case c.role == "hangs" && strings.HasPrefix(word, "joi") && !whole:
		select {}
	case c.role == "crashes at random" && strings.Contains(rest, "\x00"):
		os.Exit(1)
	case word == "join":
		to.Do(core.Command{Verb: core.Subscribe, Topic: []byte(topic)})
		switch c.role {
		case "crashes over a lost offer":
			to.Do(core.Command{Verb: core.Offer, Services: [][]byte{[]byte(topic)}})
		case "crashes over a closed session":
			to.Do(core.Command{Verb: core.OpenSession})
		}
	case word == "say":
		to.Do(core.Command{Verb: core.Publish, Topic: []byte(topic), Payload: core.Payload{Kind: core.Text, Data: []byte(text)}})
	default:
		return errors.New("no such word")
	}
	return nil
}

func (c talkCodec) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if c.role == "crashes over a lost offer" && ev.Kind == core.OfferLost || c.role == "crashes over a closed session" && ev.Kind == core.SessionClosed {
		os.Exit(1)
	}
	if ev.Kind != core.Message {
		return dst, core.NoFrame, nil
	}
	return core.AppendText(append(dst, "heard "...), ev.Payload), core.TextFrame, nil
}

// serveRaw serves a plugin that is made of the generated types alone.
func serveRaw(role string) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: contract.Handshake(),
		Plugins:         goplugin.PluginSet{contract.Name: &raw{role: role}},
		GRPCServer:      goplugin.DefaultGRPCServer,
	})
}

type raw struct {
	goplugin.NetRPCUnsupportedPlugin
	codecpb.UnimplementedCodecServer
	role      string
	described int
}

func (r *raw) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	codecpb.RegisterCodecServer(s, r)
	return nil
}

func (*raw) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("no host")
}

func (r *raw) Describe(context.Context, *codecpb.DescribeRequest) (*codecpb.Description, error) {
	d := &codecpb.Description{
		Contract: contract.Version, Format: "raw", Listen: "127.0.0.1:0", Stateful: true,
		Profile: &codecpb.Profile{MaxMessage: 1 << 20},
	}
	r.described++
	switch r.role {
	case "other contract":
		d.Contract = 7
	case "no profile":
		d.Profile = nil
	case "fickle":
		d.Path = fmt.Sprintf("/%d", r.described)
	case "nonsense":
		d.Format, d.Listen, d.Path = "a format", "nowhere", "ws"
		d.Profile.PingInterval, d.Profile.PongTimeout = 2000, 1000
		d.Profile.PlainStatus, d.Profile.CloseReply = 42, 1006
		d.Goodbyes = []*codecpb.Goodbye{{Reason: "boredom", Code: 1000}, {Reason: "idle", Code: 1015}, {Reason: "idle"}}
	}
	return d, nil
}

func (r *raw) Translate(stream grpc.BidiStreamingServer[codecpb.Questions, codecpb.Answers]) error {
	if r.role == "unasked" {
		_ = stream.Send(&codecpb.Answers{Answers: []*codecpb.Answer{{}}})
	}
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		out := &codecpb.Answers{}
		for range in.GetQuestions() {
			a := &codecpb.Answer{Frame: &codecpb.Frame{Kind: codecpb.Frame_TEXT, Data: []byte("always")}}
			if r.role == "bad text" {
				a.Frame.Data = []byte{0xff}
			}
			out.Answers = append(out.Answers, a)
		}
		switch n := len(out.GetAnswers()); {
		case r.role == "too many" && n > 0:
			out.Answers = append(out.Answers, &codecpb.Answer{})
		case r.role == "too few" && n > 0:
			out.Answers = out.Answers[1:]
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}
