package httpclient

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
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
		res, err := New(time.Minute, 1).Do(r)
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
	}{{"followed", New(time.Minute, 1), 200}, {"not followed", NewDirect(time.Minute, 1), 302}} {
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
	b := NewBreaker[int](func(from, to gobreaker.State) { states = append(states, from.String()+" "+to.String()) })
	bad := errors.New("bad")
	for range tripAfter {
		if _, err := b.Execute(func() (int, error) { return 0, bad }); !errors.Is(err, bad) {
			t.Fatal(err)
		}
	}
	if _, err := b.Execute(func() (int, error) { return 1, nil }); !errors.Is(err, gobreaker.ErrOpenState) {
		t.Errorf("after %d failures: %v", tripAfter, err)
	}
	if got := strings.Join(states, ","); got != "closed open" {
		t.Errorf("states %q", got)
	}
}

func TestWithoutURL(t *testing.T) {
	_, err := New(time.Minute, 1).Get("http://127.0.0.1:1/?key=secret")
	if err == nil || strings.Contains(WithoutURL(err).Error(), "secret") {
		t.Errorf("error %v", WithoutURL(err))
	}
	if plain := errors.New("plain"); !errors.Is(WithoutURL(plain), plain) {
		t.Error("another error was changed")
	}
}
