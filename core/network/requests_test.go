package network

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// posting starts a rig whose plain HTTP stores the bodies that it gets.
func posting(t testing.TB, change func(o *Options)) (*rig, *postbox) {
	p := new(postbox)
	return start(t, func(o *Options, ep *Endpoint) {
		ep.Path, ep.HTTP = "/ws", p
		if change != nil {
			change(o)
		}
	}), p
}

// postbox is an http.Handler that stores what it gets.
type postbox struct {
	// Guarded by mu.
	mu  sync.Mutex
	got []string
}

func (p *postbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, string(body))
}

func (p *postbox) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

const post = "POST /broadcast HTTP/1.1\r\nHost: a\r\n"

// TestSecondRequestIsAsStrict: input that hides a request from others is refused wherever on a
// connection it comes, and what follows it is not carried out.
func TestSecondRequestIsAsStrict(t *testing.T) {
	hidden := post + "Content-Length: 6\r\n\r\nhidden"
	firsts := map[string]string{
		"no first":             "",
		"behind a length":      post + "Content-Length: 5\r\n\r\nfirst",
		"behind chunks":        post + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nfir\r\n2\r\nst\r\n0\r\nX: y\r\n\r\n",
		"behind an old client": post + "Content-Length: 5\r\n\r\nfirst\r\n",
	}
	seconds := []struct {
		name, request, status string
		reason                core.Reason
	}{
		{"length and encoding", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"two lengths", post + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"two lengths that differ", post + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"a list of lengths", post + "Content-Length: 0, 0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"two encodings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"an encoding in HTTP/1.0", "POST /broadcast HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"an unknown encoding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"a folded encoding", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"a folded line", post + "X: y\r\n\tz\r\nContent-Length: 0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"a bare line feed", "POST /broadcast HTTP/1.1\r\nHost: a\nContent-Length: 0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"a bare line feed in the request line", "POST /broadcast HTTP/1.1\nHost: a\r\nContent-Length: 0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"a blank before the colon", post + "Content-Length : 0\r\n\r\n" + hidden, "400", core.ReasonHandshake},
		{"a body on an upgrade", strings.Replace(upgradeRequest("Content-Length: 80\r\n"), "GET /", "GET /ws", 1) + hidden, "400", core.ReasonHandshake},
		{"a chunked upgrade", strings.Replace(upgradeRequest("Transfer-Encoding: chunked\r\n"), "GET /", "GET /ws", 1) + hidden, "400", core.ReasonHandshake},
		{"a head that is too long", post + "X: " + strings.Repeat("x", 5000) + "\r\n\r\n" + hidden, "431", core.ReasonTooLarge},
		{"too many fields", post + strings.Repeat("X: y\r\n", 40) + "\r\n" + hidden, "431", core.ReasonTooLarge},
	}
	for where, first := range firsts {
		for _, second := range seconds {
			t.Run(where+", "+second.name, func(t *testing.T) {
				r, box := posting(t, func(o *Options) { o.MaxHeader, o.MaxHeaderFields = 4<<10, 30 })
				c := r.dialTCP("chat")
				c.write([]byte(first + second.request))
				in := bufio.NewReader(c)
				if first != "" {
					expectStatus(t, in, "200")
				}
				expectStatus(t, in, second.status)
				if _, err := in.ReadByte(); err == nil {
					t.Error("the connection goes on")
				}
				if got := box.all(); slices.Contains(got, "hidden") || first != "" && !slices.Equal(got, []string{"first"}) {
					t.Errorf("carried out: %q", got)
				}
				if n := r.Server.stats.Rejected[second.reason].Load(); n != 1 {
					t.Errorf("%d refusals are counted as %s", n, second.reason)
				}
			})
		}
	}
}

// expectStatus reads a response as a whole.
func expectStatus(t *testing.T, in *bufio.Reader, status string) {
	t.Helper()
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("reading a response: %v", err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasPrefix(response.Status, status) {
		t.Fatalf("%s %q, %v; want %s", response.Status, body, err, status)
	}
}

// TestMalformedChunks: a body that others could read differently is refused.
func TestMalformedChunks(t *testing.T) {
	for _, body := range []string{
		"6\nhidden\r\n0\r\n\r\n", "6\r\nhidden\n0\r\n\r\n", "6\r\nhiddenX\r\n0\r\n\r\n", "0x6\r\nhidden\r\n0\r\n\r\n",
		"+6\r\nhidden\r\n0\r\n\r\n", " 6\r\nhidden\r\n0\r\n\r\n", "6 6\r\nhidden\r\n0\r\n\r\n", "\r\nhidden", "10000000000000006\r\nhidden\r\n0\r\n\r\n",
		"6;a\nb\r\nhidden\r\n0\r\n\r\n", "6\r\nhidden\r\n0\r\n x: y\r\n\r\n", "6\r\nhidden\r\n0\r\nx: y\n\r\n", "6\r\nhidden\r\n0\n\n", "6\r\nhidden\r\n0\r\n\n",
	} {
		r, box := posting(t, nil)
		c := r.dialTCP("chat")
		c.write([]byte(post + "Transfer-Encoding: chunked\r\n\r\n" + body + post + "Content-Length: 6\r\n\r\nbehind"))
		in := bufio.NewReader(c)
		if response, err := http.ReadResponse(in, nil); err == nil && response.StatusCode < 400 {
			t.Errorf("%q is answered %s", body, response.Status)
		}
		if got := box.all(); len(got) > 0 {
			t.Errorf("%q: carried out: %q", body, got)
		}
	}
}

// TestRequestsInPieces: bodies arrive as they were sent, wherever the stream is cut and
// whatever surrounds them.
func TestRequestsInPieces(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		r, box := posting(t, nil)
		var stream bytes.Buffer
		var want []string
		for i := range 12 {
			text := fmt.Sprintf("%d:%s", i, strings.Repeat("\r\n\r\nx", rnd.IntN(2000)))
			want = append(want, text)
			if rnd.IntN(2) == 0 {
				fmt.Fprintf(&stream, post+"Content-Length: %d\r\n\r\n%s", len(text), text)
				continue
			}
			stream.WriteString(post + "Transfer-Encoding: Chunked\r\n\r\n")
			for text != "" {
				n := 1 + rnd.IntN(len(text))
				fmt.Fprintf(&stream, "%0*X%s\r\n%s\r\n", 1+rnd.IntN(6), n, []string{"", " ", ";a", `;a="b c"`}[rnd.IntN(4)], text[:n])
				text = text[n:]
			}
			stream.WriteString("0\r\n" + []string{"", "X: y\r\nZ:\r\n"}[rnd.IntN(2)] + "\r\n")
		}
		stream.WriteString(strings.Replace(upgradeRequest(), "GET /", "GET /ws", 1))
		stream.Write(masked(1, true, "echo here"))
		c := r.dialTCP("chat")
		_ = c.Conn.(*net.TCPConn).SetNoDelay(true)
		go func() {
			for all := stream.Bytes(); len(all) > 0; {
				n := min(len(all), 1+rnd.IntN(4000))
				if _, err := c.Write(all[:n]); err != nil {
					return
				}
				all = all[n:]
			}
		}()
		for range want {
			c.readResponse("HTTP/1.1 200")
		}
		c.readResponse("HTTP/1.1 101")
		c.expect("here")
		if got := box.all(); !slices.Equal(got, want) {
			t.Fatalf("seed %d: other bodies: %d of %d", seed, len(got), len(want))
		}
	}
}

// TestKeptConnectionSlowly: the head of a later request has the same timeout as a first one,
// and a refusal waits for the answer before it.
func TestKeptConnectionSlowly(t *testing.T) {
	r, _ := posting(t, func(o *Options) { o.HandshakeTimeout = 200 * time.Millisecond })
	c := r.dialTCP("chat")
	c.write([]byte(post + "Content-Length: 0\r\n\r\n"))
	c.readResponse("HTTP/1.1 200")
	c.write([]byte("POST /broadcast HT"))
	c.readResponse("HTTP/1.1 408")
	if n := r.Server.stats.Rejected[core.ReasonTimeout].Load(); n != 1 {
		t.Errorf("%d refusals are counted as too late", n)
	}
}

// TestRefusedBehindSlowHandler: a bad request that comes early does not cut an answer short.
func TestRefusedBehindSlowHandler(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.Path = "/ws"
		ep.HTTP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			select {
			case <-leave:
				_, _ = io.WriteString(w, "done")
			case <-r.Context().Done():
			}
		})
	})
	c := r.dialTCP("chat")
	c.write([]byte("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
	<-entered
	c.write([]byte("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\nmore"))
	time.Sleep(20 * time.Millisecond) // so that it is read; nothing depends on it
	close(leave)
	in := bufio.NewReader(c)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(response.Body); string(body) != "done" {
		t.Fatalf("%s %q", response.Status, body)
	}
	expectStatus(t, in, "400")
}

// FuzzChunks compares our reading of a chunked body with net/http's: where it ends, if we
// accept it.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "3;x=\"y\"\r\nabc\r\n00\r\nX: y\r\n\r\n", "a\r\n0123456789\r\n0\r\n\r\nGET"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c chunks
		n, done, err := c.follow(b)
		if err != nil || !done {
			return
		}
		// Byte by byte it is the same.
		var again chunks
		for i := range n {
			if _, done, err := again.follow(b[i : i+1]); err != nil || done != (i == n-1) {
				t.Fatalf("%q: at %d of %d: %v, %v", b, i, n, done, err)
			}
		}
		in := bufio.NewReader(io.MultiReader(strings.NewReader(post+"Transfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(b)))
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // it is stricter
		}
		rest, _ := io.ReadAll(in)
		if !bytes.Equal(rest, b[n:]) {
			t.Fatalf("%q: we end it before %q, net/http before %q", b, b[n:], rest)
		}
	})
}
