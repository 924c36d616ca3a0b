package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	wireBuffer = 64 << 10
	// writeTimeout ends a connection whose server takes nothing, silence one of which nothing
	// comes.
	writeTimeout = 10 * time.Second
	silence      = 6 * time.Second
	// maxName bounds a name that we read, and maxMessage a message: what is longer is skipped.
	maxName    = 64 << 10
	maxMessage = 64 << 20
	// maxOutgoing bounds what we publish. Redis ends a subscriber for which more than 32 MiB wait
	// (client-output-buffer-limit), and a message waits once for each pattern that matches it.
	maxOutgoing = 8 << 20
)

var errProtocol = errors.New("the server does not speak RESP")

// wire is one connection in Redis' own protocol, for what go-redis does not do: a subscriber that
// knows which connection it has and never makes another one by itself, that is told each
// confirmation in its place among the messages, and that skips what is too long instead of
// allocating it; and a publisher that writes without a value for each command.
//
// One goroutine reads. Writers take mu.
type wire struct {
	conn net.Conn
	r    *bufio.Reader // owned by the goroutine that reads
	word []byte        // owned by the goroutine that reads

	mu  sync.Mutex
	buf []byte
}

// dial connects as a client of go-redis does, and shows who it is.
func dial(ctx context.Context, o *goredis.Options) (*wire, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, err
	}
	w := &wire{conn: conn}
	w.r = bufio.NewReaderSize(patient{conn}, wireBuffer)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if o.Password != "" {
		words := []string{"AUTH", o.Password}
		if o.Username != "" {
			words = []string{"AUTH", o.Username, o.Password}
		}
		if err := w.ask(words...); err != nil {
			w.close()
			return nil, err
		}
	}
	// A server that wants a password, or still loads, says so now.
	if err := w.ask("PING"); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// patient ends a connection of which nothing comes.
type patient struct{ conn net.Conn }

func (p patient) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

func (w *wire) close() { _ = w.conn.Close() }

// ask sends one command and waits for its answer, which is not an error.
func (w *wire) ask(words ...string) error {
	if err := w.send(words...); err != nil {
		return err
	}
	_, err := w.simple()
	return err
}

// subscribeOnce tries whether a channel may be subscribed to.
func (w *wire) subscribeOnce(command, channel string) error {
	if err := w.send(command, channel); err != nil {
		return err
	}
	p, err := w.push()
	if err == nil && p.err != nil {
		err = p.err
	}
	return err
}

// send writes one command.
func (w *wire) send(words ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = appendCommand(w.buf[:0], words...)
	return w.flush()
}

// flush writes buf. It is called with mu held.
func (w *wire) flush() error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := w.conn.Write(w.buf)
	if cap(w.buf) > keptBuffer {
		w.buf = nil
	}
	return err
}

func appendCommand(dst []byte, words ...string) []byte {
	dst = appendCount(dst, '*', len(words))
	for _, word := range words {
		dst = appendCount(dst, '$', len(word))
		dst = append(append(dst, word...), "\r\n"...)
	}
	return dst
}

func appendCount(dst []byte, kind byte, n int) []byte {
	dst = strconv.AppendInt(append(dst, kind), int64(n), 10)
	return append(dst, "\r\n"...)
}

// serverError is what the server says about a command.
type serverError string

func (e serverError) Error() string { return string(e) }

// line reads a line: its first byte, and the rest, which is valid until the next read.
func (w *wire) line() (kind byte, rest []byte, err error) {
	text, err := w.r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(text) < 3 || text[len(text)-2] != '\r' {
		return 0, nil, errProtocol
	}
	return text[0], text[1 : len(text)-2], nil
}

// count reads a number that a kind of value begins with.
func (w *wire) count(kind byte) (int, error) {
	k, rest, err := w.line()
	if err != nil {
		return 0, err
	}
	if k == '-' {
		return 0, serverError(rest)
	}
	n, err := strconv.Atoi(string(rest))
	if k != kind || err != nil {
		return 0, errProtocol
	}
	return n, nil
}

