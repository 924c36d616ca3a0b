package shadow

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/relay"
)

// made are ids as wubsub has them.
type made struct{}

func (made) Dissect(bool, core.Frame) core.Dissection { return core.Dissection{Made: []string{"id"}} }

// trial is a comparer whose time is the test's.
type trial struct {
	*comparer
	t    *testing.T
	out  bytes.Buffer
	told chan string // what the shadow was told, for each connection after its head
	at   time.Time
}

func try(t *testing.T, change func(*Options)) *trial {
	x := &trial{t: t, told: make(chan string, 1000), at: time.Now()}
	o := Options{
		Window: time.Hour, Lag: 10 * time.Minute, Out: &x.out, Endpoint: "e", Path: "/", Dissector: made{},
		New: func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go x.listen(theirs)
			return ours, nil
		},
	}
	if change != nil {
		change(&o)
	}
	x.comparer = newComparer(&Shadow{o: o.complete()}, relay.NewQueue(1<<20))
	t.Cleanup(func() {
		x.end()
		x.twins.Wait()
	})
	return x
}

// listen is the shadow's side of a connection.
func (x *trial) listen(conn net.Conn) {
	head := make([]byte, 4<<10)
	n, _ := conn.Read(head)
	if !strings.HasPrefix(string(head[:n]), "GET / HTTP/1.1\r\n") {
		x.told <- "another head: " + string(head[:n])
	}
	for {
		f, err := ws.ReadFrame(conn)
		if err != nil {
			return
		}
		x.told <- string(ws.UnmaskFrameInPlace(f).Payload)
	}
}

const upgrade, switching = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"

// connect opens a connection that both servers let in.
func (x *trial) connect() *pair {
	p := x.connects(switching)
	x.shadowSays(p, []byte(switching))
	return p
}

func (x *trial) connects(answer string) *pair {
	of := &relay.Connection{}
	x.piece(&relay.Piece{Of: of, Kind: relay.FromClient, Data: []byte(upgrade)})
	x.piece(&relay.Piece{Of: of, Kind: relay.FromServer, Data: []byte(answer)})
	return of.State.(*pair)
}

func (x *trial) shadowSays(p *pair, data []byte) {
	x.t.Helper()
	if p.twin == nil {
		x.t.Fatal("it has no twin")
	}
	x.fromShadow(p.twin, &relay.Piece{Of: p.twin.of, Kind: relay.FromServer, Data: data})
	x.flushAll()
}

func frame(text string) ws.Frame {
	if code, ok := strings.CutPrefix(text, "close "); ok {
		var n ws.StatusCode
		_, _ = fmt.Sscan(code, &n)
		return ws.NewCloseFrame(ws.NewCloseFrameBody(n, ""))
	}
	return ws.NewTextFrame([]byte(text))
}

// says lets the client, the old server and the shadow say something.
func (x *trial) client(p *pair, text string) {
	x.piece(&relay.Piece{Of: p.of, Kind: relay.FromClient, Data: ws.MustCompileFrame(ws.MaskFrame(frame(text)))})
}

func (x *trial) old(p *pair, text string) {
	x.piece(&relay.Piece{Of: p.of, Kind: relay.FromServer, Data: ws.MustCompileFrame(frame(text))})
}

func (x *trial) fresh(p *pair, text string) {
	x.t.Helper()
	x.shadowSays(p, ws.MustCompileFrame(frame(text)))
}

// later lets a time pass.
func (x *trial) later(d time.Duration) {
	x.at = x.at.Add(d)
	x.settle(x.at)
}

// finds checks the differences after all time has passed.
func (x *trial) finds(want map[Kind]int, texts ...string) {
	x.t.Helper()
	for range 5 {
		x.later(x.o.Window)
	}
	var all [kinds]int
	for kind, n := range want {
		all[kind] = n
	}
	if x.seen.Differences != all {
		x.t.Errorf("%v, want %v\n%s", x.seen.Differences, all, x.out.String())
	}
	for _, text := range texts {
		if !strings.Contains(x.out.String(), text) {
			x.t.Errorf("no sample holds %q\n%s", text, x.out.String())
		}
	}
}

