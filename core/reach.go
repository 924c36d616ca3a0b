package core

import "time"

// This file has what engine and network tell operators who ask why a client hears nothing.

// Reach is who would hear a message on a topic, as the engine of one node knows it.
type Reach struct {
	// Topic is the whole topic.
	Topic string
	// Refusal is why the engine takes no such message from anybody, and Reason how it counts that.
	Refusal Failure
	Reason  Reason
	// Channel is the owned channel in which the topic lies, and Owner who owns it; nil without one.
	Channel string
	Owner   *Holder
	// Audiences are those who hear it, in the order of a delivery.
	Audiences []HeardBy
	// Handler is the topic or pattern of the program's handler that hears it too; "" without one.
	Handler string
}

// HeardBy is an audience as an operator sees it. Any goroutine may read it.
type HeardBy struct {
	Interest
	Endpoint *Endpoint
	As       uint32
	// Members is how many clients it has.
	Members  int
	Outlet   Outlet
	Audience Audience
}

// Holder is who has a channel or offers a service: a connection of this process, or another node.
type Holder struct {
	Node     NodeID // "" for a connection of this process
	ID       uint64
	Endpoint string
	Remote   string
	User     string
	// Busy says that the connection does not read what it is asked.
	Busy bool
}

// Answerers are who would answer a service, as the engine of one node knows it.
type Answerers struct {
	// Service is its whole name.
	Service string
	// Refusal is why no such call is taken from anybody.
	Refusal Failure
	// First is the service or pattern of a handler that is asked before all clients, Last that of one
	// that is asked if no client offers the service; "" without one. Otherwise says that the program answers
	// what nobody else does.
	First, Last string
	Otherwise   bool
	// Channel is the owned channel in which the service lies, and Owner who owns it; nil without one. Owns
	// says that the owner answers the service.
	Channel string
	Owner   *Holder
	Owns    bool
	// Offers are those who answer it in turn, up to MaxOffers of Offered. Connections of this process come first,
	// and only they are asked if there are any.
	Offers  []Holder
	Offered int
}

// MaxOffers bounds the offers of Answerers.
const MaxOffers = 100

// RefusedCommand is something that a client has asked for, and did not get.
type RefusedCommand struct {
	// Verb is None if its format has refused the message.
	Verb Verb
	// Topic is what it was about, as the client names it: its first 128 bytes.
	Topic  string
	Reason Reason
	// Why is text for people; it may be empty.
	Why string
	// Count is how often the same was refused, and Last when it was the last time.
	Count int
	Last  time.Time
}

// ConnectionState is an open connection, with what decides what it hears.
type ConnectionState struct {
	ConnectionInfo
	Receiving
	Holdings
	// Settings are its endpoint, and Identity who it is.
	Settings *Endpoint
	Identity *Identity
	// Throttled says that its messages wait because it sends faster than it may.
	Throttled bool
	// Unwritable says that a message was dropped because its format cannot write it.
	Unwritable bool
}

// Receiving is how a connection takes what is written to it.
type Receiving struct {
	// Backlog is how many bytes wait behind the message that is being written, Limit how many may. Stuck says
	// that its socket takes nothing now.
	Backlog, Limit int
	Stuck          bool
	// Policy is what happens beyond the limit, as the configuration names it.
	Policy string
	// Lost is how many messages it has lost because it reads too slowly. Conflated says that newer messages have
	// replaced older ones.
	Lost      uint64
	Conflated bool
}

// Fate is what would become of a message for one receiver.
type Fate uint8

// The fates.
const (
	// Arrives: it would get the message.
	Arrives Fate = iota
	// Displaces: it would get the message, and lose older ones.
	Displaces
	// Misses: it would lose the message.
	Misses
	// Ends: its connection would be ended as too slow.
	Ends
	// Closes: its connection is being closed.
	Closes
)

// Receiver is a member of an audience.
type Receiver struct {
	ConnectionInfo
	Receiving
	Fate Fate
}

// TurnedAway are clients of one address that were refused before they were connected, at one endpoint and for
// one reason.
type TurnedAway struct {
	// Endpoint is empty if it was not known yet; then Listen is the address at which it was.
	Endpoint, Listen string
	// Remote is the address and port of the last one.
	Remote string
	Reason Reason
	// Why is text for people, and Details what the last one sent, as attributes of a log line.
	Why, Details string
	Count        int
	First, Last  time.Time
	// After is the number of the newest connection at the last time: those that came later have greater ones.
	After uint64
}

// Written is a message in a format.
type Written struct {
	// Bytes is how long its frame is; 0 if that is not known.
	Bytes int
	Frame FrameKind
}

// Rehearsal is what becomes of a publish when it is said in a format: by a client's codec, and read by the
// endpoint's, without a connection.
type Rehearsal struct {
	// Known is false if it cannot be tried: the format is a plugin's, or has no client's side.
	Known bool
	// Unsayable is why the format has no words for it; nil if it has.
	Unsayable error
	// Refusal is why the endpoint's codec refuses it, and Reason how that is counted.
	Refused bool
	Reason  Reason
	Refusal Failure
	// NotToSelf and AsOwner are those of the command.
	NotToSelf, AsOwner bool
	// Bytes is how long the client's message is, and Max how long it may be.
	Bytes, Max int
}
