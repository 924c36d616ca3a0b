// Package roster knows the other nodes of a cluster by what they say of themselves, whatever
// carries it: who is there, and which services their clients offer.
package roster
