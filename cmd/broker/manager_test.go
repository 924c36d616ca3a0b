package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/polywire/polywire/config"
)

// TestManager: of tasks that overlap the last that ends tells that the process is ready, as
// long as it goes on; each is told when it begins.
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
	reload() // not a word: another process may be the main one by now
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
