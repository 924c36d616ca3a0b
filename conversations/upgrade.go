package conversations

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// field is one header line.
type field struct{ name, value string }

// secure reports whether the server at u speaks TLS.
func secure(u *url.URL) bool { return u.Scheme == "wss" || u.Scheme == "https" }

// dial opens the TCP or TLS connection to an endpoint.
func dial(ctx context.Context, name string, u *url.URL, timeout time.Duration, trusted *x509.CertPool) (*connection, error) {
	var d interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{Timeout: timeout}
	port := "80"
	if secure(u) {
		port = "443"
		d = &tls.Dialer{NetDialer: &net.Dialer{Timeout: timeout}, Config: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), port)
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("dialling for %s: %w", name, err)
	}
	return &connection{name: name, conn: conn, timeout: timeout}, nil
}

// requestHead writes an upgrade request (RFC 6455, section 4.1). A field Host replaces host.
func requestHead(target, host string, fields []field) []byte {
	if i := slices.IndexFunc(fields, func(f field) bool { return strings.EqualFold(f.name, "Host") }); i >= 0 {
		host, fields = fields[i].value, slices.Delete(slices.Clone(fields), i, i+1)
	}
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", target, host)
	fmt.Fprintf(&b, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", base64.StdEncoding.EncodeToString(key[:]))
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// target returns the request target for a path of a script: a path that begins with ? is a query
// for the endpoint's own path.
func target(u *url.URL, path string) string {
	switch {
	case path == "":
		return u.RequestURI()
	case strings.HasPrefix(path, "?"):
		own := *u
		own.RawQuery = ""
		return own.RequestURI() + path
	}
	return path
}

// answered is an HTTP answer in the form that expectations compare.
type answered struct {
	status int
	header http.Header
	body   []byte
}

func (a *answered) String() string {
	return fmt.Sprintf("%d %s, body %s", a.status, http.StatusText(a.status), showText(a.body))
}

// errNoAnswer means that no HTTP answer came; its text says what came instead.
type errNoAnswer struct{ instead string }

func (e *errNoAnswer) Error() string { return "no HTTP answer: " + e.instead }

// readAnswer reads one HTTP answer. After a 101 the connection speaks WebSocket.
func (c *connection) readAnswer() (*answered, error) {
	deadline := time.Now().Add(c.timeout)
	var end int
	for {
		if i := bytes.Index(c.in, []byte("\r\n\r\n")); i >= 0 {
			end = i + len("\r\n\r\n")
			break
		}
		if over, err := c.fill(deadline); err != nil {
			return nil, &errNoAnswer{fmt.Sprintf("nothing within %v, after %s", c.timeout, showText(c.in))}
		} else if over != nil {
			return nil, &errNoAnswer{over.String() + " after " + showText(c.in)}
		}
	}
	rest := io.MultiReader(bytes.NewReader(c.in[end:]), c.conn)
	response, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(c.in[:end]), rest)), nil)
	if err != nil {
		return nil, &errNoAnswer{err.Error()}
	}
	fields, err := readFields(c.in[:end])
	if err != nil {
		return nil, &errNoAnswer{err.Error()}
	}
	a := &answered{status: response.StatusCode, header: fields}
	c.note("<", "HTTP "+response.Status)
	if a.status == http.StatusSwitchingProtocols {
		c.in, c.upgraded = c.in[end:], true
		return a, nil
	}
	defer response.Body.Close()
	a.body, err = io.ReadAll(io.LimitReader(response.Body, maxArrival))
	c.in = nil
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("reading the answer's body: %w", err)
	}
	return a, nil
}

// readFields returns the fields of a head. An http.Response lacks those that net/http consumed,
// such as Connection: close.
func readFields(head []byte) (http.Header, error) {
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(head)))
	_, err := r.ReadLine()
	if err != nil {
		return nil, fmt.Errorf("reading the status line: %w", err)
	}
	fields, err := r.ReadMIMEHeader()
	if err != nil {
		return nil, fmt.Errorf("reading the fields: %w", err)
	}
	return http.Header(fields), nil
}
