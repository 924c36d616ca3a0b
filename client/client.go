package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

var (
	// ErrClosed is the error of a command after Close.
	ErrClosed = errors.New("the connection was closed")
	// ErrLost is the error of a command that was said, and whose connection ended before its outcome.
	ErrLost = errors.New("the connection ended before the outcome was known")
	// ErrAway is the error of a command while there is no connection, with Options.FailAway.
	ErrAway = errors.New("there is no connection")

	errFull = core.Failure{Code: core.Overloaded, Text: "too much waits to be said to the server"}
)

// Client is a connection to a server that is made again when it ends. Its methods may be called from
// any goroutine.
type Client struct {
	// Static after construction.
	options Options
	queue   *queue
	stop    context.CancelFunc
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed when run has returned

	closed sync.Once

	spare sync.Pool // of *order

	lastRef atomic.Uint64
	answers atomic.Bool // the server has answered a ping, on whatever connection

	// Guarded by mu.
	mu       sync.Mutex
	standing []core.Command // what is restored on a new connection
	current  *connection    // nil while there is none
}

// Dial connects to a server. The error says why the first attempt has failed; later ones are repeated
// until Close.
func Dial(ctx context.Context, o Options) (*Client, error) {
	c := Prepare(o)
	first, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.use(first) // so that Close says what waits even if it is called before run
	c.start(first)
	return c, nil
}

// New returns a client that connects to a server in the background, as often as it takes.
func New(o Options) *Client {
	c := Prepare(o)
	c.Start()
	return c
}

// Prepare returns a client that does not connect before Start, so that who is told of its events can
// know it.
func Prepare(o Options) *Client {
	o = o.complete()
	return &Client{options: o, queue: newQueue(o.QueueBytes, o.FailAway, o.Queued), closing: make(chan struct{}), ended: make(chan struct{})}
}

// Start connects in the background. It is called once, unless by Dial or New.
func (c *Client) Start() { c.start(nil) }

func (c *Client) start(first *connection) {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	go func() {
		defer close(c.ended)
		c.run(ctx, first)
	}()
}

// run serves one connection after the other until ctx ends.
func (c *Client) run(ctx context.Context, conn *connection) {
	pause := c.options.FirstPause
	for ctx.Err() == nil {
		var err error
		if conn == nil {
			conn, err = c.connect(ctx)
		}
		if conn != nil {
			c.use(conn)
			c.options.Changed(nil)
			began := time.Now()
			err = conn.serve(ctx)
			conn = nil
			// A server that ends each connection at once is not asked more and more often.
			if time.Since(began) > c.options.MaxPause {
				pause = c.options.FirstPause
			}
		}
		if isClosed(c.closing) {
			return
		}
		c.options.Changed(err)
		c.options.Logger.Warn("connection to a server", slog.String("url", SafeURL(c.options.URL)), slog.Any("error", err))
		sleep(ctx, pause-rand.N(pause/2+1))
		pause = min(2*pause, c.options.MaxPause)
	}
}

// use makes a connection the current one; nil is none.
func (c *Client) use(conn *connection) {
	c.mu.Lock()
	c.current = conn
	c.mu.Unlock()
	if conn != nil {
		c.queue.open()
	}
}

// LocalAddr returns the address from which the client is connected; nil while it is not.
func (c *Client) LocalAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return nil
	}
	return c.current.net.LocalAddr()
}

// Drop ends the connection, if there is one, as if the server had, and err is why. Another one is made as
// usual. It may block for some seconds over TLS.
func (c *Client) Drop(err error) {
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	if current != nil {
		current.fail(err)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Close says what waits, for as long as ctx allows, and ends the connection. Commands that have no outcome
// then fail with ErrClosed or ErrLost. It may be called more than once.
func (c *Client) Close(ctx context.Context) {
	c.closed.Do(func() { c.close(ctx) })
	<-c.ended
}

func (c *Client) close(ctx context.Context) {
	close(c.closing)
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	rest := c.queue.close()
	if current != nil {
		current.finish(ctx, rest)
		rest = nil
	}
	c.stop()
	<-c.ended
	for _, o := range rest {
		c.tell(o, core.Event{}, ErrClosed)
	}
}

// Do says a command, and returns its outcome: an event of kind Done, Answer, SessionOpened or Pong, which
// owns its bytes; an empty one if the format does not report it, as soon as the command is written. The
// error is a [core.Failure] if the server refused it, [core.Unsayable] if the format has no words for it,
// [ErrLost], [ErrClosed], or that of ctx, after which the outcome is not heard any more. cmd is borrowed,
// and its Ref is not used.
//
// A subscription or an offer that succeeds is restored on later connections, until its end is said.
func (c *Client) Do(ctx context.Context, cmd core.Command) (core.Event, error) {
	return c.await(ctx, func(done func(core.Event, error)) (forget func(), err error) { return c.Begin(cmd, done) })
}

// await waits for the outcome of what begin says.
func (c *Client) await(ctx context.Context, begin func(done func(core.Event, error)) (forget func(), err error)) (core.Event, error) {
	type outcome struct {
		ev  core.Event
		err error
	}
	result := make(chan outcome, 1)
	forget, err := begin(func(ev core.Event, err error) { result <- outcome{ev, err} })
	if err != nil {
		return core.Event{}, err
	}
	select {
	case got := <-result:
		return got.ev, got.err
	case <-ctx.Done():
		forget()
		return core.Event{}, fmt.Errorf("waiting for the outcome: %w", ctx.Err())
	}
}

// Begin says a command, and does not wait for its outcome: done is told it, as Do returns it, on any
// goroutine; it must not block. forget gives up the outcome, which may be too late. The error is that the
// command cannot be queued; then done is not called.
func (c *Client) Begin(cmd core.Command, done func(core.Event, error)) (forget func(), err error) {
	o := &order{done: done}
	o.copy(cmd)
	return c.begin(o)
}

// begin queues an order.
func (c *Client) begin(o *order) (forget func(), err error) {
	if err := c.add(o); err != nil {
		return nil, err
	}
	return func() {
		if c.queue.remove(o) {
			return
		}
		c.mu.Lock()
		current := c.current
		c.mu.Unlock()
		if current != nil {
			current.forget(o)
		}
	}, nil
}

// add numbers an order and queues it.
func (c *Client) add(o *order) error {
	binary.BigEndian.PutUint64(o.ref[:], c.lastRef.Add(1))
	o.cmd.Ref = o.ref[:]
	return c.queue.add(o)
}

// tell tells the outcome of an order, which is not to be used any more.
func (c *Client) tell(o *order, ev core.Event, err error) {
	o.done(ev, err)
	if !o.spare {
		return
	}
	memory := o.memory
	if cap(memory) > keptMemory {
		memory = nil
	}
	*o = order{memory: memory}
	c.spare.Put(o)
}

// Post is Begin without a way to give up; done may be nil.
func (c *Client) Post(cmd core.Command, done func(core.Event, error)) error {
	if done == nil {
		done = func(core.Event, error) {}
	}
	var o *order
	if cmd.Verb == core.Publish { // most commands are, and no codec or restoring keeps one
		o, _ = c.spare.Get().(*order)
	}
	if o == nil {
		o = new(order)
	}
	o.done, o.spare = done, cmd.Verb == core.Publish
	o.copy(cmd)
	return c.add(o)
}
