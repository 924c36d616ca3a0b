package config

import "github.com/polywire/polywire/core"

// Needs returns what the endpoint's format needs of the broker besides its codec: a plugin's format
// says so itself, a built-in one in its options. ep must be loaded.
func (ep *Endpoint) Needs() core.Needs {
	type needy interface{ Needs() core.Needs }
	if f, ok := ep.Format.(needy); ok {
		return f.Needs()
	}
	if o, ok := ep.Options.(needy); ok {
		return o.Needs()
	}
	return core.Needs{}
}
