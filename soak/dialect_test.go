package soak

import (
	"bytes"
	"fmt"
	"strings"
)

// The broker's topics for offering a service and for requests, and the length of the id in the
// latter.
const (
	serveTopic   = "$serve/"
	requestTopic = "$request/"
	idLength     = 36
)

// news is what a message says about a caller's calls.
type news int

const (
	nothing news = iota
	taken        // the call has a name now: key
	refused      // the oldest call without a name has ended
	ended        // the call of that name has ended
)

// dialect is the language of a client of one format. It is not the format's own client codec: that tells
// nothing of an outcome that nobody waits for any more, and the second end of a call is one of those.
type dialect interface {
	// binary reports whether messages are binary.
	binary() bool
	// own is sent once before anything is published under a channel, "" for nothing. Channels and
	// topics have the broker's form: channel/topic.
	own(channel string) string
	publish(topic, text string) string
	subscribe(topic string) string
	// call calls service with a text. The client names the call ref, or, if named is false, the
	// broker names it.
	call(ref, service, text string) string
	named() bool
	// hears parses a message to a caller. key is the name of the call.
	hears(message []byte) (key string, what news)
	// offer offers a service under a name of the client's own.
	offer(service string) string
	// request returns the id if a message is a request, "" if it is not.
	request(message []byte) (id string)
	// answer answers a request, or fails it.
	answer(id, service, text string, fail bool) string
}

var dialects = map[string]dialect{
	"wubsub": wubsub{}, "wsify": wsify{}, "stocking": stocking{}, "vws": vws{}, "webwire": webwire{},
}

// between returns the text between before and after in a message; "" if it is not there.
func between(message []byte, before, after string) string {
	_, rest, found := bytes.Cut(message, []byte(before))
	if !found {
		return ""
	}
	text, _, _ := bytes.Cut(rest, []byte(after))
	return string(text)
}

// byTopic has what is common to all formats that call and serve by the broker's topics.
type byTopic struct{}

func (byTopic) own(string) string { return "" }

func (byTopic) named() bool { return true }

// hears finds the ref on $reply/ref or $error/ref; a quote, a comma or a brace ends it.
func (byTopic) hears(message []byte) (string, news) {
	for _, topic := range []string{"$reply/", "$error/"} {
		if ref := between(message, topic, `"`); ref != "" {
			return ref, ended
		}
	}
	return "", nothing
}

func (byTopic) request(message []byte) string {
	i := bytes.Index(message, []byte(requestTopic))
	if i < 0 || len(message) < i+len(requestTopic)+idLength {
		return ""
	}
	return string(message[i+len(requestTopic):][:idLength])
}

// outcomeTopic returns the topic on which a request is answered.
func outcomeTopic(id string, fail bool) string {
	if fail {
		return "$error/" + id
	}
	return "$reply/" + id
}

type wsify struct{ byTopic }

func (wsify) binary() bool { return false }

func (wsify) call(ref, service, text string) string {
	return fmt.Sprintf(`{"command":"broadcast","args":{"channel":"$call/%s/%s","content":"%s"}}`, ref, service, text)
}

func (wsify) publish(topic, text string) string {
	return fmt.Sprintf(`{"command":"broadcast","args":{"channel":"%s","content":"%s"}}`, topic, text)
}

func (wsify) subscribe(topic string) string {
	return fmt.Sprintf(`{"command":"join","args":{"channel":"%s"}}`, topic)
}

func (w wsify) offer(service string) string { return w.subscribe(serveTopic + service) }

func (w wsify) answer(id, _, text string, fail bool) string {
	return w.publish(outcomeTopic(id, fail), text)
}

type vws struct{ byTopic }

func (vws) binary() bool { return false }

func (vws) call(ref, service, text string) string {
	return fmt.Sprintf(`{"t":"$call/%s/%s","d":"%s"}`, ref, service, text)
}

func (vws) publish(topic, text string) string { return fmt.Sprintf(`{"t":"%s","d":"%s"}`, topic, text) }

func (vws) subscribe(topic string) string { return fmt.Sprintf(`{"k":"s","t":"%s"}`, topic) }

