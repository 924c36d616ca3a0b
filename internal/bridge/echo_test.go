package bridge

import (
	"hash/maphash"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

func newEchoes() *echoes {
	return &echoes{on: func([]byte) bool { return true }, named: true, seed: maphash.MakeSeed(), marks: make(map[uint64]count)}
}

// topic is that of all messages.
var topic = []byte("t")

func word(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }

// An echo that was heard is not expected any more when its window is over: it does not take the place of a
// newer one.
func TestEchoWindow(t *testing.T) {
	e, now := newEchoes(), time.Unix(1000, 0)
	e.said(topic, word("first"), now) // is never heard: what comes after it is kept
	e.said(topic, word("tick"), now)
	if !e.heard(topic, word("tick")) {
		t.Fatal("an echo passes for new")
	}
	later := now.Add(echoWindow - time.Second)
	e.said(topic, word("tick"), later)
	e.said(topic, word("other"), later.Add(2*time.Second)) // the first two are removed now
	if !e.heard(topic, word("tick")) {
		t.Error("an echo passes for new when the window of an equal message before it is over")
	}
	if e.heard(topic, word("tick")) || e.heard(topic, word("first")) {
		t.Error("what was not said within the window is an echo")
	}
	if !e.heard(topic, word("other")) || len(e.order) != 0 || len(e.marks) != 0 {
		t.Errorf("%d messages and %d marks are left", len(e.order), len(e.marks))
	}
}

// TestEchoes compares with a model: a list of what was said and not heard, for each word.
func TestEchoes(t *testing.T) {
	e, now := newEchoes(), time.Unix(1000, 0)
	due := make(map[string][]time.Time)
	words := []string{"a", "b", "c"}
	for range 20_000 {
		now = now.Add(rand.N(2 * time.Second))
		w := words[rand.IntN(len(words))]
		if rand.IntN(2) == 0 {
			e.said(topic, word(w), now)
			due[w] = append(due[w], now.Add(echoWindow))
			for _, w := range words {
				for len(due[w]) > 0 && now.After(due[w][0]) {
					due[w] = due[w][1:]
				}
			}
			continue
		}
		if got, want := e.heard(topic, word(w)), len(due[w]) > 0; got != want {
			t.Fatalf("%s is an echo: %v, want %v", w, got, want)
		} else if got {
			due[w] = due[w][1:]
		}
	}
	if n := len(e.order); n > 100 {
		t.Errorf("%d messages are remembered", n)
	}
}
