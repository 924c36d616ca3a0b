package polywire_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/polywire/polywire"
	clients "github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// old is a server of one format in the place of an original one, at a fixed port.
func old(t *testing.T, protocol string, port int) *running {
	t.Helper()
	options := ""
	if protocol == "vws" {
		options = ", options: {allow_send: true}"
	}
	return run(t, fmt.Sprintf("endpoints: [{name: old, protocol: %s, listen: \"127.0.0.1:%d\", path: /ws%s}]", protocol, port, options))
}

// speaks connects a client of a format, and returns what it hears.
func speaks(t *testing.T, protocol, url string) (*clients.Client, <-chan core.Event) {
	t.Helper()
	heard := make(chan core.Event, 10_000)
	c, err := clients.Dial(t.Context(), clients.Options{
		URL: url, Codec: clientOf(t, protocol).NewClientCodec, Timeout: coretest.Patience, FirstPause: time.Millisecond, MaxPause: 20 * time.Millisecond,
		Heard: func(ev core.Event) {
			if ev.Kind == core.Message || ev.Kind == core.Request {
				heard <- ev.Clone()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithDeadline(context.Background(), coretest.Deadline())
		defer cancel()
		c.Close(ctx)
	})
	return c, heard
}

// clientOf returns a format with its client's side.
func clientOf(t *testing.T, protocol string) core.ClientFormat {
	t.Helper()
	for _, p := range polywire.Protocols() {
		if p.Name != protocol {
			continue
		}
		format, err := p.Default()
		if err != nil {
			t.Fatal(err)
		}
		return format.(core.ClientFormat)
	}
	t.Fatalf("no format %q", protocol)
	return nil
}

func textOf(p core.Payload) string { return string(core.AppendText(nil, p)) }

// bridged is a broker that is joined to an old server.
func bridged(t *testing.T, protocol string, port int, more string) *running {
	t.Helper()
	return run(t, fmt.Sprintf(`
endpoints:
  - {name: web, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
bridges:
  - {name: old, protocol: %s, url: "ws://127.0.0.1:%d/ws", %s}
`, protocol, port, more))
}

// joined waits until the bridge is connected.
func (r *running) joined(t *testing.T) {
	t.Helper()
	coretest.Eventually(t, "the bridge is connected", func() bool {
		_, body := get(t, strings.TrimSuffix(r.AdminURL(), "/metrics")+"/readyz")
		return strings.TrimSpace(body) == "ok"
	})
}

// Clients of an old server of each format and those of the broker hear each other, each message once,
// in order, and not what they must not; and they do so again after the old server was away.
func TestBridge(t *testing.T) {
	for _, protocol := range []string{"wubsub", "wsify", "stocking", "vws", "webwire"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			port := coretest.FreePort(t)
			server := old(t, protocol, port)
			owns := ""
			if protocol == "wubsub" {
				owns = ", owns: [chat]"
			}
			b := bridged(t, protocol, port, `hear: [news/today, chat/a, news/other], tell: ["chat/+"]`+owns)
			b.joined(t)
			for round := range 2 {
				if round > 0 {
					if err := server.stop(); err != nil {
						t.Fatal(err)
					}
					server = old(t, protocol, port)
					b.joined(t)
				}
				converseOverBridge(t, protocol, server, b, round)
			}
		})
	}
}

// A bridge speaks the format of a plugin as a built-in one, and goes on when the old server was away.
func TestBridgeByPlugin(t *testing.T) {
	program := filepath.Join(t.TempDir(), "stomp")
	if out, err := exec.Command("go", "build", "-o", program, "./examples/plugins/stomp").CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	port := coretest.FreePort(t)
	plugin := func(mark string) string {
		return fmt.Sprintf("options: {login: me, passcode: secret}, plugin: {command: [%q, %q]}", program, mark)
	}
	stomp := func() *running {
		return run(t, fmt.Sprintf(`
endpoints:
  - {name: old, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: stomp, protocol: stomp, listen: "127.0.0.1:%d", %s}
admin: {listen: "127.0.0.1:0"}
`, port, plugin("the server's")))
	}
	server := stomp()
	b := bridged(t, "stomp", port, plugin("the bridge's")+`, hear: [news/today, chat/a, news/other], tell: ["chat/+"]`)
	b.joined(t)
	converseOverBridge(t, "vws", server, b, 0)
	if err := server.stop(); err != nil {
		t.Fatal(err)
	}
	server = stomp()
	b.joined(t)
	converseOverBridge(t, "vws", server, b, 1)

	connections := func() float64 {
		return server.metric(t, `polywire_connections_opened_total\{endpoint="stomp",protocol="stomp"\}`)
	}
	before := connections()
	killed := 0
	for _, pid := range processes(t, program, "the bridge's") {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed++
	}
	if killed == 0 {
		t.Fatal("no process of the bridge's plugin")
	}
	coretest.Eventually(t, "the bridge connects with another process", func() bool { return connections() > before })
	b.joined(t)
	converseOverBridge(t, "vws", server, b, 2)
}

