package wsify

import (
	"errors"

	"github.com/polywire/polywire/core/rawjson"
)

// errCommand: a message whose command is neither a string nor null.
var errCommand = errors.New("command is no string")

// message is one parsed client message. Each field is the JSON text of a value, a sub-slice
// of the message; nil if it is missing.
type message struct {
	command, args, channel, content []byte
	// odd: a field is written twice or in other letter case.
	odd bool
}

// read parses data. Field names match as in encoding/json: without regard to letter case,
// and the last one counts.
func (m *message) read(data []byte) error {
	top := rawjson.Object(data)
	for top.Next() {
		switch {
		case top.KeyIs("command"):
			m.set(&m.command, "command", &top)
		case top.KeyIs("args"):
			m.set(&m.args, "args", &top)
		}
	}
	switch {
	case top.Err() != nil:
		return top.Err()
	case m.command != nil && !rawjson.IsString(m.command) && !rawjson.IsNull(m.command):
		return errCommand
	case m.args == nil || rawjson.IsNull(m.args):
		m.args = nil
		return nil
	}
	args := rawjson.Object(m.args)
	for args.Next() {
		switch {
		case args.KeyIs("channel"):
			m.set(&m.channel, "channel", &args)
		case args.KeyIs("content"):
			m.set(&m.content, "content", &args)
		}
	}
	return args.Err()
}

// set takes the value of the current member for field.
func (m *message) set(field *[]byte, name string, at *rawjson.Members) {
	if *field != nil || string(at.Key()) != name {
		m.odd = true
	}
	*field = at.Value()
}
