package engine

import (
	"bytes"
	"fmt"
	"strings"
)

// longLevel is the longest level, in bytes, that nodes keep as it is; longer ones get a short
// name. A match visits many nodes of one depth if the patterns differ before it, and hashes the
// level at each of them. Without names, a topic with a long level would cost its length times the
// number of those nodes.
const longLevel = 64

// longLevels are the names of the long levels in a trie's patterns. Guarded by Engine.mu.
type longLevels struct {
	byText, byName map[string]*longName
	last           uint64
}

// longName is the name of one long level.
type longName struct {
	text, name string
	nodes      int // how many nodes have it
}

// nameOf returns a name by its number. It cannot be mistaken for a level: it is longer than any
// level that is kept as it is. Number 0 is for levels that no pattern has.
func nameOf(number uint64) string { return fmt.Sprintf("%0*d", longLevel+1, number) }

// unknownLevel is the name of all long levels that no pattern has.
var unknownLevel = nameOf(0)

// find returns the name of level; a short level is its own name.
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