// A plugin that offers no client's side is no use to a bridge, and that is found in the configuration.
func TestBridgeByPluginThatCannotSpeak(t *testing.T) {
	program := filepath.Join(t.TempDir(), "builtin")
	if out, err := exec.Command("go", "build", "-o", program, "./examples/plugins/builtin").CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	for text, want := range map[string]string{
		fmt.Sprintf("plugin: {command: [%q, echo]}", program):                     "bridges[0].plugin: does not offer the client's side of its format, echo, which a bridge speaks",
		fmt.Sprintf("plugin: {command: [%q, vws]}, options: {lines: 1}", program): "bridges[0].options.lines: unknown key",
		"protocol: vws, options: {allow_send: true}":                              "bridges[0].options: are those of a plugin, and there is none",
		"plugin: {command: [/no/such/program]}":                                   `bridges[0].plugin: there is no program`,
	} {
		yaml := fmt.Sprintf("endpoints: [{name: web, protocol: vws, listen: \"127.0.0.1:0\"}]\nbridges:\n  - {name: old, url: \"ws://127.0.0.1:1/\", hear: [a], %s}\n", text)
		_, err := polywire.Load(config.Source{Text: yaml}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}

func converseOverBridge(t *testing.T, protocol string, server, b *running, round int) {
	t.Helper()
	const n = 50
	there, thereHears := speaks(t, protocol, server.urls["old"].URL)
	here, hereHears := speaks(t, "vws", b.urls["web"].URL)
	if protocol == "wubsub" {
		do(t, there, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("news")})
	}
	do(t, here, core.Command{Verb: core.Subscribe, Topic: []byte("#"), Pattern: true})
	do(t, there, core.Command{Verb: core.Subscribe, Topic: []byte("chat/a")})
	do(t, there, core.Command{Verb: core.Subscribe, Topic: []byte("chat/end")})
	// Until both sides are there: what is said before is heard by nobody.
	coretest.Eventually(t, "both sides hear", func() bool {
		do(t, there, publish("news/today", fmt.Sprintf("probe %d", round)))
		do(t, here, publish("chat/a", fmt.Sprintf("probe %d", round)))
		time.Sleep(5 * time.Millisecond)
		return len(hereHears) > 1 && len(thereHears) > 0 && heardTopic(hereHears, "news/today")
	})
	for i := range n {
		do(t, there, publish("news/today", fmt.Sprintf("down %d", i)))
		do(t, here, publish("chat/a", fmt.Sprintf(`{"b":%d,"a":1.50}`, i)))
	}
	do(t, there, publish("news/today", "the last one"))
	do(t, here, publish("chat/end", "end"))
	down, up := collect(t, hereHears, "the last one"), collect(t, thereHears, "end")
	var downs, ups, own int
	for _, ev := range down {
		switch text := textOf(ev.Payload); {
		case strings.HasPrefix(text, "probe"):
		case strings.HasPrefix(text, "down"):
			if text != fmt.Sprintf("down %d", downs) {
				t.Fatalf("heard %q as number %d", text, downs)
			}
			downs++
		case string(ev.Topic) == "chat/a":
			own++
		}
	}
	for _, ev := range up {
		if text := textOf(ev.Payload); strings.Contains(text, `"b":`) {
			if !strings.Contains(text, fmt.Sprintf(`"b":%d,`, ups)) {
				t.Fatalf("the old server's client heard %q as number %d", text, ups)
			}
			ups++
		}
	}
	// Or else it would own its channel again when the server is back.
	there.Close(t.Context())
	if downs != n || ups != n || own != n {
		t.Errorf("heard %d from the old server, %d of its own, and the old server's client heard %d, want %d each", downs, own, ups, n)
	}
}

func publish(topic, text string) core.Command {
	kind := core.Text
	if strings.HasPrefix(text, "{") {
		kind = core.JSON
	}
	return core.Command{Verb: core.Publish, Topic: []byte(topic), Payload: core.Payload{Kind: kind, Data: []byte(text)}}
}

func do(t *testing.T, c *clients.Client, cmd core.Command) core.Event {
	t.Helper()
	ev, err := c.Do(t.Context(), cmd)
	if err != nil {
		t.Fatalf("%v %q: %v", cmd.Verb, cmd.Topic, err)
	}
	return ev
}

// heardTopic reports whether something on a topic was heard, and forgets all that was heard before.
func heardTopic(heard <-chan core.Event, topic string) bool {
	for {
		select {
		case ev := <-heard:
			if string(ev.Topic) == topic {
				return true
			}
		default:
			return false
		}
	}
}

// collect returns what is heard up to a message on a topic, or with a text.
func collect(t *testing.T, heard <-chan core.Event, end string) (all []core.Event) {
	t.Helper()
	for {
		ev := coretest.Receive(t, "a message", heard)
		if string(ev.Topic) == end || textOf(ev.Payload) == end {
			return all
		}
		all = append(all, ev)
	}
}

// Calls go both ways where the format has words for them, and end when the old server is away.
func TestBridgeCalls(t *testing.T) {
	port := coretest.FreePort(t)
	server := old(t, "wubsub", port)
	b := bridged(t, "wubsub", port, `owns: [here], calls: {to: [there/add], from: [here/echo], timeout: 1m}`)
	b.joined(t)
	there, thereHears := speaks(t, "wubsub", server.urls["old"].URL)
	here, hereHears := speaks(t, "wubsub", b.urls["bots"].URL)
	answer := func(c *clients.Client, heard <-chan core.Event) {
		for ev := range heard {
			reply := core.Command{Verb: core.Reply, Call: ev.Call, Topic: ev.Topic, As: ev.As, Payload: publish("", textOf(ev.Payload)+"!").Payload}
			_, _ = c.Do(context.Background(), reply)
		}
	}
	go answer(there, thereHears)
	go answer(here, hereHears)
	do(t, there, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("there"), Services: [][]byte{[]byte("add")}})
	do(t, here, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("here"), Services: [][]byte{[]byte("echo")}})
	for service, caller := range map[string]*clients.Client{"there/add": here, "here/echo": there} {
		coretest.Eventually(t, service+" is answered", func() bool {
			ev, err := caller.Do(t.Context(), core.Command{Verb: core.Call, Topic: []byte(service), Payload: publish("", "hello").Payload})
			if f, ok := errors.AsType[core.Failure](err); ok && f.Code == core.NoService || strings.Contains(textOf(ev.Payload), "no_service") {
				return false // its owner's registration, which is not answered, has not come yet
			}
			if err != nil || textOf(ev.Payload) != "hello!" {
				t.Fatalf("%s: %+v, %v", service, ev, err)
			}
			return true
		})
	}
	if err := server.stop(); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "nobody answers for the old server", func() bool {
		_, err := here.Do(t.Context(), core.Command{Verb: core.Call, Topic: []byte("there/add")})
		f, ok := errors.AsType[core.Failure](err)
		return ok && f.Code == core.NoService
	})
	if _, body := get(t, strings.TrimSuffix(b.AdminURL(), "/metrics")+"/readyz"); !strings.Contains(body, "ok, but for the bridge old: ") {
		t.Errorf("/readyz says %q", body)
	}
	old(t, "wubsub", port)
	b.joined(t)
}