// givesBack checks that the whole budget is free when everything was written.
func (x *trial) givesBack() {
	x.t.Helper()
	coretest.Eventually(x.t, "the budget is given back", func() bool { return x.budget.left.Load() == int64(x.o.TotalBytes) })
}

const uuid1, uuid2, uuid3 = "550e8400-e29b-41d4-a716-446655440001", "650e8400-e29b-41d4-a716-446655440002", "750e8400-e29b-41d4-a716-446655440003"

// What is compared, and what is found.
func TestKinds(t *testing.T) {
	for name, test := range map[string]struct {
		say   func(*trial, *pair)
		want  map[Kind]int
		texts []string
	}{
		"equal": {say: func(x *trial, p *pair) {
			x.old(p, `{"b":1, "a":"<1.50"}`)
			x.fresh(p, `{"a":"\u003c1.50","b":1}`)
		}},
		"another order": {say: func(x *trial, p *pair) {
			x.old(p, "a")
			x.old(p, "b")
			x.fresh(p, "b")
			x.fresh(p, "a")
		}},
		"in time": {say: func(x *trial, p *pair) {
			x.old(p, "a")
			x.later(x.o.Window / 2)
			x.fresh(p, "a")
		}},
		"missing": {
			say:  func(x *trial, p *pair) { x.old(p, "a") },
			want: map[Kind]int{Missing: 1}, texts: []string{"MISSING: c1, seen at ", "only the old server: <= a\n"},
		},
		"once and twice": {
			say: func(x *trial, p *pair) {
				x.old(p, "a")
				x.fresh(p, "a")
				x.fresh(p, "a")
			},
			want: map[Kind]int{Extra: 1}, texts: []string{"only the broker: <= a\n"},
		},
		"too late": {
			say: func(x *trial, p *pair) {
				x.old(p, "a")
				x.later(x.o.Window + time.Minute)
				x.fresh(p, "a")
			},
			want: map[Kind]int{Missing: 1, Extra: 1},
		},
		"different": {
			say: func(x *trial, p *pair) {
				x.old(p, `{"type":"x","topic":"t","data":1}`)
				x.old(p, `{"type":"y","topic":"u","data":2}`)
				x.fresh(p, `{"type":"y","topic":"u","data":3}`)
				x.fresh(p, `{"type":"x","topic":"t","data":4}`)
			},
			want: map[Kind]int{Different: 2}, texts: []string{"the old server: < {\"type\":\"x\",\"topic\":\"t\",\"data\":1}\n#    the broker:     < {\"type\":\"x\",\"topic\":\"t\",\"data\":4}\n"},
		},
		"a number": {
			say: func(x *trial, p *pair) {
				x.old(p, `{"n":9007199254740992,"o":1.0}`)
				x.fresh(p, `{"n":9007199254740993,"o":1}`)
			},
			want: map[Kind]int{Different: 1},
		},
		"text and binary": {
			say: func(x *trial, p *pair) {
				x.old(p, "a")
				x.shadowSays(p, ws.MustCompileFrame(ws.NewBinaryFrame([]byte("a"))))
			},
			want: map[Kind]int{Missing: 1, Extra: 1},
		},
		"times": {say: func(x *trial, p *pair) {
			x.old(p, fmt.Sprintf(`{"t":"2026-01-01T00:00:00Z","n":%d}`, time.Now().UnixMilli()))
			x.fresh(p, fmt.Sprintf(`{"t":"2026-01-01T00:00:09.5Z","n":%d}`, time.Now().UnixMilli()+77))
		}},
		"ids": {say: func(x *trial, p *pair) {
			x.old(p, `{"id":"one"}`)
			x.fresh(p, `{"id":"eins"}`)
			x.old(p, "about "+uuid1)
			x.fresh(p, "about "+uuid2)
			x.old(p, `{"id":"one","to":"`+uuid1+`"}`)
			x.fresh(p, `{"id":"eins","to":"`+strings.ToUpper(uuid2)+`"}`)
		}},
		"ids that do not fit": {
			say: func(x *trial, p *pair) {
				x.old(p, "about "+uuid1)
				x.fresh(p, "about "+uuid2)
				x.old(p, "about "+uuid1)
				x.fresh(p, "about "+uuid3)
			},
			want: map[Kind]int{Missing: 1, Extra: 1},
		},
		"an id of the client": {
			say: func(x *trial, p *pair) {
				x.client(p, uuid1)
				x.old(p, "about "+uuid1)
				x.fresh(p, "about "+uuid2)
			},
			want: map[Kind]int{Missing: 1, Extra: 1},
		},
		"close codes": {
			say: func(x *trial, p *pair) {
				x.old(p, "close 1000")
				x.fresh(p, "close 1001")
			},
			want: map[Kind]int{Closed: 1}, texts: []string{"the old server: <close 1000\n#    the broker:     <close 1001\n"},
		},
		"the same close": {say: func(x *trial, p *pair) {
			x.old(p, "a")
			x.old(p, "close 1008")
			x.fresh(p, "a")
			x.fresh(p, "close 1008")
			x.client(p, "close 1008")
		}},
		"one closes": {
			say: func(x *trial, p *pair) {
				x.fresh(p, "close 1009")
				x.old(p, "this cannot be compared")
			},
			want: map[Kind]int{Closed: 1}, texts: []string{"the broker: <close 1009\n#    the old server has not ended the connection\n"},
		},
		"end and close": {
			say: func(x *trial, p *pair) {
				x.piece(&relay.Piece{Of: p.of, Kind: relay.ServerEnd})
				x.fresh(p, "close 1000")
			},
			want: map[Kind]int{Closed: 1}, texts: []string{"<end, without a close frame"},
		},
		"close after the client's": {
			say: func(x *trial, p *pair) {
				x.client(p, "close 1000")
				x.old(p, "close 1000")
				x.fresh(p, "close 1002")
			},
			want: map[Kind]int{Closed: 1},
		},
		"who leaves misses things": {say: func(x *trial, p *pair) {
			x.old(p, "a")
			x.client(p, "close 1000")
			x.old(p, "close 1000")
			x.fresh(p, "close 1000")
		}},
		"an unknown id": {
			say: func(x *trial, p *pair) {
				x.old(p, `{"id":"one"}`)
				x.client(p, `{"id":"one"}`)
				if len(p.held) != 1 {
					x.t.Error("it does not wait for the id")
				}
				p.held[0].at = p.held[0].at.Add(-x.o.Window)
				x.order.lag = 0
				x.flushAll()
				if got := <-x.told; got != `{"id":"one"}` {
					x.t.Errorf("the shadow was told %q", got)
				}
			},
			want: map[Kind]int{Missing: 1, UnknownID: 1}, texts: []string{"UNKNOWN ID: c1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := try(t, nil)
			test.say(x, x.connect())
			x.finds(test.want, test.texts...)
			if err := x.seen.err(); errors.Is(err, ErrDifferent) != (len(test.want) > 0) || errors.Is(err, ErrNotCompared) {
				t.Error(err)
			}
			x.givesBack()
		})
	}
}

