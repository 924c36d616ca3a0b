package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// read returns the events that wait at a tap as text.
func read(t *testing.T, tap *Tap) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), coretest.Patience)
	defer cancel()
	events, err := tap.Next(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		line := fmt.Sprintf("%s %s", ev.Kind, ev.Data)
		if m := ev.Message; m != nil {
			line += fmt.Sprintf(" #%d %s %s %d", m.Number, m.Topic, m.From, m.Encodings)
		}
		lines = append(lines, line)
	}
	return lines
}

func expectEvents(t *testing.T, tap *Tap, want ...string) {
	t.Helper()
	if got := read(t, tap); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A tap reports the messages on its topics, whoever publishes them and whoever hears them, and nothing else.
func TestTap(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{Name: "e", TopicPrefix: "in/"})
	l := s.connect(0)
	l.peer.Do(sub("a"))
	tap, err := w.engine.Tap("in/+", core.TapOptions{MaxMessage: 3})
	if err != nil {
		t.Fatal(err)
	}
	l.peer.Do(pub("a", "one"))
	l.peer.Do(pub("a/b", "other"))
	l.peer.Do(pub("b", "long"))
	expectEvents(t, tap, "message one #1 in/a bridge 1", "passed_on  #1 in/a  0", "message  #2 in/b bridge 0")
	w.engine.Publisher(s.Endpoint).Publish([]byte("a"), core.Payload{Kind: core.Text, Data: []byte("two")})
	expectEvents(t, tap, "message two #3 in/a request 1", "passed_on  #3 in/a  0")
	w.engine.Published([]byte("in/c"), core.Payload{Kind: core.Text}, nil)
	expectEvents(t, tap, "message  #4 in/c node 0")

	tap.Close()
	tap.Close()
	if events, err := tap.Next(t.Context(), nil); !errors.Is(err, io.EOF) {
		t.Errorf("closed: %v, %v", events, err)
	}
	if w.engine.taps.Load() != nil {
		t.Error("the engine still looks for taps")
	}
	w.engine.Publisher(s.Endpoint).Publish([]byte("a"), core.Payload{Kind: core.Text, Data: []byte("x")})
}

// There are few taps, and all end with the engine.
func TestTapsAreBounded(t *testing.T) {
	w := newWorld(t, 1)
	for _, bad := range []string{"", "#/a"} {
		if _, err := w.engine.Tap(bad, core.TapOptions{}); !errors.Is(err, errNoPattern) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	var taps []*Tap
	for range maxTaps {
		tap, err := w.engine.Tap("#", core.TapOptions{})
		if err != nil {
			t.Fatal(err)
		}
		taps = append(taps, tap)
	}
	for range 1000 {
		if _, err := w.engine.Tap("#", core.TapOptions{}); !errors.Is(err, errManyTaps) {
			t.Fatal(err)
		}
	}
	taps[0].Close()
	again, err := w.engine.Tap("#", core.TapOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if open, _ := w.engine.Taps(); open != maxTaps {
		t.Errorf("there are %d", open)
	}
	w.engine.Close()
	expectEvents(t, again, "over the broker shuts down")
	if _, err := again.Next(t.Context(), nil); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// On a flooded topic nobody waits for a reader that does not read: the memory is bounded, and the rest is a number.
func TestTapOfFloodedTopic(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	tap, err := w.engine.Tap("#", core.TapOptions{MaxMessage: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	const publishers, each = 4, 500
	payload := bytes.Repeat([]byte("x"), 20_000)
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for range each {
				w.engine.Publisher(s.Endpoint).Publish([]byte("a"), core.Payload{Kind: core.Text, Data: payload})
			}
		})
	}
	all.Wait()
	if n := tap.bytes.Load(); n > tapBytes {
		t.Errorf("%d bytes wait", n)
	}
	var shown, missing, size int
	for shown+missing < publishers*each {
		events, err := tap.Next(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range events {
			switch ev.Kind {
			case core.TapPublished:
				shown++
			case core.TapLost:
				missing += int(ev.Lost)
				size += ev.Size
			}
		}
	}
	if shown+missing != publishers*each || shown < tapBytes/2/len(payload) || missing == 0 || size != missing*len(payload) {
		t.Errorf("%d are shown, and %d of %d bytes are missing", shown, missing, size)
	}
	if _, lost := w.engine.Taps(); lost != uint64(missing) {
		t.Errorf("%d are counted", lost)
	}
	if n := tap.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
	w.engine.Publisher(s.Endpoint).Publish([]byte("a"), core.Payload{Kind: core.Text, Data: []byte("y")})
	expectEvents(t, tap, fmt.Sprintf("message y #%d a request 0", publishers*each+1))
}

// Of many messages some are reported, and their numbers say how many there were.
func TestTapSamples(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	tap, err := w.engine.Tap("#", core.TapOptions{MaxMessage: 10, Every: 3})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		w.engine.Publisher(s.Endpoint).Publish([]byte("a"), core.Payload{Kind: core.Text, Data: fmt.Append(nil, i)})
	}
	expectEvents(t, tap, "message 0 #1 a request 0", "message 3 #4 a request 0", "message 6 #7 a request 0")
}
