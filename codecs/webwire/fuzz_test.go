package webwire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// For all bytes: no panic; either the connection ends or there is at most one
// command or refusal; and a signal comes out as it came in, as does the payload
// of a request in an echo of it.
func FuzzDecode(f *testing.F) {
	for _, c := range coretest.Cases(f, "testdata/decode.txt", "endpoint") {
		f.Add(frame(f, c).Data)
	}
	codec := newCodec(f, "message_buffer_size=1048576")
	f.Fuzz(func(t *testing.T, data []byte) {
		coretest.FrugalCodec(t, codec, core.Frame{Kind: core.BinaryFrame, Data: data})
		requireBack(t, codec, data)
	})
}

// A client's message costs memory in proportion to its size, whatever it is. If it cost time
// by the square of its size, this test would take minutes.
func TestHostileMessages(t *testing.T) {
	const many = 1 << 14
	codec := newCodec(t, "message_buffer_size=4194304")
	messages := map[string]string{"server's": "\x00" + strings.Repeat("\x01", many)}
	for enc := range encodings {
		for what, payload := range map[string]string{
			"zeros": strings.Repeat("\x00", many), "half surrogate pairs": strings.Repeat("\x00\xd8", many), "quotes": strings.Repeat(`"`, many),
			"escapes": `"` + strings.Repeat(`\u0000`, many/8) + `"`, "brackets": strings.Repeat("[", many), "not UTF-8": strings.Repeat("\xff\xfe", many),
			"levels": strings.Repeat("+/", many/2),
		} {
			for _, name := range []string{"", "n/", "$subscribe", strings.Repeat("%C3", 84), strings.Repeat("%25", 84)} {
				if enc == asUTF16 && len(name)%2 != 0 {
					name += "x"
				}
				rest := string([]byte{byte(len(name))}) + name + payload
				messages[fmt.Sprintf("signal %d %.10q of %s", enc, name, what)] = string([]byte{typeSignal + byte(enc)}) + rest
				messages[fmt.Sprintf("request %d %.10q of %s", enc, name, what)] = string([]byte{typeRequest + byte(enc)}) + "12345678" + rest
			}
		}
	}
	for name, message := range messages {
		t.Run(name, func(t *testing.T) {
			coretest.FrugalCodec(t, codec, core.Frame{Kind: core.BinaryFrame, Data: []byte(message)})
		})
	}
}

// Signals of all encodings, names and payloads, empty ones included, come out
// byte for byte as they came in, and so do requests that are echoed.
func TestByteIdentity(t *testing.T) {
	codec := newCodec(t, "")
	random := rand.New(rand.NewPCG(3, 4))
	names := []string{"", "n", "ab", "news/today", "%C3%A9", "%25C3%A9", "100%", "$x", string(bytes.Repeat([]byte("n"), 255)), string(bytes.Repeat([]byte("n"), 254))}
	payloads := []string{"", "x", "xy", "hé😀", "\x00\x00", `{"a": 1}`, `"quoted"`, "=\xd8h\x00", "\x00\xde=\xd8", "\xff\xfeh\x00", "\xff"}
	for range 100 {
		some := make([]byte, random.IntN(64))
		for i := range some {
			some[i] = byte(random.Uint32())
		}
		payloads = append(payloads, string(some))
	}
	taken := map[string]int{}
	for _, name := range names {
		for _, payload := range payloads {
			for enc := range encodings {
				for _, kind := range []byte{typeSignal, typeRequest} {
					message := []byte{kind + byte(enc)}
					if kind == typeRequest {
						message = append(message, "\x00\xff345678"...)
					}
					message = append(append(message, byte(len(name))), name...)
					if enc == asUTF16 && len(name)%2 != 0 {
						message = append(message, 0)
					}
					if requireBack(t, codec, append(message, payload...)) {
						taken[fmt.Sprint(kind, enc)]++
					}
				}
			}
		}
	}
	for _, kind := range []byte{typeSignal, typeRequest} {
		for enc := range encodings {
			if n := taken[fmt.Sprint(kind, enc)]; n < 100 {
				t.Errorf("type %d: only %d messages were taken", kind+byte(enc), n)
			}
		}
	}
}

// requireBack decodes data and, if it is a publish or a call, encodes it again. It reports
// whether it was one.
func requireBack(t *testing.T, c codec, data []byte) bool {
	t.Helper()
	work := bytes.Clone(data)
	got, commands := decode(t, c, core.Frame{Kind: core.BinaryFrame, Data: slices.Clip(work)})
	if len(commands) == 0 {
		return false
	}
	if len(commands) > 1 {
		t.Fatalf("%x: %s", data, got)
	}
	cmd := commands[0]
	// The padding may be anything on its way in and is zero on its way out.
	want := bytes.Clone(data)
	if at := paddingOf(data); at > 0 {
		want[at] = 0
	}
	var out []byte
	var kind core.FrameKind
	var err error
	switch cmd.Verb {
	case core.Publish:
		out, kind, err = c.Encode(nil, core.Event{Kind: core.Message, Topic: cmd.Topic, Payload: cmd.Payload})
	case core.Call:
		out, kind, err = c.Encode(nil, core.Event{Kind: core.Answer, Ref: cmd.Ref, Topic: cmd.Topic, Payload: cmd.Payload})
		want = echoOf(data)
	default:
		return false
	}
	if err != nil || kind != core.BinaryFrame || !bytes.Equal(out, want) {
		t.Fatalf("%x\ncame back as %x\n      wanted %x (kind %d, %v)", data, out, want, kind, err)
	}
	return true
}

// paddingOf returns where the padding of a well-formed signal or request is; 0 if
// there is none.
func paddingOf(data []byte) int {
	at := 1
	switch data[0] {
	case typeSignal + byte(asUTF16):
	case typeRequest + byte(asUTF16):
		at = 9
	default:
		return 0
	}
	if data[at]%2 == 0 {
		return 0
	}
	return at + 1 + int(data[at])
}

// echoOf returns the reply with the payload of a well-formed request.
func echoOf(data []byte) []byte {
	payload := data[10+int(data[9]):]
	if paddingOf(data) > 0 {
		payload = payload[1:]
	}
	reply := append([]byte{data[0] - typeRequest + typeReply}, data[1:9]...)
	if data[0] == typeRequest+byte(asUTF16) {
		reply = append(reply, 0)
	}
	return append(reply, payload...)
}
