package soak

import (
	"fmt"
	"time"
)

// listener hears all speakers: each message once and in order, on one connection.
type listener struct {
	conn     *client
	speakers []string
}

func newListener(conn *client, speakers []string) (*listener, error) {
	for _, name := range speakers {
		if err := conn.say(conn.subscribe(topicOf(name))); err != nil {
			return nil, err
		}
	}
	return &listener{conn: conn, speakers: speakers}, conn.settle()
}

// run listens until all speakers have said their last.
func (l *listener) run() (heard int, err error) {
	numbers := make(map[string]int)
	for speaking := len(l.speakers); speaking > 0; {
		_ = l.conn.conn.SetReadDeadline(time.Now().Add(patience))
		message, err := l.conn.hear()
		if err != nil {
			return heard, fmt.Errorf("after %d messages, %v: %w", heard, numbers, err)
		}
		name, number, last := spoken(message)
		if name == "" {
			continue // the answer to a subscription
		}
		if number != numbers[name]+1 {
			return heard, fmt.Errorf("%s: message %d follows %d", name, number, numbers[name])
		}
		numbers[name] = number
		heard++
		if last {
			speaking--
		}
	}
	return heard, nil
}
