package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// maxRefusal is how many bytes of a refusal's body are shown.
const maxRefusal = 200

// dial makes the connection and the upgrade. It returns also what came behind the upgrade.
func dial(ctx context.Context, o Options) (conn net.Conn, behind []byte, err error) {
	name := SafeURL(o.URL)
	to, socket, err := where(o.URL)
	if err != nil {
		return nil, nil, err
	}
	// A peer that is gone without a goodbye is noticed within a minute.
	keep := net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 4}
	var refused refusal
	d := ws.Dialer{
		Header: ws.HandshakeHeaderHTTP(o.Header), Protocols: o.Subprotocols, TLSConfig: o.TLS,
		NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if socket != "" {
				network, address = "unix", socket
			}
			return (&net.Dialer{KeepAliveConfig: keep}).DialContext(ctx, network, address)
		},
		OnHeader: o.Field, OnStatusError: refused.read,
	}
	conn, early, _, err := d.Dial(ctx, to.String())
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, nil, fmt.Errorf("connecting to %s: %w", name, refused.explain(err))
	}
	if early != nil {
		unread, _ := early.Peek(early.Buffered())
		behind = bytes.Clone(unread)
		ws.PutReader(early)
	}
	return conn, behind, nil
}

// where returns the URL to dial, and for a Unix socket its path.
func where(text string) (to *url.URL, socket string, err error) {
	plain := text
	if scheme, rest, unix := strings.Cut(text, "+unix:"); unix && (scheme == "ws" || scheme == "wss") {
		var request string
		if socket, request, _ = strings.Cut(strings.TrimPrefix(rest, "//"), ":"); socket == "" {
			return nil, "", errors.New("the URL of a Unix socket needs its path, such as ws+unix:/run/broker.sock:/ws")
		}
		plain = scheme + "://localhost" + cmp.Or(request, "/")
	}
	to, err = url.Parse(plain)
	if err != nil || to.Host == "" || to.Scheme != "ws" && to.Scheme != "wss" {
		return nil, "", fmt.Errorf("%q is no URL of a WebSocket, such as ws://host:port/path", SafeURL(text))
	}
	return to, socket, nil
}

// SafeURL returns a URL for people: without passwords, and without its query, which may be a token.
func SafeURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "the URL"
	}
	if u.User != nil {
		u.User = url.User("…")
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}

// refusal is how a server has refused the upgrade.
type refusal struct {
	status   int
	location string
	body     string
}

func (r *refusal) read(status int, _ []byte, response io.Reader) {
	r.status = status
	got, err := http.ReadResponse(bufio.NewReader(io.LimitReader(response, 16<<10)), nil)
	if err != nil {
		return
	}
	defer func() { _ = got.Body.Close() }()
	r.location = got.Header.Get("Location")
	if body, _ := io.ReadAll(io.LimitReader(got.Body, maxRefusal)); len(body) > 0 {
		r.body = strings.ToValidUTF8(strings.TrimSpace(string(body)), "")
	}
}

// explain says what an error means, and what to do.
func (r *refusal) explain(err error) error {
	switch {
	case r.status >= 300 && r.status < 400 && r.location != "":
		return fmt.Errorf("the server redirects (%d) to %s: use that address", r.status, SafeURL(r.location))
	case r.status == http.StatusLoopDetected:
		return fmt.Errorf("the server refused: %d %s: the URL leads back to where it comes from, or to a broker whose bridge leads here already: a bridge carries both ways, so one is enough", r.status, http.StatusText(r.status))
	case r.status != 0 && r.body != "":
		return fmt.Errorf("the server refused: %d %s: %s", r.status, http.StatusText(r.status), r.body)
	case r.status != 0:
		return fmt.Errorf("the server refused: %d %s", r.status, http.StatusText(r.status))
	case errors.Is(err, ws.ErrHandshakeBadProtocol), errors.Is(err, ws.ErrMalformedResponse):
		return fmt.Errorf("what answers there is no WebSocket server: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the server ended the connection during the upgrade; is it one for TLS (wss://)?")
	}
	return err
}
