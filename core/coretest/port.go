package coretest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

const firstPort, ports = 10_000, 20_000

// nextPort counts the ports of this process from a random one on: one that was returned and is not listened on yet
// is not returned again.
var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(ports)) }

// FreePort returns a free port of 127.0.0.1, for a configuration that has to name one, and each
// time another one. It is below the ephemeral ports, so that no connection of another test can get
// it meanwhile.
func FreePort(t testing.TB) int {
	t.Helper()
	for {
		port := firstPort + int(nextPort.Add(1)%ports)
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = ln.Close()
			return port
		}
	}
}