func (v vws) offer(service string) string { return v.subscribe(serveTopic + service) }

func (v vws) answer(id, _, text string, fail bool) string {
	return v.publish(outcomeTopic(id, fail), text)
}

type stocking struct{ byTopic }

func (stocking) binary() bool { return false }

func (stocking) call(ref, service, text string) string {
	return fmt.Sprintf(`4,%s,{"e":"%s","p":"%s"}`, ref, service, text)
}

func (stocking) hears(message []byte) (string, news) {
	if ref := between(message, "4,", ","); ref != "" && message[0] == '4' {
		return ref, ended
	}
	return "", nothing
}

func (stocking) publish(topic, text string) string { return "5," + topic + "," + text }

func (stocking) subscribe(topic string) string { return "6,1," + topic }

func (s stocking) offer(service string) string { return s.subscribe(serveTopic + service) }

func (s stocking) answer(id, _, text string, fail bool) string {
	return s.publish(outcomeTopic(id, fail), text)
}

// webwire is the format of docs/formats/webwire.md. Refs have 8 bytes.
type webwire struct{ byTopic }

func (webwire) binary() bool { return true }

func (webwire) call(ref, service, text string) string {
	return fmt.Sprintf("\x80%s%c%s%s", ref, len(service), service, text)
}

func (webwire) hears(message []byte) (string, news) {
	switch message[0] {
	case 0, 1, 2, 191, 192, 193:
		if ref := string(message[1:9]); !strings.HasPrefix(ref, "offer") {
			return ref, ended
		}
	}
	return "", nothing
}

func (webwire) publish(topic, text string) string {
	return fmt.Sprintf("\x40%c%s%s", len(topic), topic, text)
}

func (webwire) subscribe(topic string) string { return "\x80offer000\x0a$subscribe" + topic }

func (w webwire) offer(service string) string { return w.subscribe(serveTopic + service) }

func (w webwire) answer(id, _, text string, fail bool) string {
	return w.publish(outcomeTopic(id, fail), text)
}

// wubsub is the format of docs/formats/wubsub.md. A service is channel/method; the
// broker names requests.
type wubsub struct{}

func (wubsub) binary() bool { return false }

func (wubsub) own(channel string) string {
	return fmt.Sprintf(`{"type":"register","channel":"%s"}`, channel)
}

func (wubsub) publish(topic, text string) string {
	channel, rest, _ := strings.Cut(topic, "/")
	return fmt.Sprintf(`{"type":"ps-pub","channel":"%s","topic":"%s","data":"%s"}`, channel, rest, text)
}

func (wubsub) subscribe(topic string) string {
	channel, rest, _ := strings.Cut(topic, "/")
	return fmt.Sprintf(`{"type":"ps-sub","channel":"%s","topic":"%s"}`, channel, rest)
}

func (wubsub) named() bool { return false }

func (wubsub) call(_, service, text string) string {
	channel, method, _ := strings.Cut(service, "/")
	return fmt.Sprintf(`{"type":"pie-do","channel":"%s","topic":"%s","data":"%s"}`, channel, method, text)
}

func (wubsub) hears(message []byte) (string, news) {
	id := between(message, `"reqid":"`, `"`)
	switch between(message, `"type":"`, `"`) {
	case "pie-ack":
		if id == "" {
			return "", refused
		}
		return id, taken
	case "pie-recv", "error":
		return id, ended
	}
	return "", nothing
}

func (wubsub) offer(service string) string {
	channel, method, _ := strings.Cut(service, "/")
	return fmt.Sprintf(`{"type":"register","channel":"%s","data":{"restpie":{"methods":["%s"]}}}`, channel, method)
}

func (wubsub) request(message []byte) string {
	if between(message, `"type":"`, `"`) != "pie-req" {
		return ""
	}
	return between(message, `"reqid":"`, `"`)
}

func (wubsub) answer(id, service, text string, _ bool) string {
	channel, method, _ := strings.Cut(service, "/")
	return fmt.Sprintf(`{"type":"pie-resp","channel":"%s","topic":"%s","reqid":"%s","data":"%s"}`, channel, method, id, text)
}
