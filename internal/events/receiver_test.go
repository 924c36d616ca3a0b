package events

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// verify returns the body of a request of the broker, or why it is none. secret is what the configuration has.
func verify(r *http.Request, secret []byte) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	id, timestamp := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return nil, errors.New("the request is too old")
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !hmac.Equal([]byte(want), []byte(r.Header.Get("webhook-signature"))) {
		return nil, errors.New("the signature is wrong")
	}
	return body, nil
}

// The documentation shows the function that verifies every request of these tests.
func TestVerificationInDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("receiver_test.go")
	if err != nil {
		t.Fatal(err)
	}
	f := regexp.MustCompile(`(?s)// verify returns .*?\n}\n`).FindString(string(source))
	if f == "" || !strings.Contains(string(page), "```go\n"+f+"```\n") {
		t.Errorf("docs/events.md does not show\n%s", f)
	}
}

const secret = "a secret of tests"

// receiver is a backend.
type receiver struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	answer  func(n int, w http.ResponseWriter, r *http.Request) // to the n-th request; nil takes all
	asked   int
	times   []time.Time // of the requests
	ids     []string    // of the requests
	batches []batch     // that were taken
}

func newReceiver(t *testing.T, answer func(int, http.ResponseWriter, *http.Request)) *receiver {
	r := &receiver{t: t, answer: answer}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := verify(request, []byte(secret))
	if err != nil {
		r.t.Errorf("a request: %v", err)
	}
	var b batch
	if err := json.Unmarshal(body, &b); err != nil || request.Header.Get("Content-Type") != "application/json" || b.ID != request.Header.Get("webhook-id") {
		r.t.Errorf("a request: %v: %s", err, body)
	}
	r.mu.Lock()
	r.asked++
	n, answer := r.asked, r.answer
	r.times, r.ids = append(r.times, time.Now()), append(r.ids, b.ID)
	r.mu.Unlock()
	noted := &recorder{w, http.StatusOK}
	if answer != nil {
		answer(n, noted, request)
	}
	if noted.status >= 200 && noted.status < 300 {
		r.mu.Lock()
		r.batches = append(r.batches, b)
		r.mu.Unlock()
	}
}

// requests returns how many there were.
func (r *receiver) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// topics returns the topics of the events that were taken.
func (r *receiver) topics() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, b := range r.batches {
		for _, e := range b.Events {
			list = append(list, e.Topic)
		}
	}
	return strings.Join(list, " ")
}

// gets waits until it has got these topics.
func (r *receiver) gets(topics string) {
	r.t.Helper()
	coretest.Eventually(r.t, "it has got "+topics, func() bool { return len(r.topics()) >= len(topics) })
	if got := r.topics(); got != topics {
		r.t.Errorf("got %q, want %q", got, topics)
	}
}

func options(url string) Options {
	return Options{URL: url, Secret: []byte(secret), Batch: 100, Timeout: coretest.Patience, RetryFor: coretest.Patience, Queue: 1 << 20}
}

// source is a hub with one sink.
type source struct {
	*Hub
	sink *Sink
}

// newSource starts a sink, which is closed with the test.
func newSource(t *testing.T, o Options) *source {
	t.Helper()
	s := idleSource(t, o)
	s.sink.Start()
	return s
}

// idleSource is newSource without Start.
func idleSource(t *testing.T, o Options) *source {
	h := NewHub("n")
	s := NewSink(h, o, new(core.SinkStats), slog.New(slog.DiscardHandler))
	s.first = time.Millisecond
	h.Use([]*Sink{s}, nil)
	t.Cleanup(func() {
		select {
		case <-s.closing:
		default:
			closeNow(s)
		}
	})
	return &source{h, s}
}

var web = &core.Endpoint{Name: "web", Protocol: "vws"}

// subscribe shows subscriptions to topics.
func (s *source) subscribe(topics ...string) {
	for _, topic := range topics {
		s.Observe(&core.Observation{Moment: core.MomentSubscribed, At: time.Unix(1, 0), Endpoint: web, Connection: 7, Topic: topic})
	}
}
