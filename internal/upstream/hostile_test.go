package upstream

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// gigabyte is what a hostile server would send.
const gigabyte = 1 << 30

// An answer of a gigabyte, announced or not, is read only up to its limit, and costs no more
// memory than that.
func TestEndlessAnswer(t *testing.T) {
	piece := make([]byte, 64<<10)
	for _, c := range []struct {
		name   string
		header map[string]string
		status int
		told   core.Code
	}{
		{"without length", nil, 200, core.Internal},
		{"announced", map[string]string{"Content-Length": "1073741824"}, 200, core.Internal},
		{"of JSON", map[string]string{"Content-Type": "application/json"}, 200, core.Internal},
		{"as a failure's text", map[string]string{"Polywire-Error-Code": "BIG"}, 500, "BIG"},
		{"as any failure", nil, 500, core.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent := make(chan int, 1)
			u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range c.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(c.status)
				n := 0
				for n < gigabyte {
					m, err := w.Write(piece)
					if n += m; err != nil {
						break
					}
				}
				sent <- n
			}, func(o *Options) { o.MaxAnswer = 1 << 20 })
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := u.Call(t.Context(), core.Invocation{})
			runtime.ReadMemStats(&after)
			if f, _ := errors.AsType[core.Failure](err); f.Code != c.told {
				t.Errorf("error %v, want %s", err, c.told)
			}
			// What io.ReadAll grows through, and the server of this test.
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
				t.Errorf("%d bytes were allocated for an answer of at most 1 MiB", grown)
			}
			// What the kernel keeps of a connection goes on top of the answer.
			if n := <-sent; n > gigabyte/8 {
				t.Errorf("the server could send %d bytes", n)
			}
		})
	}
}

// A server that dribbles, in its head or in its body, has no more time than any other.
func TestDribble(t *testing.T) {
	began, ended := make(chan struct{}, 100), make(chan struct{}, 100)
	dribble := func(w io.Writer, flush func()) {
		began <- struct{}{}
		defer func() { ended <- struct{}{} }()
		for {
			if _, err := io.WriteString(w, "x"); err != nil {
				return
			}
			flush()
			time.Sleep(time.Millisecond)
		}
	}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"body", func(w http.ResponseWriter, _ *http.Request) {
			dribble(w, func() { _ = http.NewResponseController(w).Flush() })
		}},
		{"head", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
			dribble(conn, func() {})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			timeout := 100 * time.Millisecond
			coretest.Eventually(t, "the server is asked in time", func() bool {
				timeout *= 2
				u := newUpstream(t, c.handler, func(o *Options) { o.Timeout, o.MaxAnswer = timeout, gigabyte })
				_, err := u.Call(t.Context(), core.Invocation{})
				if f, _ := errors.AsType[core.Failure](err); f != errTimeout {
					t.Errorf("error %v, want %v", err, errTimeout)
				}
				return len(began) > 0
			})
			// The connection was ended, not kept.
			for range len(began) {
				<-began
				<-ended
			}
		})
	}
}
