package bridge_test

import (
	"encoding/json"
	"strings"

	"github.com/gobwas/ws"
)

// vwsOriginal stands in for a server with the original library of vws, at which clients may publish.
type vwsOriginal struct {
	subscribed map[*caller]map[string]bool
}

func newVws(*process) original {
	return &vwsOriginal{subscribed: make(map[*caller]map[string]bool)}
}

func (o *vwsOriginal) traits() traits {
	return traits{
		maxMessage: 32768, tooBig: ws.NewCloseFrameBody(ws.StatusMessageTooBig, "read limited at 32769 bytes"), pings: true, sameOrigin: true,
		plainGET: 426,
	}
}

func (o *vwsOriginal) greets(c *caller) { o.subscribed[c] = make(map[string]bool) }

func (o *vwsOriginal) parts(c *caller, _ error) { delete(o.subscribed, c) }

func (o *vwsOriginal) takes(c *caller, _ ws.OpCode, message []byte) bool {
	if len(message) == 0 {
		return true
	}
	var m struct {
		Kind    string            `json:"k"`
		Topic   string            `json:"t"`
		Data    any               `json:"d"`
		ID      any               `json:"i"`
		Error   string            `json:"e"`
		Headers map[string]string `json:"h"`
	}
	if json.Unmarshal(message, &m) != nil {
		vwsAnswers(c, "n", "", "Invalid JSON format")
		return true
	}
	switch m.Kind {
	case "s":
		o.subscribed[c][m.Topic] = true
	case "u":
		delete(o.subscribed[c], m.Topic)
	case "U":
		clear(o.subscribed[c])
	case "a":
	case "":
		if refused := o.publish(m.Topic, m.Data); m.ID == nil {
			return true
		} else if refused != "" {
			vwsAnswers(c, "n", m.ID, refused)
			return true
		}
	default:
		vwsAnswers(c, "n", m.ID, "unsupported request type: "+m.Kind)
		return true
	}
	vwsAnswers(c, "a", m.ID, "")
	return true
}

func (o *vwsOriginal) publish(topic string, data any) (refused string) {
	switch {
	case topic == "":
		return "topic is required"
	case data == nil:
		return "data is required"
	}
	event, err := json.Marshal(map[string]any{"d": data, "t": topic})
	if err != nil {
		return ""
	}
	for c, patterns := range o.subscribed {
		for pattern := range patterns {
			if vwsMatches(pattern, topic) {
				c.text(string(event))
				break
			}
		}
	}
	return ""
}

func vwsAnswers(c *caller, kind string, id any, why string) {
	text, err := json.Marshal(struct {
		Kind  string `json:"k"`
		ID    any    `json:"i,omitempty"`
		Error string `json:"e,omitempty"`
	}{kind, id, why})
	if err != nil {
		panic(err)
	}
	c.text(string(text))
}

// vwsMatches is the original's matching, of which the stand-in needs whole topics, + and a last #.
func vwsMatches(pattern, topic string) bool {
	if !strings.ContainsAny(pattern, "+#") {
		return pattern == topic
	}
	if strings.HasPrefix(topic, "$") {
		return false
	}
	levels, parts := strings.Split(pattern, "/"), strings.Split(topic, "/")
	for i, level := range levels {
		switch {
		case strings.HasPrefix(level, "#"):
			return i == len(levels)-1 && len(parts) > i
		case i >= len(parts):
			return false
		case strings.HasPrefix(level, "+"):
			if parts[i] == "" {
				return false
			}
		case level != parts[i]:
			return false
		}
	}
	return len(levels) == len(parts)
}
