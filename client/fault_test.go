package client_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// fault panics once, in one place, when that is reached for the second time.
type fault struct {
	where string

	mu      sync.Mutex
	reached int
}

func (f *fault) in(where string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if where == f.where {
		if f.reached++; f.reached == 2 {
			panic(where)
		}
	}
}

// faulty is a codec in which a fault can be. It says each publication as one message; every message of the server
// is one for the client, and then the outcome of all that was said and has one.
type faulty struct {
	fault *fault
	refs  [][]byte
}

// acknowledged is the topic of publications whose outcome the server tells.
const acknowledged = "acknowledged"

func (c *faulty) Say(cmd core.Command, say func(core.Frame)) (bool, error) {
	c.fault.in("saying")
	say(core.Frame{Kind: core.TextFrame, Data: []byte("text")})
	if string(cmd.Topic) != acknowledged {
		return false, nil
	}
	c.refs = append(c.refs, slices.Clone(cmd.Ref))
	return true, nil
}

func (c *faulty) Hear(_ core.Frame, tell func(core.Event)) error {
	tell(core.Event{Kind: core.Message})
	for _, ref := range c.refs {
		c.fault.in("hearing")
		tell(core.Event{Kind: core.Done, Verb: core.Publish, Ref: ref})
	}
	c.refs = nil
	return nil
}

func (c *faulty) Ready() bool { return true }

func (c *faulty) KeepAlive() (time.Duration, core.Frame) {
	c.fault.in("keeping alive")
	return time.Millisecond, core.Frame{Kind: core.TextFrame, Data: []byte("here")}
}

func (c *faulty) Forget([]byte) {}

// Open is that of a codec which speaks first.
func (c *faulty) Open(func(core.Frame)) { c.fault.in("opening") }

// A panic of the codec, or of what is told, ends the connection, is told once, and everything that was to be said has
// an outcome, once; another connection is made. It does not matter whether goroutines or an event loop serve the
// connection.
func TestPanics(t *testing.T) {
	for _, where := range []string{"opening", "saying", "hearing", "keeping alive", "a message", "the outcome of acknowledged", "the outcome of silent", "waiting"} {
		for _, by := range []string{"goroutines", "an event loop"} {
			t.Run(where+" by "+by, func(t *testing.T) {
				url := upgraded(t, func(conn net.Conn) {
					for {
						f, err := ws.ReadFrame(conn)
						if err != nil || f.Header.OpCode == ws.OpClose {
							return
						}
						if f.Header.OpCode == ws.OpText {
							_ = ws.WriteFrame(conn, ws.NewTextFrame([]byte("yes")))
						}
					}
				})
				fault := &fault{where: where}
				if where == "opening" {
					fault.reached++ // the second time would be on the second connection
				}
				panics, changed := make(chan any, 100), make(chan error, 100)
				o := client.Options{
					URL: url, Codec: func() core.ClientCodec { return &faulty{fault: fault} }, Timeout: coretest.Patience, FirstPause: time.Millisecond,
					Panicked: func(fault any) { panics <- fault },
					Heard:    func(core.Event) { fault.in("a message") },
					Lull:     func() func() { return func() { fault.in("waiting") } },
					Changed:  func(err error) { changed <- err },
				}
				l := newLoop(1 << 30)
				if by == "an event loop" {
					o.Host = l.host
				}
				c := client.Prepare(o)
				const n = 10
				outcomes := make(chan int, 10*n)
				post := func(number int, topic string) {
					t.Helper()
					err := c.Post(core.Command{Verb: core.Publish, Topic: []byte(topic), Payload: text("x")}, func(_ core.Event, err error) {
						if err != nil && !errors.Is(err, client.ErrLost) {
							t.Errorf("outcome %d: %v", number, err)
						}
						outcomes <- number
						fault.in("the outcome of " + topic)
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				for i := range n / 2 { // they are said together
					post(i, acknowledged)
				}
				for i := n / 2; i < n; i++ {
					post(i, "silent")
				}
				c.Start()
				defer c.Close(deadline(t))
				err := coretest.Receive(t, "it connects, or does not", changed)
				if err == nil {
					err = coretest.Receive(t, "it is lost", changed)
				}
				if err == nil || !strings.Contains(err.Error(), "a fault: "+where) {
					t.Errorf("it is lost: %v", err)
				}
				if err := coretest.Receive(t, "it connects again", changed); err != nil {
					t.Errorf("it connects again: %v", err)
				}
				post(n, acknowledged)
				var told []int
				for range n + 1 {
					told = append(told, coretest.Receive(t, "an outcome", outcomes))
				}
				slices.Sort(told)
				if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(told, want) || len(outcomes) > 0 {
					t.Errorf("the outcomes %v are told, want %v", told, want)
				}
				if got := len(panics) + of(l, func() int { return l.panics }); got != 1 {
					t.Errorf("%d panics are told", got)
				}
			})
		}
	}
}
