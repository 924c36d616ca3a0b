package soak

import (
	"fmt"
	"time"
)

// listener receives from all speakers: each message once and in order, on one connection.
type listener struct {
	name     string // of its endpoint
	conn     *client
	speakers []string
}

func newListener(name string, conn *client, speakers []string) (*listener, error) {
	l := &listener{name: name, conn: conn, speakers: speakers}
	if err := l.subscribe(); err != nil {
		return nil, err
	}
	return l, conn.settle()
}

func (l *listener) subscribe() error {
	for _, name := range l.speakers {
		if err := l.conn.say(l.conn.subscribe(topicOf(name))); err != nil {
			return err
		}
	}
	return nil
}

// alive is how often listeners send something: some formats end silent clients.
const alive = 20 * time.Second

// run listens until all speakers have sent their last message.
func (l *listener) run() (heard int, err error) {
	numbers := make(map[string]int)
	said := time.Now()
	for speaking := len(l.speakers); speaking > 0; {
		_ = l.conn.conn.SetReadDeadline(time.Now().Add(patience))
		message, err := l.conn.hear()
		if err != nil {
			return heard, fmt.Errorf("after %d messages, %v: %w", heard, numbers, err)
		}
		if time.Since(said) > alive {
			said = time.Now()
			if err := l.subscribe(); err != nil {
				return heard, err
			}
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
