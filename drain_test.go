package polywire_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

// While goodbyes are said at their pace, a client that has not heard one yet is served as always:
// its authorizer is asked and waited for, and no client is denied anything.
func TestServedUntilTheGoodbye(t *testing.T) {
	asked, release := make(chan struct{}, 10), make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "in-flight") {
			asked <- struct{}{}
			<-release
		}
	}))
	defer hook.Close()
	answer := sync.OnceFunc(func() { close(release) })
	defer answer()
	b := run(t, `
endpoints:
  - {name: wsify, protocol: wsify, listen: "127.0.0.1:0", options: {authorizer_url: "`+hook.URL+`"}}
  - {name: vws,   protocol: vws,   listen: "127.0.0.1:0", options: {allow_send: true}, authorizer: {url: "`+hook.URL+`", timeout: 2m}}
admin: {listen: "127.0.0.1:0"}
drain: {rate: 15/m, timeout: 2m}
`)
	type read struct {
		client int
		frame  ws.Frame
	}
	reads := make(chan read, 10)
	const n = 3
	want := make([]string, n)
	for i := range n {
		var c *client
		if i == 0 {
			c = dial(t, b.urls["vws"].URL)
			c.send(`{"t":"in-flight","d":1,"i":7}`)
			want[i] = `{"k":"a","i":7}`
		} else {
			c = dial(t, b.urls["wsify"].URL)
			channel := fmt.Sprintf("own-%d", i)
			c.send(`{"command":"join","args":{"channel":"` + channel + `"}}`)
			c.send(`{"command":"broadcast","args":{"channel":"` + channel + `","content":"in-flight"}}`)
			want[i] = `"in-flight"`
		}
		go func() {
			frame, err := ws.ReadFrame(c.rw)
			if err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			reads <- read{i, frame}
			// It says goodbye, so that nobody waits for the timeout.
			_ = ws.WriteFrame(c.conn, ws.MaskFrameInPlace(ws.NewCloseFrame([]byte{3, 232})))
		}()
		<-asked
	}
	ended := make(chan error, 1)
	go func() { ended <- b.stop() }()
	first := <-reads
	if code, _ := ws.ParseCloseFrameData(first.frame.Payload); first.frame.Header.OpCode != ws.OpClose || code != ws.StatusGoingAway {
		t.Fatalf("client %d reads %v %q before anybody heard a goodbye", first.client, first.frame.Header.OpCode, first.frame.Payload)
	}
	answer()
	for range n - 1 {
		r := <-reads
		if got := string(r.frame.Payload); got != want[r.client] {
			t.Errorf("client %d reads %v %q, want %q", r.client, r.frame.Header.OpCode, got, want[r.client])
		}
	}
	for _, reason := range []string{"denied", "unavailable"} {
		if n := b.metric(t, `polywire_\w+{.*reason="`+reason+`"}`); n != 0 {
			t.Errorf("%v are counted as %s", n, reason)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
