package conversations

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxHooked limits the requests that a webhook keeps for expectations, and maxHookBody the bytes of
// one.
const (
	maxHooked   = 4096
	maxHookBody = 64 << 20
)

// answer is what a webhook answers.
type answer struct {
	status  int
	headers []field
	after   time.Duration
	// drop ends the connection without an answer. The client may retry once, as the server may have
	// closed an idle connection; the retry counts as the same request.
	drop bool
	// hold waits for the script's "release".
	hold bool
}

// hooked is one request that a webhook received.
type hooked struct {
	method string
	header http.Header
	body   string
}

// webhook is a real HTTP server whose answers a script controls.
type webhook struct {
	// Static after construction.
	server *http.Server
	url    string
	got    chan hooked

	// Guarded by mu.
	mu      sync.Mutex
	answers map[string]answer
	// held is closed by release, which makes a new one for the next hold.
	held chan struct{}
	// dropped is the last request, as its key and body, if it was dropped; nil otherwise.
	dropped *[2]string
}

// newWebhook serves on address until close. It answers every command with 200 until the script says
// otherwise.
func newWebhook(address string) (*webhook, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for a webhook: %w", err)
	}
	h := &webhook{
		url:     "http://" + listener.Addr().String(),
		got:     make(chan hooked, maxHooked),
		answers: map[string]answer{},
		held:    make(chan struct{}),
	}
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: DefaultTimeout}
	go func() { _ = h.server.Serve(listener) }() // close ends it
	return h, nil
}

func (h *webhook) close() error {
	h.release()
	return h.server.Close()
}

// otherCommand stands for requests without a command.
const otherCommand = "other"

// answer sets the answer to a command from now on.
func (h *webhook) answer(command string, a answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[command] = a
}

// release releases the held requests.
func (h *webhook) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.held)
	h.held = make(chan struct{})
}

func (h *webhook) answerTo(command string) (answer, chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, ok := h.answers[command]
	if !ok {
		a.status = http.StatusOK
	}
	return a, h.held
}

// again reports whether a request that is answered with a is a retry of the one that was just
// dropped.
func (h *webhook) again(a answer, key, body string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	this := [2]string{key, body}
	if a.drop && h.dropped != nil && *h.dropped == this {
		return true
	}
	h.dropped = nil
	if a.drop {
		h.dropped = &this
	}
	return false
}

// ServeHTTP records the request for expectations and answers it.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHookBody))
	if err != nil {
		return
	}
	var message struct {
		Command any `json:"command"`
	}
	_ = json.Unmarshal(body, &message) // any body is kept; the script judges it
	command, ok := message.Command.(string)
	if !ok {
		command = otherCommand
	}
	a, held := h.answerTo(command)
	if h.again(a, r.Header.Get("Idempotency-Key"), string(body)) {
		panic(http.ErrAbortHandler)
	}
	select {
	case h.got <- hooked{r.Method, r.Header, string(body)}:
	default:
		http.Error(w, "the script looks at none of the requests", http.StatusInsufficientStorage)
		return
	}
	if a.hold {
		select {
		case <-held:
		case <-r.Context().Done():
		}
	}
	time.Sleep(a.after)
	if a.drop {
		panic(http.ErrAbortHandler)
	}
	for _, f := range a.headers {
		w.Header().Add(f.name, f.value)
	}
	w.WriteHeader(a.status)
}
