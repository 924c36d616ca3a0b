// Package verify runs a codec plugin alone and looks for faults that would trouble a broker
// or its clients: `broker plugin verify`. It needs no configuration.
//
// There are two ways. Questions about the contract, cut messages and random messages go to
// the plugin directly ([plugin.Interview]), so that the message that breaks it can be
// named. Conversations, a slow reader, and kill -9 go through a broker in this process,
// with one endpoint of the plugin and real sockets.
//
// The author's conversations also show the other checks what clients of the format say: the
// plugin's input is recorded while they are played.
// the format say: what the plugin was handed while they were played is recorded.
package verify
