package core

import (
	"fmt"
	"time"
)

// ClientCodec speaks a format as a client of it does: the reverse of [Codec]. It is sans-I/O,
// serves one connection, and is used on one goroutine at a time.
//
// Topics and services are whole addresses, as in Command and Event; where a format has several
// ways to write one, Command.As chooses, as for Codec, and 0 is the usual one.
type ClientCodec interface {
	// Say writes a command as messages of the format, usually one. What is said is borrowed. It
	// returns whether the outcome will be heard: an event with the command's Ref and Verb (Done,
	// Failed, Answer, SessionOpened, Pong). A Call is accepted (Done) first where the format says
	// so. If the outcome is not heard, the format does not report it, or the command is OneWay.
	//
	// An error says that nothing was said: it is [Unsayable] if the format has no words for the
	// command. NotToSelf changes nothing: what a sender hears of itself is the format's habit.
	Say(c Command, say func(Frame)) (answered bool, err error)
	// Hear reads one message of a server, and tells what it means: usually one event, none if it
	// means nothing to a client. Events borrow bytes from the message, if they do not own them. Topic is
	// empty where the format does not say it. An error says that no server of the format writes this.
	Hear(f Frame, tell func(Event)) error
	// Ready reports whether commands can be said: a server that greets has done so.
	Ready() bool
	// KeepAlive returns after which time without a message the client has to say the message, so that
	// the server does not end the connection; 0 is never. It may change with what was heard.
	KeepAlive() (after time.Duration, message Frame)
	// Forget gives up what was said and whose outcome is not heard yet, if it has this Ref: a late
	// outcome is not told.
	Forget(ref []byte)
}

// ClientOpener is a [ClientCodec] of a format in which a client speaks first.
type ClientOpener interface {
	// Open says what comes before all else. It is called once, when the connection is made; what is
	// said is borrowed.
	Open(say func(Frame))
}

// RemoteClientCodec is a [ClientCodec] in another process, which can end before its connection does.
// Then nothing is said or heard any more: Say and Hear return errors.
type RemoteClientCodec interface {
	ClientCodec
	// Ended is closed when the codec has ended. Any goroutine.
	Ended() <-chan struct{}
	// Err returns why it has ended, after Ended. Any goroutine.
	Err() error
	// Close ends it when its connection has ended. Any goroutine; it may be called again.
	Close()
}

// ClientFormat is a Format that knows the client's side too.
type ClientFormat interface {
	Format
	// NewClientCodec returns the codec of a new connection to a server. Any goroutine.
	NewClientCodec() ClientCodec
	// NamesTopics reports whether a server says on which topic a message is. Any goroutine.
	NamesTopics() bool
	// HearsItself reports whether a client that has subscribed to a topic hears what it publishes
	// there. Any goroutine.
	HearsItself() bool
}

// BoundedFormat is a [ClientFormat] whose servers end the connection for a message that is too big, and do not
// say how big that is. Its codecs are a [BoundedClientCodec].
type BoundedFormat interface {
	ClientFormat
	// ServerLimit returns how many bytes a message to the original server may have. Any goroutine.
	ServerLimit() int
}

// BoundedClientCodec is a [ClientCodec] that can be told how big a message the server takes.
type BoundedClientCodec interface {
	ClientCodec
	// Bound makes Say refuse bigger messages with [TooBig]. It is called before anything is said.
	Bound(bytes int)
}

// TooBig is the error of [ClientCodec].Say for a message that the server does not take.
type TooBig struct {
	// Size is that of the message, and Limit the server's, in bytes.
	Size, Limit int
}

func (e *TooBig) Error() string {
	return fmt.Sprintf("a message of %d bytes: the server takes up to %d", e.Size, e.Limit)
}

// CheckSize returns [TooBig] for a message of so many bytes over a limit; 0 is none.
func CheckSize(size, limit int) error {
	if limit > 0 && size > limit {
		return &TooBig{size, limit}
	}
	return nil
}

// Unsayable is the error of [ClientCodec].Say for a command that the format has no words for.
type Unsayable struct {
	// What is what cannot be said, such as "a call".
	What string
	// Closest is what comes closest to it, a sentence for people; empty if nothing does.
	Closest string
}

func (e *Unsayable) Error() string {
	if e.Closest == "" {
		return fmt.Sprintf("the format has no words for %s", e.What)
	}
	return fmt.Sprintf("the format has no words for %s: %s", e.What, e.Closest)
}
