package network

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// brittleChat is chat, which "break" breaks.
type brittleChat struct{ chat }

func (brittleChat) NewCodec() core.Codec { return brittleChat{} }

func (b brittleChat) Decode(f core.Frame, to core.Sink) error {
	if string(f.Data) == "break" {
		return errors.New("broken")
	}
	return b.chat.Decode(f, to)
}

// asideChat is brittleChat, of which big messages are decoded off the loop.
type asideChat struct{ brittleChat }

func (asideChat) NewCodec() core.Codec { return asideChat{} }
func (asideChat) Stateless()           {}

// TestHeldForEveryReason: clients are held for every reason there is, several at a time. Each
// that stays reads the answers to all that it has said, in order; of those that leave at any
// time nothing is left. Where it is harsh there is little memory, we end connections at any
// time, and nobody stays.
func TestHeldForEveryReason(t *testing.T) {
	for _, remote := range []bool{false, true} {
		for _, secured := range []bool{false, true} {
			for _, harsh := range []bool{false, true} {
				t.Run(fmt.Sprintf("remote=%v,tls=%v,harsh=%v", remote, secured, harsh), func(t *testing.T) { holdAll(t, remote, secured, harsh) })
			}
		}
	}
}

func holdAll(t *testing.T, remote, secured, harsh bool) {
	const clients, lives = 16, 6
	polite := clients / 2
	if harsh {
		polite = 0
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	change := func(o *Options, ep *Endpoint) {
		unhurried(o)
		o.closeTime = o.lingerTime
		if harsh {
			o.InboundBudget, o.OutboundBudget = 256<<10, 512<<10
			ep.Settings.OutboundLimit = 64 << 10
			ep.Settings.SlowConsumer = SlowConsumer(seed % 4)
		}
		ep.Limits = core.NewLiveLimits(core.Limits{Messages: core.Rate{Amount: 150, Per: 100 * time.Millisecond}})
		ep.Format = asideChat{}
		if remote {
			format := slowChat{codecs: make(chan *slowCodec)}
			ep.Format = format
			go func() {
				for c := range format.codecs {
					go c.answerInTime()
				}
			}()
			t.Cleanup(func() { close(format.codecs) })
		}
	}
	r, connect := startWith(t, secured, change)
	over := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() {
		for {
			select {
			case l := <-r.hub.held:
				time.Sleep(micros(300))
				l.Post(l.Release)
			case <-over:
				return
			}
		}
	})
	helpers.Go(func() {
		for {
			select {
			case <-time.After(micros(20_000)):
				r.congested.Add(1)
				time.Sleep(micros(3000))
				r.congested.Add(-1)
				for _, l := range r.loopList() {
					l.kick()
				}
			case <-over:
				return
			}
		}
	})
	helpers.Go(func() {
		for harsh {
			select {
			case <-time.After(micros(2000)):
				r.hub.endAny()
			case <-over:
				return
			}
		}
	})
	var all sync.WaitGroup
	for i := range clients {
		dice := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for range lives {
				if c := connect(); i < polite {
					stay(t, c.upgrade(), dice, remote)
				} else {
					leaveAnyhow(t, c, dice)
				}
			}
		})
	}
	all.Wait()
	eventually(t, "all have ended", func() bool { return r.stats.Open.Load() == 0 })
	close(over)
	helpers.Wait()
	eventually(t, "nothing of them waits", func() bool { return r.Outbound() == 0 && r.Inbound() == 0 })
	r.hub.mu.Lock()
	connected := len(r.hub.links)
	r.hub.mu.Unlock()
	eventually(t, "the engine knows", func() bool { return len(r.hub.gone) == connected })
	if n := r.Stats().Panics.Load(); n > 0 {
		t.Errorf("%d panics", n)
	}
	closed := uint64(0)
	for i := range r.stats.Closed {
		closed += r.stats.Closed[i].Load()
	}
	if n := r.stats.Opened.Load(); closed != n {
		t.Errorf("%d connections were opened, and %d closed", n, closed)
	}
}

// endAny ends a connection that was made lately, for a reason of ours.
func (h *chatHub) endAny() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.links) == 0 {
		return
	}
	c := h.links[len(h.links)-1-rand.N(min(16, len(h.links)))].(*conn)
	switch rand.N(6) {
	case 0:
		c.Post(c.cut)
	case 1:
		c.Post(func() { c.fail(core.ReasonProtocol, errors.New("for a test")) })
	case 2:
		c.Close(core.ReasonSlow)
	case 3:
		c.Close(core.ReasonOverload)
	default:
		c.Close(core.ReasonDrain)
	}
}

