package main

import "encoding/binary"

// format is one of the broker's wire formats.
type format struct {
	protocol string
	// settings are the endpoint's settings, as further entries of a YAML flow mapping.
	settings string
	// speak returns the dialect in which a content is published and received.
	speak func(content string) dialect
}

// path is the request target of the format's endpoint.
func (f format) path() string { return "/" + f.protocol }

// topic is what all formats publish to and subscribe to. wubsub knows it as the
// topic t of the channel bench.
const topic = "bench/t"

// formats returns the broker's formats.
func formats() []format {
	return []format{
		{"wubsub", "", wubsub},
		{"wsify", "", wsify},
		{"stocking", "", stocking},
		{"vws", ", options: { allow_send: true }", vws},
		{"webwire", `, options: { subscribe: ["` + topic + `"], concurrency_limit: -1 }`, webwire},
	}
}

// mixedDialects returns the dialects for one publisher, of vws, and subscribers of all formats.
// They receive the same content, so their messages differ in size; on average they have 128 bytes.
func mixedDialects(formats []format) (speaker dialect, listeners []dialect) {
	var sum int
	for _, f := range formats {
		sum += overhead(f.speak)
	}
	content := text(delivered - sum/len(formats))
	for _, f := range formats {
		listeners = append(listeners, f.speak(content))
	}
	return vws(content), listeners
}

// wubsub is docs/formats/wubsub.md: the owner of a channel publishes a topic.
func wubsub(content string) dialect {
	const to = `,"channel":"bench","topic":"t"`
	data := to + `,"data":"` + content + `"}`
	return dialect{
		subPath:   "/wubsub",
		pubPath:   "/wubsub",
		subscribe: `{"type":"ps-sub"` + to + `}`,
		announce:  `{"type":"register","channel":"bench","data":{"name":"bench","pubsub":{"topics":["t"]}}}`,
		publish:   `{"type":"ps-pub"` + data,
		receive:   `{"type":"ps-recv"` + data,
	}
}

// wsify is docs/formats/wsify.md: a broadcast reaches the members of a channel.
func wsify(content string) dialect {
	const channel = `"channel":"` + topic + `"`
	return dialect{
		subPath:   "/wsify",
		pubPath:   "/wsify",
		subscribe: `{"command":"join","args":{` + channel + `}}`,
		publish:   `{"command":"broadcast","args":{` + channel + `,"content":"` + content + `"}}`,
		receive:   `"` + content + `"`,
	}
}

// stocking is docs/formats/stocking.md: a broadcast reaches the others in a room.
func stocking(content string) dialect {
	message := "5," + topic + "," + content
	return dialect{
		subPath:   "/stocking",
		pubPath:   "/stocking",
		greeting:  "0",
		subscribe: "6,1," + topic,
		publish:   message,
		receive:   message,
	}
}

// vws is docs/formats/vws.md: an event without an id is not acknowledged.
func vws(content string) dialect { return vwsOn(topic, content) }

// vwsOn is vws on another topic.
func vwsOn(topic, content string) dialect {
	event := `{"d":"` + content + `","t":"` + topic + `"}`
	return dialect{
		subPath:    "/vws",
		pubPath:    "/vws",
		subscribe:  `{"k":"s","t":"` + topic + `","i":1}`,
		subscribed: `{"k":"a","i":1}`,
		publish:    event,
		receive:    event,
	}
}

// webwire is docs/formats/webwire.md: a signal in UTF-8, which every client of
// the endpoint but the publisher hears, because the endpoint's options say so.
func webwire(content string) dialect {
	const signal = "\x40" + string(rune(len(topic))) + topic
	return dialect{
		subPath:  "/webwire",
		pubPath:  "/webwire",
		binary:   true,
		greeting: acceptConf(60_000, 8192),
		publish:  signal + content,
		receive:  signal + content,
	}
}

// acceptConf is webwire's greeting: the version 2.0, the read timeout in
// milliseconds, and the size of the message buffer in bytes.
func acceptConf(readTimeout, bufferSize uint32) string {
	conf := []byte{23, 2, 0}
	conf = binary.LittleEndian.AppendUint32(conf, readTimeout)
	return string(binary.LittleEndian.AppendUint32(conf, bufferSize))
}
