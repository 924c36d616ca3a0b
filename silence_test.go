package polywire_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

const silent = `
endpoints:
  - {name: web, protocol: vws, listen: "127.0.0.1:0", max_message_size: 64KiB, options: {allow_send: true, max_event_size: 1024}}
  - {name: mute, protocol: vws, listen: "127.0.0.1:0"}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: games, protocol: stocking, listen: "127.0.0.1:0"}
  - {name: rooms, protocol: stocking, listen: "127.0.0.1:0", topic_prefix: in/}
  - {name: mobile, protocol: webwire, listen: "127.0.0.1:0"}
  - {name: slow, protocol: wsify, listen: "127.0.0.1:0", outbound_limit: 64KiB, slow_consumer: drop_newest}
  - name: guarded
    protocol: vws
    listen: "127.0.0.1:0"
    origins: ["https://good.example"]
    auth: [{type: token, tokens: [{token: s3cret, subject: ann}]}]
    acl: {publish: ["#"], subscribe: {allow: ["#"], deny: ["secret/#"]}}
network: {send_buffer: 64KiB}
admin: {listen: "127.0.0.1:0"}
`

// silence asks the admin API why somebody hears nothing.
type silence struct{ *running }

// id returns the number of a client's connection.
func (s silence) id(t *testing.T, c *client) uint64 {
	t.Helper()
	var list polywire.ConnectionList
	coretest.Eventually(t, "the client is listed", func() bool {
		s.v1(t, "GET", "connections?address="+c.conn.LocalAddr().String(), &list)
		return list.Total == 1
	})
	return list.Connections[0].ID
}

// doctor fails the test unless the doctor says a cause, and returns what it says.
func (s silence) doctor(t *testing.T, query, cause string) (d polywire.Diagnosis) {
	t.Helper()
	if status := s.v1(t, "GET", "doctor?"+query, &d); status != http.StatusOK {
		t.Fatalf("%s: %d", query, status)
	}
	if d.Healthy || !strings.Contains(d.Cause, cause) {
		t.Errorf("%s: the cause is %q, want %q\n%+v", query, d.Cause, cause, d)
	}
	return d
}

func (s silence) trace(t *testing.T, query string) (a polywire.MessageTrace) {
	t.Helper()
	if status := s.v1(t, "GET", "trace?"+query, &a); status != http.StatusOK {
		t.Fatalf("%s: %d", query, status)
	}
	return a
}

// of returns a query about a connection.
func of(id uint64, topic string) string {
	return fmt.Sprintf("connection=%d&topic=%s", id, url.QueryEscape(topic))
}

// problem returns what a publisher has been told at a step; "" if that is no problem.
func problem(all []polywire.Step, step string) string {
	for _, one := range all {
		if one.Step == step && one.Result == "problem" {
			return one.Text
		}
	}
	return ""
}

// dialFrom dials from an address of this machine, with header fields.
func dialFrom(t *testing.T, address, url string, header http.Header) (*client, error) {
	t.Helper()
	d := ws.Dialer{
		NetDial: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext,
		Header:  ws.HandshakeHeaderHTTP(header), Timeout: patience,
	}
	conn, early, _, err := d.Dial(t.Context(), url)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t: t, conn: conn, rw: conn}
	if early != nil {
		c.rw = bufio.NewReadWriter(early, bufio.NewWriterSize(conn, 0))
	}
	return c, conn.SetDeadline(time.Now().Add(patience))
}

