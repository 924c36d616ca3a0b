package main

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/polywire/polywire/config"
)

// manager notifies systemd, if systemd has started this process and expects it (sd_notify(3)). Its
// methods may be called from any goroutine.
type manager struct {
	// Static after construction.
	log *slog.Logger

	// Guarded by mu.
	mu    sync.Mutex
	tasks int  // that have begun and not ended
	ended bool // stopping was sent
}

// ready says that the broker serves, and that this process is now the main one: when one process
// hands over to another, the last that is ready is the main one.
func (m *manager) ready() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tellReady()
}

// begin says that a reload or a handover begins. end is called when that is over and this process
// goes on, otherwise never. Several may overlap: a process that hands over must not become the main
// process again because a reload has ended.
func (m *manager) begin() (end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks++
	if !m.ended {
		// Each time, because whoever asked for a reload waits for a message after that.
		m.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.tasks--; m.tasks == 0 {
			m.tellReady()
		}
	}
}

// stopping says that the broker ends, and how long that may take.
func (m *manager) stopping(d config.Drain) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	longest := d.Delay + d.Timeout + 10*time.Second
	m.tell(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, longest.Microseconds()))
}

// tellReady sends what ready does. The caller holds mu.
func (m *manager) tellReady() {
	if !m.ended {
		m.tell(fmt.Sprintf("%s\nMAINPID=%d", daemon.SdNotifyReady, os.Getpid()))
	}
}

func (m *manager) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		m.log.Warn("telling systemd", "error", err)
	}
}
