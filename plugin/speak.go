package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/contract"
)

// ClientFormat is a Format whose client's side the plugin knows too. Its client codecs work from Start to
// Stop; before and after that, and while no process runs, a new one has ended already.
type ClientFormat struct {
	*Format
	speakers
}

// HTTPClientFormat is an HTTPFormat whose client's side the plugin knows too, as a ClientFormat's.
type HTTPClientFormat struct {
	*HTTPFormat
	speakers
}

var (
	_ core.ClientFormat      = (*ClientFormat)(nil)
	_ core.RemoteFormat      = (*ClientFormat)(nil)
	_ core.ClientFormat      = (*HTTPClientFormat)(nil)
	_ core.RemoteFormat      = (*HTTPClientFormat)(nil)
	_ core.RemoteClientCodec = (*clientCodec)(nil)
	_ core.ClientOpener      = (*clientCodec)(nil)
)

// speakers makes the client's codecs of a format.
type speakers struct {
	// Static after construction.
	format                   *Format
	namesTopics, hearsItself bool

	next *atomic.Uint64 // counts the codecs, which take turns at the processes
}

// NewClientCodec returns the client's side of a connection, in a process of the plugin.
func (s speakers) NewClientCodec() core.ClientCodec {
	if n := uint64(len(s.format.shards)); n > 0 {
		on := s.format.shards[s.next.Add(1)%n]
		p := on.current()
		return newClientCodec(p, s.format.options.AnswerTimeout, func(err error) { on.complainOf(p, err) })
	}
	return newClientCodec(nil, s.format.options.AnswerTimeout, nil)
}