// Why a client hears nothing, trace and doctor say, and the log has a line where something was refused.
func TestCausesOfSilence(t *testing.T) {
	log, lines := newLog(slog.LevelInfo)
	s := silence{runLogged(t, silent, log)}
	var logged []string // what a line of the log must have, in their order

	t.Run("never subscribed", func(t *testing.T) {
		c := dial(t, s.urls["web"].URL)
		s.doctor(t, of(s.id(t, c), "never/one"), "subscription: it has never subscribed")
		if a := s.trace(t, "endpoint=web&topic=never/one"); !a.May || a.Hears != 0 || len(a.Near) > 0 {
			t.Errorf("%+v", a)
		}
		c.send(`{"k":"s","t":"other"}`)
		c.ping()
		s.doctor(t, of(s.id(t, c), "never/one"), "subscription: it has not subscribed to never/one, but to other")
	})
	t.Run("another name", func(t *testing.T) {
		c := dial(t, s.urls["web"].URL)
		id := s.id(t, c)
		for _, one := range []struct{ name, topic, how, text string }{
			{"News/Today", "news/today", "case", "case"},
			{"slash/today/", "slash/today", "slash", "slash"},
			{"sep.today", "sep/today", "separator", "separated"},
			{"level/today/sports", "level/today", "level", "a level more"},
			{"above/today", "above/today/sports", "level", "a level less"},
			{"spelled/tody", "spelled/today", "spelling", "spelled"},
			{"none/#", "none", "level", "not for none"},
			{"plus/+", "plus/a/b", "level", "exactly one level"},
			{"mid/#/b", "mid/a/b", "wildcard", "only at the end"},
			{"star/*", "star/a", "wildcard", "* is no wildcard"},
			{"Pattern/+", "pattern/a", "case", "case"},
			{"patern/+", "pattern/a", "spelling", "spelled"},
		} {
			c.send(fmt.Sprintf(`{"k":"s","t":%q}`, one.name))
			c.ping()
			s.doctor(t, of(id, one.topic), "subscription: it has subscribed to "+one.name+", not to "+one.topic)
			a := s.trace(t, "endpoint=web&topic="+url.QueryEscape(one.topic))
			name := one.name
			if core.MatchesNothing(name) {
				name = "#/" // all of these are one
			}
			if len(a.Near) != 1 || a.Near[0].Subscription != name || a.Near[0].How != one.how || !strings.Contains(a.Near[0].Text, one.text) || a.Near[0].Clients != 1 || a.Hears != 0 {
				t.Errorf("%s: %+v", one.topic, a)
			}
			c.send(fmt.Sprintf(`{"k":"u","t":%q}`, one.name))
			c.ping()
		}
	})
	t.Run("a pattern that is none", func(t *testing.T) {
		c := dial(t, s.urls["bots"].URL)
		c.send(`{"type":"ps-sub","channel":"literal","topic":"#"}`)
		c.ping()
		if a := s.trace(t, "endpoint=web&topic=literal/x"); len(a.Near) != 1 || a.Near[0].How != "wildcard" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("prefix", func(t *testing.T) {
		c := dial(t, s.urls["rooms"].URL)
		c.send("6,1,hall")
		c.ping()
		a := s.trace(t, "endpoint=web&topic=hall")
		if a.Hears != 0 || len(a.Near) != 1 || a.Near[0].How != "prefix" || a.Near[0].Endpoint != "rooms" || a.Near[0].Subscription != "hall" {
			t.Errorf("%+v", a)
		}
		if a := s.trace(t, "endpoint=rooms&topic=hall"); a.Hears != 1 || a.Whole != "in/hall" {
			t.Errorf("%+v", a)
		}
		if a := s.trace(t, "endpoint=web&topic=in/hall"); a.Hears != 1 || len(a.Near) != 0 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("acl", func(t *testing.T) {
		c, err := dialFrom(t, "127.0.0.1", s.urls["guarded"].URL, http.Header{"Authorization": {"Bearer s3cret"}})
		if err != nil {
			t.Fatal(err)
		}
		c.send(`{"k":"s","t":"secret/x","i":1}`)
		c.ping()
		id := s.id(t, c)
		s.doctor(t, of(id, "secret/x"), "acl: subscribe secret/x was refused")
		s.doctor(t, of(id, "secret/y"), "acl: the access list does not let it subscribe to secret/y")
		a := s.trace(t, "endpoint=web&topic=secret/x")
		if a.Missing != 1 || len(a.Silent) != 1 || a.Silent[0].Cause != "denied" || a.Silent[0].Connection.ID != id {
			t.Errorf("%+v", a)
		}
		logged = append(logged, `level=INFO msg="message refused" endpoint=guarded reason=denied`)
	})
	t.Run("the format", func(t *testing.T) {
		c := dial(t, s.urls["web"].URL)
		c.send(`{"k":"s","t":"format/x"}`)
		c.ping()
		a := s.trace(t, "endpoint=web&topic=format/x&kind=binary&size=100")
		if a.Hears != 1 || len(a.Audiences) != 1 || !strings.Contains(a.Audiences[0].Changed, "base64") || a.Audiences[0].Bytes < 100 {
			t.Errorf("%+v", a)
		}
		if a.Audiences[0].Note != "" {
			t.Errorf("%+v", a)
		}
		a = s.trace(t, "endpoint=bots&topic=format/x&size=2000")
		if a.Hears != 0 || a.Missing != 1 || len(a.Silent) != 1 || a.Silent[0].Cause != "unwritable" || !strings.Contains(a.Silent[0].Text, "max_event_size") {
			t.Errorf("%+v", a)
		}
		if err := s.Publish("bots", "format/x", core.Payload{Kind: core.Text, Data: bytes.Repeat([]byte("x"), 2000)}); err != nil {
			t.Fatal(err)
		}
		c.ping()
		s.doctor(t, of(s.id(t, c), "format/x"), "format: its format could not carry a message")
		logged = append(logged, `level=WARN msg="dropping a message that the receiver's format cannot write`)
	})
	t.Run("too large", func(t *testing.T) {
		c := dial(t, s.urls["web"].URL)
		id := s.id(t, c)
		a := s.trace(t, fmt.Sprintf("from=%d&topic=large/x&size=70000", id))
		if a.May || !strings.Contains(problem(a.Publisher, "size"), "max_message_size") {
			t.Errorf("%+v", a)
		}
		c.send(`{"t":"large/x","d":"` + strings.Repeat("x", 70_000) + `"}`)
		coretest.Eventually(t, "it is disconnected", func() bool {
			var list polywire.ConnectionList
			s.v1(t, "GET", "connections?address="+c.conn.LocalAddr().String(), &list)
			return list.Total == 0
		})
		s.doctor(t, of(id, ""), "too_large")
		logged = append(logged, `level=INFO msg="client left" endpoint=web reason=too_large`)
	})
	t.Run("not allowed to send", func(t *testing.T) {
		c := dial(t, s.urls["mute"].URL)
		c.send(`{"t":"mute/x","d":1}`)
		c.ping()
		id := s.id(t, c)
		s.doctor(t, of(id, "mute/x"), "refused")
		if a := s.trace(t, fmt.Sprintf("from=%d&topic=mute/x", id)); a.May || !strings.Contains(problem(a.Publisher, "format"), "refuses it") {
			t.Errorf("%+v", a)
		}
		logged = append(logged, `level=INFO msg="message refused" endpoint=mute`)
	})
	t.Run("ownership", func(t *testing.T) {
		bot, other := dial(t, s.urls["bots"].URL), dial(t, s.urls["web"].URL)
		bot.send(`{"type":"register","channel":"owned","data":{"pubsub":{"topics":["x"]}}}`)
		bot.ping()
		other.send(`{"t":"owned/x","d":1}`)
		other.ping()
		id := s.id(t, other)
		s.doctor(t, of(id, "owned/x"), "ownership: publish owned/x was refused")
		a := s.trace(t, fmt.Sprintf("from=%d&topic=owned/x", id))
		if a.May || !strings.Contains(problem(a.Publisher, "ownership"), fmt.Sprintf("connection %d of", s.id(t, bot))) {
			t.Errorf("%+v", a)
		}
		if a := s.trace(t, fmt.Sprintf("from=%d&topic=owned/x", s.id(t, bot))); !a.May {
			t.Errorf("%+v", a)
		}
		if a := s.trace(t, fmt.Sprintf("from=%d&topic=free/x", s.id(t, bot))); a.May || !strings.Contains(problem(a.Publisher, "ownership"), "only the owner of a channel publishes") {
			t.Errorf("%+v", a)
		}
		logged = append(logged, `level=INFO msg="message refused" endpoint=web reason=not_owner`)
	})
	t.Run("the publisher itself", func(t *testing.T) {
		c := dial(t, s.urls["games"].URL)
		c.send("6,1,self")
		c.ping()
		id := s.id(t, c)
		a := s.trace(t, fmt.Sprintf("from=%d&topic=self", id))
		if !a.May || a.Hears != 0 || len(a.Silent) != 1 || a.Silent[0].Cause != "self" {
			t.Errorf("%+v", a)
		}
		if a := s.trace(t, "endpoint=web&topic=self"); a.Hears != 1 || len(a.Receivers) != 1 || a.Receivers[0].ID != id {
			t.Errorf("%+v", a)
		}
	})
	t.Run("reserved", func(t *testing.T) {
		if a := s.trace(t, "endpoint=web&topic=$call/1/x"); a.May || !strings.Contains(problem(a.Publisher, "topic"), "reserved") {
			t.Errorf("%+v", a)
		}
	})
	t.Run("slow", func(t *testing.T) {
		c := dial(t, s.urls["slow"].URL)
		if err := c.conn.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
			t.Fatal(err)
		}
		c.send(`{"command":"join","args":{"channel":"slow/x"}}`)
		c.ping()
		id := s.id(t, c)
		big := s.trace(t, "endpoint=web&topic=slow/x&size=100000")
		if big.Hears != 1 || len(big.Audiences) != 1 || !strings.Contains(big.Audiences[0].Note, "65536 bytes may wait for a client") {
			t.Errorf("%+v", big)
		}
		message := core.Payload{Kind: core.Text, Data: bytes.Repeat([]byte("x"), 8000)}
		var a polywire.MessageTrace
		coretest.Eventually(t, "its queue is full", func() bool {
			for range 100 {
				if err := s.Publish("bots", "slow/x", message); err != nil {
					t.Fatal(err)
				}
			}
			a = s.trace(t, "endpoint=web&topic=slow/x&kind=text&size=8000")
			return a.Missing == 1
		})
		if a.Hears != 0 || a.Silent[0].Cause != "slow" || a.Silent[0].Connection.ID != id || !strings.Contains(a.Silent[0].Text, "drop_newest") {
			t.Errorf("%+v", a)
		}
		s.doctor(t, of(id, "slow/x"), "slow: ")
		logged = append(logged, `level=WARN msg="client reads too slowly and loses messages`)
	})
	t.Run("origin", func(t *testing.T) {
		header := http.Header{"Authorization": {"Bearer s3cret"}, "Origin": {"https://evil.example"}}
		if _, err := dialFrom(t, "127.0.0.9", s.urls["guarded"].URL, header); err == nil {
			t.Fatal("it is let in")
		}
		d := s.doctor(t, "address=127.0.0.9", "origin: refused")
		if !strings.Contains(d.Cause, "at endpoint guarded") || !strings.Contains(d.Cause, "origin=https://evil.example") || !strings.Contains(d.Advice, "origins") {
			t.Errorf("%+v", d)
		}
		logged = append(logged, `level=INFO msg="client refused" endpoint=guarded reason=origin why="pages of this origin may not connect"`)
		// Now a page may.
		header.Set("Origin", "https://good.example")
		c, err := dialFrom(t, "127.0.0.9", s.urls["guarded"].URL, header)
		if err != nil {
			t.Fatal(err)
		}
		c.send(`{"k":"s","t":"page"}`)
		c.ping()
		var now polywire.Diagnosis
		if s.v1(t, "GET", "doctor?address=127.0.0.9&topic=page", &now); !now.Healthy || len(now.Clients) != 1 {
			t.Errorf("%+v", now)
		}
	})
	t.Run("auth", func(t *testing.T) {
		if _, err := dialFrom(t, "127.0.0.10", s.urls["guarded"].URL, http.Header{"Authorization": {"Bearer wrong"}}); err == nil {
			t.Fatal("it is let in")
		}
		d := s.doctor(t, "address=127.0.0.10", "auth: refused")
		if strings.Contains(fmt.Sprint(d), "wrong") {
			t.Errorf("a credential is shown: %+v", d)
		}
		logged = append(logged, `level=INFO msg="client refused" endpoint=guarded reason=denied why="it did not show who it is"`)
	})
	t.Run("path", func(t *testing.T) {
		if _, err := dialFrom(t, "127.0.0.11", strings.TrimSuffix(s.urls["slow"].URL, "/ws")+"/wrong", nil); err == nil {
			t.Fatal("it is let in")
		}
		s.doctor(t, "address=127.0.0.11", "endpoint: refused")
		logged = append(logged, `msg="client refused" reason=handshake why="no endpoint at this path"`)
	})
	t.Run("elsewhere", func(t *testing.T) {
		s.doctor(t, "address=127.0.0.12", "connection: no client of 127.0.0.12 is connected")
	})
	t.Run("session", func(t *testing.T) {
		c, _ := speaks(t, "webwire", s.urls["mobile"].URL)
		if _, err := c.Do(t.Context(), core.Command{Verb: core.RestoreSession, Key: []byte("nobody's")}); err == nil {
			t.Fatal("it has a session")
		}
		var list polywire.ConnectionList
		if s.v1(t, "GET", "connections?endpoint=mobile", &list); list.Total != 1 {
			t.Fatalf("%+v", list)
		}
		s.doctor(t, of(list.Connections[0].ID, ""), "session: restore_session was refused")
		logged = append(logged, `level=INFO msg="message refused" endpoint=mobile reason=denied`)
	})
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for _, want := range logged {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no line has %s in\n%s", want, lines)
		}
	}
}

// Who would answer a call, and why nobody does.
func TestTraceOfServices(t *testing.T) {
	r := run(t, callable)
	answers(t, r, "wubsub", "bots", core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("bot"), Services: [][]byte{[]byte("ask")}})
	answers(t, r, "vws", "web", core.Command{Verb: core.Offer, Services: [][]byte{[]byte("web/ask")}})
	answers(t, r, "stocking", "rooms", core.Command{Verb: core.Offer, Services: [][]byte{[]byte("room")}})
	ask := func(query string) (a polywire.ServiceTrace) {
		t.Helper()
		if status := r.v1(t, "GET", "trace?"+query, &a); status != http.StatusOK {
			t.Fatalf("%s: %d", query, status)
		}
		return a
	}
	// A registration of wubsub is not acknowledged.
	coretest.Eventually(t, "the bot answers", func() bool { return ask("service=bot/ask&endpoint=web").Answered })
	for query, want := range map[string]string{
		"service=bot/ask&endpoint=web":  "owner",
		"service=web/ask&endpoint=bots": "client",
		"service=room&endpoint=rooms":   "client",
	} {
		if a := ask(query); !a.May || len(a.Answerers) != 1 || a.Answerers[0].Kind != want || a.Answerers[0].Connection == 0 {
			t.Errorf("%s: %+v", query, a)
		}
	}
	for query, want := range map[string]string{
		"service=bot/other&endpoint=web": "whose owner alone could offer it",
		"service=nobody&endpoint=web":    "no client offers it",
	} {
		if a := ask(query); a.Answered || !strings.Contains(a.Why, want) {
			t.Errorf("%s: %+v", query, a)
		}
	}
	for query, want := range map[string]string{"service=Web/Ask&endpoint=bots": "case", "service=room&endpoint=web": "prefix", "service=web/aks&endpoint=web": "spelling"} {
		if a := ask(query); a.Answered || len(a.Near) != 1 || a.Near[0].How != want {
			t.Errorf("%s: %+v", query, a)
		}
	}
}

// What cannot be traced says why.
func TestTraceRefused(t *testing.T) {
	r := run(t, callable)
	for query, want := range map[string]string{
		"trace":                                    "400 give either a topic or a service",
		"trace?topic=a&service=b":                  "400 give either a topic or a service",
		"trace?topic=a":                            "400 say in whose name",
		"trace?topic=a&endpoint=x":                 `404 there is no endpoint "x"`,
		"trace?topic=a&from=x":                     "400 \"x\" is no number of a connection",
		"trace?topic=a&from=7":                     "404 there is no connection 7",
		"trace?topic=a&from=7&endpoint=web":        "400 a connection has its endpoint",
		"trace?topic=a&endpoint=web&kind=x":        "400 kind must be json, text or binary",
		"trace?topic=a&endpoint=web&size=16777217": "400 size must be a number of bytes from 0 to 16777216",
		"doctor":                          "400 give either a connection or an address",
		"doctor?connection=1&address=::1": "400 give either a connection or an address",
		"doctor?connection=x":             "400 \"x\" is no number of a connection",
		"doctor?connection=7":             "404 there is no connection 7; it may have ended",
		"doctor?address=x":                "400 address must be an address",
	} {
		var refused struct{ Error struct{ Message string } }
		status := r.v1(t, "GET", query, &refused)
		if got := strconv.Itoa(status) + " " + refused.Error.Message; !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s\nwant %s", query, got, want)
		}
	}
}
