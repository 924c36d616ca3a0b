package events

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/polywire/polywire/internal/httpclient"
)

// maxAnswer bounds how much of an answer is read, in bytes. Nothing in it counts, but only a connection whose answer
// was read is used again.
const maxAnswer = 4 << 10

// post makes one request. The error is a *statusError, or says why there is no answer.
func (s *Sink) post(id string, body []byte) error {
	set := s.settings.Load()
	if set.client != s.connections {
		if s.connections != nil {
			s.connections.CloseIdleConnections()
		}
		s.connections = set.client
	}
	ctx, cancel := context.WithTimeout(s.ctx, set.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, set.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request: %w", httpclient.WithoutURL(err))
	}
	now := time.Now()
	timestamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "polywire")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", timestamp)
	r.Header.Set("webhook-signature", sign(set.Secret, id, timestamp, body))
	httpclient.MayRepeat(r, "") // the server knows it by its id
	res, err := set.client.Do(r)
	if err != nil {
		return fmt.Errorf("sending events: %w", httpclient.WithoutURL(err))
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return nil
	}
	return &statusError{res.StatusCode, retryAfter(res.Header.Get("Retry-After"), now)}
}

// retryAfter returns what a header Retry-After says, within bounds: a number of seconds, or a time.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	after := time.Duration(0)
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		after = time.Duration(min(seconds, uint64(longestAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		after = at.Sub(now)
	}
	return min(max(after, 0), longestAfter)
}
