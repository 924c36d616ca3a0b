package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a server under measurement: a child pinned to one core.
type process struct {
	cmd *exec.Cmd
}

// startPinned starts cmd with all its threads on core. Its runtime then sees one core, as on a
// machine with only one.
func startPinned(cmd *exec.Cmd, core int) (*process, error) {
	// A child inherits the affinity of the thread that forks it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("reading affinity: %w", err)
	}
	if err := unix.SchedSetaffinity(0, oneCore(core)); err != nil {
		return nil, fmt.Errorf("pinning server: %w", err)
	}
	// Killing the benchmark must leave no server behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Start()
	if restoreErr := unix.SchedSetaffinity(0, &before); restoreErr != nil {
		err = errors.Join(err, fmt.Errorf("restoring affinity: %w", restoreErr))
	}
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return &process{cmd: cmd}, nil
}

// stop ends the process and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// cpu returns the processor time, user and system, that all threads of the
// process have used so far.
func (p *process) cpu() (time.Duration, error) { return cpuOf(p.cmd.Process.Pid) }

// familyCPU returns the processor time of the process and its children.
func (p *process) familyCPU() (time.Duration, error) {
	sum, err := p.cpu()
	if err != nil {
		return 0, err
	}
	children, err := p.children()
	for _, pid := range children {
		used, childErr := cpuOf(pid)
		sum += used
		err = errors.Join(err, childErr)
	}
	return sum, err
}

// children returns the processes that the process has started, on any of its threads.
func (p *process) children() ([]int, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	if err != nil {
		return nil, fmt.Errorf("listing threads: %w", err)
	}
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended
		}
		if err != nil {
			return nil, fmt.Errorf("listing children: %w", err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("listing children: %w", err)
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// cpuOf reads the POSIX CPU-time clock of a process, whose id is made from the pid
// (clock_getcpuclockid(3)).
func cpuOf(pid int) (time.Duration, error) {
	const schedulerClock = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedulerClock), &ts); err != nil {
		return 0, fmt.Errorf("reading CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// resident returns the resident memory of the process in bytes.
func (p *process) resident() (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading resident memory: %w", err)
	}
	defer f.Close()
	return parseRSS(f)
}

// parseRSS finds "Rss: N kB" in the format of /proc/PID/smaps_rollup.
func parseRSS(r io.Reader) (int64, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		value, ok := strings.CutPrefix(lines.Text(), "Rss:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parsing resident memory: %w", err)
		}
		return kib << 10, nil
	}
	return 0, errors.New("parsing resident memory: no Rss line")
}

// coreBusy returns how long a core has been busy since the system started, with any process.
func coreBusy(core int) (time.Duration, error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("reading core times: %w", err)
	}
	defer f.Close()
	return parseCoreBusy(f, core)
}

// parseCoreBusy finds "cpuN user nice system idle iowait irq softirq …" in the format of
// /proc/stat, in ticks of 10 ms, and adds up all but idle and iowait.
func parseCoreBusy(r io.Reader, core int) (time.Duration, error) {
	const tick = 10 * time.Millisecond
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 9 || fields[0] != "cpu"+strconv.Itoa(core) {
			continue
		}
		var busy time.Duration
		// The fields after steal are already counted in user.
		for i, field := range fields[1:9] {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("parsing core times: %w", err)
			}
			if i != 3 && i != 4 {
				busy += time.Duration(ticks) * tick
			}
		}
		return busy, nil
	}
	return 0, fmt.Errorf("parsing core times: no core %d", core)
}

// pinSelf moves every thread of this process to one core; threads that start later inherit it.
func pinSelf(core int) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("listing own threads: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return fmt.Errorf("listing own threads: %w", err)
		}
		if err := unix.SchedSetaffinity(tid, oneCore(core)); err != nil {
			return fmt.Errorf("pinning load: %w", err)
		}
	}
	return nil
}

// cores returns the numbers of the cores that this process may use.
func cores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("reading affinity: %w", err)
	}
	var list []int
	for i := 0; len(list) < set.Count(); i++ {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list, nil
}

func oneCore(core int) *unix.CPUSet {
	var set unix.CPUSet
	set.Set(core)
	return &set
}
