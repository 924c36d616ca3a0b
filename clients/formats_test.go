package clients

import "fmt"

// format is how a client of one wire format does the few things that all formats have in common. A
// topic has two levels, first and second.
type format struct {
	name string
	// greeting is what a client receives when it connects.
	greeting []message
	// hear subscribes to a topic and ends with something that is answered: once the answer, heard,
	// is here, the subscription is known to be in force.
	hear  func(topic string) []message
	heard func(topic string) message
	// publish sends content, which is JSON, to a topic; told is how it arrives.
	publish func(topic, content string) []message
	told    func(topic, content string) message
}

// second is the second level of every topic: what wubsub calls the topic.
const second = "x"

// formats are the wire formats in an order in which each one is the partner of the one before it.
var formats = []format{wubsub, wsify, stocking, vws, webwire}

var wubsub = format{
	name: "wubsub",
	hear: func(topic string) []message {
		return []message{
			text(`{"type":"ps-sub","channel":%q,"topic":%q}`, topic, second),
			text(`{"type":"pie-do","channel":%q,"topic":"nobody"}`, topic),
		}
	},
	heard: func(topic string) message {
		return text(`{"type":"pie-ack","channel":%q,"topic":"nobody","data":false}`, topic)
	},
	publish: func(topic, content string) []message {
		return []message{
			text(`{"type":"register","channel":%q,"data":{"pubsub":{"topics":[%q]}}}`, topic, second),
			text(`{"type":"ps-pub","channel":%q,"topic":%q,"data":%s}`, topic, second, content),
		}
	},
	told: func(topic, content string) message {
		return text(`{"type":"ps-recv","channel":%q,"topic":%q,"data":%s}`, topic, second, content)
	},
}

var wsify = format{
	name: "wsify",
	// A wsify client gets no answer, but hears itself.
	hear: func(topic string) []message {
		return []message{
			text(`{"command":"join","args":{"channel":"%s/%s"}}`, topic, second),
			text(`{"command":"broadcast","args":{"channel":"%s/%s","content":"joined"}}`, topic, second),
		}
	},
	heard: func(string) message { return text(`"joined"`) },
	publish: func(topic, content string) []message {
		return []message{text(`{"command":"broadcast","args":{"channel":"%s/%s","content":%s}}`, topic, second, content)}
	},
	told: func(_, content string) message { return text("%s", content) },
}

var stocking = format{
	name:     "stocking",
	greeting: []message{text("0")},
	hear:     func(topic string) []message { return []message{text("6,1,%s/%s", topic, second), text("3,,")} },
	heard:    func(string) message { return text("3") },
	publish: func(topic, content string) []message {
		return []message{text("5,%s/%s,%s", topic, second, content)}
	},
	told: func(topic, content string) message { return text("5,%s/%s,%s", topic, second, content) },
}

var vws = format{
	name:  "vws",
	hear:  func(topic string) []message { return []message{text(`{"k":"s","t":"%s/+","i":1}`, topic)} },
	heard: func(string) message { return text(`{"k":"a","i":1}`) },
	publish: func(topic, content string) []message {
		return []message{text(`{"t":"%s/%s","d":%s}`, topic, second, content)}
	},
	told: func(topic, content string) message { return text(`{"d":%s,"t":"%s/%s"}`, content, topic, second) },
}

var webwire = format{
	name: "webwire",
	// Accept-conf: version 2.0, 60000 ms, 8192 bytes.
	greeting: []message{binary("\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00")},
	// A binary request and its empty reply, both with the id "12345678".
	hear: func(topic string) []message {
		return []message{binary("\x7f12345678\x0a$subscribe%s/%s", topic, second)}
	},
	heard: func(string) message { return binary("\xbf12345678") },
	// A signal in UTF-8.
	publish: func(topic, content string) []message { return []message{signal(topic, content)} },
	told:    signal,
}

func signal(topic, content string) message {
	name := topic + "/" + second
	return binary("\x40%c%s%s", len(name), name, content)
}

func binary(format string, args ...any) message {
	return message{data: fmt.Sprintf(format, args...), binary: true}
}
