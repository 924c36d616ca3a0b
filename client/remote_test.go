package client_test

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// slow is a codec in another process that takes its time to say something.
type slow struct {
	core.ClientCodec
	may   <-chan struct{} // closed when it goes on
	ended chan struct{}
	close func()
}

func (s *slow) Say(c core.Command, say func(core.Frame)) (bool, error) {
	<-s.may
	return s.ClientCodec.Say(c, say)
}

func (s *slow) Ended() <-chan struct{} { return s.ended }
func (s *slow) Err() error             { return errors.New("it has ended") }
func (s *slow) Close()                 { s.close() }

// A codec in another process may take its time, so no event loop serves its connection. Whoever posts does not wait
// for it: what waits is bounded, and then said in order.
func TestSlowCodec(t *testing.T) {
	got := make(chan string, 1000)
	url := upgraded(t, func(conn net.Conn) {
		for {
			f, err := ws.ReadFrame(conn)
			if err != nil {
				return
			}
			if f.Header.OpCode == ws.OpText {
				got <- textOf(f)
			}
		}
	})
	may := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(may) })
	defer goOn()
	up := make(chan error, 10)
	newCodec := codecOf(t, "wsify")
	var waits core.Level
	const limit = 64 << 10
	c := at(t, client.Options{
		URL: url, Timeout: coretest.Patience, QueueBytes: limit, Queued: &waits, Changed: func(err error) { up <- err },
		Codec: func() core.ClientCodec {
			s := &slow{ClientCodec: newCodec(), may: may, ended: make(chan struct{})}
			s.close = sync.OnceFunc(func() { close(s.ended) })
			return s
		},
		Host: func(net.Conn, core.Guest) error { return errors.New("an event loop cannot wait for it") },
	})
	if err := coretest.Receive(t, "it connects", up); err != nil {
		t.Fatal(err)
	}
	outcomes := make(chan error, 1000)
	n := 0
	for ; ; n++ {
		err := publish(c, n, outcomes)
		if f, ok := errors.AsType[core.Failure](err); ok && f.Code == core.Overloaded {
			break
		}
		if err != nil || n == 1000 {
			t.Fatalf("message %d: %v", n, err)
		}
	}
	if now := waits.Now(); now > limit || now < limit-1000 {
		t.Errorf("%d bytes wait, want about %d", now, limit)
	}
	goOn()
	for i := range n {
		if text := coretest.Receive(t, "a message", got); text != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, text)
		}
		if err := coretest.Receive(t, "an outcome", outcomes); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if now := waits.Now(); now != 0 {
		t.Errorf("%d bytes wait when all is said", now)
	}
}
