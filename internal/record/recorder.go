package record

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/relay"
)

const (
	// seenInterval is the time between two calls of Options.Seen.
	seenInterval = time.Second
	// settled is how long nothing must have been seen at the end, so that nothing is on its way.
	settled = 250 * time.Millisecond
	// maxHeld bounds what waits for the answer of an HTTP request before it is written, in bytes.
	maxHeld = 4 << 20
	// cutPause is how long a server has, when the conversation is played, to notice that a connection was cut.
	cutPause = "200ms"
)

// recorder takes apart what a relay has queued, or takes what a tap reports, and writes the conversation. All but
// seen is used by run's goroutine alone; seen may be read when run has returned.
type recorder struct {
	scribe
	o          Options
	queue      *relay.Queue // nil with a tap, after whose end nothing goes on
	unrecorded func() int64
	out        *writer
	seen       Summary

	// open are the connections that are recorded.
	open map[*conversation]struct{}
	// held are statements that wait for one that is not complete; the first one is such.
	held      []*statement
	heldBytes int
	// pause says that a connection was cut since the last statement of a client.
	pause bool
	last  time.Time // when something was seen
	over  bool      // nothing is recorded any more
}

// conversation is one connection. Owned by the recorder.
type conversation struct {
	of       *relay.Connection // nil with a tap
	dialog   *relay.Dialog     // nil with a tap, and when it is over
	name     string            // "" before the upgrade
	requests []*asked          // without an answer
	// closed by a close frame, and ended at all, from either side.
	clientClosed, serverClosed bool
	clientEnded, serverEnded   bool
	over                       bool // not recorded any more
}

// statement is a part of the conversation. It is not written before it is complete.
type statement struct {
	text     string
	complete bool
}

func newRecorder(o Options, q *relay.Queue, unrecorded func() int64) *recorder {
	return &recorder{
		scribe: scribe{dissector: o.Dissector, endpoint: o.Endpoint, path: o.Path, values: newValues()},
		o:      o, queue: q, unrecorded: unrecorded, out: newWriter(o.Out), open: make(map[*conversation]struct{}),
	}
}

// relayed records what the relay queues until stop is closed.
func (r *recorder) relayed(stop <-chan struct{}) error {
	var pieces []relay.Piece
	work := func() {
		pieces = r.queue.Take(pieces)
		for i := range pieces {
			if r.over {
				return
			}
			r.piece(&pieces[i])
		}
		r.out.flush()
	}
	return run(r, r.queue.Wake(), stop, func(struct{}) { work() }, func() {
		r.queue.Close()
		work()
	})
}

// run records until stop is closed, or in is. take records something that has come in, and rest at the end what
// has come in besides. A recorder without a relay ends at the limits, too.
func run[T any](r *recorder, in <-chan T, stop <-chan struct{}, take func(T), rest func()) error {
	r.preamble()
	ticks := time.NewTicker(seenInterval)
	defer ticks.Stop()
	var late <-chan time.Time
	if r.o.MaxTime > 0 {
		timer := time.NewTimer(r.o.MaxTime)
		defer timer.Stop()
		late = timer.C
	}
	for ended := false; !ended; {
		select {
		case x, open := <-in:
			if ended = !open; open {
				take(x)
			}
		case <-ticks.C:
			r.told()
		case <-late:
			rest()
			r.end("time")
		case <-stop:
			ended = true
		}
		if err := r.out.err; err != nil && !r.over {
			r.o.Note(fmt.Sprintf("%v; nothing more is recorded%s", err, r.goesOn(", and connections are passed on")))
			r.close()
		}
		ended = ended || r.over && r.queue == nil
	}
	rest()
	r.end("")
	r.told()
	err := r.out.err
	if r.seen.Lost > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d connections were not recorded to their end", ErrLost, r.seen.Lost))
	}
	return err
}

// close records nothing more.
func (r *recorder) close() {
	r.over = true
	if r.queue != nil {
		r.queue.Close()
	}
}

// goesOn returns what is said of connections that go on by way of the recorder.
func (r *recorder) goesOn(text string) string {
	if r.queue == nil {
		return ""
	}
	return text
}

func (r *recorder) told() {
	r.seen.Bytes, r.seen.Unrecorded = r.out.size, int(r.unrecorded())
	r.o.Seen(r.seen)
}

// preamble begins the conversation.
func (r *recorder) preamble() {
	fmt.Fprintf(r.out, "# Recorded by broker record at %s, %s.\n", r.o.Server, time.Now().UTC().Format(time.RFC3339))
	fmt.Fprintf(r.out, "# broker converse FILE --url %s=ws://HOST:PORT/PATH plays it. Pings and pongs are left out.\n", r.o.Endpoint)
	fmt.Fprint(r.out, "timeout 30s\n")
}

