package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// steady is a load whose publisher sends one message after the other at a fixed rate, however fast the server is, and
// which sleeps between them: others may use its core. Owned by one goroutine.
type steady struct {
	*load
	interval time.Duration
	timer    int // ticks once in an interval
}

// tickIndex is the index of the timer among the sockets of the load.
const tickIndex = -1

// newSteady takes over a load, which it closes.
func newSteady(l *load, rate int) (*steady, error) {
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making timer: %w", err)
	}
	s := &steady{load: l, interval: time.Second / time.Duration(rate), timer: timer}
	if err := l.poller.add(timer, tickIndex); err != nil {
		_ = unix.Close(timer)
		return nil, err
	}
	return s, nil
}

func (s *steady) close() {
	_ = unix.Close(s.timer)
	s.load.close()
}

// run publishes for the given time and returns when all has arrived. The latency is from the write of a message to the
// read of a subscriber: that this process wakes late is not the server's. A tick that comes while maxInFlight messages
// are on their way publishes nothing; the messages that it waits for have had their latency by then.
func (s *steady) run(duration time.Duration) (tally, error) {
	*s.latency, s.poller.idle = histogram{}, 0
	if err := s.tick(s.interval); err != nil {
		return tally{}, err
	}
	start, first := time.Now(), s.next
	for last := start; ; {
		now := time.Now()
		over := now.Sub(start) >= duration
		if over && s.next == s.done {
			break
		}
		if now.Sub(last) > stall {
			return tally{}, fmt.Errorf("waiting for message %d: %d deliveries missing after %v", s.done, s.slots[s.done%maxInFlight].missing, stall)
		}
		ready, err := s.poller.wait(100)
		if err != nil {
			return tally{}, err
		}
		for _, event := range ready {
			if event.Fd != tickIndex {
				last = now
				err = s.read(int(event.Fd))
			} else if s.ticked() && !over && s.next-s.done < maxInFlight {
				err = s.publish(1)
			}
			if err != nil {
				return tally{}, err
			}
		}
	}
	t := tally{(s.next - first) * uint64(len(s.subscribers)), time.Since(start), s.poller.idle, s.latency}
	return t, s.tick(0)
}

// tick lets the timer tick at an interval; 0 stops it.
func (s *steady) tick(interval time.Duration) error {
	every := unix.NsecToTimespec(interval.Nanoseconds())
	if err := unix.TimerfdSettime(s.timer, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("setting timer: %w", err)
	}
	return nil
}

// ticked reports whether the timer has ticked since the last call. Ticks that were missed count as one.
func (s *steady) ticked() bool {
	var ticks [8]byte
	for {
		n, err := unix.Read(s.timer, ticks[:])
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == len(ticks)
		}
	}
}
