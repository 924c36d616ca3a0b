package webwire

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

func TestProtocol(t *testing.T) {
	p := Protocol()
	if p.Name != "webwire" || p.Listen != ":8081" || p.Path != "" {
		t.Errorf("%q, %q, %q", p.Name, p.Listen, p.Path)
	}
	o := p.Options().(*Options)
	if o.ReadTimeout != time.Minute || o.MessageBufferSize != 8192 || o.SubProtocol != "" || o.Subscribe != nil ||
		o.DefaultTopic != "" || o.ReplyEncoding != "same" {
		t.Errorf("the defaults are %+v", o)
	}
	if err := p.Validate(o); err != nil {
		t.Errorf("the defaults are wrong: %v", err)
	}
	if p.Options() == p.Options() {
		t.Error("endpoints share their options")
	}
	if err := p.Validate("text"); err == nil {
		t.Error("a string is valid options")
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*Options)
		wrong string // the option at fault, "" for none
	}{
		{"least read timeout", func(o *Options) { o.ReadTimeout = time.Second }, ""},
		{"short read timeout", func(o *Options) { o.ReadTimeout = time.Second - 1 }, "read_timeout"},
		{"no read timeout", func(o *Options) { o.ReadTimeout = 0 }, "read_timeout"},
		{"read timeout over uint32", func(o *Options) { o.ReadTimeout = 1 << 32 * time.Millisecond }, "read_timeout"},
		{"least buffer", func(o *Options) { o.MessageBufferSize = 32 }, ""},
		{"small buffer", func(o *Options) { o.MessageBufferSize = 31 }, "message_buffer_size"},
		{"huge buffer", func(o *Options) { o.MessageBufferSize = 1<<30 + 1 }, "message_buffer_size"},
		{"sub-protocol fits", func(o *Options) { o.MessageBufferSize, o.SubProtocol = 32, strings.Repeat("p", 21) }, ""},
		{"sub-protocol does not fit", func(o *Options) { o.MessageBufferSize, o.SubProtocol = 32, strings.Repeat("p", 22) }, "sub_protocol"},
		{"patterns", func(o *Options) { o.Subscribe = []string{"#", "a/+/#", "a#/b", "", "+"} }, ""},
		{"# before the end", func(o *Options) { o.Subscribe = []string{"a/#/b"} }, "subscribe"},
		{"# at the start", func(o *Options) { o.Subscribe = []string{"a", "#/"} }, "subscribe"},
		{"default topic", func(o *Options) { o.DefaultTopic = "é/%" }, ""},
		{"long default topic", func(o *Options) { o.DefaultTopic = strings.Repeat("é", 43) }, "default_topic"},
		{"default topic in no UTF-8", func(o *Options) { o.DefaultTopic = "\xff" }, "default_topic"},
		{"always UTF-8", func(o *Options) { o.ReplyEncoding = "utf8" }, ""},
		{"no reply encoding", func(o *Options) { o.ReplyEncoding = "" }, "reply_encoding"},
		{"bounds of sessions", func(o *Options) { o.Sessions.Max, o.Sessions.MaxAge = 1, time.Hour }, ""},
		{"sessions of a cluster", func(o *Options) { o.Sessions.Store, o.Sessions.MaxAge = ClusterStore, time.Hour }, ""},
		{"bound of the sessions of a cluster", func(o *Options) { o.Sessions.Store, o.Sessions.Max = ClusterStore, 1 }, "sessions.max"},
		{"fewer sessions than none", func(o *Options) { o.Sessions.Max = -1 }, "sessions.max"},
		{"sessions younger than new", func(o *Options) { o.Sessions.MaxAge = -1 }, "sessions.max_age"},
		{"reply encoding in capitals", func(o *Options) { o.ReplyEncoding = "UTF8" }, "reply_encoding"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Protocol()
			o := p.Options().(*Options)
			c.set(o)
			err := p.Validate(o)
			if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.HasPrefix(err.Error(), c.wrong+": ")) {
				t.Errorf("%v, want a fault of %q", err, c.wrong)
			}
			if _, failed := p.New(o, 0); (failed == nil) != (err == nil) {
				t.Errorf("Validate says %v, New %v", err, failed)
			}
		})
	}
}

func TestValidateNamesAllFaults(t *testing.T) {
	err := Protocol().Validate(&Options{})
	for _, option := range []string{"read_timeout: ", "message_buffer_size: ", "reply_encoding: "} {
		if err == nil || !strings.Contains(err.Error(), option) {
			t.Errorf("%v does not name %s", err, option)
		}
	}
}

// There is one bound on messages. An endpoint that also sets max_message_size must set it to
// the same value.
func TestNewKeepsOneBound(t *testing.T) {
	p := Protocol()
	o := p.Options().(*Options)
	o.MessageBufferSize = 4096
	for max, fits := range map[int]bool{0: true, 4096: true, 4095: false, 8192: false} {
		f, err := p.New(o, max)
		if fits != (err == nil) {
			t.Errorf("max %d: %v", max, err)
		}
		if fits && f.Profile().MaxMessage != 4096 {
			t.Errorf("max %d: the profile says %d", max, f.Profile().MaxMessage)
		}
	}
}

func TestProfile(t *testing.T) {
	want := core.Profile{MaxMessage: 8192, IdleTimeout: time.Minute, PingsCount: true, SameOrigin: true, PlainStatus: 400, OptionsStatus: 200}
	if got := newCodec(t, "").format.Profile(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := newCodec(t, "read_timeout=5s").format.Profile().IdleTimeout; got != 5*time.Second {
		t.Errorf("the idle timeout is %s, clients are told 5s", got)
	}
}

// How many requests of a connection run at once: as in the original, one by default, and 0
// means one too.
func TestConcurrencyLimit(t *testing.T) {
	o := Protocol().Options().(*Options)
	if n := o.Needs().CallsAtOnce; n != 1 {
		t.Errorf("by default %d", n)
	}
	for limit, want := range map[int]int{0: 1, 1: 1, 7: 7, -1: 0, -5: 0} {
		o.ConcurrencyLimit = limit
		if n := o.Needs().CallsAtOnce; n != want {
			t.Errorf("concurrency_limit %d: %d, want %d", limit, n, want)
		}
	}
}

func TestGoodbye(t *testing.T) {
	f := newCodec(t, "").format
	for reason, want := range map[core.Reason]uint16{
		core.ReasonNormal: 1000, core.ReasonDrain: 1001, core.ReasonIdle: 1001, core.ReasonMalformed: 1002,
		core.ReasonWrongFrame: 1003, core.ReasonInvalidUTF8: 1007, core.ReasonTooLarge: 1009, core.ReasonSlow: 1013,
	} {
		if code, text := f.Goodbye(reason); code != want || (text == "") != (reason == core.ReasonNormal) || len(text) > 123 {
			t.Errorf("%s: %d %q, want %d", reason, code, text, want)
		}
	}
}
