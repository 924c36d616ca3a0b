package vws

import (
	"errors"
	"fmt"
	"strings"

	"github.com/polywire/polywire/core"
)

// rule is how a policy decides.
type rule uint8

const (
	deny rule = iota
	drop
	allow
	allowPrefix
	allowPattern
)

// policy says which events clients may publish. The zero value is not used;
// parsePolicy makes one.
type policy struct {
	rule rule
	// match is the prefix or the pattern.
	match string
	// refusal is the text that a client reads if it may not publish.
	refusal string
}

var errAllowSend = errors.New(`allow_send: must be true, false, "drop", a pattern, or a mapping with the key prefix`)

// parsePolicy reads the option allow_send, as YAML decodes it (see [Options]).
func parsePolicy(v any) (policy, error) {
	switch v := v.(type) {
	case nil:
		return parsePolicy(false)
	case bool:
		if v {
			return policy{rule: allow}, nil
		}
		return policy{rule: deny, refusal: "client event publishing is not allowed"}, nil
	case string:
		return parsePolicyText(v)
	case map[string]any:
		prefix, ok := v["prefix"]
		if !ok || len(v) != 1 {
			return policy{}, errAllowSend
		}
		text, ok := prefix.(string)
		if !ok || text == "" {
			return policy{}, errors.New("allow_send.prefix: must be a text that is not empty; if all events are allowed, say allow_send: true")
		}
		return policy{allowPrefix, text, "events only allowed to topics with prefix: " + text}, nil
	}
	return policy{}, errAllowSend
}

// parsePolicyText reads a text: one of the fixed words, or else a pattern.
func parsePolicyText(text string) (policy, error) {
	switch text {
	case "true", "false":
		return parsePolicy(text == "true")
	case "drop":
		return policy{rule: drop}, nil
	case "":
		return policy{}, errAllowSend
	}
	if matchesNothing(text) {
		return policy{}, fmt.Errorf("allow_send: %q matches nothing, # must be in the last level", text)
	}
	return policy{allowPattern, text, "event not allowed"}, nil
}

// takes reports whether an event to topic is accepted, even if only to be dropped.
func (p *policy) takes(topic []byte) bool {
	switch p.rule {
	case allow, drop:
		return true
	case allowPrefix:
		return hasPrefix(topic, p.match)
	case allowPattern:
		// A topic of more than 32 bytes would be copied to the heap for every
		// event. MatchPattern keeps nothing, and nobody writes to topic meanwhile.
		return core.MatchPattern(p.match, topic)
	}
	return false
}

// Publishes returns the topics that clients may publish to, for people, and one of them; nothing if it is
// all topics, or none.
func (f *Format) Publishes() (where, topic string) {
	switch p := f.send; p.rule {
	case allowPrefix:
		return p.match + "…", p.match + "x"
	case allowPattern:
		levels := strings.Split(p.match, "/")
		for i, level := range levels {
			if core.HasWildcard(level) {
				levels[i] = "x"
			}
		}
		return p.match, strings.Join(levels, "/")
	}
	return "", ""
}

func hasPrefix(topic []byte, prefix string) bool {
	return len(topic) >= len(prefix) && string(topic[:len(prefix)]) == prefix
}

// matchesNothing reports whether no topic can match pattern: it is empty, or a
// level that begins with # is not the last.
func matchesNothing(pattern string) bool {
	for rest, more := pattern, true; more; {
		var level string
		if level, rest, more = strings.Cut(rest, "/"); more && strings.HasPrefix(level, "#") {
			return true
		}
	}
	return pattern == ""
}
