package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// ready is the byte by which the next process says that it serves.
const ready = 1

// Socket is a socket to be handed on.
type Socket struct {
	// Name is the name with which the next process calls [Given.Listen] for it.
	Name     string
	Listener net.Listener
}

// Next starts this program again, with its arguments, as it is on disk now. It gives the new
// process the sockets, and waits until it serves. If it does not before ctx ends, or ends
// itself, Next returns an error, the process is ended, and nothing has changed. stdin is what
// it reads, nil for nothing; its output is this process's.
//
// Afterwards both processes accept clients at the sockets, until this one closes them.
func (g *Given) Next(ctx context.Context, list []Socket, stdin io.Reader) (pid int, err error) {
	if os.Getpid() == 1 {
		return 0, errors.New("starting the next process: this one is the first of its container, which ends with it; start another container instead")
	}
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return 0, fmt.Errorf("starting the next process: %w", err)
	}
	word, say, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("starting the next process: %w", err)
	}
	defer func() { _ = word.Close() }()
	cmd := exec.Command(path, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, os.Stdout, os.Stderr
	suffix := ""
	if g.FromSystemd() {
		suffix = ofSystemd
	}
	names := make([]string, len(list))
	for i, s := range list {
		f, err := fileOf(s.Listener)
		if err != nil {
			closeAll(cmd.ExtraFiles)
			_ = say.Close()
			return 0, fmt.Errorf("starting the next process: %w", err)
		}
		names[i] = s.Name
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, say)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LISTEN_") })
	cmd.Env = append(cmd.Env,
		"LISTEN_FDS="+strconv.Itoa(len(list)), "LISTEN_FDNAMES="+strings.Join(names, ":"),
		// Descriptors begin behind the three that every process has.
		handover+"="+strconv.Itoa(3+len(list))+suffix,
	)
	err = cmd.Start()
	closeAll(cmd.ExtraFiles)
	if err != nil {
		return 0, fmt.Errorf("starting the next process: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	heard := make(chan bool, 1)
	go func() {
		n, err := io.ReadFull(word, make([]byte, 1))
		heard <- n == 1 && err == nil
	}()
	select {
	case ok := <-heard:
		if ok {
			for _, s := range list {
				keepFile(s.Listener)
			}
			return cmd.Process.Pid, nil
		}
		// The process has ended, which closed its end of the pipe.
		select {
		case err = <-ended:
			err = fmt.Errorf("it ended: %w; see its log", exitError(err))
		case <-ctx.Done():
			err = fmt.Errorf("it did not serve in time: %w", ctx.Err())
		}
	case <-ctx.Done():
		err = fmt.Errorf("it did not serve in time: %w", ctx.Err())
	}
	_ = cmd.Process.Kill()
	return 0, fmt.Errorf("the next process does not serve: %w", err)
}

// exitError returns the error of a process that ended; here every end is an error.
func exitError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
