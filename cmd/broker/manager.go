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

// manager is systemd, if it has started this process and waits for word (sd_notify(3)). Its
// methods may be called from any goroutine.
type manager struct {
	// Static after construction.
	log *slog.Logger

	// Guarded by mu.
	mu    sync.Mutex
	tasks int  // that began and have not ended
	ended bool // stopping was told
}

// ready tells that the broker serves, and that this process is the main one now: of two of
// which one hands over to the other, the last that is ready is.
func (m *manager) ready() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tellReady()
}

// begin tells that the configuration is read again, or the process replaced. When that is
// over, and this process goes on, end is called, or else never. Several may go on at once:
// who hands over must not be told to be the main process again because a reload has ended.
func (m *manager) begin() (end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks++
	if !m.ended {
		// Each time: who asks for a reload waits for what is told after that.
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

// stopping tells that the broker ends, and how long that may take.
func (m *manager) stopping(d config.Drain) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	longest := d.Delay + d.Timeout + 10*time.Second
	m.tell(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, longest.Microseconds()))
}

// tellReady is ready. The caller holds mu.
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
