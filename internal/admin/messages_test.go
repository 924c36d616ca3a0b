package admin_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/admin"
)

// A call that takes longer than the server's requests may be read for is waited for, and so is its body.
func TestLongCall(t *testing.T) {
	const readTimeout = 20 * time.Millisecond
	// The server gives up what it waits for soon after that, unless it is told otherwise.
	later := func(ctx context.Context) error {
		timer := time.NewTimer(20 * readTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	src := source(new(atomic.Bool))
	src.Call = func(ctx context.Context, _, _ string, p core.Payload) (core.Payload, error) {
		if later(ctx) != nil {
			return core.Payload{}, core.Failure{Code: core.Timeout}
		}
		return core.Payload{Kind: core.Text, Data: append(p.Data, " at last"...)}, nil
	}
	s := admin.New(src, slog.New(slog.DiscardHandler))
	s.SetReadTimeout(readTimeout)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Start(ln)
	defer stop(t, s)
	body, pieces := io.Pipe()
	go func() {
		_, _ = pieces.Write([]byte("an"))
		_ = later(t.Context())
		_, _ = pieces.Write([]byte("swered"))
		_ = pieces.Close()
	}()
	response, err := http.Post("http://"+s.Addr().String()+"/v1/call/slow?endpoint=one&timeout=25s", "", body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || string(answer) != "answered at last" {
		t.Errorf("%v, %q", err, answer)
	}
}
