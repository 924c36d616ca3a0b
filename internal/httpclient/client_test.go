package httpclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Any text arrives at a real server, and no two texts arrive as one.
func TestHeaderText(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("X-Text") }))
	defer s.Close()
	for _, text := range []string{
		"ann", "ann@example.com", "a/b c", "%", "a%0Ab", "a\nb", " a", "a ", "\u00a0a", "é", "\x00\xff", "a\r\nX-Evil: 1", `";,`,
	} {
		r, err := http.NewRequest(http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Text", HeaderText(text))
		res, err := New(time.Minute, 0, 1).Do(r)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		_ = res.Body.Close()
		if decoded, err := url.PathUnescape(got); err != nil || decoded != text {
			t.Errorf("%q arrived as %q", text, got)
		}
	}
}

func TestRedirects(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/to" {
			http.Redirect(w, r, "/to", http.StatusFound)
		}
	}))
	defer s.Close()
	for _, c := range []struct {
		name   string
		client *http.Client
		want   int
	}{{"followed", New(time.Minute, 0, 1), 200}, {"not followed", NewDirect(time.Minute, 0, 1), 302}} {
		t.Run(c.name, func(t *testing.T) {
			res, err := c.client.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != c.want {
				t.Errorf("status %d", res.StatusCode)
			}
		})
	}
}

func TestBreaker(t *testing.T) {
	var states []string
	bad, mine := errors.New("bad"), errors.New("mine")
	b := NewBreaker[int](func(err error) bool { return errors.Is(err, mine) },
		func(from, to gobreaker.State) { states = append(states, from.String()+" "+to.String()) })
	fail := func(err error, times int) {
		t.Helper()
		for range times {
			if _, got := b.Execute(func() (int, error) { return 0, err }); !errors.Is(got, err) {
				t.Fatal(got)
			}
		}
	}
	fail(bad, tripAfter-1)
	fail(mine, 1)
	fail(bad, tripAfter-1)
	fail(context.Canceled, tripAfter)
	fail(mine, 2*tripAfter)
	fail(bad, tripAfter)
	if _, err := b.Execute(func() (int, error) { return 1, nil }); !errors.Is(err, gobreaker.ErrOpenState) {
		t.Errorf("after %d failures: %v", tripAfter, err)
	}
	if got := strings.Join(states, ","); got != "closed open" {
		t.Errorf("states %q", got)
	}
}

func TestWithoutURL(t *testing.T) {
	_, err := New(time.Minute, 0, 1).Get("http://127.0.0.1:1/?key=secret")
	if err == nil || strings.Contains(WithoutURL(err).Error(), "secret") {
		t.Errorf("error %v", WithoutURL(err))
	}
	if plain := errors.New("plain"); !errors.Is(WithoutURL(plain), plain) {
		t.Error("another error was changed")
	}
}

// fickle is a server that closes a connection at its second request, without an answer. It
// reads all of the request before, unless half is set.
type fickle struct {
	net.Listener
	half bool

	mu       sync.Mutex
	requests []string // the bodies of those that it answered
	cut      int      // connections that it closed on a request
	opened   int
}

func newFickle(t *testing.T, half bool) *fickle {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fickle{Listener: l, half: half}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.serve(c) })
		}
	})
	return f
}

func (f *fickle) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	f.mu.Lock()
	f.opened++
	f.mu.Unlock()
	r := bufio.NewReader(c)
	for n := 0; ; n++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if n == 1 && f.half {
			_, _ = io.CopyN(io.Discard, req.Body, 1)
		} else {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			if n == 0 {
				f.mu.Lock()
				f.requests = append(f.requests, string(body))
				f.mu.Unlock()
			}
		}
		if n == 1 {
			f.mu.Lock()
			f.cut++
			f.mu.Unlock()
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	}
}

func (f *fickle) url() string { return "http://" + f.Addr().String() + "/" }

// A POST whose connection the server has just closed is sent once more, on a new connection, if
// it may be.
func TestClosedConnections(t *testing.T) {
	for _, size := range []int{0, 10, 1 << 20} {
		for _, half := range []bool{false, true} {
			t.Run(fmt.Sprint(size, half), func(t *testing.T) {
				f := newFickle(t, half)
				c := New(time.Minute, 0, 4)
				defer c.CloseIdleConnections()
				body := strings.Repeat("x", size)
				for range 10 {
					r, err := http.NewRequest(http.MethodPost, f.url(), strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					MayRepeat(r, "")
					res, err := c.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					_ = res.Body.Close()
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(f.requests) != 10 || f.cut != 9 || f.requests[9] != body {
					t.Errorf("%d answered, %d cut, want 10 and 9", len(f.requests), f.cut)
				}
			})
		}
	}
}
