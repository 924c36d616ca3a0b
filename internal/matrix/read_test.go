package matrix_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"testing"
)

// content is what a message of a format says, as these tests read it: not with the codecs that they prove.
type content struct {
	kind    string // json, text, bytes or utf16; "" if there is no content
	data    string
	topic   string
	headers string
}

// read reads a message of a client, or for one.
func read(t *testing.T, protocol string, message []byte) (c content) {
	t.Helper()
	switch protocol {
	case "wubsub":
		var m struct {
			Channel, Topic string
			Data           json.RawMessage
		}
		parse(t, message, &m)
		return content{kind: kindOf(m.Data), data: string(m.Data), topic: m.Channel + "/" + m.Topic}
	case "wsify":
		var m struct {
			Command string
			Args    *struct{ Content json.RawMessage }
			Channel *string
			Content json.RawMessage
		}
		_ = json.Unmarshal(message, &m)
		switch {
		case m.Args != nil:
			return content{kind: kindOf(m.Args.Content), data: string(m.Args.Content)}
		case m.Channel != nil:
			return content{kind: kindOf(m.Content), data: string(m.Content), topic: *m.Channel}
		}
		return content{kind: kindOf(message), data: string(message)}
	case "stocking":
		return readStocking(t, message)
	case "vws":
		var m struct {
			T    string
			D, H json.RawMessage
		}
		parse(t, message, &m)
		return content{kind: kindOf(m.D), data: string(m.D), topic: m.T, headers: string(m.H)}
	case "webwire":
		return readWebwire(t, message)
	}
	t.Fatalf("no format %q", protocol)
	return c
}

func parse(t *testing.T, message []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(message, into); err != nil {
		t.Fatalf("%q: %v", message, err)
	}
}

// kindOf returns json, or nothing if there is no value.
func kindOf(value json.RawMessage) string {
	if value == nil || string(value) == "null" {
		return ""
	}
	return "json"
}

func readStocking(t *testing.T, message []byte) content {
	t.Helper()
	parts := bytes.SplitN(message, []byte(","), 3)
	if len(parts) < 3 {
		t.Fatalf("%q has no three fields", message)
	}
	if string(parts[0]) != "4" {
		return content{kind: "text", data: string(parts[2]), topic: string(parts[1])}
	}
	if len(parts[2]) == 0 {
		return content{}
	}
	var m struct {
		C *int
		P json.RawMessage
	}
	parse(t, parts[2], &m)
	if m.C != nil && *m.C != -1 {
		return content{kind: "json", data: string(parts[2])}
	}
	return content{kind: kindOf(m.P), data: string(m.P)}
}

func readWebwire(t *testing.T, message []byte) content {
	t.Helper()
	kinds := []string{"bytes", "text", "utf16"}
	switch kind := message[0]; {
	case kind >= 63 && kind <= 65:
		return named(kinds[kind-63], message[1:], len(message)%2 == 0)
	case kind >= 127 && kind <= 129:
		return named(kinds[kind-127], message[9:], len(message)%2 == 0)
	case kind == 193:
		return content{kind: "utf16", data: string(message[10:])}
	case kind == 191 || kind == 192:
		return content{kind: kinds[kind-191], data: string(message[9:])}
	case kind == 0:
		return content{kind: "text", data: string(message[10:])}
	}
	return content{kind: "text", data: string(message)}
}

// named reads the length of a name, the name and the payload.
func named(kind string, rest []byte, even bool) content {
	n := int(rest[0])
	c := content{kind: kind, topic: string(rest[1 : 1+n])}
	from := 1 + n
	if kind == "utf16" && even && n%2 != 0 {
		from++
	}
	c.data = string(rest[from:])
	return c
}

// utf16 returns text in UTF-16.
func utf16(units ...uint16) (text string) {
	for _, u := range units {
		text += string(binary.LittleEndian.AppendUint16(nil, u))
	}
	return text
}
