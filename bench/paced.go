package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// paced is streams whose publishers send at a fixed rate, however fast the servers are. Owned by one
// goroutine.
//
// It sleeps by the clock between messages, and looks at its sockets when it wakes: so no write of a
// server pays for waking it, and another server may have its core meanwhile.
type paced struct {
	streams []*stream
	// rate is that of all streams together, in messages per second.
	rate int
	// unheard says that nobody hears the publishers.
	unheard bool
	latency *histogram
}

// close closes all streams.
func (l *paced) close() {
	for _, s := range l.streams {
		s.close()
	}
}

// interval is the time from one burst of a publisher to its next one.
func (l *paced) interval(burst int) time.Duration {
	return time.Duration(burst*len(l.streams)) * time.Second / time.Duration(l.rate)
}

// due is how many messages the publisher of a stream is to have sent when so much time is over. The
// publishers send by turns, not all at once.
func (l *paced) due(stream, burst int, over time.Duration) uint64 {
	interval := l.interval(burst)
	shift := interval * time.Duration(stream) / time.Duration(len(l.streams))
	if over < shift {
		return 0
	}
	return uint64((over-shift)/interval+1) * uint64(burst)
}

// run publishes for the given time, burst messages at a time with one write, and returns when all have
// arrived. What is late, as this process had to wait, is sent together. The latency is from a write to the
// look at the sockets that found its last message.
func (l *paced) run(burst int, duration time.Duration) (t tally, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The kernel may let a thread sleep longer by this much, 50 µs unless it is told otherwise.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return t, fmt.Errorf("setting the slack of timers: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)) }()
	first := make([]uint64, len(l.streams))
	for i, s := range l.streams {
		*s.latency, first[i] = histogram{}, s.next
	}
	start := time.Now()
	pause := min(l.interval(burst)/time.Duration(len(l.streams)), time.Millisecond)
	for last := start; ; {
		now := time.Now()
		over, missing := now.Sub(start), uint64(0)
		for i, s := range l.streams {
			due := l.due(i, burst, min(over, duration))
			if n := int(due - (s.next - first[i])); n > 0 {
				if err := s.send(n); err != nil {
					return t, err
				}
			}
			before := s.done
			if l.unheard {
				s.done = s.next
			} else if err := s.wait(0); err != nil {
				return t, err
			}
			if s.done > before {
				last = now
			}
			missing += s.next - s.done
		}
		if over >= duration && missing == 0 {
			break
		}
		if now.Sub(last) > stall {
			return t, fmt.Errorf("%d messages are missing after %v", missing, stall)
		}
		slept := time.Now()
		nap := unix.NsecToTimespec(int64(pause))
		_ = unix.Nanosleep(&nap, nil) // a signal may end it earlier
		t.idle += time.Since(slept)
	}
	t.elapsed = time.Since(start)
	t.latency = new(histogram)
	for i, s := range l.streams {
		t.count += s.next - first[i]
		t.latency.merge(s.latency)
	}
	return t, nil
}