// A bridge owns a channel of the old server as soon as who had it before has left.
func TestBridgeOwnsLater(t *testing.T) {
	port := coretest.FreePort(t)
	server := old(t, "wubsub", port)
	before, _ := speaks(t, "wubsub", server.urls["old"].URL)
	do(t, before, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("chat")})
	do(t, before, core.Command{Verb: core.Subscribe, Topic: []byte("chat/a")})
	listener, heard := speaks(t, "wubsub", server.urls["old"].URL)
	do(t, listener, core.Command{Verb: core.Subscribe, Topic: []byte("chat/a")})
	coretest.Eventually(t, "the client before owns the channel", func() bool {
		do(t, before, core.Command{Verb: core.Publish, AsOwner: true, Channel: []byte("chat"), Topic: []byte("chat/a"), Payload: publish("", "mine").Payload})
		return heardText(heard, "mine")
	})
	b := bridged(t, "wubsub", port, `owns: [chat], tell: [chat/a]`)
	b.joined(t)
	here, _ := speaks(t, "vws", b.urls["web"].URL)
	coretest.Eventually(t, "the old server refuses", func() bool {
		do(t, here, publish("chat/a", "refused"))
		return b.metric(t, `polywire_messages_dropped_total\{endpoint="old",[^}]*reason="denied"\}`) > 0
	})
	ctx, cancel := context.WithDeadline(t.Context(), coretest.Deadline())
	defer cancel()
	before.Close(ctx)
	coretest.Eventually(t, "the bridge owns the channel", func() bool {
		do(t, here, publish("chat/a", "told"))
		return heardText(heard, "told")
	})
}

