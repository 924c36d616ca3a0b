package client_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// Flush returns when the server has answered a ping behind what was said, and not before.
func TestFlush(t *testing.T) {
	read, answer := make(chan ws.OpCode, 10), make(chan bool)
	url := upgraded(t, func(conn net.Conn) {
		for {
			f, err := ws.ReadFrame(conn)
			if err != nil {
				return
			}
			read <- f.Header.OpCode
			if f.Header.OpCode != ws.OpPing {
				continue
			}
			if !<-answer {
				return
			}
			ws.Cipher(f.Payload, f.Header.Mask, 0)
			_ = ws.WriteFrame(conn, ws.NewPongFrame([]byte("another's")))
			_ = ws.WriteFrame(conn, ws.NewPongFrame(f.Payload))
		}
	})
	c := at(t, client.Options{URL: url, Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, FirstPause: never, MaxPause: never})
	subscribe := core.Command{Verb: core.Subscribe, Topic: []byte("news")}
	flush := func(ctx context.Context) <-chan error {
		ended := make(chan error, 1)
		if err := c.Post(subscribe, nil); err != nil {
			t.Fatal(err)
		}
		go func() { ended <- c.Flush(ctx) }()
		return ended
	}
	inOrder := func() {
		t.Helper()
		for _, want := range []ws.OpCode{ws.OpText, ws.OpPing} {
			if got := coretest.Receive(t, "a frame", read); got != want {
				t.Fatalf("the server has read %v, want %v", got, want)
			}
		}
	}
	ended := flush(deadline(t))
	inOrder()
	select {
	case err := <-ended:
		t.Fatalf("Flush has returned before the pong: %v", err)
	default:
	}
	answer <- true
	if err := coretest.Receive(t, "the end of Flush", ended); err != nil {
		t.Error(err)
	}

	ctx, cancel := context.WithCancel(deadline(t))
	ended = flush(ctx)
	inOrder()
	cancel()
	if err := coretest.Receive(t, "the end of Flush", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	answer <- true // too late, and for nobody
	ended = flush(deadline(t))
	inOrder()
	answer <- false
	if err := coretest.Receive(t, "the end of Flush", ended); !errors.Is(err, client.ErrLost) {
		t.Errorf("without a server: %v", err)
	}
	c.Close(deadline(t))
	if err := c.Flush(deadline(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// never is longer than a test.
const never = 1 << 50