// simple reads an answer that is a line: a number, or 0. An error of the server is a serverError.
func (w *wire) simple() (int, error) {
	k, rest, err := w.line()
	switch {
	case err != nil:
		return 0, err
	case k == '-':
		return 0, serverError(rest)
	case k == '+':
		return 0, nil
	case k == ':':
		n, err := strconv.Atoi(string(rest))
		if err != nil {
			return 0, errProtocol
		}
		return n, nil
	}
	return 0, errProtocol
}

// bulk appends a string of at most most bytes to dst; long is true if it was skipped.
func (w *wire) bulk(dst []byte, most int) (text []byte, long bool, err error) {
	n, err := w.count('$')
	if err != nil || n < 0 {
		return dst, false, err
	}
	if n > most {
		_, err = io.CopyN(io.Discard, w.r, int64(n)+2)
		return dst, true, err
	}
	start := len(dst)
	for n += 2; n > 0; { // in parts: the server may be none
		part := min(n, wireBuffer)
		at := len(dst)
		dst = append(dst, make([]byte, part)...)
		if _, err := io.ReadFull(w.r, dst[at:]); err != nil {
			return dst[:start], false, err
		}
		n -= part
	}
	if string(dst[len(dst)-2:]) != "\r\n" {
		return dst[:start], false, errProtocol
	}
	return dst[:len(dst)-2], false, nil
}

// push is what comes to a subscriber. Its bytes are valid until the next one.
type push struct {
	kind    string // message, pmessage, smessage, (p|s)subscribe, (p|s)unsubscribe, pong
	pattern []byte // of a pmessage
	channel []byte // or pattern of a psubscribe; or what a pong has
	message []byte
	long    bool  // it was too long, and is not here
	err     error // what the server says about a command
}

// push reads the next one.
func (w *wire) push() (p push, err error) {
	first, rest, err := w.line()
	switch {
	case err != nil:
		return p, err
	case first == '-':
		return push{err: serverError(rest)}, nil
	case first == '+': // as long as it has no subscription
		return push{kind: "pong"}, nil
	case first != '*':
		return p, errProtocol
	}
	n, err := strconv.Atoi(string(rest))
	if err != nil {
		return p, errProtocol
	}
	w.word = w.word[:0]
	long := false
	kind, _, err := w.bulk(w.word, 32)
	if err != nil {
		return p, err
	}
	switch string(kind) {
	case "message":
		p.kind = "message"
	case "pmessage":
		p.kind = "pmessage"
	case "smessage":
		p.kind = "smessage"
	case "ssubscribe":
		p.kind = "ssubscribe"
	case "sunsubscribe":
		p.kind = "sunsubscribe"
	case "subscribe":
		p.kind = "subscribe"
	case "unsubscribe":
		p.kind = "unsubscribe"
	case "psubscribe":
		p.kind = "psubscribe"
	case "punsubscribe":
		p.kind = "punsubscribe"
	case "pong":
		p.kind = "pong"
	default:
		return p, fmt.Errorf("%w: a push of %q", errProtocol, kind)
	}
	want := map[string]int{"message": 3, "pmessage": 4, "pong": 2}[p.kind]
	if want == 0 {
		want = 3
	}
	if n != want {
		return p, errProtocol
	}
	word := kind[:0]
	if p.kind == "pmessage" {
		if word, long, err = w.bulk(word, maxName); err != nil {
			return p, err
		}
		p.long = long
	}
	split := len(word)
	if word, long, err = w.bulk(word, maxName); err != nil {
		return p, err
	}
	p.long = p.long || long
	end := len(word)
	switch p.kind {
	case "message", "pmessage", "smessage":
		if word, long, err = w.bulk(word, maxMessage); err != nil {
			return p, err
		}
		p.long = p.long || long
	case "pong":
	default:
		if _, err := w.simple(); err != nil {
			return p, err
		}
	}
	if cap(word) <= keptBuffer {
		w.word = word
	} else {
		w.word = nil
	}
	p.pattern, p.channel, p.message = word[:split], word[split:end], word[end:]
	return p, nil
}
