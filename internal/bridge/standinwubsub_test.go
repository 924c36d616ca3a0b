package bridge_test

import (
	"encoding/json"
	"fmt"

	"github.com/gobwas/ws"
	"github.com/google/uuid"
)

// wubsubOriginal stands in for the original of wubsub.
type wubsubOriginal struct {
	process  *process
	channels map[string]*wubsubChannel
}

type wubsubChannel struct {
	owner   *caller
	topics  map[string][]*caller // by topic; who subscribed twice is there twice
	methods map[string]bool
	asked   map[uuid.UUID]wubsubRequest
}

type wubsubRequest struct {
	by     *caller
	method string
}

// wubsubMessage has the keys in the order in which the original writes them.
type wubsubMessage struct {
	Type    string `json:"type"`
	Channel string `json:"channel,omitempty"`
	Topic   string `json:"topic,omitempty"`
	ReqID   string `json:"reqid,omitempty"`
	Data    any    `json:"data,omitempty"`
}

func newWubsub(p *process) original {
	return &wubsubOriginal{process: p, channels: make(map[string]*wubsubChannel)}
}

func (o *wubsubOriginal) traits() traits {
	return traits{maxMessage: 512, tooBig: ws.NewCloseFrameBody(ws.StatusMessageTooBig, ""), pings: true}
}

func (o *wubsubOriginal) greets(*caller) {}

func (o *wubsubOriginal) channel(name string) *wubsubChannel {
	if o.channels[name] == nil {
		o.channels[name] = &wubsubChannel{topics: make(map[string][]*caller)}
	}
	return o.channels[name]
}

func wubsubSays(c *caller, m wubsubMessage) {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	c.text(string(text))
}

func (o *wubsubOriginal) takes(c *caller, op ws.OpCode, message []byte) bool {
	var m wubsubMessage
	if op != ws.OpText || json.Unmarshal(message, &m) != nil {
		return true
	}
	switch m.Type {
	case "register":
		o.register(c, m)
	case "ps-sub":
		ch := o.channel(m.Channel)
		ch.topics[m.Topic] = append(ch.topics[m.Topic], c)
	case "ps-pub":
		if ch := o.channels[m.Channel]; ch != nil && ch.owner == c {
			for _, to := range ch.topics[m.Topic] {
				wubsubSays(to, wubsubMessage{Type: "ps-recv", Channel: m.Channel, Topic: m.Topic, Data: m.Data})
			}
		}
	case "pie-do":
		ch := o.channels[m.Channel]
		if ch == nil || ch.owner == nil || !ch.methods[m.Topic] {
			wubsubSays(c, wubsubMessage{Type: "pie-ack", Channel: m.Channel, Topic: m.Topic, Data: false})
			return true
		}
		id := uuid.New()
		ch.asked[id] = wubsubRequest{c, m.Topic}
		wubsubSays(c, wubsubMessage{Type: "pie-ack", Channel: m.Channel, Topic: m.Topic, ReqID: id.String(), Data: true})
		wubsubSays(ch.owner, wubsubMessage{Type: "pie-req", Channel: m.Channel, Topic: m.Topic, ReqID: id.String(), Data: m.Data})
	case "pie-resp":
		ch, id := o.channels[m.Channel], uuid.UUID{}
		if parsed, err := uuid.Parse(m.ReqID); err == nil {
			id = parsed
		}
		if ch == nil || ch.owner != c || ch.asked[id].by == nil || ch.asked[id].method != m.Topic {
			return true
		}
		wubsubSays(ch.asked[id].by, wubsubMessage{Type: "pie-recv", Channel: m.Channel, Topic: m.Topic, ReqID: id.String(), Data: m.Data})
		delete(ch.asked, id)
	}
	return true
}

// register gives a channel without owner to a client. If the channel has a topic that is not declared, the
// original dies.
func (o *wubsubOriginal) register(c *caller, m wubsubMessage) {
	ch := o.channel(m.Channel)
	if ch.owner != nil {
		return
	}
	declared := func(part, list string) map[string]bool {
		names := make(map[string]bool)
		data, _ := m.Data.(map[string]any)
		object, _ := data[part].(map[string]any)
		all, _ := object[list].([]any)
		for _, one := range all {
			if name, ok := one.(string); ok {
				names[name] = true
			}
		}
		return names
	}
	topics := declared("pubsub", "topics")
	for topic := range ch.topics {
		if !topics[topic] {
			o.process.crash(fmt.Sprintf("the owner of %q does not declare %q", m.Channel, topic))
			return
		}
	}
	for topic := range topics {
		if _, ok := ch.topics[topic]; !ok {
			ch.topics[topic] = nil
		}
	}
	ch.owner, ch.methods, ch.asked = c, declared("restpie", "methods"), make(map[uuid.UUID]wubsubRequest)
}

// parts leaves channels without owner; subscribers are never removed.
func (o *wubsubOriginal) parts(c *caller, _ error) {
	for _, ch := range o.channels {
		if ch.owner == c {
			ch.owner, ch.asked = nil, nil
		}
	}
}
