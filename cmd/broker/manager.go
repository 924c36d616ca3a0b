package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/polywire/polywire/config"
)

// manager is systemd, if it has started this process and waits for word (sd_notify(3)).
type manager struct{ log *slog.Logger }

// ready tells that the broker serves, and that this process is the main one now: of two of
// which one hands over to the other, the last that is ready is.
func (m manager) ready() { m.tell(fmt.Sprintf("%s\nMAINPID=%d", daemon.SdNotifyReady, os.Getpid())) }

// reloading tells that the configuration is read again, or the process replaced; ready
// follows.
func (m manager) reloading() {
	m.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// stopping tells that the broker ends, and how long that may take.
func (m manager) stopping(d config.Drain) {
	longest := d.Delay + d.Timeout + 10*time.Second
	m.tell(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, longest.Microseconds()))
}

func (m manager) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		m.log.Warn("telling systemd", "error", err)
	}
}