// A bridge answers a service of the old server as soon as nobody here owns it any more; what is owned does not keep
// other services away.
func TestBridgeOffersLater(t *testing.T) {
	port := coretest.FreePort(t)
	b := bridged(t, "wubsub", port, `calls: {to: [bots/add, other/add]}`)
	owner, heard := speaks(t, "wubsub", b.urls["bots"].URL)
	do(t, owner, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("bots")})
	do(t, owner, core.Command{Verb: core.Subscribe, Topic: []byte("bots/a")})
	coretest.Eventually(t, "the client owns the channel", func() bool {
		do(t, owner, core.Command{Verb: core.Publish, AsOwner: true, Channel: []byte("bots"), Topic: []byte("bots/a"), Payload: publish("", "mine").Payload})
		return heardText(heard, "mine")
	})
	server := old(t, "wubsub", port)
	server.Otherwise(func(_ context.Context, c core.Invocation) (core.Payload, error) {
		return publish("", "there").Payload, nil
	})
	b.joined(t)
	caller, _ := speaks(t, "wubsub", b.urls["bots"].URL)
	answered := func(service string) func() bool {
		return func() bool {
			ev, err := caller.Do(t.Context(), core.Command{Verb: core.Call, Topic: []byte(service), Payload: publish("", "hello").Payload})
			return err == nil && textOf(ev.Payload) == "there"
		}
	}
	coretest.Eventually(t, "the other service is answered", answered("other/add"))
	if answered("bots/add")() {
		t.Error("the bridge answers in a channel that somebody owns")
	}
	ctx, cancel := context.WithDeadline(t.Context(), coretest.Deadline())
	defer cancel()
	owner.Close(ctx)
	coretest.Eventually(t, "the service is answered", answered("bots/add"))
}

// A bridge that leads to its own broker is refused, and says what is wrong.
func TestBridgeToItself(t *testing.T) {
	port := coretest.FreePort(t)
	b := run(t, fmt.Sprintf(`
endpoints: [{name: web, protocol: vws, listen: "127.0.0.1:%d", options: {allow_send: true}}]
admin: {listen: "127.0.0.1:0"}
bridges: [{name: old, protocol: vws, url: "ws://127.0.0.1:%d/ws", hear: ["#"], tell: ["#"]}]`, port, port))
	coretest.Eventually(t, "the bridge is refused", func() bool {
		_, body := get(t, strings.TrimSuffix(b.AdminURL(), "/metrics")+"/readyz")
		return strings.Contains(body, "but for the bridge old: ") && strings.Contains(body, "508")
	})
}

// What a format has no words for is told when the bridge is made.
func TestBridgeFaults(t *testing.T) {
	for fields, want := range map[string]string{
		`protocol: wsify, hear: ["news/+"]`:                         "hear news/+: the format has no words for a pattern: join each channel by its name",
		`protocol: wsify, calls: {to: [a/b]}`:                       "ask for a/b: the format has no words for call",
		`protocol: vws, calls: {from: [a/b]}`:                       "answer for: the format has no words for offer",
		`protocol: wubsub, calls: {from: [a/b]}`:                    "own the channel of the service",
		`protocol: wubsub, hear: [a/b], tls: {ca: /no/such/ca.pem}`: "reading tls.ca",
	} {
		scheme := "ws"
		if strings.Contains(fields, "tls") {
			scheme = "wss"
		}
		_, err := polywire.New(load(t, fmt.Sprintf(`
endpoints: [{name: web, protocol: vws, listen: "127.0.0.1:0"}]
bridges: [{name: old, url: "%s://127.0.0.1:1/", %s}]`, scheme, fields)), nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `bridge "old"`) {
			t.Errorf("%s: %v", fields, err)
		}
	}
}

