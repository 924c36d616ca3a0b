package record

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/relay"
)

// waitingEvents is how many events wait for the recorder at most: the tap counts what does not fit.
const waitingEvents = 16

// Tap records what a tap on a broker's endpoint reports, until ctx ends, the tap does or a limit is reached; then
// it completes the conversation. Dial and QueueBytes of the options are not used, and MaxConnections is for
// WebSockets alone. next returns the next event. It is called on one goroutine, and once more than it
// is needed: the caller makes it return when Tap has. The error is that of next, unless the tap ended with
// core.TapOver, that of writing, or [ErrLost].
func Tap(ctx context.Context, o Options, next func() (core.TapEvent, error)) (Summary, error) {
	t := &tapping{conversations: make(map[uint64]*conversation)}
	t.recorder = newRecorder(o.complete(), nil, func() int64 { return t.beyond })
	events := make(chan core.TapEvent, waitingEvents)
	var failed error // once events is closed
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer close(events)
		for {
			ev, err := next()
			if err != nil {
				failed = err
				return
			}
			select {
			case events <- ev:
			case <-reading.Done():
				return
			}
		}
	}()
	broken := true
	err := run(t.recorder, events, ctx.Done(), func(ev core.TapEvent) {
		if !t.over {
			t.event(ev)
		}
		broken = broken && ev.Kind != core.TapOver
		if len(events) == 0 {
			t.out.flush()
		}
	}, func() {})
	if broken && t.seen.Limit == "" && ctx.Err() == nil && t.out.err == nil {
		err = errors.Join(err, failed) // as events is closed
	}
	return t.seen, err
}

// tapping records the events of a tap. One goroutine.
type tapping struct {
	*recorder
	conversations map[uint64]*conversation
	upgrades      int
	beyond        int64 // WebSockets beyond the maximum
}

// event records one event.
func (t *tapping) event(ev core.TapEvent) {
	r := t.recorder
	r.last = time.Now()
	c := t.conversations[ev.Connection]
	switch {
	case ev.Kind == core.TapOver:
		r.o.Note(fmt.Sprintf("the recording ends: %.200s", ev.Data))
	case ev.Kind == core.TapLost && ev.Connection == 0:
		r.lost("connections that are not recorded at all", ev)
	case ev.Kind == core.TapLost && c == nil:
		r.lost("a connection that is not recorded at all", ev)
	case ev.Kind == core.TapRequest && c == nil:
		t.begin(ev)
	case c == nil: // its beginning is lost
	case ev.Kind == core.TapEnd:
		t.ended(c, ev)
		delete(t.conversations, ev.Connection)
	case !c.over:
		t.said(c, ev)
	}
}

// lost records that the broker could not report something.
func (r *recorder) lost(of string, ev core.TapEvent) {
	r.seen.Lost++
	r.note("%s: %d messages with %d bytes are lost: the recorder was too slow", of, ev.Lost, ev.Size)
	r.o.Note("the recorder is too slow: a connection is not recorded any further")
}

// begin records the request with which a connection begins.
func (t *tapping) begin(ev core.TapEvent) {
	r := t.recorder
	c := new(conversation)
	t.conversations[ev.Connection] = c
	head, body := cutHead(ev.Data)
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	e := &relay.Exchange{Request: request, Body: body}
	e.Upgrade = err == nil && strings.EqualFold(request.Header.Get("Upgrade"), "websocket")
	switch {
	case err != nil:
		r.seen.Broken++
		r.note("a request that cannot be recorded: %v", err)
	case len(ev.Data) < ev.Size:
		r.seen.TooLong++
		r.note("a request of %d bytes, too long to be recorded", ev.Size)
	case e.Upgrade && t.upgrades >= r.o.MaxConnections:
		t.beyond++
	default:
		if e.Upgrade {
			t.upgrades++
		}
		r.open[c] = struct{}{}
		(&heard{r, c}).Asked(e)
		return
	}
	c.over = true
}

// cutHead cuts an HTTP message behind its head.
func cutHead(message []byte) (head, body []byte) {
	if i := bytes.Index(message, []byte("\r\n\r\n")); i >= 0 {
		return message[:i+4], message[i+4:]
	}
	return message, nil
}

// said records what is said on a connection that is recorded.
func (t *tapping) said(c *conversation, ev core.TapEvent) {
	r := t.recorder
	m := relay.Message{Op: ws.OpText, Data: ev.Data}
	if len(ev.Data) < ev.Size {
		m.Size = int64(ev.Size)
	}
	switch ev.Kind {
	case core.TapResponse:
		t.answered(c, ev)
		return
	case core.TapFault:
		r.seen.Broken++
		r.note("%s: the client sent what cannot be recorded (%s); the connection is not recorded any further", c.called(), ev.Data)
		r.abandon(c)
		return
	case core.TapDropped:
		r.seen.Broken++
		r.note("%s: the client read too slowly and lost messages; the connection is not recorded any further", c.called())
		r.abandon(c)
		return
	case core.TapLost:
		r.lost(c.called(), ev)
		r.abandon(c)
		return
	case core.TapClose:
		m.Op = ws.OpClose
	case core.TapBinary:
		m.Op = ws.OpBinary
	case core.TapText:
	default: // of a newer broker
		return
	}
	if c.name != "" {
		(&heard{r, c}).Said(ev.FromServer, m)
	}
}

// answered records the answer to the request of a connection.
func (t *tapping) answered(c *conversation, ev core.TapEvent) {
	r := t.recorder
	if len(c.requests) == 0 {
		return
	}
	e := c.requests[0].exchange
	head, body := cutHead(ev.Data)
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), e.Request)
	switch {
	case err != nil:
		r.seen.Broken++
		r.note("an answer that cannot be recorded: %v", err)
		r.leave(c)
	case len(ev.Data) < ev.Size:
		r.seen.TooLong++
		r.note("an answer of %d bytes, too long to be recorded", ev.Size)
		r.leave(c)
	case e.Upgrade && answer.StatusCode == http.StatusSwitchingProtocols:
		(&heard{r, c}).Upgraded(e, answer)
	default:
		(&heard{r, c}).Answered(e, answer, body)
	}
}

// ended records the end of a connection.
func (t *tapping) ended(c *conversation, ev core.TapEvent) {
	if c.over {
		return
	}
	if c.name != "" {
		t.socketEnded(c, ev.FromServer, false)
	}
	t.leave(c)
}

// Events returns a function for [Tap] that reads server-sent events with events of a tap, of up to max bytes
// each; io.ErrUnexpectedEOF says that the stream has ended.
func Events(stream io.Reader, max int) func() (core.TapEvent, error) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, max)
	return func() (ev core.TapEvent, err error) {
		for lines.Scan() {
			if data, is := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); is {
				err = ev.UnmarshalJSON(data)
				return ev, err
			}
		}
		if err = lines.Err(); err == nil {
			err = io.ErrUnexpectedEOF
		}
		return ev, fmt.Errorf("reading the tap: %w", err)
	}
}
