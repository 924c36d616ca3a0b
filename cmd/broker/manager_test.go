package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/polywire/polywire/config"
)

// TestManager: of overlapping tasks the last one to end says that the process is ready, if the
// process goes on; each begin is notified.
func TestManager(t *testing.T) {
	socket, next := notified(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	m := &manager{log: slog.New(slog.DiscardHandler)}
	m.ready()
	next("\nREADY=1\n", "\nMAINPID=")
	reload := m.begin()
	next("\nRELOADING=1\n")
	replace := m.begin()
	next("\nRELOADING=1\n")
	reload() // nothing is sent: another process may be the main one by now
	again := m.begin()
	next("\nRELOADING=1\n")
	again()
	replace()
	next("\nREADY=1\n")
	reload = m.begin()
	next("\nRELOADING=1\n")
	m.stopping(config.Drain{Delay: time.Second, Timeout: 2 * time.Second})
	next("\nSTOPPING=1\n", "\nEXTEND_TIMEOUT_USEC=13000000\n")
	reload() // it ends all the same
	m.ready()
	m.begin()()
	m.stopping(config.Drain{})
	next("\nSTOPPING=1\n", "\nEXTEND_TIMEOUT_USEC=10000000\n")
}
