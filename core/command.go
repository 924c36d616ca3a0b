package core

import "time"

// Verb says what a client requests. A new verb touches: its name below, the fields of Command
// (and Clone), core/engine (permitted, carryOut), plugin/codec.proto and plugin/contract, and the
// codecs whose formats have it.
type Verb uint8

// The verbs of the language. The comment of each names the Command fields that
// it uses besides Ref and Source.
const (
	// None does nothing. It is for messages that a format ignores but whose Source an
	// [Authorizer] must still check.
	None Verb = iota
	// Subscribe subscribes to a topic, or to a pattern if Pattern is set. Topic, As, Pattern.
	Subscribe
	// Unsubscribe ends one subscription, named as it was made. Topic, As, Pattern.
	Unsubscribe
	// UnsubscribeAll ends all subscriptions of the connection.
	UnsubscribeAll
	// Publish sends a message to all subscribers of a topic. Topic, Payload, NotToSelf,
	// AsOwner with Channel.
	Publish
	// Offer makes the client the answerer of services and, if Exclusive, the owner of a
	// channel. Services, As, Exclusive with Channel, Topics.
	Offer
	// Withdraw ends an offer, named as it was made. Services, Exclusive with Channel.
	Withdraw
	// Call calls a service. Topic is the service; As, Payload, OneWay, Timeout.
	Call
	// Reply answers a [Request]. Call, Topic (the service, nil to leave it
	// unchecked), Payload or Failure.
	Reply
	// OpenSession makes a session for the connection. Payload is its information.
	OpenSession
	// RestoreSession joins the connection to a session. Key.
	RestoreSession
	// CloseSession leaves the session of the connection.
	CloseSession
	// Ping asks for a [Pong], which returns Ref and As.
	Ping
	// Leave says goodbye; the connection is closed in the format's own way.
	Leave
)

var verbNames = [...]string{
	"none", "subscribe", "unsubscribe", "unsubscribe_all", "publish", "offer", "withdraw",
	"call", "reply", "open_session", "restore_session", "close_session", "ping", "leave",
}

// String returns the verb in lower case, as logs and errors show it.
func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return "unknown"
}

// Command is a client's request, decoded from its own format. It is passed by
// value; its byte slices are borrowed (see the package comment).
type Command struct {
	Verb Verb

	// Ref is the codec's own correlation: an id, a callback number, or nothing.
	// The outcome (Done, Failed, Answer, Pong) carries it back unchanged.
	Ref []byte

	// Topic is the topic, the pattern, or for Call and Reply the service. It is
	// the whole internal address, before the endpoint's topic prefix.
	Topic []byte
	// As distinguishes the ways in which a format can write one Topic (for wubsub:
	// where the channel ends). The codec chooses the number; every event about
	// this subscription, offer or call returns it.
	As uint32
	// Pattern makes Topic a pattern (see [MatchPattern]) instead of a name.
	Pattern bool

	// Channel is the channel that is owned or to be owned. It is read only with
	// Exclusive or AsOwner, so the empty name is a channel like any other.
	Channel []byte
	// Exclusive, on Offer and Withdraw: own Channel; nobody else answers these Services.
	Exclusive bool
	// AsOwner, on Publish: refuse unless the sender owns exactly Channel.
	AsOwner bool
	// Services are the services offered or withdrawn: whole addresses, or with Exclusive
	// names below Channel, which AppendService turns into addresses. They are not written
	// out, because a long channel with many services would fill the memory.
	Services [][]byte
	// Topics, on Offer with Exclusive, are names below Channel, as of Services, of topics that the owner
	// announces. Only a [ClientCodec] reads them, where its format has words for them: the broker's own clients
	// need not announce anything.
	Topics [][]byte

	// NotToSelf, on Publish: the sender does not receive its own message.
	NotToSelf bool
	// OneWay, on Call: no answer is wanted, and none is sent.
	OneWay bool
	// Timeout, on Call: how long the caller waits; 0 is the endpoint's default.
	Timeout time.Duration

	// Call is the id of the request that a Reply answers.
	Call CallID
	// Payload is the content of Publish, Call, Reply and OpenSession.
	Payload Payload
	// Headers accompany the Payload of a Publish or a Call: a JSON object of strings
	// as its author wrote it; nil for none.
	Headers []byte
	// Failure, on Reply: the answerer's own failure; zero if it answers with Payload.
	Failure Failure
	// Key is the key of the session to restore.
	Key []byte

	// Read is when the client's message was read, as the network counts time; 0 if it does not want
	// to know. Events have it from the Publish.
	Read time.Duration

	// Source is the client's message as it was written, for an [Authorizer]
	// that checks the original message. Nil where the format does not need it.
	Source []byte
}

// AppendService appends the whole address of service, one of c.Services, and returns the
// extended buffer. With Exclusive the address is Channel/service, or Channel if the name is
// empty.
func (c *Command) AppendService(dst, service []byte) []byte {
	if c.Exclusive {
		dst = append(dst, c.Channel...)
		if len(service) == 0 {
			return dst
		}
		dst = append(dst, '/')
	}
	return append(dst, service...)
}

// Clone returns a copy of c that owns all its bytes. They are one allocation, however many
// there are.
func (c Command) Clone() Command {
	c, _ = c.CloneInto(nil)
	return c
}

// CloneInto is Clone with the bytes in memory, which is overwritten, or in a new buffer
// if memory is too small. It returns the buffer, which belongs to the copy.
func (c Command) CloneInto(memory []byte) (Command, []byte) {
	n := len(c.Ref) + len(c.Topic) + len(c.Channel) + c.Payload.Size() + len(c.Headers) + len(c.Key) + len(c.Source)
	for _, names := range [...][][]byte{c.Services, c.Topics} {
		for _, s := range names {
			n += len(s)
		}
	}
	a := arena(memory[:0])
	if cap(a) < n {
		a = make(arena, 0, n)
	}
	c.Ref = a.clone(c.Ref)
	c.Topic = a.clone(c.Topic)
	c.Channel = a.clone(c.Channel)
	c.Services = a.cloneAll(c.Services)
	c.Topics = a.cloneAll(c.Topics)
	c.Payload = a.clonePayload(c.Payload)
	c.Headers = a.clone(c.Headers)
	c.Key = a.clone(c.Key)
	c.Source = a.clone(c.Source)
	return c, a
}
