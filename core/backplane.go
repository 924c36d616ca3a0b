package core

import (
	"context"
	"time"
)

// NodeID names a node of a cluster from its start to its end: a node that starts again has
// another one. It is printable ASCII of at most 128 bytes. The zero value names no node.
type NodeID string

// ClusterProtocol stands for the format of clients of other nodes, which is not known here.
const ClusterProtocol = "cluster"

// Backplane joins this node to the other nodes of a cluster. It is what the engine needs of
// them; names are whole addresses, and bytes are borrowed. What a method cannot pass on is
// counted with its reason by the backplane (ClusterStats). Unless it says otherwise, a method
// may be called from any goroutine and does not block.
//
// A backplane that has lost the others keeps what it was told (interest, services, channels)
// and restores it when they are back.
type Backplane interface {
	// Start begins to call c, until Close. It is called once, before all other methods.
	Start(c Cluster)
	// Close leaves the cluster, which the others learn at once. After it has returned no call
	// of c is made. It may block for some seconds.
	Close()

	// Hear says what somebody begins or ceases to hear here. Each interest is either on or
	// off; those of a list are different ones. Its calls do not overlap each other or those
	// of Serve. It may block.
	Hear(changes []Interest)
	// Serve says which services somebody begins or ceases to offer here, as Hear.
	Serve(changes []Service)

	// Publish passes a message on to the other nodes that hear its topic. Messages of one
	// goroutine arrive at each of them in the order of its calls. It never comes back to this
	// node.
	Publish(topic []byte, p Payload, headers []byte)

	// Ask puts a call to a client of another node. It ends by Cluster.Answered or Cluster.Gone,
	// or at once by the failure that Ask returns; if the call wants no answer (its id is zero)
	// nothing more is heard of it.
	Ask(to NodeID, q Question) Failure
	// Answer says how a call of Cluster.Asked has ended.
	Answer(to NodeID, call CallID, o Outcome)
	// Cancel says that nobody waits for the answer to a call of Ask any more.
	Cancel(to NodeID, call CallID)

	// Claim asks for a channel, and blocks until that is decided or ctx ends. If the channel
	// is given to this node, grant is called, in the order in which the cluster gives channels;
	// if it returns a failure, the channel is given back and Claim returns that failure. Claim
	// returns no failure once the channel is this node's, until Release or Cluster.Lost. The
	// failure is Taken if a node has the channel, NotOwner if another node has what it lies in
	// or what lies in it, and Unreachable if it cannot be decided. Not on an event loop.
	Claim(ctx context.Context, c Claim, grant func() Failure) Failure
	// Release gives a channel back that Claim has given. A later Claim of this node comes after
	// it.
	Release(channel string)
	// Holds reports whether the channels that Claim has given are still this node's. They are not
	// from the moment at which its lease is over, and Cluster.Lost follows. It costs no more than
	// reading the clock.
	Holds() bool
}

// Cluster is the engine as a backplane calls it. The bytes of its arguments are borrowed.
// Any goroutine; nothing blocks.
type Cluster interface {
	// Together runs f, which makes other calls of Cluster. What they bring reaches each client at
	// once, as far as it can, and thereby costs less.
	Together(f func())
	// Published delivers a message of another node, or of somebody else in the cluster, to
	// those here who hear it. Messages arrive in the order of the calls of one goroutine.
	Published(topic []byte, p Payload, headers []byte)
	// Served says which services clients of another node begin or cease to offer.
	Served(by NodeID, changes []Service)
	// Owned says that another node has got a channel, in the order in which the cluster gives
	// channels. A channel that lies in another one that is given already, or in which another
	// one lies, is not given.
	Owned(by NodeID, c Claim)
	// Freed says that a channel of Owned is free.
	Freed(by NodeID, channel string)
	// Lost says that this node has no longer a channel that Claim has given. Release need not be
	// called.
	Lost(channel string)
	// Asked puts a call of another node to a client here.
	Asked(from NodeID, q Question)
	// Answered says how a call of Ask has ended. It is ignored if that node was not asked this.
	Answered(from NodeID, call CallID, o Outcome)
	// Cancelled says that nobody waits for the answer to a call of Asked any more.
	Cancelled(from NodeID, call CallID)
	// SessionEnded says that a session of [SharedSessions], in which connections here have places,
	// was ended elsewhere: they have none any more.
	SessionEnded(key string)
	// Joined says that another node can be reached, from now on until Gone. Channels of it may be
	// told before.
	Joined(n NodeID)
	// Gone says that a node has ended, or cannot be reached any more: its calls fail, and
	// its services and channels are free. A node that can be reached again is told of anew.
	Gone(n NodeID)
}

// Interest is a topic or pattern that somebody hears, or no longer.
type Interest struct {
	// Name is a whole topic, or a pattern.
	Name string
	// Prefix is what the topics have before them that the pattern matches; see
	// Endpoint.TopicPrefix. It is empty for a topic.
	Prefix string
	// Pattern says that Name is a pattern, of which MatchPattern tells the meaning. Its
	// wildcards have no names.
	Pattern bool
	// On says that somebody begins to hear it.
	On bool
}

// Service is a service that somebody offers, not exclusively, or no longer.
type Service struct {
	Name string
	On   bool
}

// Question is a call on its way to a client of another node.
type Question struct {
	// Call is zero if no answer is wanted.
	Call    CallID
	Service []byte
	Payload Payload
	// Timeout is how long the caller waits.
	Timeout time.Duration
}

// Outcome is how a call has ended: with a failure, or else with an answer.
type Outcome struct {
	Answer  Payload
	Failure Failure
	// Reason is the one under which the failure is counted; ReasonNormal if that is not known.
	Reason Reason
}

// Claim is a channel that one node has, with the services that its owner answers.
type Claim struct {
	Channel string
	// Services are named below the channel, without a slash before them; the empty name is the
	// channel itself. They are sorted, each once.
	Services []string
}
