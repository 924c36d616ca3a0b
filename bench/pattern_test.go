package main

import (
	"strings"
	"testing"
)

const someID = "01234567-89ab-4cde-8f01-23456789abcd"

func TestPattern(t *testing.T) {
	p := newPattern("a SEQ,UUID WHO")
	var m marks
	m.setSeq(42)
	m.setWho(7)
	copy(m.id[:], someID)
	message := p.append([]byte("before "), &m)
	if want := "before a 0000000042," + someID + " 07"; string(message) != want {
		t.Fatalf("got %q, want %q", message, want)
	}
	message = message[len("before "):]
	var got marks
	if err := p.read(message, &got); err != nil || got != m {
		t.Errorf("read %+v, %v", got, err)
	}
	for _, wrong := range []string{
		"",
		string(message[1:]),
		string(message) + "x",
		strings.Replace(string(message), "a ", "b ", 1),
		strings.Replace(string(message), ",", ";", 1),
	} {
		if err := p.read([]byte(wrong), &got); err == nil {
			t.Errorf("took %q", wrong)
		}
	}
	fixed := newPattern("no marks")
	if err := fixed.read([]byte("no marks"), &got); err != nil {
		t.Error(err)
	}
	if err := fixed.read([]byte("no markz"), &got); err == nil {
		t.Error("took another text")
	}
}

// TestFramed checks that the marks of a frame are where those of its message are.
func TestFramed(t *testing.T) {
	for _, text := range []string{"SEQ", "SEQ" + strings.Repeat("x", 200)} {
		p := newPattern(text)
		framed := p.framed(false)
		var m marks
		m.setSeq(9)
		got := framed.append(nil, &m)
		if want := (dialect{}).clientFrame(string(p.append(nil, &m))); string(got) != string(want) {
			t.Errorf("got %x, want %x", got, want)
		}
	}
}
