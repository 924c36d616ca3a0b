package coretest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePort returns a free port of 127.0.0.1, for a configuration that has to name one. It is
// below the ephemeral ports, so that no connection of another test can get it meanwhile.
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
