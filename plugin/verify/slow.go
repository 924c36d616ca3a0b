package verify

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// What the slow reader does not read.
const (
	slowContent = 7 << 10 // bytes of a message: all built-in formats take as much
	slowRound   = 2048    // messages, before the memory is looked at, and after each look
	slowRounds  = 3
	slowAhead   = 16 // messages in flight: they fit under the bound of the endpoint
	// slowGrowth is how much bigger the plugin may be after all rounds: less than it was
	// handed.
	slowGrowth = 40 << 20
)

// checkSlow has many messages go to two clients, one of which does not read. The other
// hears them all, and the plugin does not keep them.
func (v *verifier) checkSlow(ctx context.Context) (seen string, err error) {
	err = v.work(ctx, func(s *site) error {
		if s.topic == nil {
			return errNoSubscription
		}
		seen, err = s.slow(ctx)
		return err
	})
	return seen, err
}

func (s *site) slow(ctx context.Context) (string, error) {
	if _, err := s.join(ctx, true); err != nil { // and never reads again
		return "", err
	}
	lively, err := s.join(ctx, false)
	if err != nil {
		return "", err
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
	var before int64
	for round := range slowRounds + 1 {
		if err := s.flood(ctx, publisher, lively, beside); err != nil {
			return "", err
		}
		if round == 0 {
			before = resident(pids)
		}
	}
	grown := resident(pids) - before
	if grown > slowGrowth {
		return "", fmt.Errorf("it has grown by %d MiB over %d MiB of messages", grown>>20, slowRounds*slowRound*slowContent>>20)
	}
	return fmt.Sprintf("%d messages; it grew by %d MiB", (slowRounds+1)*slowRound, max(0, grown>>20)), nil
}

// flood publishes the messages of one round, as fast as the lively client hears them.
func (s *site) flood(ctx context.Context, publisher, lively *client, beside *neighbour) error {
	content := strings.Repeat("x", slowContent)
	heard := lively.messages
	for n := range slowRound {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.publish(publisher, content); err != nil {
			return err
		}
		if ahead := n + 1 - slowAhead; ahead > 0 {
			if err := lively.until(heard + ahead); err != nil {
				return fmt.Errorf("a client that reads heard %d of %d messages: %w", lively.messages-heard, ahead, err)
			}
		}
	}
	if err := lively.until(heard + slowRound); err != nil {
		return fmt.Errorf("a client that reads heard %d of %d messages: %w", lively.messages-heard, slowRound, err)
	}
	if err := beside.exchange(); err != nil {
		return fmt.Errorf("a client of another endpoint: %w", err)
	}
	return nil
}

// resident returns the memory of processes in bytes; 0 where the system does not tell.
func resident(pids []int) (sum int64) {
	for _, pid := range pids {
		statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		var size, pages int64
		if _, err := fmt.Sscan(string(statm), &size, &pages); err == nil {
			sum += pages * int64(os.Getpagesize())
		}
	}
	return sum
}
