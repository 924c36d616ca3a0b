package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"
)

func TestChooseCalls(t *testing.T) {
	var got []string
	for _, c := range choose(callContenders("", ""), callReference, regexp.MustCompile("handler")) {
		got = append(got, c.name)
	}
	if want := []string{callReference, "webwire to handler", "stocking to handler"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCallDialects checks that the messages of the formats in JSON are JSON, and that a
// call and its answer carry the same number.
func TestCallDialects(t *testing.T) {
	var m marks
	m.setSeq(7)
	m.setWho(1)
	copy(m.id[:], someID)
	for _, c := range callContenders("", "") {
		t.Run(c.name, func(t *testing.T) {
			last := c.caller.hears[len(c.caller.hears)-1]
			messages := []string{c.caller.request, last}
			if a := c.answerer; a != nil {
				messages = append(messages, a.request, a.answer)
			}
			for _, template := range messages {
				p := newPattern(template)
				var got marks
				if err := p.read(p.append(nil, &m), &got); err != nil || got.seq != m.seq {
					t.Errorf("%q carries number %q, %v", template, got.seq, err)
				}
			}
			if c.caller.name != "wubsub" {
				return
			}
			for _, template := range slices.Concat(messages, c.caller.hears, c.answerer.hello) {
				p := newPattern(template)
				if message := p.append(nil, &m); !json.Valid(message) {
					t.Errorf("not JSON: %s", message)
				}
			}
		})
	}
}
