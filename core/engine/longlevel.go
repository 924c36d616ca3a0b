package engine

import (
	"bytes"
	"fmt"
	"strings"
)

// longLevel is the length, in bytes, from which levels are kept under a name of their own. A
// match comes by many nodes of one depth if patterns differ before it, and would look at the
// whole level at each: a topic of one long level would cost its length for each of somebody's
// patterns.
const longLevel = 64

// longLevels are the levels of a trie's patterns that are longer. Guarded by Engine.mu.
type longLevels struct {
	byText, byName map[string]*longName
	last           uint64
}

// longName is one of them.
type longName struct {
	text, name string
	nodes      int // that have it
}

// nameOf returns a name that is no level by itself: longer than those that are kept as they
// are, and all others have names. 0 is what no pattern has.
func nameOf(number uint64) string { return fmt.Sprintf("%0*d", longLevel+1, number) }

// unknownLevel is the name of long levels that no pattern has.
var unknownLevel = nameOf(0)

// find returns under which name level is kept.
func (l *longLevels) find(level string) string {
	if len(level) <= longLevel {
		return level
	}
	if known := l.byText[level]; known != nil {
		return known.name
	}
	return unknownLevel
}

// keep returns the name of level for one more node. It is a copy, so that the node does not
// keep the whole pattern.
func (l *longLevels) keep(level string) string {
	if len(level) <= longLevel {
		return strings.Clone(level)
	}
	known := l.byText[level]
	if known == nil {
		if l.byText == nil {
			l.byText, l.byName = make(map[string]*longName), make(map[string]*longName)
		}
		l.last++
		known = &longName{text: strings.Clone(level), name: nameOf(l.last)}
		l.byText[known.text], l.byName[known.name] = known, known
	}
	known.nodes++
	return known.name
}

// drop is told that a node does not have a name any more that keep returned.
func (l *longLevels) drop(name string) {
	if len(name) <= longLevel {
		return
	}
	known := l.byName[name]
	if known.nodes--; known.nodes == 0 {
		delete(l.byText, known.text)
		delete(l.byName, name)
	}
}

// abridge returns topic with names for its long levels.
func (l *longLevels) abridge(topic []byte) []byte {
	var short []byte
	from := 0 // of what is not in short yet
	for at := 0; ; {
		size := bytes.IndexByte(topic[at:], '/')
		last := size < 0
		if last {
			size = len(topic) - at
		}
		if size > longLevel {
			name := unknownLevel
			if known := l.byText[string(topic[at:at+size])]; known != nil {
				name = known.name
			}
			short = append(append(short, topic[from:at]...), name...)
			from = at + size
		}
		if last {
			break
		}
		at += size + 1
	}
	if from == 0 {
		return topic
	}
	return append(short, topic[from:]...)
}
