package bridge_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// dialect is how a client of one format speaks at its original server, byte for byte.
type dialect struct {
	protocol string
	begins   func(*process) original
	owns     string // what a bridge has to own there to tell

	greeting   string
	opens      []string // what comes first, of who publishes on down/a
	subscribe  func(topic string) string
	subscribed []string // words of what a bridge says to hear down/a
	publish    func(topic, text string) string
	heard      func(topic, text string) string

	hearsItself bool // a subscriber hears what it says itself
	unordered   bool // the original does not keep the order
	ownersOnly  bool // who does not own up cannot publish on up/b
}

// words fills a topic, or its two parts, and a text into a pattern.
func words(pattern string) func(topic, text string) string {
	return func(topic, text string) string {
		channel, rest, _ := strings.Cut(topic, "/")
		return strings.NewReplacer("CHANNEL", channel, "REST", rest, "TOPIC", topic, "TEXT", text).Replace(pattern)
	}
}

func about(pattern string) func(topic string) string {
	return func(topic string) string { return words(pattern)(topic, "") }
}

var dialects = []dialect{
	{
		protocol: "wubsub", begins: newWubsub, owns: "owns: [up]",
		opens:      []string{`{"type":"register","channel":"down","data":{"name":"down","description":"what is new","pubsub":{"topics":["a","last"]},"restpie":{"methods":["add","never"]}}}`},
		subscribe:  about(`{"type":"ps-sub","channel":"CHANNEL","topic":"REST"}`),
		subscribed: []string{`{"type":"ps-sub","channel":"down","topic":"a"}`},
		publish:    words(`{"type":"ps-pub","channel":"CHANNEL","topic":"REST","data":"TEXT"}`),
		heard:      words(`{"type":"ps-recv","channel":"CHANNEL","topic":"REST","data":"TEXT"}`), hearsItself: true, ownersOnly: true,
	},
	{
		protocol: "wsify", begins: newWsify,
		subscribe:  about(`{"command":"join","args":{"channel":"TOPIC"}}`),
		subscribed: []string{`{"command":"join","args":{"channel":"down/a"}}`},
		publish:    words(`{"command":"broadcast","args":{"channel":"TOPIC","content":"TEXT"}}`),
		heard:      words(`"TEXT"`), hearsItself: true, unordered: true,
	},
	{
		protocol: "stocking", begins: newStocking, greeting: "0",
		subscribe:  about(`6,1,TOPIC`),
		subscribed: []string{`6,1,down/a`},
		publish:    words(`5,TOPIC,TEXT`), heard: words(`5,TOPIC,TEXT`),
	},
	{
		protocol: "vws", begins: newVws,
		subscribe:  about(`{"k":"s","t":"TOPIC","i":1}`),
		subscribed: []string{`"k":"s"`, `"t":"down/a"`},
		publish:    words(`{"t":"TOPIC","d":"TEXT"}`), heard: words(`{"d":"TEXT","t":"TOPIC"}`), hearsItself: true,
	},
	{
		protocol: "webwire", begins: newWebwire, greeting: "\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00",
		subscribed: []string{"$subscribe", "down/a"},
		publish:    webwireSignal, heard: webwireSignal,
	},
}

// hearing is what a client has heard, in order.
type hearing struct {
	mu  sync.Mutex
	all []string
}

func (h *hearing) add(message string) {
	h.mu.Lock()
	h.all = append(h.all, message)
	h.mu.Unlock()
}

func (h *hearing) messages() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// times returns how often a message was heard.
func (h *hearing) times(message string) (n int) {
	for _, one := range h.messages() {
		if one == message {
			n++
		}
	}
	return n
}

// legacy is a client at an original server.
type legacy struct {
	hearing
	t    *testing.T
	conn net.Conn
	op   ws.OpCode
}