// Answers to upgrades are compared.
func TestUpgrades(t *testing.T) {
	const forbidden = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
	chosen := strings.Replace(switching, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: p\r\n\r\n", 1)
	for name, test := range map[string]struct {
		old, fresh string
		differs    bool
	}{
		"both refuse":      {forbidden, forbidden, false},
		"the old refuses":  {forbidden, switching, true},
		"the shadow does":  {switching, forbidden, true},
		"another protocol": {switching, chosen, true},
		"the same one":     {chosen, chosen, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := try(t, nil)
			p := x.connects(test.old)
			x.shadowSays(p, []byte(test.fresh))
			want := map[Kind]int{}
			if test.differs {
				want[Upgrade] = 1
			}
			x.finds(want)
		})
	}
}

// What a client says waits for what the old server had said before, to whatever client.
func TestOrder(t *testing.T) {
	x := try(t, nil)
	a, b := x.connect(), x.connect()
	x.client(a, "subscribe")
	if got := coretest.Receive(t, "what the shadow is told", x.told); got != "subscribe" {
		t.Fatalf("the shadow was told %q", got)
	}
	x.old(a, "subscribed")
	x.client(b, "publish")
	if len(b.held) != 1 {
		t.Fatal("the publish does not wait")
	}
	x.client(a, "so does this")
	x.fresh(a, "subscribed")
	if len(b.held)+len(a.held) != 0 {
		t.Error("it waits for nothing")
	}
	x.old(a, "never equal")
	x.client(b, "at last")
	x.order.lag = 0
	x.flushAll()
	if len(b.held) != 0 {
		t.Error("it waits for ever")
	}
}

