package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// speaker publishes numbered messages under a name of its own. Its connection must stay.
type speaker struct {
	name string
	conn *client
	gone <-chan struct{} // closed when the connection has ended

	number int // of its last message
}

func newSpeaker(name string, conn *client) (*speaker, error) {
	s := &speaker{name: name, conn: conn}
	if own := conn.own(name); own != "" {
		if err := conn.say(own); err != nil {
			return nil, err
		}
	}
	if err := conn.settle(); err != nil {
		return nil, err
	}
	s.gone = conn.drain()
	return s, nil
}

// run publishes until ctx ends, a few messages at a time, and then sends its last one.
func (s *speaker) run(ctx context.Context) error {
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.say(1, "last")
		case <-s.gone:
			return fmt.Errorf("after message %d: %w", s.number, s.conn.end)
		case <-pace.C:
			if err := s.say(1+rand.IntN(3), "more"); err != nil {
				return err
			}
		}
	}
}

// leave ends the connection.
func (s *speaker) leave() {
	s.conn.leave()
	<-s.gone
}

func (s *speaker) say(n int, what string) error {
	messages := make([]string, n)
	for i := range messages {
		s.number++
		messages[i] = s.conn.publish(topicOf(s.name), fmt.Sprintf("#%s %d %s;", s.name, s.number, what))
	}
	return s.conn.say(messages...)
}

func topicOf(name string) string { return name + "/t" }

// spoken parses a message of a speaker.
func spoken(message []byte) (name string, number int, last bool) {
	what := ""
	text := strings.NewReader(between(message, "#", ";"))
	if _, err := fmt.Fscan(text, &name, &number, &what); err != nil {
		return "", 0, false
	}
	return name, number, what == "last"
}
