package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
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

// roleVariable makes the test binary a plugin, of the kind that it names.
const roleVariable = "POLYWIRE_TEST_PLUGIN"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "host":
		runHost()
	case "exits":
		fmt.Fprintln(os.Stderr, "the licence has expired")
		os.Exit(3)
	case "garbage":
		fmt.Fprintln(os.Stdout, "Welcome to the plugin!")
		time.Sleep(time.Minute)
	case "silent":
		time.Sleep(time.Minute)
	case "newer":
		fmt.Fprintln(os.Stdout, "1|2|unix|/nowhere|grpc")
		time.Sleep(time.Minute)
	case "deaf":
		fmt.Fprintln(os.Stdout, "1|1|unix|/nowhere|grpc")
		time.Sleep(time.Minute)
	case "test":
		sdk.Serve(testProtocol())
	default:
		serveRaw(role)
	}
}

// testProtocol answers every message with the number of the process, and does what some
// messages say.
func testProtocol() core.Protocol {
	type options struct {
		Greeting string        `koanf:"greeting"`
		Stateful bool          `koanf:"stateful"`
		Wait     time.Duration `koanf:"wait"`
	}
	return core.Protocol{
		Name: "test", Listen: "127.0.0.1:0",
		Options: func() any { return &options{Greeting: "hello", Wait: time.Second} },
		Validate: func(o any) error {
			var faults []error
			if o.(*options).Greeting == "" {
				faults = append(faults, errors.New("greeting: must not be empty"))
			}
			if o.(*options).Wait < 0 {
				faults = append(faults, errors.New("wait: must not be negative"))
			}
			return errors.Join(faults...)
		},
		New: func(o any, _ int) (core.Format, error) {
			return &testFormat{greeting: o.(*options).Greeting, stateful: o.(*options).Stateful}, nil
		},
	}
}

type testFormat struct {
	greeting string
	stateful bool
}

func (f *testFormat) NewCodec() core.Codec {
	if f.stateful {
		return &testCodec{format: f}
	}
	return f.codec()
}

func (f *testFormat) codec() testCodec { return testCodec{format: f} }

func (f *testFormat) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	return f.codec().Encode(dst, ev)
}

func (f *testFormat) Goodbye(r core.Reason) (uint16, string) { return r.CloseCode(), r.String() }

func (f *testFormat) Profile() core.Profile { return core.Profile{MaxMessage: 1 << 20} }

type testCodec struct {
	format *testFormat
}

func (c testCodec) Decode(f core.Frame, to core.Sink) error {
	text := string(f.Data)
	switch verb, rest, _ := strings.Cut(text, " "); verb {
	case "die":
		os.Exit(1)
	case "hang":
		select {}
	case "panic":
		panic("as it was told")
	case "join":
		to.Do(core.Command{Verb: core.Subscribe, Topic: []byte(rest)})
	case "refuse":
		to.Do(core.Command{Verb: core.Publish, Ref: []byte(rest), Topic: []byte("$request/x")})
	case "say":
		to.Do(core.Command{Verb: core.Publish, Topic: []byte("room"), Payload: core.Payload{Kind: core.Text, Data: []byte(rest)}})
	case "json":
		to.Do(core.Command{Verb: core.Publish, Topic: []byte("room"), Payload: core.Payload{Kind: core.JSON, Data: []byte(rest)}})
	default:
		to.Do(core.Command{Verb: core.Ping, Ref: []byte(strconv.Itoa(os.Getpid()) + " " + text)})
	}
	return nil
}

func (c testCodec) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	switch ev.Kind {
	case core.Welcome:
		return append(dst, c.format.greeting...), core.TextFrame, nil
	case core.Pong:
		return append(dst, ev.Ref...), core.TextFrame, nil
	case core.Failed:
		return append(append(dst, "refused "...), ev.Ref...), core.TextFrame, nil
	case core.Message:
		return core.AppendText(dst, ev.Payload), core.TextFrame, nil
	}
	return dst, core.NoFrame, nil
}

// serveRaw serves a plugin made of the generated types alone, as one in another language would
// be. It makes the mistake that role names.
func serveRaw(role string) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: contract.Handshake(),
		Plugins:         goplugin.PluginSet{contract.Name: raw{role: role}},
		GRPCServer:      goplugin.DefaultGRPCServer,
	})
}

type raw struct {
	goplugin.NetRPCUnsupportedPlugin
	codecpb.UnimplementedCodecServer
	role string
}

func (r raw) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	codecpb.RegisterCodecServer(s, r)
	return nil
}

func (raw) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("no host")
}

func (r raw) Describe(_ context.Context, _ *codecpb.DescribeRequest) (*codecpb.Description, error) {
	d := &codecpb.Description{
		Contract: contract.Version, Format: "raw", Listen: "127.0.0.1:0", Profile: &codecpb.Profile{MaxMessage: 1 << 20},
	}
	switch r.role {
	case "other contract":
		d.Contract = 7
	case "no profile":
		d.Profile = nil
	case "describe hangs":
		select {}
	}
	return d, nil
}

func (r raw) Translate(stream grpc.BidiStreamingServer[codecpb.Questions, codecpb.Answers]) error {
	if r.role == "unasked" {
		return stream.Send(&codecpb.Answers{Answers: []*codecpb.Answer{{}}})
	}
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		out := &codecpb.Answers{}
		for _, q := range in.GetQuestions() {
			out.Answers = append(out.Answers, r.answer(q))
		}
		if r.role == "too many" && len(out.Answers) > 0 {
			out.Answers = append(out.Answers, &codecpb.Answer{})
		}
		if r.role == "too few" && len(out.Answers) > 0 {
			out.Answers = out.Answers[1:]
		}
		if r.role == "floods" && len(out.Answers) > 0 {
			out.Answers[0].Frame = &codecpb.Frame{Kind: codecpb.Frame_BINARY, Data: make([]byte, 128<<20)}
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}

func (r raw) answer(q *codecpb.Question) *codecpb.Answer {
	a := &codecpb.Answer{}
	switch ask := q.GetAsk().(type) {
	case *codecpb.Question_Frame:
		c := &codecpb.Command{Verb: codecpb.Verb_VERB_PING, Ref: ask.Frame.GetData()}
		switch r.role {
		case "bad verb":
			c.Verb = 99
		case "bad call":
			c.Call = []byte("short")
		case "bad payload":
			c.Payload = &codecpb.Payload{Kind: 9}
		}
		a.Steps = []*codecpb.Step{{What: &codecpb.Step_Command{Command: c}}}
	case *codecpb.Question_Event:
		if ask.Event.GetKind() == codecpb.EventKind_EVENT_PONG {
			a.Frame = &codecpb.Frame{Kind: codecpb.Frame_TEXT, Data: ask.Event.GetRef()}
		}
		switch r.role {
		case "steps for an event":
			a.Steps = []*codecpb.Step{{}}
		case "bad kind":
			a.Frame = &codecpb.Frame{Kind: 5, Data: []byte("x")}
		case "bad text":
			a.Frame = &codecpb.Frame{Kind: codecpb.Frame_TEXT, Data: []byte{0xff}}
		}
	}
	return a
}
