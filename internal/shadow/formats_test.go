package shadow_test

import (
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/internal/shadow"
)

// signal writes a signal of webwire.
func signal(name, payload string) string { return "\x40" + string(rune(len(name))) + name + payload }

// request writes a request of webwire.
func request(id, name, payload string) string {
	return "\x80" + id + string(rune(len(name))) + name + payload
}

// Two clients of each format subscribe, publish, call and answer. Before one relies on what the other has done,
// both servers have done it.
var alike = map[string]struct {
	op  ws.OpCode
	say func(t *testing.T, c *comparison, a, b *peer) (messages int)
}{
	"wubsub": {ws.OpText, func(t *testing.T, c *comparison, a, b *peer) int {
		known := func(p *peer, n int) {
			p.says(`{"type":"pie-do"}`)
			p.hears(`{"type":"pie-ack","data":false}`)
			c.equal(t, n)
		}
		a.says(`{"type":"register","channel":"bots","data":{"pubsub":{"topics":["news"]},"restpie":{"methods":["ask"]}}}`)
		known(a, 1)
		b.says(`{"type":"ps-sub","channel":"bots","topic":"news"}`)
		known(b, 2)
		a.says(`{"type":"ps-pub","channel":"bots","topic":"news","data":{"n":1}}`)
		b.hears(`"n":1`)
		c.equal(t, 3)
		for i := range 2 {
			b.says(`{"type":"pie-do","channel":"bots","topic":"ask","data":"how?"}`)
			b.hears(`"pie-ack"`, `"reqid"`)
			id := between(t, a.hears(`"pie-req"`), `"reqid":"`, `"`)
			a.says(`{"type":"pie-resp","channel":"bots","topic":"ask","reqid":"` + id + `","data":"so"}`)
			b.hears(`"pie-recv"`, id)
			c.equal(t, 6+3*i)
		}
		return 9
	}},
	"wsify": {ws.OpText, func(t *testing.T, c *comparison, a, b *peer) int {
		a.says(`{"command":"join","args":{"channel":"news"}}`)
		a.says(`{"command":"join","args":{"channel":"$serve/ask"}}`)
		a.says(`{"command":"broadcast","args":{"channel":"news","content":"ready"}}`)
		a.hears(`"ready"`)
		c.equal(t, 1)
		b.says(`{"command":"broadcast","args":{"channel":"news","content":{"n":1}}}`)
		a.hears(`"n":1`)
		b.says(`{"command":"broadcast","args":{"channel":"$call/r1/ask","content":"how?"}}`)
		id := between(t, a.hears("$request/"), "$request/", "/ask")
		a.says(`{"command":"broadcast","args":{"channel":"$reply/` + id + `","content":"so"}}`)
		b.hears("$reply/r1", "so")
		return 4
	}},
	"stocking": {ws.OpText, func(t *testing.T, c *comparison, a, b *peer) int {
		a.hears("0")
		b.hears("0")
		a.says("6,1,news")
		a.says("6,1,$serve/ask")
		a.says("3,,")
		a.hears("3")
		c.equal(t, 3)
		b.says("5,news,hello, you")
		a.hears("5,news,hello, you")
		b.says(`4,7,{"e":"ask","p":"how?"}`)
		id := between(t, a.hears("$request/"), "$request/", "/ask")
		a.says("5,$reply/" + id + `,"so"`)
		b.hears(`4,7,{"c":-1,"p":"so"}`)
		return 6
	}},
	"vws": {ws.OpText, func(t *testing.T, c *comparison, a, b *peer) int {
		a.says(`{"k":"s","t":"news/+","i":1}`)
		a.hears(`{"k":"a","i":1}`)
		a.says(`{"k":"s","t":"$serve/ask","i":2}`)
		a.hears(`{"k":"a","i":2}`)
		c.equal(t, 2)
		b.says(`{"t":"news/today","d":{"n":1},"i":1}`)
		b.hears(`{"k":"a","i":1}`)
		a.hears(`"n":1`)
		b.says(`{"t":"$call/r1/ask","d":"how?"}`)
		id := between(t, a.hears("$request/"), "$request/", "/ask")
		a.says(`{"t":"$reply/` + id + `","d":"so"}`)
		b.hears("$reply/r1", "so")
		return 6
	}},
	"webwire": {ws.OpBinary, func(t *testing.T, c *comparison, a, b *peer) int {
		const accepts = "\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00"
		a.hears(accepts)
		b.hears(accepts)
		a.says(request("id-serve", "$subscribe", "$serve/ask"))
		a.hears("\xc0id-serve")
		b.says(request("id-ready", "echo", "x"))
		b.hears("\xc0id-ready")
		c.equal(t, 4)
		a.says(signal("news", "hello"))
		b.hears(signal("news", "hello"))
		b.says(request("id-calls", "ask", "how?"))
		id := between(t, a.hears("$request/"), "$request/", "/ask")
		a.says(signal("$reply/"+id, "so"))
		b.hears("id-calls", "so")
		return 7
	}},
}

// Servers that are alike show no differences, in any format.
func TestNoDifferences(t *testing.T) {
	old, fresh := broker(t, all), broker(t, all)
	for protocol, session := range alike {
		t.Run(protocol, func(t *testing.T) {
			c := compare(t, protocol, old[protocol], fresh[protocol], nil)
			a, b := c.connect(t, session.op), c.connect(t, session.op)
			messages := session.say(t, c, a, b)
			c.until(t, "all messages are equal", func(s shadow.Summary) bool { return s.Equal == messages && s.Old == messages && s.New == messages })
			b.leaves()
			a.leaves()
			seen, err := c.end()
			if err != nil || seen.Different() > 0 || seen.Left() > 0 || seen.Equal != messages || seen.Connections != 2 || seen.Unsettled > 0 {
				t.Errorf("%+v, %v\n%s", seen, err, c.text())
			}
			parses(t, c.text())
		})
	}
}
