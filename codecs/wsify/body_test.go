package wsify

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// bytes returns how much is being read.
func (a *reading) bytes() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size
}

// TestSlowBodies: all clients that do not finish their bodies share a bounded memory. Further
// ones are told to come back, and are served when there is room again.
func TestSlowBodies(t *testing.T) {
	s := newHTTPServer(t, newFormat(t, 1000, func(*Options) {}))
	h := s.Config.Handler.(*handler)
	url := s.URL + "/broadcast"
	const beginning, end = `{"channel":"c","content":"`, `"}`
	text := beginning + strings.Repeat("x", 900)
	status := make(chan int, bodies)
	var ends []io.WriteCloser
	for range bodies {
		from, to := io.Pipe()
		ends = append(ends, to)
		go func() {
			response, err := http.Post(url, jsonType, from)
			if err != nil {
				t.Error(err)
				status <- 0
				return
			}
			_ = response.Body.Close()
			status <- response.StatusCode
		}()
		if _, err := io.WriteString(to, text); err != nil {
			t.Fatal(err)
		}
	}
	coretest.Eventually(t, "all is read", func() bool { return h.reading.bytes() == int64(bodies*len(text)) })
	response, _ := request(t, http.MethodPost, url, jsonType, strings.NewReader(text+end))
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "1" {
		t.Errorf("one more is answered %d, %v", response.StatusCode, response.Header)
	}
	if n := s.stats.Refused[core.ReasonOverload].Load(); n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
	for _, e := range ends {
		_, _ = io.WriteString(e, end)
		_ = e.Close()
		if got := <-status; got != http.StatusCreated {
			t.Errorf("a slow one is answered %d", got)
		}
	}
	if response, _ := request(t, http.MethodPost, url, jsonType, strings.NewReader(text+end)); response.StatusCode != http.StatusCreated {
		t.Errorf("the next is answered %d", response.StatusCode)
	}
	if n := h.reading.bytes(); n != 0 {
		t.Errorf("%d bytes are counted when all have ended", n)
	}
}

// TestBigBodiesMakeRoom: the client that holds most loses what it began last, not a newcomer.
func TestBigBodiesMakeRoom(t *testing.T) {
	s := newHTTPServer(t, newFormat(t, 1000, func(*Options) {}))
	h := s.Config.Handler.(*handler)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = r.Header.Get("X-Client")
		h.ServeHTTP(w, r)
	}))
	defer behind.Close()
	const beginning, end = `{"channel":"c","content":"`, `"}`
	text := beginning + strings.Repeat("x", 900)
	post := func(client string, from io.Reader) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, behind.URL+"/broadcast", from)
		if err != nil {
			t.Error(err)
			return new(http.Response)
		}
		r.Header.Set("Content-Type", jsonType)
		r.Header.Set("X-Client", client)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return new(http.Response)
		}
		_ = response.Body.Close()
		return response
	}
	var ends []io.WriteCloser
	var answers []chan *http.Response
	for i, client := range []string{"[2001:db8::1]:1", "203.0.113.2:1", "[2001:db8::2]:1", "203.0.113.3:1"} {
		from, to := io.Pipe()
		answer := make(chan *http.Response, 1)
		go func() { answer <- post(client, from) }()
		if _, err := io.WriteString(to, text); err != nil {
			t.Fatal(err)
		}
		coretest.Eventually(t, "it is read", func() bool { return h.reading.bytes() == int64((i+1)*len(text)) })
		ends, answers = append(ends, to), append(answers, answer)
	}
	if got := post("203.0.113.4:1", strings.NewReader(text+end)).StatusCode; got != http.StatusCreated {
		t.Errorf("who comes is answered %d", got)
	}
	if got := <-answers[2]; got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "1" {
		t.Errorf("the second of who has most is answered %d, %v", got.StatusCode, got.Header)
	}
	for _, i := range []int{0, 1, 3} {
		_, _ = io.WriteString(ends[i], end)
		_ = ends[i].Close()
		if got := (<-answers[i]).StatusCode; got != http.StatusCreated {
			t.Errorf("number %d is answered %d", i, got)
		}
	}
	_ = ends[2].Close()
	if n := s.stats.Refused[core.ReasonOverload].Load(); n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
	coretest.Eventually(t, "nothing is counted any more", func() bool { return h.reading.bytes() == 0 })
}

// TestBodiesMakeProgress: a body that does not arrive is not waited for.
func TestBodiesMakeProgress(t *testing.T) {
	s := newHTTPServer(t, newFormat(t, 1000, func(*Options) {}))
	s.Config.Handler.(*handler).reading.grace = 50 * time.Millisecond
	from, to := io.Pipe()
	defer func() { _ = to.Close() }()
	go func() { _, _ = io.WriteString(to, `{"channel":`) }()
	response, _ := request(t, http.MethodPost, s.URL+"/broadcast", jsonType, from)
	if response.StatusCode != http.StatusRequestTimeout || !response.Close {
		t.Errorf("it is answered %d, %v", response.StatusCode, response.Header)
	}
	if n := s.stats.Refused[core.ReasonTimeout].Load(); n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
}
