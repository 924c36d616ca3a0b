package redis

import "slices"

// copies tells which copy of a message counts. The server sends one for the subscription of its
// topic, and one for each pattern that matches. It confirms subscriptions among the messages, so
// at each message it is known which ones the server had when it sent it: the copy for the
// first of these that match is the one that counts, the topic's before the oldest pattern's. It is
// made anew for each connection, and used by the goroutine that reads it.
type copies struct {
	topics map[string]struct{}
	globs  []string          // the oldest first
	first  map[string]string // the oldest pattern that matches a topic
}

// firstTopics bounds the topics of which the oldest pattern is kept.
const firstTopics = 8192

func newCopies() *copies {
	return &copies{topics: make(map[string]struct{}), first: make(map[string]string)}
}

// confirmed notes what the server says of a subscription.
func (c *copies) confirmed(p *push) {
	switch p.kind {
	case "subscribe":
		c.topics[string(p.channel)] = struct{}{}
	case "unsubscribe":
		delete(c.topics, string(p.channel))
	case "psubscribe":
		if !slices.Contains(c.globs, string(p.channel)) {
			c.globs = append(c.globs, string(p.channel))
			clear(c.first)
		}
	case "punsubscribe":
		if i := slices.Index(c.globs, string(p.channel)); i >= 0 {
			c.globs = slices.Delete(c.globs, i, i+1)
			clear(c.first)
		}
	}
}

// counts reports whether a copy is the one that counts.
func (c *copies) counts(p *push) bool {
	if p.kind == "message" {
		return true
	}
	if _, ok := c.topics[string(p.channel)]; ok {
		return false
	}
	first, ok := c.first[string(p.channel)]
	if !ok {
		for _, glob := range c.globs {
			if globMatch(glob, p.channel) {
				first = glob
				break
			}
		}
		if len(c.first) >= firstTopics {
			clear(c.first)
		}
		c.first[string(p.channel)] = first
	}
	return first == string(p.pattern)
}
