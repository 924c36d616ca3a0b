package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// watcher is a process that looks at the broker, or disturbs it otherwise, while it is told to. As a process of its own it
// can step back behind the load, whose core it shares. Owned by one goroutine.
type watcher struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	// done is what it has done while it was on.
	done counts
}

// counts are how much a watcher has done of what.
type counts map[string]float64

// watchArgument makes this program a watcher.
const watchArgument = "watch-as"

// The words to a watcher. It answers each with a line of JSON: watchOff with its counts, the other with none.
const watchOn, watchOff = "on", "off"

// startWatcher starts what is called so, and returns when it is ready.
func startWatcher(t watchTarget, name string) (*watcher, error) {
	target, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	w := &watcher{cmd: exec.Command(self, watchArgument, name, string(target)), done: make(counts)}
	w.cmd.Stderr = os.Stderr
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	w.out = bufio.NewReader(out)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	if _, err := w.answer(); err != nil {
		w.stop()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return w, nil
}

// stop ends the process.
func (w *watcher) stop() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// turn turns it on or off.
func (w *watcher) turn(on bool) error {
	word := watchOff
	if on {
		word = watchOn
	}
	if _, err := io.WriteString(w.in, word+"\n"); err != nil {
		return fmt.Errorf("turning %s %s: %w", w.cmd.Args[2], word, err)
	}
	did, err := w.answer()
	if err != nil {
		return fmt.Errorf("turning %s %s: %w", w.cmd.Args[2], word, err)
	}
	for what, n := range did {
		w.done[what] += n
	}
	return nil
}

// watchPatience is how long a watcher may take to answer. To hold many connections takes a while.
const watchPatience = 2 * time.Minute

func (w *watcher) answer() (did counts, err error) {
	late := time.AfterFunc(watchPatience, func() { _ = w.cmd.Process.Kill() })
	defer late.Stop()
	line, err := w.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &did)
	}
	return did, err
}

// watchAs is the watcher's process: it does what is called so while it is told to, until its input ends.
func watchAs(args []string) error {
	var t watchTarget
	if len(args) != 2 {
		return fmt.Errorf("%s wants a name and a target", watchArgument)
	}
	if err := json.Unmarshal([]byte(args[1]), &t); err != nil {
		return fmt.Errorf("reading the target: %w", err)
	}
	begin, known := watchings[args[0]]
	if !known {
		return fmt.Errorf("%q is no watcher", args[0])
	}
	work, err := begin(t)
	if err != nil {
		return err
	}
	if err := stepBack(); err != nil {
		return err
	}
	answer := json.NewEncoder(os.Stdout)
	if err := answer.Encode(counts{}); err != nil {
		return err
	}
	stop := func() counts { return nil }
	for words := bufio.NewScanner(os.Stdin); words.Scan(); {
		did := stop()
		stop = func() counts { return nil }
		if strings.TrimSpace(words.Text()) == watchOn {
			stop = inBackground(work)
		}
		if err := answer.Encode(did); err != nil {
			return err
		}
	}
	return nil
}

// inBackground begins some work; what it returns ends it.
func inBackground(work watching) (stop func() counts) {
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan counts, 1)
	go func() { result <- work(ctx) }()
	return func() counts {
		cancel()
		return <-result
	}
}
