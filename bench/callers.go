package main

import (
	"path/filepath"
	"strconv"
)

// callContender is a server that relays calls, or answers them itself.
type callContender struct {
	server
	caller callerDialect
	// answerer answers the calls; nil if the server does.
	answerer *answererDialect
	// beside: it is measured with outstanding calls, too.
	beside bool
	// target is the CPU budget of a round trip, in microseconds; 0 for no target.
	target float64
}

// CPU budgets of a round trip, in microseconds (issue 4).
const (
	// targetRelayed is for a call that one client makes and another answers.
	targetRelayed = 20
	// targetHandled is for a call that a Go handler answers.
	targetHandled = 10
)

// callReference is the name of the contender that calls are compared with.
const callReference = "nats"

// callService is the service that is called: for wubsub the method echo of the channel bench.
const callService = "bench/echo"

// callContenders returns the servers in the order in which every round runs them.
// The handler is the broker's own echo, which is registered as an embedding
// program registers its handlers.
func callContenders(broker, peers string) []callContender {
	const handler = "services: [{ match: " + callService + ", builtin: echo }]\n"
	content := text(delivered)
	owner := wubsubOwner(content)
	subscriber := natsAnswerer(content)
	list := []callContender{{
		server: server{callReference, peer(filepath.Join(peers, "nats"))},
		caller: natsCaller(content), answerer: &subscriber,
	}, {
		server: server{"echo", serve(broker, "", format{"echo", "", nil})},
		caller: echoCaller(content),
	}}
	for _, c := range []callerDialect{wubsubCaller(content), webwireCaller(content)} {
		list = append(list, callContender{
			server: server{c.name + " to wubsub", serve(broker, "", callFormats()...)},
			caller: c, answerer: &owner, beside: true, target: targetRelayed,
		})
	}
	for _, c := range []callerDialect{webwireCaller(content), stockingCaller(content)} {
		list = append(list, callContender{
			server: server{c.name + " to handler", serve(broker, handler, callFormats()...)},
			caller: c, beside: true, target: targetHandled,
		})
	}
	return list
}

// callFormats are the broker's endpoints. Outstanding calls must outlast the windows.
func callFormats() []format {
	const patient = ", call_timeout: 10m"
	return []format{{"wubsub", patient, nil}, {"stocking", patient, nil}, {"webwire", patient, nil}}
}

// greeted is how a client of a dialect gets ready: it receives a message that begins with greeting
// ("" for none), sends hello, and receives welcome.
type greeted struct {
	path     string
	binary   bool
	greeting string
	hello    []string
	welcome  string
}

// callerDialect is how a call is made.
type callerDialect struct {
	name string
	greeted
	// request is what a caller sends; hears are the messages that it receives for it, the last of
	// them the answer.
	request string
	hears   []string
}

// answererDialect is how a call is answered.
type answererDialect struct {
	greeted
	// request is what the answerer receives, answer what it sends for it.
	request, answer string
	// joined: several may be joined in one WebSocket message, both ways.
	joined bool
}

// wubsubBarrier is answered at once, so everything sent before it has been carried out
// (docs/formats/wubsub.md, "Rules").
const wubsubBarrier, wubsubBarrierAnswer = `{"type":"pie-do"}`, `{"type":"pie-ack","data":false}`

// wubsubCaller is docs/formats/wubsub.md: a request is acknowledged, then answered.
func wubsubCaller(content string) callerDialect {
	const of = `,"channel":"bench","topic":"echo"`
	return callerDialect{
		name:    "wubsub",
		greeted: greeted{path: "/wubsub"},
		request: `{"type":"pie-do"` + of + `,"data":"` + content + `"}`,
		hears: []string{
			`{"type":"pie-ack"` + of + `,"reqid":"` + idMark + `","data":true}`,
			`{"type":"pie-recv"` + of + `,"reqid":"` + idMark + `","data":"` + content + `"}`,
		},
	}
}

// wubsubOwner is docs/formats/wubsub.md: the owner of a channel answers.
func wubsubOwner(content string) answererDialect {
	const of = `,"channel":"bench","topic":"echo","reqid":"` + idMark + `"`
	return answererDialect{
		greeted: greeted{path: "/wubsub", hello: []string{wubsubRegister("bench", "echo"), wubsubBarrier}, welcome: wubsubBarrierAnswer},
		request: `{"type":"pie-req"` + of + `,"data":"` + content + `"}`,
		answer:  `{"type":"pie-resp"` + of + `,"data":"` + content + `"}`,
	}
}

// wubsubRegister makes the sender the owner of a channel that answers a method.
func wubsubRegister(channel, method string) string {
	return `{"type":"register","channel":"` + channel + `","data":{"name":"` + channel + `","restpie":{"methods":["` + method + `"]}}}`
}

// webwireCaller is docs/formats/webwire.md: a request in UTF-8. Its id of eight
// bytes may be any.
func webwireCaller(content string) callerDialect {
	const request, reply, id = "\x80", "\xc0", "bench-id"
	return callerDialect{
		name:    "webwire",
		greeted: greeted{path: "/webwire", binary: true, greeting: acceptConf(60_000, 8192)},
		request: request + id + string(rune(len(callService))) + callService + content,
		hears:   []string{reply + id + content},
	}
}

// stockingCaller is docs/formats/stocking.md: a message to a route, with a callback.
func stockingCaller(content string) callerDialect {
	return callerDialect{
		name:    "stocking",
		greeted: greeted{path: "/stocking", greeting: "0"},
		request: `4,1,{"e":"` + callService + `","p":"` + content + `"}`,
		hears:   []string{`4,1,{"c":-1,"p":"` + content + `"}`},
	}
}

// echoCaller speaks to the broker's echo protocol, which makes no call: the cost of receiving and
// answering alone.
func echoCaller(content string) callerDialect {
	return callerDialect{name: "echo", greeted: greeted{path: "/echo"}, request: content, hears: []string{content}}
}

// What a client of NATS sends first, besides subscribing, and what it receives.
const (
	natsConnect  = `CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"lang":"bench","version":"1","protocol":0}` + "\r\n"
	natsBarrier  = "PING\r\n"
	natsWelcome  = "PONG\r\n"
	natsGreeting = "INFO "
)

// natsCaller is the request of a NATS client: it publishes to a subject, with an inbox
// of its own for the answer.
func natsCaller(content string) callerDialect {
	const inbox = "_INBOX." + whoMark + "."
	message := strconv.Itoa(delivered) + "\r\n" + content + "\r\n"
	return callerDialect{
		name: callReference,
		greeted: greeted{
			path: "/", binary: true, greeting: natsGreeting,
			hello: []string{natsConnect + "SUB " + inbox + "* 1\r\n" + natsBarrier}, welcome: natsWelcome,
		},
		request: "PUB bench.echo " + inbox + seqMark + " " + message,
		hears:   []string{"MSG " + inbox + seqMark + " 1 " + message},
	}
}

// natsAnswerer is a NATS client that answers on a subject.
func natsAnswerer(content string) answererDialect {
	message := "_INBOX." + whoMark + "." + seqMark + " " + strconv.Itoa(delivered) + "\r\n" + content + "\r\n"
	return answererDialect{
		greeted: greeted{
			path: "/", binary: true, greeting: natsGreeting,
			hello: []string{natsConnect + "SUB bench.echo 1\r\n" + natsBarrier}, welcome: natsWelcome,
		},
		request: "MSG bench.echo 1 " + message,
		answer:  "PUB " + message,
		joined:  true,
	}
}