// dials connects a client to the original, which must greet it.
func (s *standIn) dials(d dialect) *legacy {
	s.t.Helper()
	conn, early, _, err := ws.Dial(s.t.Context(), s.url())
	if err != nil {
		s.t.Fatal(err)
	}
	l := &legacy{t: s.t, conn: conn, op: ws.OpText}
	if d.protocol == "webwire" {
		l.op = ws.OpBinary
	}
	var from io.Reader = conn
	if early != nil {
		from = early
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			f, err := ws.ReadFrame(from)
			if err != nil || f.Header.OpCode == ws.OpClose {
				return
			}
			if f.Header.OpCode == l.op {
				l.add(string(f.Payload))
			}
		}
	})
	s.t.Cleanup(func() {
		_ = conn.Close()
		reading.Wait()
	})
	if d.greeting != "" {
		coretest.Eventually(s.t, "the old server greets", func() bool { return len(l.messages()) > 0 })
		if got := l.messages()[0]; got != d.greeting {
			s.t.Fatalf("the old server greets with %q", got)
		}
	}
	return l
}

// says sends messages.
func (l *legacy) says(messages ...string) {
	l.t.Helper()
	for _, m := range messages {
		if err := wsutil.WriteClientMessage(l.conn, l.op, []byte(m)); err != nil {
			l.t.Fatal(err)
		}
	}
}

// hears waits for a message.
func (l *legacy) hears(message string) {
	l.t.Helper()
	coretest.Eventually(l.t, fmt.Sprintf("the old server's client hears %q", message), func() bool { return l.times(message) > 0 })
}

