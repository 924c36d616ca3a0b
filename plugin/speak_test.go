package plugin_test

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/plugin"
)

// speaking returns the running format of a plugin of a kind. The timeouts are those of a busy machine unless o
// sets them.
func speaking(t *testing.T, role string, o plugin.Options) core.ClientFormat {
	t.Helper()
	o.Command, o.Env = []string{os.Args[0]}, map[string]string{roleVariable: role}
	o.StartTimeout, o.AnswerTimeout = cmp.Or(o.StartTimeout, coretest.Patience), cmp.Or(o.AnswerTimeout, coretest.Patience)
	inquiry := plugin.NewInquiry(slog.New(slog.DiscardHandler))
	defer inquiry.Close()
	p, err := inquiry.Protocol("old", o)
	if err != nil {
		t.Fatal(err)
	}
	format, err := p.Default()
	if err != nil {
		t.Fatal(err)
	}
	f, ok := format.(*plugin.ClientFormat)
	if !ok {
		t.Fatalf("the format is a %T", format)
	}
	if err := f.Start(&core.Endpoint{Name: "old", Stats: new(core.Stats)}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

// opened returns a codec of a new connection, with what it has said first.
func opened(t *testing.T, f core.ClientFormat) (codec core.RemoteClientCodec, first string) {
	t.Helper()
	codec = f.NewClientCodec().(core.RemoteClientCodec)
	t.Cleanup(codec.Close)
	codec.(core.ClientOpener).Open(func(f core.Frame) { first += string(f.Data) })
	return codec, first
}

// say returns what a codec says for a publication.
func say(codec core.ClientCodec, topic, text, ref string) string {
	var said string
	cmd := core.Command{Verb: core.Publish, Topic: []byte(topic), Ref: []byte(ref), Payload: core.Payload{Kind: core.Text, Data: []byte(text)}}
	answered, err := codec.Say(cmd, func(f core.Frame) { said += fmt.Sprintf("%d %s, ", f.Kind, f.Data) })
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(said, answered)
}

func hear(codec core.ClientCodec, text string) string {
	var told string
	err := codec.Hear(core.Frame{Kind: core.TextFrame, Data: []byte(text)}, func(ev core.Event) {
		told += fmt.Sprintf("%v %s %s %s, ", ev.Kind, ev.Ref, ev.Topic, ev.Payload.Data)
	})
	if err != nil {
		return told + err.Error()
	}
	return told
}

func expectText(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A client's codec in a plugin does what it does in this process, for each connection apart.
func TestSpeaking(t *testing.T) {
	f := speaking(t, "test", plugin.Options{})
	if !f.NamesTopics() || f.HearsItself() {
		t.Errorf("names topics %v, hears itself %v", f.NamesTopics(), f.HearsItself())
	}
	codec, first := opened(t, f)
	other, _ := opened(t, f)
	if !strings.HasPrefix(first, "process ") {
		t.Errorf("it begins with %q", first)
	}
	if after, _ := codec.KeepAlive(); codec.Ready() || after != 0 {
		t.Errorf("at first it is ready %v and says something after %v", codec.Ready(), after)
	}
	expectText(t, hear(codec, "hello"), "")
	if after, beat := codec.KeepAlive(); !codec.Ready() || after != 1500*time.Millisecond || string(beat.Data) != "beat" || beat.Kind != core.TextFrame {
		t.Errorf("then it is ready %v and says %q after %v", codec.Ready(), beat.Data, after)
	}
	if other.Ready() {
		t.Error("another connection is ready too")
	}
	expectText(t, say(codec, "news", "one two", "r1"), "2 one, 2 two, true")
	expectText(t, say(codec, "news", "three", "r2"), "2 three, true")
	expectText(t, say(codec, "news", "", ""), "false")
	expectText(t, say(codec, "wrong", "x", ""), "something is wrong")
	_, err := codec.Say(core.Command{Verb: core.Call, Topic: []byte("s")}, func(core.Frame) { t.Error("something was said") })
	if u, ok := errors.AsType[*core.Unsayable](err); !ok || *u != (core.Unsayable{What: "a call", Closest: "write a letter"}) {
		t.Errorf("a call: %v", err)
	}
	codec.Forget([]byte("r1"))
	expectText(t, hear(codec, "rain"), "message  heard rain, ")
	expectText(t, hear(codec, "outcomes"), "done r2  , done   , ")
	if after, _ := codec.KeepAlive(); after != 0 {
		t.Errorf("it still says something after %v", after)
	}
	expectText(t, hear(codec, "nonsense"), "no message of a test server")
	if !codec.Ready() {
		t.Error("it is not ready any more")
	}
}

// ended waits for the end of a codec, and returns why.
func ended(t *testing.T, codec core.RemoteClientCodec) string {
	t.Helper()
	select {
	case <-codec.Ended():
	case <-time.After(coretest.Patience):
		t.Fatal("the codec does not end")
	}
	return codec.Err().Error()
}

// When the process ends, hangs, or its codec panics, the codec ends and says so; the next one is in the next
// process.
func TestSpeakersThatEnd(t *testing.T) {
	for topic, want := range map[string]string{"die": "has ended", "hang": "no answer within 200ms", "panic": "the codec panicked"} {
		t.Run(topic, func(t *testing.T) {
			var o plugin.Options
			if topic == "hang" {
				o.AnswerTimeout = 200 * time.Millisecond // a process that is slow, and does not hang, fails in the same way
			}
			f := speaking(t, "test", o)
			codec, first := opened(t, f)
			if got := say(codec, topic, "x", ""); !strings.Contains(got, want) {
				t.Errorf("%s: %s", topic, got)
			}
			if got := ended(t, codec); !strings.Contains(got, want) {
				t.Errorf("it has ended: %s", got)
			}
			if got := hear(codec, "rain"); !strings.Contains(got, want) {
				t.Errorf("after the end: %s", got)
			}
			until(t, "the next process", func() bool {
				next, again := opened(t, f)
				return say(next, "news", "x", "") == "2 x, false" && (again != first) == (topic != "panic")
			})
		})
	}
}

// An idle connection ends with its process too, and a codec that is closed asks nothing any more.
func TestSpeakersEndWithTheProcess(t *testing.T) {
	f := speaking(t, "test", plugin.Options{})
	codec, _ := opened(t, f)
	closed, _ := opened(t, f)
	closed.Close()
	expectText(t, say(closed, "news", "x", ""), "the plugin that speaks the format: its connection was closed")
	if err := syscall.Kill(f.(*plugin.ClientFormat).Processes()[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := ended(t, codec); !strings.Contains(got, "has ended") {
		t.Error(got)
	}
	f.(*plugin.ClientFormat).Stop()
	last := f.NewClientCodec().(core.RemoteClientCodec)
	if got := ended(t, last); !strings.Contains(got, "no process of the plugin runs") {
		t.Error(got)
	}
}

// What breaks the contract ends the codec.
func TestSpeakersThatBreakTheContract(t *testing.T) {
	for role, want := range map[string]string{
		"client unasked":  "although nothing was asked",
		"client too many": "1 questions, but 2 answers",
		"client bad text": "not UTF-8",
		"client no kind":  "neither text nor binary",
		"client bad json": "not JSON",
		"client bad beat": "neither text nor binary",
	} {
		t.Run(role, func(t *testing.T) {
			codec := speaking(t, role, plugin.Options{}).NewClientCodec().(core.RemoteClientCodec)
			t.Cleanup(codec.Close)
			if role == "client unasked" { // there is one answer too many from the first question on
				until(t, "an answer is there before its question", func() bool { return hear(codec, "x") != "" })
			} else if got := hear(codec, "x"); !strings.Contains(got, want) {
				t.Errorf("it is heard as %q, want %q", got, want)
			}
			if got := ended(t, codec); !strings.Contains(got, want) {
				t.Errorf("it ends with %q, want %q", got, want)
			}
		})
	}
}
