package bridge_test

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// webwireOriginal stands in for a program with the original library of webwire: it sends each signal on to all other
// connections, and answers the requests app/echo, app/fail and app/break; app/never is not answered. All else is an error of its own.
type webwireOriginal struct {
	all map[*caller]bool
}

func newWebwire(*process) original { return &webwireOriginal{all: make(map[*caller]bool)} }

const webwireBuffer = 8192

func (o *webwireOriginal) traits() traits {
	return traits{maxMessage: webwireBuffer, noPongs: true, sameOrigin: true}
}

func (o *webwireOriginal) greets(c *caller) {
	webwireSays(c, []byte("\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00"))
	o.all[c] = true
}

func (o *webwireOriginal) parts(c *caller, _ error) { delete(o.all, c) }

func webwireSays(c *caller, message []byte) { c.send(ws.NewBinaryFrame(message)) }

func (o *webwireOriginal) takes(c *caller, op ws.OpCode, m []byte) bool {
	if op != ws.OpBinary || len(m) == 0 {
		return false
	}
	switch kind, body := m[0], m[1:]; kind {
	case 33: // heartbeat
		return len(body) == 0
	case 63, 64, 65: // signals
		if _, _, ok := webwireParts(body, kind == 65); !ok || len(m) < 3 {
			return false
		}
		for other := range o.all {
			if other != c {
				webwireSays(other, m)
			}
		}
	case 127, 128, 129: // requests
		if len(body) < 10 {
			return false
		}
		id := body[:8]
		name, payload, ok := webwireParts(body[8:], kind == 129)
		if !ok {
			return false
		}
		o.answers(c, kind, id, name, payload)
	case 31: // close session
		if len(body) != 8 {
			return false
		}
		webwireSays(c, append([]byte{5}, body...))
	case 32: // restore session
		if len(body) < 9 {
			return false
		}
		webwireSays(c, append([]byte{5}, body[:8]...))
	case 0, 1, 2, 3, 4, 5, 21, 22, 23, 191, 192, 193: // what only a server sends
	default:
		return false
	}
	return true
}

// answers answers a request as the program does.
func (o *webwireOriginal) answers(c *caller, kind byte, id []byte, name string, payload []byte) {
	fails := func(code, text string) {
		webwireSays(c, append(append(append(append([]byte{0}, id...), byte(len(code))), code...), text...))
	}
	switch name {
	case "app/echo":
		reply := append([]byte{kind + 191 - 127}, id...)
		if kind == 129 {
			reply = append(reply, 0)
		}
		webwireSays(c, append(reply, payload...))
	case "app/fail":
		fails("NOT_TODAY", "it does not work")
	case "app/break":
		webwireSays(c, append([]byte{2}, id...))
	case "app/never":
	default:
		fails("UNKNOWN", "there is no "+name)
	}
}

// webwireParts takes a message apart, behind its type and id.
func webwireParts(body []byte, wide bool) (name string, payload []byte, ok bool) {
	if len(body) == 0 || int(body[0]) > len(body)-1 {
		return "", nil, false
	}
	end := 1 + int(body[0])
	name, payload = string(body[1:end]), body[end:]
	if !wide {
		return name, payload, true
	}
	if body[0]%2 != 0 {
		if len(payload) == 0 {
			return "", nil, false
		}
		payload = payload[1:]
	}
	return name, payload, len(payload)%2 == 0
}

// webwireSignal and webwireRequest write what a client says, in UTF-8.
func webwireSignal(name, text string) string {
	return string([]byte{64, byte(len(name))}) + name + text
}

func webwireRequest(id uint64, name, text string) string {
	return string(append(binary.LittleEndian.AppendUint64([]byte{128}, id), byte(len(name)))) + name + text
}
