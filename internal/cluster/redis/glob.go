package redis

import (
	"strings"

	"github.com/polywire/polywire/core"
)

// globOf returns a pattern of Redis that matches all topics that an interest's pattern matches,
// and perhaps more: its wildcards do not know levels. ok is false if it matches nothing.
func globOf(i core.Interest) (glob string, ok bool) {
	if core.MatchesNothing(i.Name) {
		return "", false
	}
	var b strings.Builder
	escapeGlob(&b, i.Prefix)
	for n, level := range strings.Split(i.Name, "/") {
		if n > 0 {
			b.WriteByte('/')
		}
		switch {
		case level == "" || level[0] == '#':
			b.WriteByte('*')
		case level[0] == '+':
			b.WriteString("?*")
		default:
			escapeGlob(&b, level)
		}
	}
	return b.String(), true
}

func escapeGlob(b *strings.Builder, text string) {
	for i := range len(text) {
		if strings.IndexByte(`*?[]^\`, text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
}

// globMatch reports whether Redis matches a topic with a pattern that globOf has made. The empty
// topic matches none: Redis itself has changed its mind about it, and no pattern of ours does.
func globMatch(glob string, topic []byte) bool {
	if len(topic) == 0 {
		return false
	}
	g, t := 0, 0
	star, from := -1, 0
	for t < len(topic) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, from = g, t
			g++
			continue
		case g < len(glob) && glob[g] == '?':
			g, t = g+1, t+1
			continue
		case g+1 < len(glob) && glob[g] == '\\' && glob[g+1] == topic[t]:
			g, t = g+2, t+1
			continue
		case g < len(glob) && glob[g] != '\\' && glob[g] == topic[t]:
			g, t = g+1, t+1
			continue
		}
		if star < 0 {
			return false
		}
		from++
		g, t = star+1, from
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}
