package plugin

import (
	"os/exec"
	"syscall"
)

// bind makes the process end with the thread that starts it, and so with the broker
// even if that is killed, and puts it into a group of its own, so that what it
// starts can be ended with it and Ctrl-C is left to the broker.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
