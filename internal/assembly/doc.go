// Package assembly builds what serves a configuration. [New] makes the engine, the network and the
// first state; [Parts.Start] serves; [Parts.Replace] makes another state and puts it in force;
// [Parts.Close] ends everything.
//
// A state is what was built from one configuration. It is made as a draft; nothing of a draft is in
// force until nothing can fail any more:
//
//	assembly.go     New, Start, Replace, Close
//	  draft.go      what happens to each endpoint, listener and service; commit or discard
//	    site.go     an endpoint: what the engine and the network need of it
//	      trust.go  who its clients are (methods.go) and what they may do
//	    tls.go      the keys of a listener
//	    services.go what answers calls besides clients and Go handlers
//	    limits.go   limits in the types of the packages that enforce them
//	  state.go      the state in force, and what the broker asks it
//	protocols.go    the built-in formats; plugins.go: those of plugins
//
// One endpoint has a type in each package. Here they are called:
//
//	c         the [config.Endpoint]: what the configuration says
//	endpoint  the [core.Endpoint]: what the engine and the format know
//	served    the [network.Endpoint]: the core.Endpoint, and where and how it is served
//	site      everything that was built for c, with endpoint and served in it
package assembly
