package shadow

import (
	"errors"
	"fmt"
)

// Kind is a kind of difference.
type Kind int

// The kinds of differences.
const (
	Missing   Kind = iota // the old server has sent what the shadow has not
	Extra                 // the shadow has sent what the old server has not
	Different             // both have sent similar messages that are not equal
	Upgrade               // another status or subprotocol
	Closed                // another close code or end
	HTTP                  // another status or body of the answer to a request that is no upgrade
	UnknownID             // a client has repeated an id for which the shadow has none
	kinds
)

// String returns the word for a kind.
func (k Kind) String() string {
	return [kinds]string{"missing", "extra", "different", "upgrade", "closed", "http", "unknown id"}[k]
}

// Reason says why a connection, or a request, is not compared any further.
type Reason int

// The reasons.
const (
	Beyond   Reason = iota // it is beyond the maximum of connections or requests at once
	Behind                 // the comparer was too slow
	TooLong                // a message was too long
	TooMuch                // too much waited on it
	Broken                 // a side broke the protocol
	NoShadow               // the shadow could not be reached
	reasons
)

// String says the reason in words.
func (r Reason) String() string {
	return [reasons]string{"beyond the maximum", "comparing was too slow", "message too long", "too much waiting", "protocol broken", "shadow not reached"}[r]
}

// Summary is what was compared so far.
type Summary struct {
	// Connections, Requests: WebSocket connections, and HTTP requests that were none.
	Connections, Requests int
	// Sent are messages of clients, Old and New those of the old server and of the shadow.
	Sent, Old, New int
	// Equal is how many messages of both were equal.
	Equal int
	// Differences counts by Kind, NotCompared connections and requests by Reason.
	Differences [kinds]int
	NotCompared [reasons]int
	// Unsettled is how many messages had found no equal when their connection, or the comparison, ended.
	Unsettled int
	// Unreached is how many clients were answered 502.
	Unreached int
	// Samples is how many differences were written down.
	Samples int
}

// Different returns the number of differences of all kinds.
func (s Summary) Different() (n int) {
	for _, count := range s.Differences {
		n += count
	}
	return n
}

// Left returns how many connections and requests were not compared, or not to their end.
func (s Summary) Left() (n int) {
	for _, count := range s.NotCompared {
		n += count
	}
	return n
}

// The errors of a comparison that has ended.
var (
	// ErrDifferent: the servers differ.
	ErrDifferent = errors.New("the servers differ")
	// ErrNotCompared: something could not be compared.
	ErrNotCompared = errors.New("not all was compared")
)

func (s Summary) err() error {
	var errs []error
	if n := s.Different(); n > 0 {
		errs = append(errs, fmt.Errorf("%w: %d differences", ErrDifferent, n))
	}
	if n := s.Left(); n > 0 {
		errs = append(errs, fmt.Errorf("%w: %d connections or requests", ErrNotCompared, n))
	}
	return errors.Join(errs...)
}
