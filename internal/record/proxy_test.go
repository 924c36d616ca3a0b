package record_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/record"
)

// server accepts connections and hands them to serve.
func server(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return "ws://" + l.Addr().String() + "/"
}

// echo is a server that repeats each message.
func echo(conn net.Conn) {
	if _, err := ws.Upgrade(conn); err != nil {
		return
	}
	for {
		data, op, err := wsutil.ReadClientData(conn)
		if err != nil || wsutil.WriteServerMessage(conn, op, data) != nil {
			return
		}
	}
}

// connect opens a WebSocket through the proxy.
func (r *recording) connect(t *testing.T) net.Conn {
	t.Helper()
	conn, early, _, err := ws.Dial(t.Context(), "ws://"+r.address+"/")
	if err != nil {
		t.Fatal(err)
	}
	if early != nil {
		t.Fatal("something came with the upgrade")
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(coretest.Deadline())
	return conn
}

// exchange says a text and expects it back.
func exchange(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if err := wsutil.WriteClientText(conn, []byte(text)); err != nil {
		t.Fatal(err)
	}
	got, err := wsutil.ReadServerText(conn)
	if err != nil || string(got) != text {
		t.Fatalf("got %.100q, %v", got, err)
	}
}

// shows waits until the recording holds a text.
func (r *recording) shows(t *testing.T, part string) {
	t.Helper()
	coretest.Eventually(t, fmt.Sprintf("the recording shows %q", part), func() bool { return strings.Contains(r.text(), part) })
}

// parses checks that a recording is a script.
func parses(t *testing.T, text string) {
	t.Helper()
	if _, err := conversations.Parse("session.txt", []byte(text)); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// Whatever passes arrives as it was, also what is neither HTTP nor WebSocket.
func TestEveryByte(t *testing.T) {
	const size = 3 << 20
	up, down := make([]byte, size), make([]byte, size)
	for i := range up {
		up[i], down[i] = byte(rand.Uint32()), byte(rand.Uint32())
	}
	got := make(chan []byte, 1)
	r := start(t, "wubsub", server(t, func(conn net.Conn) {
		var sending sync.WaitGroup
		sending.Go(func() { _, _ = conn.Write(down[:size/2]) })
		all, _ := io.ReadAll(conn)
		sending.Wait()
		// The client has ended its side, and hears the rest all the same.
		_, _ = conn.Write(down[size/2:])
		got <- all
	}), nil)
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = conn.Write(up)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	all, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(all, down) {
		t.Errorf("%d bytes came back, not the %d of the server, %v", len(all), size, err)
	}
	if !bytes.Equal(coretest.Receive(t, "what the server got", got), up) {
		t.Error("the server got something else")
	}
	r.shows(t, "no HTTP message")
	seen, err := r.stop()
	if err != nil || seen.Broken != 1 {
		t.Errorf("%+v, %v", seen, err)
	}
	parses(t, r.text())
}

// Where there is no server a client is told so, and so is who reads the recording.
func TestServerDown(t *testing.T) {
	address := fmt.Sprintf("ws://127.0.0.1:%d/", coretest.FreePort(t))
	r := start(t, "wubsub", address, nil)
	answer, err := http.Get("http://" + r.address + "/x")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusBadGateway || !strings.Contains(string(body), "connection refused") || strings.Count(string(body), "\n") != 1 {
		t.Errorf("%d %q, %v", answer.StatusCode, body, err)
	}
	if _, _, _, err := ws.Dial(t.Context(), "ws://"+r.address+"/"); !strings.Contains(fmt.Sprint(err), "502") {
		t.Errorf("a WebSocket: %v", err)
	}
	seen, err := r.stop()
	if err != nil || seen.Unreached != 2 || len(r.notes) != 2 {
		t.Errorf("%+v, %q, %v", seen, r.notes, err)
	}
	if !strings.Contains(r.text(), "# the server could not be reached, and a client was answered 502: ") {
		t.Error(r.text())
	}
	parses(t, r.text())
}

// A server that dies resets its connections, and the proxy those of the clients.
func TestServerDies(t *testing.T) {
	die := make(chan struct{})
	r := start(t, "wubsub", server(t, func(conn net.Conn) {
		if _, err := ws.Upgrade(conn); err != nil {
			return
		}
		data, _, _ := wsutil.ReadClientData(conn)
		_ = wsutil.WriteServerText(conn, data)
		<-die
		_ = conn.(*net.TCPConn).SetLinger(0)
	}), nil)
	t.Cleanup(sync.OnceFunc(func() { close(die) }))
	conn := r.connect(t)
	exchange(t, conn, "hello")
	die <- struct{}{}
	if _, err := wsutil.ReadServerText(conn); err == nil {
		t.Error("the connection goes on")
	}
	r.shows(t, "c1 <end\n")
	if _, err := r.stop(); err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(r.text(), "c1 <= hello\nc1 <end\n") {
		t.Error(r.text())
	}
	parses(t, r.text())
}

// What breaks the protocol is passed on, and the recording of that connection ends there.
func TestBroken(t *testing.T) {
	got := make(chan []byte, 1)
	r := start(t, "wubsub", server(t, func(conn net.Conn) {
		if _, err := ws.Upgrade(conn); err != nil {
			return
		}
		buf := make([]byte, 4)
		_, _ = io.ReadFull(conn, buf)
		got <- buf
		_ = wsutil.WriteServerText(conn, []byte("no"))
		_, _ = io.Copy(io.Discard, conn)
	}), nil)
	conn := r.connect(t)
	broken := []byte{0xf1, 0x02, 'h', 'i'} // reserved bits, and no mask
	if _, err := conn.Write(broken); err != nil {
		t.Fatal(err)
	}
	if all := coretest.Receive(t, "what the server got", got); !bytes.Equal(all, broken) {
		t.Errorf("the server got % x", all)
	}
	if text, err := wsutil.ReadServerText(conn); err != nil || string(text) != "no" {
		t.Errorf("%q, %v", text, err)
	}
	seen, err := r.stop()
	if err != nil || seen.Broken != 1 || !strings.Contains(r.text(), "# c1: the client sent what cannot be recorded (") || !strings.Contains(r.text(), "c1 stall\n") {
		t.Errorf("%+v, %v\n%s", seen, err, r.text())
	}
	parses(t, r.text())
}

// What is too long is passed on, and the recording tells how long it was.
func TestTooLong(t *testing.T) {
	r := start(t, "wubsub", server(t, echo), func(o *record.Options) { o.MaxMessage = 1000 })
	conn := r.connect(t)
	exchange(t, conn, strings.Repeat("x", 300_000))
	exchange(t, conn, "short")
	seen, err := r.stop()
	want := "# c1 > a text message of 300000 bytes, too long to be recorded\n# c1 < a text message of 300000 bytes, too long to be recorded\nc1 <t *\nc1 > short\nc1 <= short\n"
	if err != nil || seen.TooLong != 1 || seen.Sent != 2 || seen.Received != 2 || !strings.Contains(r.text(), want) {
		t.Errorf("%+v, %v\n%.1000s", seen, err, r.text())
	}
	parses(t, r.text())
}

// A client that does not read holds the server back, and loses nothing.
func TestBackPressure(t *testing.T) {
	const chunk, most = 64 << 10, 4 << 10
	held, ended := make(chan bool, 1), make(chan int, 1)
	r := start(t, "wubsub", server(t, func(conn net.Conn) {
		data, sent := bytes.Repeat([]byte("0123456789abcdef"), chunk/16), 0
		for range most {
			// Without anybody who holds it back all is written, in whatever time.
			_ = conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := conn.Write(data)
			sent += n
			if errors.Is(err, os.ErrDeadlineExceeded) {
				held <- true
				break
			}
		}
		select {
		case held <- false:
		default:
		}
		ended <- sent
	}), func(o *record.Options) { o.QueueBytes = 1 << 20 })
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !coretest.Receive(t, "the server is held back", held) {
		t.Error("the server could write all that it wanted")
	}
	sent := coretest.Receive(t, "what the server has written", ended)
	n, err := io.Copy(io.Discard, bufio.NewReader(conn))
	if err != nil || n != int64(sent) {
		t.Errorf("%d of %d bytes arrived, %v", n, sent, err)
	}
}

// blocked is a file that takes nothing before it is opened.
type blocked struct {
	recording
	open chan struct{}
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.open
	return b.recording.Write(p)
}

// When the recorder is too slow the recording loses, and says so; what passes does not wait.
func TestFlood(t *testing.T) {
	out := &blocked{open: make(chan struct{})}
	r := start(t, "wubsub", server(t, echo), func(o *record.Options) { o.Out, o.QueueBytes = out, 64<<10 })
	conn := r.connect(t)
	for i := range 3000 {
		exchange(t, conn, fmt.Sprintf("%d %s", i, strings.Repeat("x", 100)))
	}
	close(out.open)
	seen, err := r.stop()
	if !errors.Is(err, record.ErrLost) || seen.Lost != 1 || seen.Sent > 2999 {
		t.Errorf("%+v, %v", seen, err)
	}
	text := out.text()
	if !strings.Contains(text, "# c1: what follows is lost") || !strings.Contains(text, "# 1 connections were NOT recorded to their end") {
		t.Errorf("%.1000s", text)
	}
	parses(t, text)
}

// At a limit the recording ends and is complete, and what passes goes on.
func TestLimits(t *testing.T) {
	for name, change := range map[string]func(*record.Options){
		"size": func(o *record.Options) { o.MaxSize = 2000 },
		"time": func(o *record.Options) { o.MaxTime = time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "wubsub", server(t, echo), change)
			conn := r.connect(t)
			coretest.Eventually(t, "the limit is reached", func() bool {
				exchange(t, conn, strings.Repeat("x", 100))
				return strings.Contains(r.text(), "# the recording has ended at the maximum "+name)
			})
			exchange(t, conn, "after the end")
			exchange(t, r.connect(t), "after the end")
			seen, err := r.stop()
			if err != nil || !strings.Contains(seen.Limit, name) || strings.Contains(r.text(), "after the end") || len(r.text()) > 3000 || seen.Bytes != int64(len(r.text())) {
				t.Errorf("%+v, %v\n%s", seen, err, r.text())
			}
			parses(t, r.text())
		})
	}
}