// An id of the old server is the shadow's where the client repeats it, on whatever connection.
func TestTranslation(t *testing.T) {
	x := try(t, nil)
	a, b := x.connect(), x.connect()
	x.old(a, `{"id":"one","more":"`+uuid1+`"}`)
	x.fresh(a, `{"id":"eins","more":"`+uuid2+`"}`)
	for said, want := range map[string]string{
		`{"x":1,"id": "one"}`:                                 `{"x":1,"id":"eins"}`,
		`{"id":1,"x":"one"}`:                                  `{"id":1,"x":"one"}`,
		`about ` + uuid1 + `, one`:                            `about ` + uuid2 + `, one`,
		`{"id":"{` + uuid1 + `}"}`:                            `{"id":"{` + uuid2 + `}"}`,
		`{"a/` + uuid1 + `":true}`:                            `{"a/` + uuid2 + `":true}`,
		`{"x":"` + uuid3 + `", "y":0}`:                        `{"x":"` + uuid3 + `", "y":0}`,
		`{"id":"` + strings.ReplaceAll(uuid1, "-", "") + `"}`: `{"id":"` + uuid2 + `"}`,
	} {
		x.client(b, said)
		if got := coretest.Receive(t, "what the shadow is told", x.told); got != want {
			t.Errorf("%s: the shadow was told %s, want %s", said, got, want)
		}
	}
	x.finds(nil)
}

// What does not fit is counted, and what was taken of the budget is given back.
func TestTooMuch(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, say := range map[string]func(*trial, *pair){
		"to be told": func(x *trial, p *pair) {
			x.old(p, "first")
			for range 20 {
				x.client(p, long)
			}
		},
		"to be compared": func(x *trial, p *pair) {
			for range 20 {
				x.old(p, long)
			}
		},
	} {
		for bound, change := range map[string]func(*Options){
			"of a connection": func(o *Options) { o.ConnectionBytes = 10_000 },
			"of all":          func(o *Options) { o.TotalBytes = 10_000 },
		} {
			t.Run(name+" "+bound, func(t *testing.T) {
				x := try(t, change)
				p := x.connect()
				say(x, p)
				if x.seen.NotCompared[TooMuch] != 1 || !p.off {
					t.Errorf("%+v", x.seen)
				}
				x.piece(&relay.Piece{Of: p.of, Kind: relay.ClientReset})
				x.finds(nil)
				if len(x.pairs) > 0 {
					t.Errorf("%d connections are left", len(x.pairs))
				}
				x.givesBack()
				if err := x.seen.err(); !errors.Is(err, ErrNotCompared) {
					t.Error(err)
				}
			})
		}
	}
}

// There are as many samples as are asked for, and none holds a credential.
func TestSamples(t *testing.T) {
	const secret = "s3cr3t-Value/xyz"
	x := try(t, func(o *Options) { o.Samples = 3 })
	p := x.connect()
	x.client(p, `{"auth":{"x":"`+secret+`"}}`)
	x.old(p, `{"echo":"`+secret+`"}`)
	x.old(p, "as "+secret+" said")
	x.old(p, `{"password":"another-`+secret+`"}`)
	x.fresh(p, `{"token":"the-shadows-`+secret+`"}`)
	x.old(p, strings.Repeat("long ", 10_000))
	x.old(p, "the last")
	x.finds(map[Kind]int{Missing: 5, Extra: 1}, "MISSING", "c1 > {", "These are enough samples")
	text := x.out.String()
	if strings.Contains(text, "s3cr3t") || strings.Contains(text, "xyz") || strings.Count(text, "seen at") != 3 || len(text) > 20_000 {
		t.Errorf("%s", text)
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "# ") {
			t.Errorf("no comment: %q", line)
		}
	}
}