// end completes the conversation; limit is what has ended it before its time.
func (r *recorder) end(limit string) {
	if r.over {
		return
	}
	r.close()
	for c := range r.open {
		r.unanswered(c)
	}
	r.release(true)
	if limit != "" || time.Since(r.last) < settled {
		for c := range r.open {
			if c.name != "" && !c.over && !c.clientEnded && !c.serverClosed && !c.clientClosed && !c.serverEnded {
				// What was still on its way is not expected.
				r.write(c.name + " stall\n")
			}
		}
	}
	switch limit {
	case "time":
		r.seen.Limit = fmt.Sprintf("the maximum time, %v", r.o.MaxTime)
	case "size":
		r.seen.Limit = fmt.Sprintf("the maximum size, %d bytes", r.o.MaxSize)
	case "values":
		r.seen.Limit = fmt.Sprintf("%d ids and credentials, which is the maximum", maxValues)
	}
	if r.seen.Limit != "" {
		r.note("the recording has ended at %s", r.seen.Limit)
		r.o.Note(fmt.Sprintf("the recording has ended at %s%s", r.seen.Limit, r.goesOn("; connections are passed on")))
	}
	r.seen.Unrecorded = int(r.unrecorded())
	for _, x := range []struct {
		count int
		what  string
	}{
		{r.seen.Unrecorded, "connections were not recorded: they were beyond the maximum"},
		{r.seen.Lost, "connections were NOT recorded to their end: the recorder was too slow"},
		{r.seen.Broken, "connections were not recorded to their end: they broke the protocol, or lost messages"},
		{r.seen.TooLong, "messages of clients were too long to be recorded"},
	} {
		if x.count > 0 {
			r.note("%d %s", x.count, x.what)
		}
	}
	if len(r.values.set) > 0 {
		r.note("credentials are not in this file; broker converse needs them: --set %s=…", strings.Join(r.values.set, "=… --set "))
	}
	r.out.flush()
}

// write adds statements that are complete.
func (r *recorder) write(text string) {
	if len(r.held) == 0 {
		_, _ = r.out.Write([]byte(text)) // the writer keeps its error
	} else {
		r.held = append(r.held, &statement{text: text, complete: true})
		r.heldBytes += len(text)
		if r.heldBytes > maxHeld {
			r.release(true)
		}
	}
	if r.out.size+int64(r.heldBytes) > r.o.MaxSize {
		r.end("size")
	} else if r.values.full() {
		r.end("values")
	}
}

// hold adds a statement that is completed later; text is what is written if it never is.
func (r *recorder) hold(text string) *statement {
	s := &statement{text: text}
	r.held = append(r.held, s)
	return s
}

// release writes the statements before which nothing is incomplete, or all.
func (r *recorder) release(all bool) {
	for len(r.held) > 0 && (all || r.held[0].complete) {
		s := r.held[0]
		r.held = r.held[1:]
		if s.complete {
			r.heldBytes -= len(s.text)
		}
		s.complete = true
		_, _ = r.out.Write([]byte(s.text)) // the writer keeps its error
	}
}

// note writes a comment of one line.
func (r *recorder) note(format string, args ...any) {
	line := strings.Map(func(c rune) rune {
		if c < ' ' {
			return ' '
		}
		return c
	}, fmt.Sprintf(format, args...))
	r.write("# " + r.replaced(line, func(s string) string { return s }) + "\n")
}

// acts writes a statement of a client.
func (r *recorder) acts(text string) {
	if r.pause {
		r.pause = false
		text = "pause " + cutPause + "\n" + text
	}
	r.write(text)
}

// piece records one piece.
func (r *recorder) piece(p *relay.Piece) {
	c, ok := p.Of.State.(*conversation)
	if !ok {
		c = &conversation{of: p.Of}
		c.dialog = relay.NewDialog(r.o.MaxMessage, &heard{r, c})
		p.Of.State = c
	}
	r.last = time.Now()
	if c.over {
		return
	}
	r.open[c] = struct{}{}
	switch p.Kind {
	case relay.Unreached:
		r.seen.Unreached++
		r.note("the server could not be reached, and a client was answered 502: %s", p.Data)
		r.leave(c)
	case relay.Overflow:
		r.seen.Lost++
		r.note("%s: what follows is lost: the recorder was too slow", c.called())
		r.o.Note("the recorder is too slow: a connection is passed on without being recorded")
		r.abandon(c)
	case relay.FromClient, relay.FromServer:
		r.bytes(c, p.Kind.Server(), p.Data)
	case relay.Over:
		r.leave(c)
	default:
		r.ended(c, p.Kind)
	}
}