// newClientCodec returns a codec in p, which is nil if no process runs. complain ends p because of a wrong
// answer, or of none within limit.
func newClientCodec(p *process, limit time.Duration, complain func(error)) *clientCodec {
	c := &clientCodec{limit: limit, complain: complain, answers: make(chan []byte), ended: make(chan struct{})}
	if p == nil {
		c.end(errNoProcess)
		return c
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	stream, err := p.speak(ctx)
	if err != nil {
		c.end(fmt.Errorf("opening the stream: %w", err))
		return c
	}
	c.stream = stream
	go c.read()
	return c
}

// NamesTopics reports whether a server says on which topic a message is.
func (s speakers) NamesTopics() bool { return s.namesTopics }

// HearsItself reports whether a client hears what it publishes.
func (s speakers) HearsItself() bool { return s.hearsItself }

// speak opens the stream of one connection to a server.
func (p *process) speak(ctx context.Context) (stream, error) {
	buffers := new(contract.Buffers)
	return p.codec.Speak(ctx, grpc.ForceCodecV2(contract.GRPCCodec(buffers)), grpc.MaxCallRecvMsgSize(maxAnswers))
}

// clientCodec asks the plugin, and waits for each answer: for one question a round trip.
type clientCodec struct {
	// Static after construction.
	complain func(error)
	stream   stream
	cancel   context.CancelFunc
	limit    time.Duration
	answers  chan []byte   // from read
	ended    chan struct{} // closed by end

	once sync.Once // end
	err  error     // why it has ended; written before ended is closed

	// Owned by the goroutine that uses it.
	ready bool
	alive contract.KeepAlive // owns its bytes
}

// Ended is closed when the process, or only its stream, has ended.
func (c *clientCodec) Ended() <-chan struct{} { return c.ended }

// Err returns why.
func (c *clientCodec) Err() error { return c.err }

var errClosed = errors.New("its connection was closed")

// Close ends the stream.
func (c *clientCodec) Close() { c.end(errClosed) }

// end ends the codec for a reason; only the first counts.
func (c *clientCodec) end(err error) {
	c.once.Do(func() {
		c.err = fmt.Errorf("the plugin that speaks the format: %w", err)
		close(c.ended)
		if c.cancel != nil {
			c.cancel()
		}
	})
}

// blame ends the process, and with it the codec, because of a wrong answer.
func (c *clientCodec) blame(err error) {
	c.complain(err)
	c.end(err)
}

// read passes on what comes until the stream ends.
func (c *clientCodec) read() {
	for {
		// Events borrow from it, so it is never freed.
		var in contract.Packet
		if err := c.stream.RecvMsg(&in); err != nil {
			c.end(fmt.Errorf("its process, or its part in this connection, has ended: %w", err))
			return
		}
		select {
		case c.answers <- in.Bytes:
		case <-c.ended:
			return
		}
	}
}

// ask asks one question and waits for the answer. Then it says the frames, or tells the events.
func (c *clientCodec) ask(q contract.ClientQuestion, say func(core.Frame), tell func(core.Event)) (r contract.ClientReply, err error) {
	select {
	case <-c.ended:
		return r, c.err
	case <-c.answers:
		c.blame(errUnasked)
		return r, c.err
	default:
	}
	if err := c.stream.SendMsg(&contract.Packet{Bytes: contract.AppendClientQuestion(nil, &q)}); err != nil {
		// What came of the stream is what reading it returns.
		return r, c.wait()
	}
	late := time.NewTimer(c.limit)
	defer late.Stop()
	var answer []byte
	select {
	case message := <-c.answers:
		if answer, r, err = readReply(message); err != nil {
			c.blame(err)
			return r, c.err
		}
	case <-c.ended:
		return r, c.err
	case <-late.C:
		c.blame(fmt.Errorf("it gave no answer within %s", c.limit))
		return r, c.err
	}
	c.ready = r.Ready
	if k := r.KeepAlive; k != nil {
		c.alive = contract.KeepAlive{After: k.After, Message: k.Message.Clone()}
	}
	_, err = contract.ReadClientAnswer(answer, say, tell)
	return r, err
}

func nothingSaid(core.Frame) {}

func nothingTold(core.Event) {}

// wait waits until the codec has ended, and returns why.
func (c *clientCodec) wait() error {
	late := time.NewTimer(c.limit)
	defer late.Stop()
	select {
	case <-c.ended:
	case <-late.C:
		c.end(errors.New("its stream has ended"))
	}
	return c.err
}

// readReply reads the answer to one question, and checks what of it could harm others.
func readReply(message []byte) (answer []byte, r contract.ClientReply, err error) {
	answers, err := cut(message, nil, 1)
	if err != nil {
		return nil, r, err
	}
	var fault error
	check := func(f core.Frame) {
		switch {
		case f.Kind == core.NoFrame:
			fault = errNoKind
		case f.Kind == core.TextFrame && !utf8.Valid(f.Data):
			fault = errNotUTF8
		}
	}
	r, err = contract.ReadClientAnswer(answers[0], check, func(ev core.Event) {
		if err := faultOf(&core.Command{Topic: ev.Topic, Payload: ev.Payload, Headers: ev.Headers}); err != nil {
			fault = err
		}
	})
	if err != nil {
		return nil, r, fmt.Errorf("%w: %w", errNonsense, err)
	}
	if r.KeepAlive != nil && r.KeepAlive.After > 0 {
		check(r.KeepAlive.Message)
	}
	return answers[0], r, fault
}

var errNoKind = fmt.Errorf("%w: a frame that is neither text nor binary", errNonsense)

// Open says what comes first.
func (c *clientCodec) Open(say func(core.Frame)) {
	_, _ = c.ask(contract.ClientQuestion{Kind: contract.ClientOpen}, say, nothingTold) // Err has the error
}

// Say asks how a command is said.
func (c *clientCodec) Say(cmd core.Command, say func(core.Frame)) (answered bool, err error) {
	r, err := c.ask(contract.ClientQuestion{Kind: contract.ClientSay, Command: cmd}, say, nothingTold)
	switch {
	case err != nil:
		return false, err
	case r.Unsayable != nil:
		return false, r.Unsayable
	case r.Error != "":
		return false, errors.New(r.Error)
	}
	return r.Answered, nil
}

// Hear asks what a message means.
func (c *clientCodec) Hear(f core.Frame, tell func(core.Event)) error {
	r, err := c.ask(contract.ClientQuestion{Kind: contract.ClientHear, Frame: f}, nothingSaid, tell)
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	return err
}

// Ready reports what the last answer has said.
func (c *clientCodec) Ready() bool { return c.ready }

// KeepAlive returns what the last answer that had one has said.
func (c *clientCodec) KeepAlive() (time.Duration, core.Frame) { return c.alive.After, c.alive.Message }

// Forget tells the plugin. If the codec has ended there is nothing to forget.
func (c *clientCodec) Forget(ref []byte) {
	_, _ = c.ask(contract.ClientQuestion{Kind: contract.ClientForget, Ref: ref}, nothingSaid, nothingTold)
}