// leaves says goodbye, so that the original forgets it.
func (l *legacy) leaves() {
	_ = ws.WriteFrame(l.conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
}

// visitor is a client of the broker; it hears messages as "TOPIC TEXT".
type visitor struct {
	hearing
	*client.Client
	b *broker
}

// visits connects a client that hears everything.
func (b *broker) visits() *visitor {
	b.t.Helper()
	format, err := vws.Protocol().Default()
	if err != nil {
		b.t.Fatal(err)
	}
	v := &visitor{b: b}
	v.Client, err = client.Dial(b.t.Context(), client.Options{URL: b.url, Codec: format.(core.ClientFormat).NewClientCodec, Timeout: coretest.Patience, Heard: func(ev core.Event) {
		if ev.Kind == core.Message {
			v.add(string(ev.Topic) + " " + string(core.AppendText(nil, ev.Payload)))
		}
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		v.Close(ctx)
	})
	if _, err := v.Do(b.t.Context(), core.Command{Verb: core.Subscribe, Topic: []byte("#"), Pattern: true}); err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (v *visitor) says(topic, text string) {
	v.b.t.Helper()
	v.b.say(v.Client, topic, text)
}

// hears waits for a message.
func (v *visitor) hears(topic, text string) {
	v.b.t.Helper()
	coretest.Eventually(v.b.t, fmt.Sprintf("the broker's client hears %q", text), func() bool { return v.times(topic+" "+text) > 0 })
}

// ready reports whether all is well.
func (b *broker) ready() bool { return b.page("/readyz") == "ok\n" }

// meets waits until the bridge hears both its topics at an original.
func (b *broker) meets(s *standIn, d dialect) {
	b.t.Helper()
	coretest.Eventually(b.t, "the bridge is connected", b.ready)
	for _, topic := range []string{"down/a", "up/b"} {
		var all []string
		for _, word := range d.subscribed {
			all = append(all, strings.NewReplacer("down/a", topic, `"down"`, `"`+topic[:strings.IndexByte(topic, '/')]+`"`, `"a"`, `"`+topic[strings.IndexByte(topic, '/')+1:]+`"`).Replace(word))
		}
		s.takesSoon(true, all...)
	}
	if d.owns != "" {
		s.takesSoon(true, `{"type":"register","channel":"up"`)
	}
}

// joinsOriginal runs a broker with a bridge to a stand-in; up/b is both heard and told.
func joinsOriginal(t *testing.T, s *standIn, d dialect, more string) *broker {
	t.Helper()
	return bridged(t, fmt.Sprintf("protocol: %s, url: %q, hear: [down/a, up/b], tell: [up/b], %s", d.protocol, s.url(), strings.Join(slices.DeleteFunc([]string{more, d.owns}, func(one string) bool { return one == "" }), ", ")))
}

// settles subscribes a client of the original to both topics.
func (l *legacy) settles(s *standIn, d dialect) {
	l.t.Helper()
	l.says(d.opens...)
	if d.subscribe != nil {
		l.says(d.subscribe("down/a"), d.subscribe("up/b"))
		s.takesSoon(false, d.subscribe("up/b"))
	}
}

// converse lets a client of the original and one of the broker speak, and everything be heard once.
func converse(t *testing.T, s *standIn, b *broker, d dialect, l *legacy, v *visitor, round int) {
	t.Helper()
	const n = 25
	var downs, ups, backs []string
	for i := range n {
		downs, ups = append(downs, fmt.Sprintf("down %d %d", round, i)), append(ups, fmt.Sprintf("up %d %d", round, i))
		l.says(d.publish("down/a", downs[i]))
		v.says("up/b", ups[i])
		if !d.ownersOnly {
			backs = append(backs, fmt.Sprintf("back %d %d", round, i))
			l.says(d.publish("up/b", backs[i]))
		}
	}
	// What goes round or is said twice is heard between these.
	for lap := range 4 {
		down, up := fmt.Sprintf("down %d lap %d", round, lap), fmt.Sprintf("up %d lap %d", round, lap)
		l.says(d.publish("down/a", down))
		v.hears("down/a", down)
		v.says("up/b", up)
		l.hears(d.heard("up/b", up))
	}
	for _, text := range downs {
		v.hears("down/a", text)
	}
	for _, text := range ups {
		l.hears(d.heard("up/b", text))
	}
	for _, text := range backs {
		v.hears("up/b", text)
	}
	own := 0
	if d.hearsItself {
		own = 1
	}
	for i := range n {
		if k := v.times("down/a " + downs[i]); k != 1 {
			t.Errorf("the broker's client heard %q %d times", downs[i], k)
		}
		if k := v.times("up/b " + ups[i]); k != 1 {
			t.Errorf("the broker's client heard its own %q %d times", ups[i], k)
		}
		if k := l.times(d.heard("up/b", ups[i])); k != 1 {
			t.Errorf("the old server's client heard %q %d times", ups[i], k)
		}
		if d.subscribe != nil || d.hearsItself {
			if k := l.times(d.heard("down/a", downs[i])); k != own {
				t.Errorf("the old server's client heard its own %q %d times", downs[i], k)
			}
		}
	}
	for _, text := range backs {
		if k := v.times("up/b " + text); k != 1 {
			t.Errorf("the broker's client heard %q %d times", text, k)
		}
		if k := l.times(d.heard("up/b", text)); k != own {
			t.Errorf("the old server's client heard its own %q %d times", text, k)
		}
	}
	inOrder(t, "the old server took", s.took(true), ups, func(text string) string { return text })
	if !d.unordered {
		inOrder(t, "the broker's client heard", v.messages(), downs, func(text string) string { return "down/a " + text })
		inOrder(t, "the old server's client heard", l.messages(), ups, func(text string) string { return d.heard("up/b", text) })
	}
}

// inOrder checks that the messages that contain texts are in the order of the texts.
func inOrder(t *testing.T, who string, messages, texts []string, as func(string) string) {
	t.Helper()
	at := -1
	for _, text := range texts {
		next := slices.IndexFunc(messages, func(m string) bool { return containsText(m, as(text)) })
		if next < at {
			t.Fatalf("%s %q out of order", who, text)
		}
		at = next
	}
}

// containsText reports whether a message contains a text that is not the beginning of a longer number.
func containsText(message, text string) bool {
	_, rest, found := strings.Cut(message, text)
	return found && (rest == "" || rest[0] < '0' || rest[0] > '9')
}

// A client of an original server of each format and one of the broker hear each other once; when the original is
// killed, what is said meanwhile is dropped and counted, and when it is there again, all goes on.
func TestOriginals(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.protocol, func(t *testing.T) {
			t.Parallel()
			s := stands(t, d.begins)
			b := joinsOriginal(t, s, d, "")
			v := b.visits()
			for round := range 3 {
				if round > 0 {
					s.start()
				}
				l := s.dials(d)
				l.settles(s, d)
				b.meets(s, d)
				converse(t, s, b, d, l, v, round)
				if s.behaves().traits().pings {
					coretest.Eventually(t, "the bridge answers pings", func() bool {
						pongs, _ := s.pongs()
						return pongs >= 1
					})
				}
				s.kill()
				coretest.Eventually(t, "the bridge notices", func() bool {
					return regexp.MustCompile(`^ok, but for the bridge old: [^\n]+\n$`).MatchString(b.page("/readyz"))
				})
				before := b.dropped(core.ReasonGone)
				const n = 10
				for i := range n {
					text := fmt.Sprintf("lost %d %d", round, i)
					v.says("up/b", text)
					v.hears("up/b", text)
				}
				coretest.Eventually(t, "what is said meanwhile is counted", func() bool { return b.dropped(core.ReasonGone) >= before+n })
				if got := b.dropped(core.ReasonGone); got != before+n {
					t.Errorf("%d messages were dropped, want %d", got-before, n)
				}
			}
			s.start()
			l := s.dials(d)
			l.settles(s, d)
			b.meets(s, d)
			converse(t, s, b, d, l, v, 3)
			for _, message := range s.took(true) {
				if strings.Contains(message, "lost ") {
					t.Errorf("the old server took %q", message)
				}
			}
			// The original of wsify dies of a member that breaks off.
			b.stop()
			coretest.Eventually(t, "the bridge leaves", func() bool {
				_, connections := s.pongs()
				return connections == 1
			})
			if why := s.crashed(); len(why) > 0 {
				t.Errorf("the original died: %v", why)
			}
		})
	}
}

// behaves returns the running process's original.
func (s *standIn) behaves() original {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running.behaves
}

// What programs broadcast by HTTP is heard here once.
func TestOriginalBroadcastsByHTTP(t *testing.T) {
	d := dialects[1]
	s := stands(t, d.begins)
	b := joinsOriginal(t, s, d, "")
	v := b.visits()
	b.meets(s, d)
	post := func(text string) {
		t.Helper()
		response, err := http.Post("http://"+s.address+"/broadcast", "application/json", bytes.NewBufferString(`{"channel":"down/a","content":"`+text+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusCreated {
			t.Fatalf("POST /broadcast: %s", response.Status)
		}
	}
	const n = 20
	for i := range n {
		post(fmt.Sprintf("message %d", i))
	}
	for i := range n {
		v.hears("down/a", fmt.Sprintf("message %d", i))
	}
	post("the end")
	v.hears("down/a", "the end")
	for i := range n {
		if k := v.times(fmt.Sprintf("down/a message %d", i)); k != 1 {
			t.Errorf("heard message %d %d times", i, k)
		}
	}
}

// While a client of the broker publishes without a pause, the original is killed and comes back: nothing is heard
// twice or out of order, and what the original did not take is counted. That of webwire does not answer pings, so
// what was on the way to it when it was killed is not known.
func TestOriginalRestartsMeanwhile(t *testing.T) {
	number := regexp.MustCompile(`no (\d+)\b`)
	for _, d := range dialects {
		t.Run(d.protocol, func(t *testing.T) {
			t.Parallel()
			s := stands(t, d.begins)
			b := joinsOriginal(t, s, d, "")
			v := b.visits()
			b.meets(s, d)
			said := 0
			// burst publishes some messages at once.
			burst := func() {
				for range 20 {
					if err := v.Post(core.Command{Verb: core.Publish, Topic: []byte("up/b"), Payload: core.Payload{Kind: core.Text, Data: fmt.Appendf(nil, "no %d", said)}}, nil); err != nil {
						t.Fatal(err)
					}
					said++
				}
				v.says("up/b", fmt.Sprintf("no %d", said))
				said++
			}
			// says publishes until the running process has taken something of that.
			says := func() {
				from := said
				coretest.Eventually(t, "the old server takes what is said", func() bool {
					burst()
					all := numbers(number, s.took(true))
					return len(all) > 0 && all[len(all)-1] >= from
				})
			}
			says()
			for range 3 {
				restarted := make(chan struct{})
				go func() {
					defer close(restarted)
					s.kill()
					s.start()
				}()
				for running := true; running; {
					burst()
					select {
					case <-restarted:
						running = false
					default:
					}
				}
				says()
			}
			v.says("up/b", "the last one")
			v.hears("up/b", "the last one")
			s.takesSoon(true, "the last one")
			// The bridge hears it in front of this, where it hears itself.
			l := s.dials(d)
			l.says(d.opens...)
			l.says(d.publish("down/a", "the end"))
			v.hears("down/a", "the end")
			taken := numbers(number, s.tookEver(true))
			for i := range len(taken) - 1 {
				if taken[i] >= taken[i+1] {
					t.Fatalf("the old server took %d and then %d", taken[i], taken[i+1])
				}
			}
			dropped := b.dropped(core.ReasonGone)
			t.Logf("of %d messages the old server took %d, and %d were counted", said, len(taken), dropped)
			if d.protocol != "webwire" && len(taken)+dropped < said {
				t.Errorf("of %d messages the old server took %d, but only %d were counted", said, len(taken), dropped)
			}
			own := numbers(number, v.messages())
			if len(own) != said {
				t.Errorf("the broker's client heard %d of %d of its own messages", len(own), said)
			}
			for i, n := range own {
				if n != i {
					t.Fatalf("the broker's client heard its own message %d as number %d", n, i)
				}
			}
		})
	}
}

// numbers returns the numbers of the messages that have one.
func numbers(in *regexp.Regexp, messages []string) (all []int) {
	for _, message := range messages {
		if found := in.FindStringSubmatch(message); found != nil {
			n, _ := strconv.Atoi(found[1])
			all = append(all, n)
		}
	}
	return all
}

// What an original does not take is not said: it would end the connection, with all that is on the way. The
// message is counted, and the next one is heard.
func TestOriginalLimits(t *testing.T) {
	for i, limit := range map[int]int{0: 512, 3: 32768, 4: webwireBuffer} {
		d := dialects[i]
		t.Run(d.protocol, func(t *testing.T) {
			t.Parallel()
			s := stands(t, d.begins)
			b := joinsOriginal(t, s, d, "")
			v := b.visits()
			l := s.dials(d)
			l.settles(s, d)
			b.meets(s, d)
			// The biggest message that there is room for, and one byte more.
			overhead := len(d.publish("up/b", ""))
			if d.protocol == "vws" {
				overhead += len(`,"i":3`) // its acknowledgement, behind those of the subscriptions
			}
			fits, tooBig := strings.Repeat("x", limit-overhead), strings.Repeat("y", limit-overhead+1)
			v.says("up/b", fits)
			l.hears(d.heard("up/b", fits))
			v.says("up/b", tooBig)
			v.says("up/b", "the next one")
			l.hears(d.heard("up/b", "the next one"))
			if n := b.dropped(core.ReasonTooLarge); n != 1 {
				t.Errorf("%d messages were too large", n)
			}
			if n := l.times(d.heard("up/b", tooBig)); n != 0 || !b.ready() || b.logged("the bridge has lost the old server") {
				t.Errorf("the message that is too big was heard %d times, and /readyz says %s", n, b.page("/readyz"))
			}
		})
	}
}

// A bridge publishes what it is to hear, whatever else an original sends it: one of webwire sends what its program
// wants, and one of stocking what anybody says to the number of a connection.
func TestOriginalSaysMore(t *testing.T) {
	for _, d := range []dialect{dialects[2], dialects[4]} {
		t.Run(d.protocol, func(t *testing.T) {
			t.Parallel()
			s := stands(t, d.begins)
			b := joinsOriginal(t, s, d, "")
			v := b.visits()
			b.meets(s, d)
			l := s.dials(d)
			l.says(d.publish("1", "for the first connection"), d.publish("other/c", "for nobody"), d.publish("down/a", "for the bridge"))
			v.hears("down/a", "for the bridge")
			if got := v.messages(); len(got) != 1 {
				t.Errorf("the broker's client heard %q", got)
			}
		})
	}
}