func (c *conversation) called() string {
	if c.name == "" {
		return "a connection"
	}
	return c.name
}

// abandon stops recording a connection that goes on.
func (r *recorder) abandon(c *conversation) {
	if c.name != "" && !c.clientEnded && !c.clientClosed {
		r.write(c.name + " stall\n")
	}
	r.leave(c)
}

// leave forgets a connection.
func (r *recorder) leave(c *conversation) {
	r.unanswered(c)
	c.over = true
	if c.of != nil {
		c.of.Ignore()
	}
	c.dialog = nil
	delete(r.open, c)
}

// heard is told what is said on a connection.
type heard struct {
	r *recorder
	c *conversation
}

// bytes records bytes of one direction.
func (r *recorder) bytes(c *conversation, server bool, data []byte) {
	dialog := c.dialog
	err := dialog.Feed(server, data)
	if err == nil || c.over {
		return
	}
	r.seen.Broken++
	if dialog.Upgraded() {
		r.note("%s: the %s sent what cannot be recorded (%v); the connection is not recorded any further", c.name, sideName(server), err)
	} else {
		r.note("%s: what the %s sent is no HTTP message that can be recorded: %v", c.called(), sideName(server), err)
	}
	r.abandon(c)
}

func sideName(server bool) string {
	if server {
		return "server"
	}
	return "client"
}

// Said records one message or control frame.
func (h *heard) Said(server bool, m relay.Message) {
	r, c := h.r, h.c
	switch {
	case c.over || r.over || server && (c.serverClosed || c.clientEnded) || !server && c.clientClosed:
		return
	case m.Op == ws.OpClose:
		r.closes(c, server, m.Data)
		return
	case m.Op.IsControl():
		return
	case m.Size > 0:
		r.tooLong(c, server, m)
		return
	}
	f := core.Frame{Kind: core.TextFrame, Data: m.Data}
	if m.Op == ws.OpBinary {
		f.Kind = core.BinaryFrame
	}
	d := r.dissect(server, f)
	if d.Idle {
		return
	}
	content := r.contentOf(server, m.Data, d)
	line := c.name + " " + content.message(m.Op) + "\n"
	if server {
		r.seen.Received++
		r.write(line)
	} else {
		r.seen.Sent++
		r.acts(line)
	}
}

func (r *recorder) tooLong(c *conversation, server bool, m relay.Message) {
	kind := "text"
	if m.Op == ws.OpBinary {
		kind = "binary"
	}
	if !server {
		r.seen.TooLong++
		r.seen.Sent++
		r.note("%s > a %s message of %d bytes, too long to be recorded", c.name, kind, m.Size)
		return
	}
	r.seen.Received++
	r.note("%s < a %s message of %d bytes, too long to be recorded", c.name, kind, m.Size)
	r.write(c.name + " <" + kind[:1] + " *\n")
}

// closes records a close frame.
func (r *recorder) closes(c *conversation, server bool, payload []byte) {
	line := c.name + " " + r.closing(server, payload) + "\n"
	if server {
		c.serverClosed = true
		r.write(line)
	} else {
		c.clientClosed = true
		r.acts(line)
	}
}

// ended records the end of one side of the TCP connection. After close frames it says nothing more.
func (r *recorder) ended(c *conversation, k relay.Kind) {
	left := c.dialog.End(k.Server())
	switch {
	case c.over: // the last answer was too much
		return
	case !c.dialog.Upgraded() && k.Server():
		r.unanswered(c)
	case !c.dialog.Upgraded():
		if left > 0 {
			r.note("a client ended its connection within an HTTP request, after %d bytes", left)
		}
	default:
		r.socketEnded(c, k.Server(), k.Reset())
	}
	if k.Server() {
		c.serverEnded = true
	} else {
		c.clientEnded = true
	}
	if c.serverEnded && c.clientEnded || k.Reset() {
		r.leave(c)
	}
}

// socketEnded records the end of one side of a WebSocket.
func (r *recorder) socketEnded(c *conversation, server, reset bool) {
	switch {
	case server:
		if !c.serverClosed && !c.clientEnded {
			r.write(c.name + " <end\n")
		}
	case !c.clientClosed && !c.serverEnded:
		verb := " cut\n"
		if reset {
			verb = " abort\n"
		}
		r.write(c.name + verb)
		r.pause = true
	}
}