// micros returns up to n microseconds.
func micros(n int) time.Duration { return time.Duration(rand.N(n+1)) * time.Microsecond }

// answerInTime answers what is asked until the connection is closed.
func (s *slowCodec) answerInTime() {
	for !s.isClosed() {
		time.Sleep(micros(500))
		if n := s.pending(); n > 0 {
			s.answer(1 + rand.N(n))
		}
	}
}

// speech returns what a client says, and what it reads for it.
func speech(dice *rand.Rand, remote bool) (says []byte, reads []string) {
	for n := range dice.IntN(300) {
		text := fmt.Sprint(n)
		switch dice.IntN(12) {
		case 0:
			says = append(says, masked(ws.OpPing, true, text)...)
			reads = append(reads, text)
			continue
		case 1:
			if dice.IntN(4) == 0 {
				says = append(says, masked(ws.OpText, true, "hold")...)
			}
		case 2:
			text += strings.Repeat("x", dice.IntN(8<<10))
		case 3:
			if !remote && dice.IntN(8) == 0 {
				text += strings.Repeat("x", decodeAside)
			}
		}
		says = append(says, masked(ws.OpText, true, "echo "+text)...)
		reads = append(reads, text)
	}
	return says, reads
}

// stay says what a client says until it ends the connection in one way or another, and reads
// all answers and the close frame behind them.
func stay(t *testing.T, c *client, dice *rand.Rand, remote bool) {
	says, reads := speech(dice, remote)
	var last []byte
	code := uint16(4000)
	switch dice.IntN(3) {
	case 0:
		last = masked(ws.OpClose, true, "\x0f\xa0")
	case 1:
		last, code = masked(ws.OpText, true, "goodbye"), core.ReasonNormal.CloseCode()
	case 2:
		last, code = masked(ws.OpText, true, "break"), core.ReasonMalformed.CloseCode()
	}
	go func() { _, _ = c.Write(append(says, last...)) }()
	for i, want := range reads {
		if dice.IntN(50) == 0 {
			time.Sleep(micros(5000))
		}
		f, err := ws.ReadFrame(c)
		if err != nil || string(f.Payload) != want {
			t.Errorf("answer %d of %d: got %v %.20q, %v, want %.20q", i, len(reads), f.Header.OpCode, f.Payload, err, want)
			break
		}
	}
	f, err := ws.ReadFrame(c)
	if !t.Failed() && (err != nil || f.Header.OpCode != ws.OpClose || binary.BigEndian.Uint16(f.Payload) != code) {
		t.Errorf("behind all answers: %v %.20q, %v, want close frame %d", f.Header.OpCode, f.Payload, err, code)
	}
	_ = c.Close()
}

// leaveAnyhow upgrades, says something, reads little or nothing, and leaves at any time.
func leaveAnyhow(t *testing.T, c *client, dice *rand.Rand) {
	c.write([]byte(upgradeRequest()))
	// Where it is harsh, the connection may be cut before the response was read.
	if head, err := c.response(); err != nil {
		_ = c.Close()
		return
	} else if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Errorf("response %q", head)
	}
	var says []byte
	if dice.IntN(2) == 0 {
		says = masked(ws.OpText, true, "sub")
	}
	for range dice.IntN(4) {
		more, _ := speech(dice, dice.IntN(2) == 0)
		says = append(says, more...)
		for range dice.IntN(20) {
			says = append(says, masked(ws.OpText, true, "pub "+strings.Repeat("x", dice.IntN(4<<10)))...)
		}
	}
	switch dice.IntN(4) {
	case 0:
		says = append(says, masked(ws.OpText, true, "goodbye")...)
	case 1:
		says = append(says, masked(ws.OpText, true, "\xff")...)
	case 2:
		says = append(says, masked(ws.OpText, true, "break")...)
	}
	_ = c.SetDeadline(time.Now().Add(20*time.Millisecond + micros(100_000)))
	go func() { _, _ = c.Write(says) }()
	for range dice.IntN(300) {
		if _, err := ws.ReadFrame(c); err != nil {
			break
		}
	}
	socket := c.Conn
	if secure, ok := socket.(*tls.Conn); ok && dice.IntN(2) == 0 {
		socket = secure.NetConn()
	}
	_ = socket.Close()
}
