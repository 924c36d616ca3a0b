package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for many sockets. Owned by one goroutine.
type poller struct {
	epoll  int
	events []unix.EpollEvent
	// spin makes waiting for the server a busy loop, see wait.
	spin bool
	// idle is the time spent waiting for the server.
	idle time.Duration
}

func newPoller(spin bool) (poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return poller{}, fmt.Errorf("making epoll: %w", err)
	}
	return poller{epoll: epoll, events: make([]unix.EpollEvent, 512), spin: spin}, nil
}

func (p *poller) close() { _ = unix.Close(p.epoll) }

// add adds a socket. Its events carry index in place of the descriptor.
func (p *poller) add(fd, index int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index)}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("adding to epoll: %w", err)
	}
	return nil
}

// wait waits up to ms milliseconds and returns the sockets that are ready, valid until the next
// call. With spin it polls instead of sleeping: then no write of the server pays for waking the
// load. A server whose clients are on other machines never pays for that either.
func (p *poller) wait(ms int) ([]unix.EpollEvent, error) {
	start := time.Now()
	defer func() { p.idle += time.Since(start) }()
	if !p.spin {
		return p.ask(ms)
	}
	limit := time.Duration(ms) * time.Millisecond
	for {
		asked := time.Now()
		ready, err := p.ask(0)
		if len(ready) > 0 || err != nil || asked.Sub(start) > limit {
			return ready, err
		}
	}
}

func (p *poller) ask(ms int) ([]unix.EpollEvent, error) {
	n, err := unix.EpollWait(p.epoll, p.events, ms)
	if errors.Is(err, unix.EINTR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("waiting for events: %w", err)
	}
	return p.events[:n], nil
}
