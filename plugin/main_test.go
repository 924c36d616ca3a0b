package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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

// NewClientCodec returns a client that says what it publishes, and does what some topics say.
func (*testFormat) NewClientCodec() core.ClientCodec { return new(testClient) }

func (*testFormat) NamesTopics() bool { return true }

func (*testFormat) HearsItself() bool { return false }

// testClient is ready when it has heard "hello".
type testClient struct {
	ready bool
	beat  time.Duration
	refs  []string // that are waited for
}

func (c *testClient) Open(say func(core.Frame)) {
	say(core.Frame{Kind: core.TextFrame, Data: []byte("process " + strconv.Itoa(os.Getpid()))})
}

func (c *testClient) Say(cmd core.Command, say func(core.Frame)) (bool, error) {
	switch string(cmd.Topic) {
	case "die":
		os.Exit(1)
	case "hang":
		select {}
	case "panic":
		panic("as it was told")
	case "wrong":
		return false, errors.New("something is wrong")
	}
	if cmd.Verb == core.Call {
		return false, &core.Unsayable{What: "a call", Closest: "write a letter"}
	}
	c.refs = append(c.refs, string(cmd.Ref))
	for part := range strings.FieldsSeq(string(cmd.Payload.Data)) {
		say(core.Frame{Kind: core.BinaryFrame, Data: []byte(part)})
	}
	return len(cmd.Ref) > 0, nil
}

func (c *testClient) Hear(f core.Frame, tell func(core.Event)) error {
	switch text := string(f.Data); text {
	case "hello":
		c.ready, c.beat = true, 1500*time.Millisecond
	case "nonsense":
		return errors.New("no message of a test server")
	case "outcomes":
		for _, ref := range c.refs {
			tell(core.Event{Kind: core.Done, Verb: core.Publish, Ref: []byte(ref)})
		}
		c.beat = 0
	default:
		tell(core.Event{Kind: core.Message, Topic: []byte("heard"), Payload: core.Payload{Kind: core.Text, Data: f.Data}})
	}
	return nil
}

func (c *testClient) Ready() bool { return c.ready }

func (c *testClient) KeepAlive() (time.Duration, core.Frame) {
	return c.beat, core.Frame{Kind: core.TextFrame, Data: []byte("beat")}
}

func (c *testClient) Forget(ref []byte) {
	c.refs = slices.DeleteFunc(c.refs, func(r string) bool { return r == string(ref) })
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
	if strings.HasPrefix(r.role, "client ") {
		d.Client = &codecpb.ClientSide{}
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

// Speak makes the mistake that role names in its answer to the first question, or answers that twice.
func (r raw) Speak(stream grpc.BidiStreamingServer[codecpb.ClientQuestions, codecpb.ClientAnswers]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	a := &codecpb.ClientAnswer{}
	answers := []*codecpb.ClientAnswer{a}
	if r.role == "client unasked" {
		one := &codecpb.ClientAnswers{Answers: answers}
		err := stream.Send(one)
		for err == nil {
			if err = stream.Send(one); err == nil {
				_, err = stream.Recv()
			}
		}
		return err
	}
	switch r.role {
	case "client too many":
		answers = append(answers, a)
	case "client bad text":
		a.Frames = []*codecpb.Frame{{Kind: codecpb.Frame_TEXT, Data: []byte{0xff}}}
	case "client no kind":
		a.Frames = []*codecpb.Frame{{Data: []byte("x")}}
	case "client bad json":
		a.Events = []*codecpb.Event{{Kind: codecpb.EventKind_EVENT_MESSAGE, Payload: &codecpb.Payload{Kind: codecpb.PayloadKind_PAYLOAD_JSON, Data: []byte("{")}}}
	case "client bad beat":
		a.KeepAlive = &codecpb.KeepAlive{After: 5}
	}
	if err := stream.Send(&codecpb.ClientAnswers{Answers: answers}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
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
