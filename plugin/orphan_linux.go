package plugin

import (
	"os/exec"
	"syscall"
)

// bind makes the process end with the thread that starts it, and so with the broker, even
// if the broker is killed. It also puts the process into its own group, so that what it
// starts can be ended with it and Ctrl-C is left to the broker.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
