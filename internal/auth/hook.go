package auth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/httpclient"
)

// maxConns bounds the connections to a webhook: each client connection asks at most one
// question at a time.
const maxConns = 256

// maxAnswer bounds how much of an answer is read, in bytes. A connection whose answer has a
// longer body is not reused.
const maxAnswer = 64 << 10

// hook POSTs to one HTTP server. Any goroutine.
type hook struct {
	// Static after construction.
	url     string
	timeout time.Duration
	client  *http.Client
	log     *slog.Logger // told when the server stops answering and when it answers again

	// Atomic.
	down atomic.Bool
}

func newHook(url string, timeout, idle time.Duration, log *slog.Logger) *hook {
	return &hook{url: url, timeout: timeout, client: httpclient.New(timeout, idle, maxConns), log: log}
}

// reply is the part of an answer that was read.
type reply struct {
	status int
	header http.Header
	body   []byte // what could be read of it
}

// ask POSTs body, which is JSON, and returns the answer. net/http may still read body after
// that, so it must not be borrowed.
func (h *hook) ask(ctx context.Context, body []byte, header http.Header) (*reply, error) {
	asking, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	r, err := h.post(asking, body, header)
	switch {
	case ctx.Err() != nil:
		// The broker stopped waiting; that says nothing about the server.
	case err != nil:
		h.note(true, err)
	case r.status >= http.StatusInternalServerError:
		h.note(true, fmt.Errorf("status %d", r.status))
	default:
		h.note(false, nil)
	}
	return r, err
}

func (h *hook) post(ctx context.Context, body []byte, header http.Header) (*reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making webhook request: %w", httpclient.WithoutURL(err))
	}
	maps.Copy(r.Header, header)
	r.Header.Set("Content-Type", "application/json")
	// It is a question: asking it again changes nothing.
	httpclient.MayRepeat(r, "")
	res, err := h.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking webhook: %w", httpclient.WithoutURL(err))
	}
	// Only a connection whose answer was read to its end is reused. Callers that want the
	// body judge one that breaks off.
	data, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	return &reply{status: res.StatusCode, header: res.Header, body: data}, nil
}

// note remembers whether the server answers and logs when that changes.
func (h *hook) note(down bool, err error) {
	// Loading first keeps the usual case free of writes to shared memory.
	if h.down.Load() == down || !h.down.CompareAndSwap(!down, down) {
		return
	}
	if down {
		h.log.Warn("webhook is down", logging.Bounded("", ""), slog.Any("error", err))
		return
	}
	h.log.Warn("webhook is up again", logging.Bounded("", ""))
}
