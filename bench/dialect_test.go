package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestDialects(t *testing.T) {
	for name, d := range map[string]dialect{"plain hub": plainHub(), "wubsub": wubsub(), "wsify": wsify()} {
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
			if name == "plain hub" {
				return
			}
			for _, text := range []string{d.subscribe, d.announce, write(d.publish, 7), first} {
				if text != "" && !json.Valid([]byte(text)) {
					t.Errorf("not JSON: %s", text)
				}
			}
		})
	}
}

// TestFrames holds the two frame layouts against RFC 6455, section 5.2.
func TestFrames(t *testing.T) {
	long := string(bytes.Repeat([]byte{'x'}, 128))
	tests := []struct {
		name      string
		got, want []byte
	}{
		{"server short", serverFrame("ab"), []byte{0x81, 2, 'a', 'b'}},
		{"server long", serverFrame(long), append([]byte{0x81, 126, 0, 128}, long...)},
		{"client short", clientFrame("ab"), []byte{0x81, 0x82, 0, 0, 0, 0, 'a', 'b'}},
		{"client long", clientFrame(long), append([]byte{0x81, 0xfe, 0, 128, 0, 0, 0, 0}, long...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !bytes.Equal(test.got, test.want) {
				t.Errorf("got %x, want %x", test.got, test.want)
			}
		})
	}
}
