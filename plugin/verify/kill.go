package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"syscall"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// killedClients are connected when the plugin dies.
	killedClients = 3
	// noticedWithin and backWithin are the bounds on a machine that has nothing else to do.
	// The second is for what the plugin needs besides its own start.
	noticedWithin = time.Second
	backWithin    = 3 * time.Second
	// killMessages are published around the time of the death.
	killMessages = 200
)

// checkKill kills the plugin while it works.
func (v *verifier) checkKill(ctx context.Context) (seen string, err error) {
	err = v.work(ctx, func(s *site) error {
		seen, err = s.kill(ctx, v.took)
		return err
	})
	return seen, err
}

func (s *site) kill(ctx context.Context, start time.Duration) (string, error) {
	var clients []*client
	for range killedClients {
		c, err := s.join(ctx, false)
		if err != nil {
			return "", err
		}
		clients = append(clients, c)
	}
	beside, err := s.neighbour(ctx)
	if err != nil {
		return "", err
	}
	publisher, err := s.dial(ctx, "publisher", false)
	if err != nil {
		return "", err
	}
	pids := s.format.Processes()
	if len(pids) == 0 {
		return "", errors.New("it does not run any more")
	}
	died, noticed, err := s.publishOver(publisher, beside, pids[0])
	if err != nil {
		return "", err
	}
	newcomer, err := s.join(ctx, false)
	if err != nil {
		return "", fmt.Errorf("a client that connects after the death: %w", err)
	}
	back := time.Since(died)
	newcomer.close()
	if noticed > noticedWithin+s.slack || back > backWithin+s.slack+start {
		return "", fmt.Errorf("its death was noticed after %s and it served again after %s", noticed, back)
	}
	fate := "stayed"
	if s.stateful {
		code, _ := s.format.Goodbye(core.ReasonRestart)
		fate = fmt.Sprintf("were closed with %d", code)
		err = expectClosed(clients, code)
	} else {
		err = s.expectKept(clients)
	}
	return fmt.Sprintf("back after %s; its connections %s", back.Round(time.Millisecond), fate), err
}

// publishOver kills a process amid messages, for its clients and for one of another
// endpoint. It returns when, and how long the broker took to notice.
func (s *site) publishOver(publisher *client, beside *neighbour, pid int) (died time.Time, noticed time.Duration, err error) {
	gone := make(chan time.Duration, 1)
	for n := range killMessages {
		if n == killMessages/2 {
			died = time.Now()
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return died, 0, fmt.Errorf("killing it: %w", err)
			}
			go func() { gone <- s.awaitEnd(pid) }()
		}
		if s.topic != nil {
			err = s.publish(publisher, "x")
		}
		if err := errors.Join(err, beside.exchange()); err != nil {
			return died, 0, fmt.Errorf("a client of another endpoint: %w", err)
		}
	}
	return died, <-gone, nil
}

// awaitEnd returns how long the broker took to know that a process no longer serves.
func (s *site) awaitEnd(pid int) time.Duration {
	begin := time.Now()
	for slices.Contains(s.format.Processes(), pid) && time.Since(begin) < patience+s.slack {
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin)
}

// expectClosed reads until all clients are closed, without a close frame if code is 0.
func expectClosed(clients []*client, code uint16) error {
	for _, c := range clients {
		var end closed
		err := c.until(math.MaxInt)
		without := code == 0 && errors.Is(err, io.EOF)
		if !without && (!errors.As(err, &end) || end.code != code) {
			return fmt.Errorf("a client expected to be closed with %d: %w", code, err)
		}
	}
	return nil
}

// expectKept reads all messages that were published.
func (s *site) expectKept(clients []*client) error {
	for _, c := range clients {
		err := c.sync()
		if err == nil && s.topic != nil {
			err = c.until(killMessages)
		}
		if err != nil {
			return fmt.Errorf("a client that should have noticed nothing heard %d messages: %w", c.messages, err)
		}
	}
	return nil
}
