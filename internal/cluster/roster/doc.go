// Package roster is what every backplane does alike, whatever carries what nodes say: it knows the
// other nodes by what they say of themselves (Roster: who is there, and which services their clients
// offer), which of their channels the engine knows (Owners), whether they have got everything up to
// a point (Syncs), and what is wrong with this node's own place among them (Health, KeepConnected).
package roster