// A sample has what was said before its difference, and not what was said while that waited for its equal; and
// nothing, if that is too long ago.
func TestSamplesInContext(t *testing.T) {
	for later, shown := range map[int]bool{40: true, 100: false} {
		x := try(t, nil)
		p := x.connect()
		for i := range 10 {
			x.client(p, fmt.Sprintf("before %d", i))
		}
		x.old(p, "alone")
		for i := range later {
			x.old(p, fmt.Sprintf("later %d", i))
			x.fresh(p, fmt.Sprintf("later %d", i))
		}
		x.finds(map[Kind]int{Missing: 1})
		var want []string
		if shown {
			for i := 3; i < 10; i++ {
				want = append(want, fmt.Sprintf("# c1 > before %d", i))
			}
			want = append(want, "# c1 <= alone")
		}
		var got []string
		for line := range strings.Lines(x.out.String()) {
			if strings.HasPrefix(line, "# c1") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d later:\n%s", later, x.out.String())
		}
	}
}

// The oldest ids are forgotten first.
func TestIDs(t *testing.T) {
	x := newIDs(3)
	for i := range 100 {
		old, fresh := fmt.Sprintf("old%d", i), fmt.Sprintf("new%d", i)
		x.made([]string{old})
		if _, known := x.said(old); known {
			t.Fatal("it is known already")
		}
		x.join([]string{old}, []string{fresh})
		if got, known := x.said(old); !known || got != fresh {
			t.Fatalf("%q, %v", got, known)
		}
		if len(x.news) > 3 || len(x.olds) > 3 || len(x.order) > 8 {
			t.Fatalf("%d, %d, %d", len(x.news), len(x.olds), len(x.order))
		}
	}
	if got, known := x.said("old97"); !known || got != "new97" {
		t.Errorf("%q, %v", got, known)
	}
	if got, known := x.said("old1"); !known || got != "old1" {
		t.Errorf("%q, %v", got, known)
	}
}

// The shadow is asked what the old server was asked, but for what belongs to the connection.
func TestRequestHead(t *testing.T) {
	q, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /a%20b?key=1 HTTP/1.1\r\nHost: old:9190\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: k\r\nSec-WebSocket-Protocol: p\r\nSec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://old:9190\r\nX-Forwarded-For: 10.0.0.1\r\nCookie: a=b\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := "GET /a%20b?key=1 HTTP/1.1\r\nHost: old:9190\r\nCookie: a=b\r\nOrigin: http://old:9190\r\nSec-Websocket-Key: k\r\nSec-Websocket-Protocol: p\r\n" +
		"X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nUpgrade: websocket\r\n\r\n"
	if got := string(requestHead(q, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 5}, "Upgrade: websocket\r\n")); got != want {
		t.Errorf("%q", got)
	}
}

// When a comparison ends, what has waited too long is not looked at any more, and its connections are said
// not to be compared.
func TestEndsInTime(t *testing.T) {
	for name, c := range map[string]struct {
		farewell time.Duration
		behind   int
		equal    int
	}{"late": {1, 2, 0}, "in time": {time.Hour, 0, 1}} {
		t.Run(name, func(t *testing.T) {
			x := try(t, func(o *Options) { o.Farewell = c.farewell })
			p := x.connect()
			text := ws.MustCompileFrame(frame("m"))
			x.queue.Add(p.twin.of, relay.FromServer, text)
			x.queue.Add(p.of, relay.FromServer, text)
			x.queue.Add(p.of, relay.FromServer, text)
			x.queue.Add(&relay.Connection{}, relay.FromClient, []byte(upgrade))
			stop := make(chan struct{})
			close(stop)
			x.stopped = time.Now().Add(-time.Second)
			_ = x.run(stop)
			if got := x.seen.NotCompared[Behind]; got != c.behind || x.seen.Equal != c.equal {
				t.Errorf("%d connections not compared and %d messages equal, want %d and %d", got, x.seen.Equal, c.behind, c.equal)
			}
		})
	}
}
