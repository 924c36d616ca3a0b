package config

import "github.com/polywire/polywire/core"

// Needs returns what the broker is to do for the endpoint's format besides its codec: a
// plugin's format says it itself, the options of a built-in one do. ep was loaded.
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
