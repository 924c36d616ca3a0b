// Package verify runs a codec plugin alone and looks for what would trouble a broker or
// its clients: `broker plugin verify`. No configuration is needed.
//
// Two ways are used. The contract, cut and random messages are asked of the plugin
// directly ([plugin.Interview]), so that the message over which it falls can be named.
// Conversations, a slow reader, and kill -9 go through a broker in this process, with one
// endpoint of the plugin and real sockets.
//
// The conversations of the author are also where the other checks learn what clients of
// the format say: what the plugin was handed while they were played is recorded.
package verify
