package wsify

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

func TestProtocol(t *testing.T) {
	p := Protocol()
	if p.Name != "wsify" || p.Listen != ":3000" || p.Path != "/ws" {
		t.Errorf("%q %q %q", p.Name, p.Listen, p.Path)
	}
	want := Options{BroadcastPath: "/broadcast", AuthorizerTimeout: 10 * time.Second}
	if got := *p.Options().(*Options); got != want {
		t.Errorf("defaults %+v, want %+v", got, want)
	}
	if p.Options() == p.Options() {
		t.Error("two endpoints share their options")
	}
	if f := newFormat(t, 0, nil); f.maxBody != MaxMessage {
		t.Errorf("bound %d without max_message_size", f.maxBody)
	}
	if _, err := p.New("other", 0); err == nil {
		t.Error("New takes options of another type")
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*Options)
		want []string // parts of the error; none: valid
	}{
		{"defaults", func(*Options) {}, nil},
		{"http", func(o *Options) { o.AuthorizerURL = "http://127.0.0.1:8000/auth?x=1" }, nil},
		{"https", func(o *Options) { o.AuthorizerURL = "https://auth.example" }, nil},
		{"no path", func(o *Options) { o.BroadcastPath = "" }, nil},
		{"relative", func(o *Options) { o.AuthorizerURL = "/auth" }, []string{"authorizer_url"}},
		{"no host", func(o *Options) { o.AuthorizerURL = "http:///auth" }, []string{"authorizer_url"}},
		{"no scheme", func(o *Options) { o.AuthorizerURL = "auth.example/x" }, []string{"authorizer_url"}},
		{"other scheme", func(o *Options) { o.AuthorizerURL = "ftp://auth.example" }, []string{"authorizer_url"}},
		{"unreadable", func(o *Options) { o.AuthorizerURL = "http://a b" }, []string{"authorizer_url"}},
		{"a path with a query", func(o *Options) { o.BroadcastPath = "/broadcast?key=x" }, []string{"broadcast_path"}},
		{"a path for all", func(o *Options) { o.BroadcastPath = "/*" }, []string{"broadcast_path"}},
		{"no time", func(o *Options) { o.AuthorizerTimeout = 0 }, []string{"authorizer_timeout"}},
		{
			"all at once", func(o *Options) { *o = Options{AuthorizerURL: "x", AuthorizerTimeout: -1, BroadcastPath: "b"} },
			[]string{"authorizer_url", "authorizer_timeout", "broadcast_path"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Protocol()
			o := p.Options()
			c.set(o.(*Options))
			err := p.Validate(o)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not name %s", err, part)
				}
			}
		})
	}
	if err := Protocol().Validate("other"); err == nil {
		t.Error("Validate takes options of another type")
	}
}

func TestGoodbye(t *testing.T) {
	for r := range core.NumReasons {
		want := r.CloseCode()
		if r == core.ReasonUnavailable {
			want = 1000
		}
		if code, text := (&Format{}).Goodbye(r); code != want || text != "" {
			t.Errorf("%s: %d %q, want %d", r, code, text, want)
		}
	}
}

func TestProfile(t *testing.T) {
	want := core.Profile{MaxMessage: 33554432, CloseReply: 1000, Subprotocol: true, CORS: true, PlainStatus: 400}
	if got := (&Format{}).Profile(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
