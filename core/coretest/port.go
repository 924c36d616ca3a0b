package coretest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePort returns a port of 127.0.0.1 that nobody listens on, for a configuration that
// has to name one. It is below those that systems give out, lest a connection of another
// test get it meanwhile.
func FreePort(t testing.TB) int {
	t.Helper()
	for {
		port := 10_000 + rand.IntN(20_000)
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = ln.Close()
			return port
		}
	}
}