// Connections beyond the maximum are passed on, and not recorded.
func TestMaxConnections(t *testing.T) {
	r := start(t, "wubsub", server(t, echo), func(o *record.Options) { o.MaxConnections = 1 })
	first, second := r.connect(t), r.connect(t)
	exchange(t, first, "one")
	exchange(t, second, "two")
	seen, err := r.stop()
	if err != nil || seen.Connections != 1 || seen.Unrecorded != 1 || strings.Contains(r.text(), "two") || !strings.Contains(r.text(), "c1 <= one\n") {
		t.Errorf("%+v, %v\n%s", seen, err, r.text())
	}
}

// Who ends a connection without a goodbye is not noticed at once by a server.
func TestCut(t *testing.T) {
	r := start(t, "wubsub", server(t, echo), nil)
	first, second := r.connect(t), r.connect(t)
	exchange(t, first, "one")
	_ = first.Close()
	r.shows(t, "c1 cut\n")
	exchange(t, second, "two")
	if _, err := r.stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.text(), "c1 cut\npause 200ms\nc2 > two\nc2 <= two\n") {
		t.Error(r.text())
	}
}

// A file that cannot be written ends the recording, not what passes.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	r := start(t, "wubsub", server(t, echo), func(o *record.Options) { o.Out = full })
	conn := r.connect(t)
	coretest.Eventually(t, "somebody is told", func() bool {
		exchange(t, conn, "x")
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.notes) > 0
	})
	if _, err := r.stop(); err == nil || !strings.Contains(err.Error(), "writing the conversation: ") {
		t.Errorf("error %v", err)
	}
}
