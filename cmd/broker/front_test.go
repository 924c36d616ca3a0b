package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// Clients with TLS are passed on to a server without, and one whose handshake fails is told of and not counted.
func TestFrontWithTLS(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "server", ca.Issue(nil, "broker.example"))
	authority := certstest.WriteFile(t, dir, "ca.pem", ca.PEM())
	port := coretest.FreePort(t)
	text := fmt.Sprintf("endpoints: [{name: web, protocol: wsify, listen: \"127.0.0.1:%d\", path: /ws}]\nadmin: {listen: \"\"}\n", port)
	file := write(t, text)
	serveHere(t, file)
	s := &speaking{dir: dir}
	for command, counted := range map[string]string{
		"record --max-connections 1 -o -":       "1 connections, ",
		"shadow --max-connections 1 -c " + file: "1 connections, ",
	} {
		t.Run(strings.Fields(command)[0], func(t *testing.T) {
			address := fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
			front := s.enter(t, fmt.Sprintf("broker %s --listen %s --listen-cert %s --listen-key %s --to wsify://127.0.0.1:%d/ws", command, address, cert, key, port))
			coretest.Eventually(t, "it listens", func() bool { return strings.Contains(front.text(), "an interrupt ends it") })
			plain, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(plain, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, plain)
			_ = plain.Close()
			s.enter(t, "broker pub wsify+tls://"+address+"/ws t hello --server-name broker.example --ca "+authority).ends(t)
			front.stop()
			got := front.ends(t)
			if !strings.Contains(got, "the TLS handshake of a client (127.0.0.1:") || !strings.Contains(got, counted) {
				t.Error(got)
			}
			if strings.HasPrefix(command, "record") && !strings.Contains(got, "connect c1 wsify\nc1 > {") {
				t.Error(got)
			}
		})
	}
}
