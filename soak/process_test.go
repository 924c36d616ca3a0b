package soak

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/polywire/polywire/core/coretest"
)

// process is a program that is killed and stopped, and started again. It is used by one goroutine.
type process struct {
	name    string
	command func() *exec.Cmd
	log     string // the file of all its lives
	address string // where it listens, if somebody wants to know

	cmd      *exec.Cmd
	over     chan struct{} // closed when it has ended
	expected atomic.Bool   // it may end
}

// newProcess returns a process that has not started. When the test ends it is killed, and its log is
// shown if the test has failed.
func newProcess(t *testing.T, name, log string, command func() *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, command: command, log: log}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.expected.Store(true)
			_ = p.cmd.Process.Kill()
			<-p.over
		}
		if t.Failed() {
			p.show(t)
		}
	})
	return p
}

// start starts the process. unexpected is told if it ends by itself.
func (p *process) start(t *testing.T, unexpected func(format string, values ...any)) {
	t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is killed, nobody else ends it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.cmd, p.over = cmd, make(chan struct{})
	p.expected.Store(false)
	go func() {
		defer close(p.over)
		if err := cmd.Wait(); !p.expected.Load() {
			unexpected("%s has ended by itself: %v", p.name, err)
		}
	}()
}

// end sends a signal that ends the process, waits until it has ended and returns its exit code.
func (p *process) end(t *testing.T, by syscall.Signal) int {
	t.Helper()
	p.expected.Store(true)
	p.signal(t, by)
	coretest.Receive(t, fmt.Sprintf("%s has ended after %v", p.name, by), p.over)
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("sending %v to %s: %v", s, p.name, err)
	}
}

// show shows the last lines of its log.
func (p *process) show(t *testing.T) {
	t.Helper()
	var lines []string
	p.eachLine(t, func(line string) { lines = append(lines, line) })
	if most := 300; len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	t.Logf("the log of %s:\n%s", p.name, strings.Join(lines, "\n"))
}

func (p *process) eachLine(t *testing.T, f func(line string)) {
	t.Helper()
	log, err := os.Open(p.log)
	if err != nil {
		t.Log(err)
		return
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f(lines.Text())
	}
}
