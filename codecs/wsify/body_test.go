package wsify

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// TestSlowBodies: clients that do not finish their bodies have a bounded memory
// together. Further ones are told to come back, and served when there is room again.
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
	for deadline := coretest.Deadline(); h.reading.Load() < int64(bodies*len(text)); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are read, want %d", h.reading.Load(), bodies*len(text))
		}
	}
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
	if n := h.reading.Load(); n != 0 {
		t.Errorf("%d bytes are counted when all have ended", n)
	}
}
