package wsify

import "github.com/polywire/polywire/core/rawjson"

// source returns the message for the authorizer, which must read in it what the broker will
// carry out. An authorizer that minds letter case, or takes the first of two equal names,
// would judge {"channel":"open","Channel":"secret"} by another channel than the one that is
// joined. So an odd message is rewritten in the one way that everybody reads alike. Others
// are returned unchanged: data, the message as the client wrote it.
func (m *message) source(data []byte) []byte {
	if !m.odd {
		return data
	}
	out := append(make([]byte, 0, len(data)+64), '{')
	if m.command != nil {
		out = append(append(out, `"command":`...), m.command...)
		out = append(out, ',')
	}
	out = append(out, `"args":`...)
	if m.args == nil {
		return append(out, "null}"...)
	}
	return append(m.appendArgs(out), '}')
}

// appendArgs writes the args, with each field that matters here exactly once. The others may
// matter to the authorizer and stay unchanged.
func (m *message) appendArgs(out []byte) []byte {
	out = append(out, '{')
	start := len(out)
	member := func(key, value []byte) {
		if len(out) > start {
			out = append(out, ',')
		}
		out = append(rawjson.AppendQuote(out, key), ':')
		out = append(out, value...)
	}
	if m.channel != nil {
		member([]byte("channel"), m.channel)
	}
	if m.content != nil {
		member([]byte("content"), m.content)
	}
	others := rawjson.Object(m.args)
	for others.Next() {
		if !others.KeyIs("channel") && !others.KeyIs("content") {
			member(others.Key(), others.Value())
		}
	}
	return append(out, '}')
}
