package config

import "github.com/polywire/polywire/core"

// pluginMaker is Source.Plugin.
type pluginMaker = func(endpoint string, p Plugin) (core.Protocol, error)

// maxProcesses is the limit of the processes of one plugin.
const maxProcesses = 256

// pluginProtocol returns the protocol that the endpoint's plugin speaks.
func (e *endpointReader) pluginProtocol(ep *Endpoint) (core.Protocol, bool) {
	before := len(e.problems)
	path := join(e.path, "plugin")
	p := ep.Plugin
	if len(p.Command) == 0 {
		e.add(path, "needs command, the program to run")
	}
	if p.Processes < 0 || p.Processes > maxProcesses {
		e.add(join(path, "processes"), "must be from 1 to %d, or 0 for the default", maxProcesses)
	}
	if p.Grace < 0 {
		e.add(join(path, "grace"), "must not be negative")
	}
	if p.AnswerTimeout < 0 {
		e.add(join(path, "answer_timeout"), "must not be negative")
	}
	if p.StartTimeout < 0 {
		e.add(join(path, "start_timeout"), "must not be negative")
	}
	if e.plugin == nil {
		e.add(path, "plugins are not available here")
	}
	if len(e.problems) > before {
		return core.Protocol{}, false
	}
	protocol, err := e.plugin(ep.Name, p)
	if err != nil {
		e.addNamed(path, err)
		return core.Protocol{}, false
	}
	if ep.Protocol == "" {
		ep.Protocol = protocol.Name
	}
	return protocol, true
}