// What is said at the old server, on a topic that the bridge both hears and tells, is heard once on each
// side: it is not told back. Broken version: the bridge is not the sender of what it has heard.
func TestNothingGoesBack(t *testing.T) {
	for _, protocol := range []string{"wsify", "stocking", "vws", "webwire"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			port := coretest.FreePort(t)
			server := old(t, protocol, port)
			b := bridged(t, protocol, port, `hear: [chat/a], tell: ["chat/+"]`)
			b.joined(t)
			sender, _ := speaks(t, protocol, server.urls["old"].URL)
			there, thereHears := speaks(t, protocol, server.urls["old"].URL)
			here, hereHears := speaks(t, "vws", b.urls["web"].URL)
			do(t, there, core.Command{Verb: core.Subscribe, Topic: []byte("chat/a")})
			do(t, here, core.Command{Verb: core.Subscribe, Topic: []byte("chat/a"), Pattern: true})
			coretest.Eventually(t, "both sides hear", func() bool {
				do(t, sender, publish("chat/a", "probe"))
				time.Sleep(5 * time.Millisecond)
				return len(hereHears) > 0 && len(thereHears) > 0
			})
			const n = 20
			for i := range n {
				do(t, sender, publish("chat/a", fmt.Sprintf("no %d", i)))
			}
			do(t, sender, publish("chat/a", "last"))
			down := collect(t, hereHears, "last")
			// What the bridge has told before this comes before it.
			do(t, here, publish("chat/a", "end"))
			for side, heard := range map[string][]core.Event{"here": down, "there": collect(t, thereHears, "end")} {
				seen := make(map[string]int)
				for _, ev := range heard {
					seen[textOf(ev.Payload)]++
				}
				for i := range n {
					if times := seen[fmt.Sprintf("no %d", i)]; times != 1 {
						t.Errorf("message %d was heard %d times %s", i, times, side)
					}
				}
			}
		})
	}
}

// A channel of wubsub may have slashes: what is told there is published by the owner of the whole name.
// What cannot be told is counted, and a bridge that a reload takes away is gone, others are not touched.
func TestBridgesComeAndGo(t *testing.T) {
	ports := []int{coretest.FreePort(t), coretest.FreePort(t)}
	servers := []*running{old(t, "wubsub", ports[0]), old(t, "wubsub", ports[1])}
	text := func(bridges ...int) string {
		lines := "endpoints: [{name: web, protocol: vws, listen: \"127.0.0.1:0\", options: {allow_send: true}}]\nadmin: {listen: \"127.0.0.1:0\"}\nbridges:\n"
		for _, i := range bridges {
			lines += fmt.Sprintf("  - {name: b%d, protocol: wubsub, url: \"ws://127.0.0.1:%d/ws\", owns: [a/b], tell: [\"a/b/#\", only/%[1]d]}\n", i, ports[i])
		}
		return lines
	}
	b := run(t, text(0, 1))
	b.joined(t)
	here, _ := speaks(t, "vws", b.urls["web"].URL)
	hearers := make([]<-chan core.Event, len(servers))
	for i, server := range servers {
		var c *clients.Client
		c, hearers[i] = speaks(t, "wubsub", server.urls["old"].URL)
		do(t, c, core.Command{Verb: core.Subscribe, Topic: []byte("a/b/c"), As: uint32(len("a/b"))})
		coretest.Eventually(t, "it is heard at the old server", func() bool {
			do(t, here, publish("a/b/c", "x"))
			time.Sleep(5 * time.Millisecond)
			return len(hearers[i]) > 0
		})
	}
	topics := func() float64 { return b.metric(t, "polywire_topics") }
	if n := topics(); n != 3 {
		t.Errorf("%v topics and patterns are told, want 3", n)
	}
	if _, err := b.Reload(load(t, text(1))); err != nil {
		t.Fatal(err)
	}
	series := func(name, bridge, more string) string {
		return `polywire_` + name + `\{endpoint="` + bridge + `",protocol="wubsub"` + more + `\}`
	}
	coretest.Eventually(t, "nobody hears for the bridge that is gone", func() bool { return topics() == 2 })
	coretest.Eventually(t, "the other one goes on", func() bool {
		do(t, here, publish("a/b/c", "y"))
		time.Sleep(5 * time.Millisecond)
		select {
		case ev := <-hearers[1]:
			return textOf(ev.Payload) == "y"
		default:
			return false
		}
	})
	if n := b.metric(t, series("connections_opened_total", "b1", "")); n != 1 {
		t.Errorf("the bridge that stays was opened %v times", n)
	}
	if err := servers[1].stop(); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "what cannot be told is counted", func() bool {
		do(t, here, publish("a/b/c", "z"))
		return b.metric(t, series("messages_dropped_total", "b1", `,reason="gone"`)) > 0
	})
}
