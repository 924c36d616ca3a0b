package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
	"github.com/polywire/polywire/plugin/contract"
)

// The bounds on what may be unanswered of one connection. One message is always taken.
const (
	maxFrames     = 64        // client messages; then the connection is held
	maxFrameBytes = 128 << 10 // and their bytes
	maxEventBytes = 4 << 20   // of events; then the connection is closed
	maxAskedBytes = 2 << 20   // of events; then no more requests from others are taken
)

var (
	errLost     = errors.New("the plugin ended, or could not be asked, before it had answered")
	errNotUTF8  = errors.New("the plugin made a text that is not UTF-8")
	errNotJSON  = errors.New("the plugin made a JSON payload that is not JSON")
	errNonsense = errors.New("it answers what cannot be understood")
)

// lossOf returns the error of a question that got no answer.
func lossOf(r core.Reason) error { return &core.Violation{Reason: r, Err: errLost} }

// codec asks the plugin to translate for one connection.
type codec struct {
	// Static after construction.
	shard *shard
	conn  core.RemoteConn
	id    uint64

	// Atomic.
	closed     atomic.Bool
	events     atomic.Int64 // unanswered
	eventBytes atomic.Int64 // and their bytes

	// Owned by the loop: the unanswered messages of the client.
	frames, frameBytes int
	held               bool
	later              []later
	expected           core.Frame // of the command that is carried out
	outcomes           []outcome  // pending
	broken             error      // what is wrong with the answer that is being carried out
}

var _ core.RemoteCodec = (*codec)(nil)

// Open asks the plugin to open the connection.
func (c *codec) Open() { c.shard.askOpen(c) }

// Decode asks the plugin to decode f, and holds the connection if too much is unanswered.
func (c *codec) Decode(f core.Frame) {
	size, congested := c.shard.askDecode(c, f)
	c.frames++
	c.frameBytes += size
	if !c.held && (congested || c.frames >= maxFrames || c.frameBytes >= maxFrameBytes) {
		c.held = true
		c.conn.Pause()
	}
}

// Encode asks the plugin to encode ev. Without room, a request fails with core.ErrNoRoom,
// and any other event closes the connection.
func (c *codec) Encode(ev core.Event) {
	c.events.Add(1)
	switch {
	case c.closed.Load(), c.shard.askEncode(c, ev):
	case ev.IsRequest():
		asked := ev.PendingCall()
		c.conn.Post(func() {
			if !c.closed.Load() {
				c.events.Add(-1)
				c.conn.Encoded(asked, core.Frame{}, core.ErrNoRoom)
			}
		})
	default:
		c.conn.Close(core.ReasonOverload)
	}
}

// Admits reports whether there is room for a request of n bytes. There always is if no
// event is unanswered.
func (c *codec) Admits(n int) bool {
	waits := c.eventBytes.Load()
	return waits == 0 || waits+int64(n) <= maxAskedBytes
}

// Close tells the plugin that the connection is gone.
func (c *codec) Close() {
	c.closed.Store(true)
	c.shard.detach(c)
}

// later is an answer that waits for the release of its connection.
type later struct {
	question question
	answer   []byte
}

// Resume hands on the answers that have waited.
func (c *codec) Resume() {
	for len(c.later) > 0 && !c.closed.Load() && !c.conn.Held() {
		l := c.later[0]
		c.later = c.later[1:]
		c.handOn(l.question, l.answer)
	}
}

// answered hands the answer to q to the connection, now or when it is released. On its
// loop.
func (c *codec) answered(q question, answer []byte) {
	switch {
	case c.closed.Load():
	case q.kind == contract.Decode && (len(c.later) > 0 || c.conn.Held()):
		c.later = append(c.later, later{q, bytes.Clone(answer)})
	default:
		c.handOn(q, answer)
	}
}

func (c *codec) handOn(q question, answer []byte) {
	var steps contract.Steps
	if q.kind != contract.Encode {
		steps = checked{c}
	}
	c.broken = nil
	out, err := contract.ReadAnswer(answer, steps)
	switch {
	case err != nil:
		c.shard.complain(fmt.Errorf("%w: %w", errNonsense, err))
		c.lost(q, core.ReasonRestart)
		return
	case c.broken != nil:
		out.Err = &core.Violation{Reason: core.ReasonInternal, Err: c.broken}
	case out.Frame.Kind == core.TextFrame && !utf8.Valid(out.Frame.Data):
		out.Err = errNotUTF8
	}
	c.conclude(q, out.Frame, out.Err)
}

// lost tells the connection that q got no answer. On its loop.
func (c *codec) lost(q question, r core.Reason) {
	if !c.closed.Load() {
		c.conclude(q, core.Frame{}, lossOf(r))
	}
}

// conclude is the end of every question.
func (c *codec) conclude(q question, f core.Frame, err error) {
	switch q.kind {
	case contract.Open:
		c.conn.Opened(f, err)
	case contract.Decode:
		c.frames--
		c.frameBytes -= q.size
		c.conn.Decoded(err)
		if c.held && c.frames <= maxFrames/2 && c.frameBytes <= maxFrameBytes/2 && (c.frames == 0 || !c.shard.congested()) {
			c.held = false
			c.conn.Unpause()
		}
	case contract.Encode:
		c.events.Add(-1)
		c.eventBytes.Add(-int64(q.size))
		c.conn.Encoded(q.asked, f, err)
	}
}

// checked carries out the steps of an answer, except those that would harm other
// connections. A plugin's mistake affects only the connection that it is about.
type checked struct{ *codec }

// Room returns where the expected frame is put.
func (c checked) Room() *core.Frame { return &c.expected }

// Command carries out a command.
func (c checked) Command(cmd core.Command, expected *core.Frame) {
	if c.broken == nil {
		c.broken = faultOf(&cmd)
	}
	if c.broken == nil {
		c.expect(cmd.Verb, cmd.Ref, sound(expected), func() { c.conn.Do(cmd) })
	}
}

// Refusal carries out a refusal.
func (c checked) Refusal(r core.Reason, ref []byte, f core.Failure, expected *core.Frame) {
	c.expect(core.None, ref, sound(expected), func() { c.conn.Refuse(r, ref, f) })
}

// sound returns expected, or nil if no client can read it: then the plugin is asked again.
func sound(expected *core.Frame) *core.Frame {
	if expected != nil && expected.Kind == core.TextFrame && !utf8.Valid(expected.Data) {
		return nil
	}
	return expected
}

// faultOf returns what in a command would harm others; nil if nothing.
func faultOf(c *core.Command) error {
	switch {
	case c.Payload.Kind == core.JSON && !rawjson.Valid(c.Payload.Data):
		return errNotJSON
	case c.Payload.Kind == core.Text && !utf8.Valid(c.Payload.Data), !utf8.Valid(c.Topic), !utf8.Valid(c.Channel):
		return errNotUTF8
	case len(c.Headers) > 0 && !(rawjson.Valid(c.Headers) && rawjson.IsObject(c.Headers)):
		return errNotJSON
	}
	return nil
}
