package core

import (
	"bytes"
	"strings"
)

// The topics by which formats that have no words for it call and serve begin so
// (docs/formats/README.md, "Calls across formats").
const (
	CallTopic    = "$call/"    // and the ref and the service, with a slash between them
	ReplyTopic   = "$reply/"   // and the ref, or the id of a request
	ErrorTopic   = "$error/"   // likewise
	ServeTopic   = "$serve/"   // and the service
	RequestTopic = "$request/" // and the id and the service, with a slash between them
)

// reserved are the first levels that belong to the broker. Other topics that begin with $
// are ordinary: clients of the originals use them.
var reserved = []string{CallTopic, ReplyTopic, ErrorTopic, ServeTopic, RequestTopic}

// Reserved reports whether topic belongs to the broker: clients may neither
// publish to it nor own it as an ordinary topic.
func Reserved(topic []byte) bool {
	if len(topic) == 0 || topic[0] != '$' {
		return false
	}
	for _, prefix := range reserved {
		if len(topic) >= len(prefix) && string(topic[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// SysTopic begins the topics on which the broker tells what clients do, to those whose access lists name them. They are
// those of the whole broker: no topic prefix is put before them.
const SysTopic = "$sys/"

// Sys reports whether a topic or a pattern is one of SysTopic: clients may hear them, and nothing else.
func Sys(topic []byte) bool {
	return len(topic) >= len(SysTopic) && topic[0] == '$' && string(topic[:len(SysTopic)]) == SysTopic
}

// HasWildcard reports whether pattern can match anything other than itself: whether
// one of its levels begins with + or #.
func HasWildcard(pattern string) bool {
	for level := range strings.SplitSeq(pattern, "/") {
		if level != "" && (level[0] == '+' || level[0] == '#') {
			return true
		}
	}
	return false
}

// MatchesNothing reports whether a pattern matches no topic at all: it has a # before the
// last level.
func MatchesNothing(pattern string) bool {
	for {
		level, rest, more := strings.Cut(pattern, "/")
		if !more {
			return false
		}
		if level != "" && level[0] == '#' {
			return true
		}
		pattern = rest
	}
}

// MatchPattern reports whether pattern matches topic. It defines the meaning of a pattern,
// level by level; the engine's trie is a fast implementation of it.
//
//   - A pattern without wildcards matches only the identical topic.
//   - A level that begins with + matches exactly one non-empty level.
//   - A last level that begins with # matches one or more remaining levels,
//     empty ones included. A # before the end makes the pattern match nothing.
//   - An empty level in a pattern that has a wildcard matches any level.
//   - A pattern that begins with + or # does not match a topic that begins with $.
//
// The rules are those of vws (docs/formats/vws.md, "Patterns").
func MatchPattern(pattern string, topic []byte) bool {
	if !HasWildcard(pattern) {
		return pattern == string(topic)
	}
	if len(topic) == 0 {
		return false
	}
	if topic[0] == '$' && (pattern[0] == '+' || pattern[0] == '#') {
		return false
	}
	for {
		p, pRest, pMore := strings.Cut(pattern, "/")
		if p != "" && p[0] == '#' {
			return !pMore
		}
		t, tRest, tMore := bytes.Cut(topic, []byte{'/'})
		switch {
		case p == "":
		case p[0] == '+':
			if len(t) == 0 {
				return false
			}
		case p != string(t):
			return false
		}
		if pMore != tMore {
			return false
		}
		if !pMore {
			return true
		}
		pattern, topic = pRest, tRest
	}
}
