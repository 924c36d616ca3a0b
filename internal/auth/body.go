package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// connectBody returns what the webhook is shown before an upgrade:
//
//	{"command":"connect","args":{"headers":{Name:[values…]},"query":{name:[values…]}}}
func connectBody(h core.Handshake) ([]byte, error) {
	type args struct {
		Headers http.Header `json:"headers"`
		Query   url.Values  `json:"query"`
	}
	m := struct {
		Command string `json:"command"`
		Args    args   `json:"args"`
	}{"connect", args{h.Header, h.Query}}
	// Nothing is an empty object, not null.
	if m.Args.Headers == nil {
		m.Args.Headers = http.Header{}
	}
	if m.Args.Query == nil {
		m.Args.Query = url.Values{}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding connect: %w", err)
	}
	return body, nil
}

// commandBody returns what the webhook is shown for a command, in memory of its own: the
// client's message if the command has it, otherwise
//
//	{"command":"join","args":{"channel":TOPIC,"content":PAYLOAD}}
//
// The commands are join, leave and broadcast, and the names of the verbs where wsify has
// none. The channel is that of the command or, if it has no topic, the one to be owned;
// services are in args.services. What a command does not have is left out. Session keys are
// not shown.
func commandBody(c core.Command) []byte {
	if c.Source != nil {
		return append(make([]byte, 0, len(c.Source)), c.Source...)
	}
	b := make([]byte, 0, 128+len(c.Topic)+len(c.Payload.Data))
	b = append(b, `{"command":`...)
	b = rawjson.AppendQuote(b, []byte(commandName(c.Verb)))
	b = append(b, `,"args":{`...)
	start := len(b)
	member := func(name string) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, `"`+name+`":`...)
	}
	switch {
	case c.Topic != nil:
		member("channel")
		b = rawjson.AppendQuote(b, c.Topic)
	case c.Exclusive:
		member("channel")
		b = rawjson.AppendQuote(b, c.Channel)
	}
	if c.Payload.Kind != core.Absent {
		member("content")
		b = core.AppendJSON(b, c.Payload)
	}
	if len(c.Services) > 0 {
		member("services")
		b = appendServices(b, &c)
	}
	return append(b, "}}"...)
}

// commandName returns wsify's name of a verb where it has one.
func commandName(v core.Verb) string {
	switch v {
	case core.Subscribe:
		return "join"
	case core.Unsubscribe:
		return "leave"
	case core.Publish:
		return "broadcast"
	}
	return v.String()
}

func appendServices(b []byte, c *core.Command) []byte {
	b = append(b, '[')
	var whole []byte
	for i, service := range c.Services {
		if i > 0 {
			b = append(b, ',')
		}
		whole = c.AppendService(whole[:0], service)
		b = rawjson.AppendQuote(b, whole)
	}
	return append(b, ']')
}
