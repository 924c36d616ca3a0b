// Package claims is how a node gets channels of the cluster, keeps and loses them, whatever keeps
// the register of who has which channel: it holds the claims that wait (Channels.Claim), the
// channels that this node has, its lease, and tells the engine what the register says.
//
// What differs between registers is Register, and the loop of each, which asks it for what Channels
// hands out (Channels.Next, Channels.Renewal) and passes on what is read there (Channels.Happened):
// a claim is granted when it is read in the register, never before.
package claims
