package nats

import (
	"strconv"
	"strings"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// escape begins what stands for a byte that a subject cannot have: %2E. Alone in a token
	// it is an empty level.
	escape = '%'
	// maxSubject bounds our subjects: a server refuses a line of more than 4,096 bytes
	// (max_control_line), which between servers also holds an account and a queue group.
	maxSubject = 1500

	upperHex = "0123456789ABCDEF"
)

// subjects are the subjects below one prefix. Static after construction.
type subjects struct{ prefix string }

// topic appends the subject of a topic.
func (s subjects) topic(dst, topic []byte) []byte {
	return appendTokens(append(append(dst, s.prefix...), ".t."...), topic)
}

// topicOf appends the topic of a subject; ok is false if topic makes no such subject.
func (s subjects) topicOf(dst []byte, subject string) (topic []byte, ok bool) {
	return s.nameOf(dst, ".t.", subject)
}

// service returns the subject on which programs that are no nodes ask a service.
func (s subjects) service(name string) string {
	return string(appendTokens([]byte(s.prefix+".s."), name))
}

// serviceOf appends the service of a subject, as topicOf.
func (s subjects) serviceOf(dst []byte, subject string) (name []byte, ok bool) {
	return s.nameOf(dst, ".s.", subject)
}

func (s subjects) nameOf(dst []byte, kind, subject string) ([]byte, bool) {
	tokens, ok := strings.CutPrefix(subject, s.prefix)
	if !ok {
		return dst, false
	}
	if tokens, ok = strings.CutPrefix(tokens, kind); !ok {
		return dst, false
	}
	return appendName(dst, tokens)
}

// nodes returns the subject on which all nodes speak to all others.
func (s subjects) nodes() string { return s.prefix + ".nodes" }

// node returns the subject on which one node is spoken to.
func (s subjects) node(id core.NodeID) string { return s.prefix + ".node." + string(id) }

// origin names a connection of a node, by its queue group, as the reply subject of what it publishes on
// topics.
func (s subjects) origin(group string) string { return s.prefix + ".c." + group }

// originOf returns the node of an origin, and how many connections it had then; ok is false if it is
// none.
func (s subjects) originOf(origin string) (node core.NodeID, n uint64, ok bool) {
	group, ok := strings.CutPrefix(origin, s.prefix)
	if ok {
		group, ok = strings.CutPrefix(group, ".c.")
	}
	dot := strings.LastIndexByte(group, '.')
	if !ok || dot < 0 || !roster.ValidNode(core.NodeID(group[:dot])) {
		return "", 0, false
	}
	n, err := strconv.ParseUint(group[dot+1:], 10, 64)
	return core.NodeID(group[:dot]), n, err == nil
}

// interest returns a subject that has the subjects of all topics that i matches, and perhaps
// more: who hears it matches again. ok is false if i matches no topic.
func (s subjects) interest(i core.Interest) (subject string, ok bool) {
	dst := append([]byte(s.prefix), ".t."...)
	if !i.Pattern || !core.HasWildcard(i.Name) {
		return string(appendTokens(dst, i.Prefix+i.Name)), true
	}
	if core.MatchesNothing(i.Name) {
		return "", false
	}
	// A prefix may end within a level; begun is what it has of that level.
	begun := i.Prefix
	if end := strings.LastIndexByte(i.Prefix, '/'); end >= 0 {
		dst = append(appendTokens(dst, i.Prefix[:end]), '.')
		begun = i.Prefix[end+1:]
	}
	for level := range strings.SplitSeq(i.Name, "/") {
		switch {
		case level == "" || level[0] == '+':
			dst = append(dst, '*')
		case level[0] == '#':
			dst = append(dst, '>')
		default:
			dst = appendTokens(dst, begun+level)
		}
		dst, begun = append(dst, '.'), ""
	}
	return string(dst[:len(dst)-1]), true
}

// appendTokens appends a name as tokens: one for each level.
func appendTokens[T string | []byte](dst []byte, name T) []byte {
	empty := true
	for i := range len(name) {
		switch c := name[i]; {
		case c == '/':
			if empty {
				dst = append(dst, escape)
			}
			dst, empty = append(dst, '.'), true
			continue
		case reserved(c):
			dst = append(dst, escape, upperHex[c>>4], upperHex[c&15])
		default:
			dst = append(dst, c)
		}
		empty = false
	}
	if empty {
		dst = append(dst, escape)
	}
	return dst
}

// reserved reports whether a token cannot have c as it is.
func reserved(c byte) bool {
	return c <= ' ' || c == 0x7f || c == '.' || c == '*' || c == '>' || c == escape
}

// appendName appends the name of tokens. ok is false if appendTokens writes no name so: then
// two subjects would stand for one name, and who hears the one would not hear the other.
func appendName(dst []byte, tokens string) (name []byte, ok bool) {
	for token := range strings.SplitSeq(tokens, ".") {
		switch token {
		case "":
			return dst, false
		case string(escape):
		default:
			if dst, ok = appendLevel(dst, token); !ok {
				return dst, false
			}
		}
		dst = append(dst, '/')
	}
	return dst[:len(dst)-1], true
}

func appendLevel(dst []byte, token string) (level []byte, ok bool) {
	for i := 0; i < len(token); i++ {
		c := token[i]
		switch {
		case c == escape:
			if i+2 >= len(token) {
				return dst, false
			}
			high, low := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
			if high < 0 || low < 0 || !reserved(byte(high<<4|low)) {
				return dst, false
			}
			c = byte(high<<4 | low)
			i += 2
		case c == '/' || reserved(c):
			return dst, false
		}
		dst = append(dst, c)
	}
	return dst, true
}
