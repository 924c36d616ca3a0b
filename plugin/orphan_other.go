//go:build !linux

package plugin

import (
	"os/exec"
	"syscall"
)

// bind puts the process into a group of its own, so that what it starts can be ended
// with it and Ctrl-C is left to the broker.
func bind(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
