package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestDialects(t *testing.T) {
	dialects := map[string]dialect{"plain hub": sized(plainHub)}
	for _, f := range formats() {
		dialects[f.protocol] = sized(f.speak)
	}
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) {
			first, second := write(d.receive, 7), write(d.receive, 1<<32)
			if len(first) != delivered || len(second) != delivered {
				t.Errorf("delivers %d and %d bytes, want %d", len(first), len(second), delivered)
			}
			if first == second {
				t.Error("two messages look alike")
			}
			if write(d.publish, 7) == write(d.publish, 8) {
				t.Error("two publishes look alike")
			}
			switch name {
			case "plain hub", "stocking", "webwire":
				return
			}
			for _, text := range []string{d.subscribe, d.subscribed, d.announce, write(d.publish, 7), first} {
				if text != "" && !json.Valid([]byte(text)) {
					t.Errorf("not JSON: %s", text)
				}
			}
		})
	}
}

// TestFrames checks the two frame layouts against RFC 6455, section 5.2.
func TestFrames(t *testing.T) {
	long := string(bytes.Repeat([]byte{'x'}, 128))
	texts, binaries := dialect{}, dialect{binary: true}
	tests := []struct {
		name      string
		got, want []byte
	}{
		{"server short", texts.serverFrame("ab"), []byte{0x81, 2, 'a', 'b'}},
		{"server long", texts.serverFrame(long), append([]byte{0x81, 126, 0, 128}, long...)},
		{"server binary", binaries.serverFrame("ab"), []byte{0x82, 2, 'a', 'b'}},
		{"client short", texts.clientFrame("ab"), []byte{0x81, 0x82, 0, 0, 0, 0, 'a', 'b'}},
		{"client long", texts.clientFrame(long), append([]byte{0x81, 0xfe, 0, 128, 0, 0, 0, 0}, long...)},
		{"client binary", binaries.clientFrame(long), append([]byte{0x82, 0xfe, 0, 128, 0, 0, 0, 0}, long...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !bytes.Equal(test.got, test.want) {
				t.Errorf("got %x, want %x", test.got, test.want)
			}
		})
	}
}
