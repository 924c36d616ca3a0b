package bridge_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/gobwas/ws"
)

// stockingOriginal stands in for the original of stocking. Its program has the routes app/echo, app/fail, app/void and app/never,
// without type hints, and no other.
type stockingOriginal struct {
	rooms map[string]map[*caller]bool // a room whose members have left is still there
}

func newStocking(*process) original {
	return &stockingOriginal{rooms: make(map[string]map[*caller]bool)}
}

func (o *stockingOriginal) traits() traits { return traits{path: "/ws"} }

// greets makes the connection a member of the room of its number.
func (o *stockingOriginal) greets(c *caller) {
	o.rooms[strconv.Itoa(c.number)] = map[*caller]bool{c: true}
	c.text("0")
}

func (o *stockingOriginal) takes(c *caller, _ ws.OpCode, message []byte) bool {
	parts := strings.SplitN(string(message), ",", 3)
	if len(parts) < 3 || parts[0] == "" {
		return false
	}
	code, content := parts[1], parts[2]
	switch parts[0] {
	case "2":
		return false
	case "3":
		c.text("3")
	case "4":
		return o.calls(c, code, content)
	case "5":
		if o.rooms[code] == nil {
			c.text(fmt.Sprintf(`1,0,Channel "%s" not found`, code))
		}
		for member := range o.rooms[code] {
			if member != c {
				member.text(string(message))
			}
		}
	case "6":
		switch code {
		case "1":
			if o.rooms[content] == nil {
				o.rooms[content] = make(map[*caller]bool)
			}
			o.rooms[content][c] = true
		case "0":
			delete(o.rooms[content], c)
		}
	}
	return true
}

// calls calls a route. A route without type hint wants an object or null.
func (o *stockingOriginal) calls(c *caller, code, content string) bool {
	var call struct {
		Route   string          `json:"e"`
		Payload json.RawMessage `json:"p"`
	}
	if json.Unmarshal([]byte(content), &call) != nil {
		return false
	}
	var value any
	if call.Payload == nil || json.Unmarshal(call.Payload, &value) != nil {
		return false
	}
	if _, object := value.(map[string]any); !object && value != nil {
		return false
	}
	outcome := `{"c":-1,"p":{}}` // the fallback's
	switch call.Route {
	case "app/echo":
		result, err := json.Marshal(value)
		if err != nil {
			return false
		}
		outcome = fmt.Sprintf(`{"c":-1,"p":%s}`, result)
	case "app/fail":
		outcome = `{"c":0,"p":"it does not work"}`
	case "app/void":
		outcome = ""
	case "app/never":
		// The original would stand still, for everybody.
		return true
	}
	if code != "0" {
		c.text("4," + code + "," + outcome)
	}
	return true
}

func (o *stockingOriginal) parts(c *caller, _ error) {
	for _, members := range o.rooms {
		delete(members, c)
	}
}
