package plugin_test

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/internal/certs/certstest"
)

// Clients come, talk and leave in every way, some without reading, while their plugin is
// stopped, goes on and is killed. Afterwards nothing is left of any of them, and nothing
// has panicked.
func TestTurmoil(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) { turmoil(t, secure) })
	}
}

func turmoil(t *testing.T, secure bool) {
	const clients, lives, blows = 16, 8, 8
	options := "    outbound_limit: 256KiB\n"
	g := &guests{dialer: ws.Dialer{Timeout: patience}}
	if secure {
		ca := certstest.NewCA(t, "turmoil")
		cert, key := certstest.Write(t, t.TempDir(), "broker", ca.Issue(nil, "127.0.0.1"))
		options += fmt.Sprintf("    tls: {cert: %q, key: %q}\n", cert, key)
		g.dialer.TLSConfig = &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13}
	}
	g.broker = run(t, yamlOf("test", ", answer_timeout: 10m", options)+"network: {loops: 2}\n")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for i := range clients {
		dice := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for range lives {
				g.live(dice)
			}
		})
	}
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	dice := rand.New(rand.NewPCG(seed, clients))
	for range blows {
		select {
		case <-over:
		case <-time.After(upTo(dice, 100)):
		}
		g.strike(dice)
	}
	<-over
	b := g.broker
	until(t, "the end of all connections", func() bool { return b.metric("polywire_connections_open{") == 0 })
	until(t, "all answers", func() bool { return b.metric("polywire_plugin_unanswered") == 0 })
	until(t, "the bytes that wait", func() bool { return b.metric("polywire_outbound_bytes ") == 0 })
	if n := b.metric("polywire_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	last, err := g.dial()
	if err != nil {
		t.Fatal(err)
	}
	last.expect("hello")
	last.ask("still here")
}

// guests are the clients of a turmoil. Static after construction.
type guests struct {
	broker *broker
	dialer ws.Dialer
}

func (g *guests) dial() (*client, error) { return g.broker.connect(g.dialer, "p") }

// live is the life of one client. Its outcome is not checked: the plugin may be killed at any
// time.
func (g *guests) live(dice *rand.Rand) {
	c, err := g.dial()
	if err != nil {
		return
	}
	conn := c.Conn
	if dice.IntN(2) == 0 {
		var reader sync.WaitGroup
		defer reader.Wait()
		reader.Go(func() {
			for c.read() != "end" {
			}
		})
	}
	message := ws.MaskFrame(ws.NewTextFrame([]byte(strings.Repeat("x", dice.IntN(16<<10)))))
	// A client that does not read may fill its sockets: then it leaves at its deadline.
	_ = conn.SetWriteDeadline(time.Now().Add(20*time.Millisecond + upTo(dice, 200)))
	for range dice.IntN(300) {
		if ws.WriteFrame(conn, message) != nil {
			break
		}
	}
	switch dice.IntN(4) {
	case 0:
		_ = ws.WriteFrame(conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
		time.Sleep(upTo(dice, 50)) // it waits for the answer, or not long enough
	case 1:
		_ = tcp(conn).SetLinger(0)
		_ = tcp(conn).Close()
	case 2:
		_ = tcp(conn).CloseWrite()
		time.Sleep(upTo(dice, 50))
	}
	_ = conn.Close()
}

// strike stops the plugin for a moment, or kills it, if it answers with its process id.
func (g *guests) strike(dice *rand.Rand) {
	c, err := g.dial()
	if err != nil {
		return
	}
	defer c.Close()
	if ws.WriteFrame(c.Conn, ws.MaskFrame(ws.NewTextFrame([]byte("who")))) != nil {
		return
	}
	var answer []string
	for said := ""; answer == nil; answer = pidThen.FindStringSubmatch(said) {
		// Before that it greets.
		if said = c.read(); said == "end" {
			return
		}
	}
	pid, _ := strconv.Atoi(answer[1])
	if dice.IntN(3) == 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return
	}
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	time.Sleep(upTo(dice, 300))
	_ = syscall.Kill(pid, syscall.SIGCONT)
}

func upTo(dice *rand.Rand, ms int) time.Duration {
	return time.Duration(dice.IntN(ms)) * time.Millisecond
}

// tcp returns the connection below TLS, if there is TLS.
func tcp(conn net.Conn) *net.TCPConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return conn.(*net.TCPConn)
}
