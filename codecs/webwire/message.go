package webwire

import (
	"errors"
	"fmt"
)

// The types of messages; their layouts are in the package comment.
const (
	typeErrorReply      = 0
	typeShutdownReply   = 1
	typeInternalReply   = 2
	typeSessionNotFound = 3
	typeSessionFull     = 4
	typeSessionsOff     = 5
	typeSessionCreated  = 21
	typeSessionClosed   = 22
	typeAcceptConf      = 23
	typeCloseSession    = 31
	typeRestoreSession  = 32
	typeHeartbeat       = 33

	// These are the first of three: an encoding is added.
	typeSignal  = 63
	typeRequest = 127
	typeReply   = 191
)

// encoding is how a payload is written: what is added to the first of three types.
type encoding byte

const (
	asBinary encoding = iota
	asUTF8
	asUTF16
	encodings
)

const (
	// maxName is the longest name in bytes; its length is one byte.
	maxName = 255
	// refSize is the size of a command's Ref: the first bytes of the client's
	// message, which are its type and id and all that a reply has to know.
	refSize = 9
)

var (
	errEmpty     = errors.New("an empty message")
	errShort     = errors.New("too short for its type")
	errLong      = errors.New("too long for its type")
	errOdd       = errors.New("a UTF-16 message of odd length")
	errName      = errors.New("a name that is no printable ASCII")
	errNothing   = errors.New("a message without name and payload")
	errNoPayload = errors.New("a UTF-16 signal without payload")
)

// message is one client message, taken apart; its slices point into it.
type message struct {
	// kind is the type; of three that belong together, the first.
	kind     byte
	encoding encoding // of signal and request
	ref      []byte   // of what is answered: type and id
	name     []byte   // of signal and request
	payload  []byte   // of signal and request; of restore session the key
}

// parse splits data into its parts. An error is a violation of the format.
func parse(data []byte) (message, error) {
	if len(data) == 0 {
		return message{}, errEmpty
	}
	m := message{kind: data[0]}
	switch kind := data[0]; {
	case kind >= typeSignal && kind < typeSignal+byte(encodings):
		m.kind, m.encoding = typeSignal, encoding(kind-typeSignal)
		return m, m.split(data, 1)
	case kind >= typeRequest && kind < typeRequest+byte(encodings):
		if len(data) < refSize {
			return m, errShort
		}
		m.kind, m.encoding, m.ref = typeRequest, encoding(kind-typeRequest), data[:refSize:refSize]
		return m, m.split(data, refSize)
	case kind == typeHeartbeat:
		return m, between(data, 1, 1)
	case kind == typeRestoreSession:
		if len(data) <= refSize {
			return m, errShort
		}
		m.ref, m.payload = data[:refSize:refSize], data[refSize:]
		return m, nil
	case kind == typeCloseSession:
		m.ref = data
		return m, between(data, refSize, refSize)
	}
	return m, checkServers(data)
}

// split reads what follows the head of a signal or request: the length of the
// name at data[at], the name, and the payload.
func (m *message) split(data []byte, at int) error {
	if len(data) <= at {
		return errShort
	}
	wide := m.encoding == asUTF16
	if wide && len(data)%2 != 0 {
		return errOdd
	}
	start := at + 1
	end := start + int(data[at])
	if end > len(data) {
		return fmt.Errorf("a name of %d bytes: %w", data[at], errShort)
	}
	m.name = data[start:end:end]
	if wide && len(m.name)%2 != 0 {
		// start and len(data) are even, so the padding is there.
		end++
	}
	m.payload = data[end:]
	switch {
	case len(m.payload) == 0 && len(m.name) == 0:
		return errNothing
	case len(m.payload) == 0 && wide && m.kind == typeSignal:
		return errNoPayload
	case !isPrintable(m.name):
		return errName
	}
	return nil
}

// checkServers returns what is wrong with a message of a type that only a server sends; nil
// if it is well-formed. It checks what the original checks.
func checkServers(data []byte) error {
	switch data[0] {
	case typeErrorReply:
		if len(data) <= refSize || data[refSize] == 0 {
			return errShort
		}
		return between(data, refSize+1+int(data[refSize]), len(data))
	case typeShutdownReply, typeInternalReply, typeSessionNotFound, typeSessionFull, typeSessionsOff, typeReply, typeReply + byte(asUTF8):
		return between(data, refSize, len(data))
	case typeReply + byte(asUTF16):
		if len(data)%2 != 0 {
			return errOdd
		}
		return between(data, refSize+1, len(data))
	case typeSessionCreated:
		return between(data, 2, len(data))
	case typeSessionClosed:
		return between(data, 1, 1)
	case typeAcceptConf:
		return between(data, acceptConfHead, len(data))
	}
	return fmt.Errorf("unknown type %d", data[0])
}

// between checks the length of a message.
func between(data []byte, least, most int) error {
	switch {
	case len(data) < least:
		return errShort
	case len(data) > most:
		return errLong
	}
	return nil
}

// isPrintable reports whether text is only printable ASCII.
func isPrintable[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
