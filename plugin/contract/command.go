package contract

import (
	"fmt"
	"math"
	"time"

	"github.com/polywire/polywire/core"
)

// Fields of Command.
const (
	commandVerb      field = 1
	commandRef       field = 2
	commandTopic     field = 3
	commandAs        field = 4
	commandPattern   field = 5
	commandChannel   field = 6
	commandExclusive field = 7
	commandAsOwner   field = 8
	commandServices  field = 9
	commandNotToSelf field = 10
	commandOneWay    field = 11
	commandTimeout   field = 12
	commandCall      field = 13
	commandPayload   field = 14
	commandHeaders   field = 15
	commandFailure   field = 16
	commandKey       field = 17
	commandSource    field = 18
	commandExpected  field = 19
	commandTopics    field = 20
)

func appendCommand(dst []byte, num field, c *core.Command, expected *core.Frame) []byte {
	dst, start := begin(dst, num, sizeOfCommand(c, expected))
	dst = appendNumber(dst, commandVerb, c.Verb)
	dst = appendBytes(dst, commandRef, c.Ref)
	dst = appendBytes(dst, commandTopic, c.Topic)
	dst = appendNumber(dst, commandAs, c.As)
	dst = appendBool(dst, commandPattern, c.Pattern)
	dst = appendBytes(dst, commandChannel, c.Channel)
	dst = appendBool(dst, commandExclusive, c.Exclusive)
	dst = appendBool(dst, commandAsOwner, c.AsOwner)
	for _, service := range c.Services {
		dst = appendBytes(dst, commandServices, notNil(service))
	}
	dst = appendBool(dst, commandNotToSelf, c.NotToSelf)
	dst = appendBool(dst, commandOneWay, c.OneWay)
	// Rounded up, so that a requested wait does not become the default one.
	dst = appendNumber(dst, commandTimeout, uint64((max(c.Timeout, 0)+time.Millisecond-1)/time.Millisecond))
	dst = appendCall(dst, commandCall, c.Call)
	dst = appendPayload(dst, commandPayload, &c.Payload)
	dst = appendBytes(dst, commandHeaders, c.Headers)
	dst = appendFailure(dst, commandFailure, c.Failure)
	dst = appendBytes(dst, commandKey, c.Key)
	dst = appendBytes(dst, commandSource, c.Source)
	if expected != nil {
		dst = appendFrame(dst, commandExpected, *expected)
	}
	for _, topic := range c.Topics {
		dst = appendBytes(dst, commandTopics, notNil(topic))
	}
	return end(dst, start)
}

// sizeOfCommand estimates the size of a command in bytes, if it is a long one.
func sizeOfCommand(c *core.Command, expected *core.Frame) int {
	n := len(c.Ref) + len(c.Payload.Data) + len(c.Headers) + len(c.Source)
	if expected != nil {
		n += len(expected.Data)
	}
	return n
}

// notNil replaces nil with empty bytes: the elements of a list are always present.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// numericInCommand is the set of the fields of Command that are numbers.
const numericInCommand = 1<<commandVerb | 1<<commandAs | 1<<commandPattern | 1<<commandExclusive | 1<<commandAsOwner |
	1<<commandNotToSelf | 1<<commandOneWay | 1<<commandTimeout

// readCommand reads a command into c, which is empty. expected is not nil if the command
// has one; it is put where steps say.
func readCommand(b []byte, c *core.Command, steps Steps) (expected *core.Frame, err error) {
	f := fields{rest: b}
	for {
		if !f.next() {
			return expected, f.err
		}
		if err := f.typed(f.num >= 32 || numericInCommand>>uint(f.num)&1 == 0); err != nil {
			return nil, fmt.Errorf("reading a command: %w", err)
		}
		switch f.num {
		case commandVerb:
			c.Verb = core.Verb(min(f.value, math.MaxUint8))
		case commandRef:
			c.Ref = f.data
		case commandTopic:
			c.Topic = f.data
		case commandAs:
			c.As = uint32(f.value)
		case commandPattern:
			c.Pattern = f.value != 0
		case commandChannel:
			c.Channel = f.data
		case commandExclusive:
			c.Exclusive = f.value != 0
		case commandAsOwner:
			c.AsOwner = f.value != 0
		case commandServices:
			if c.Services == nil {
				c.Services = make([][]byte, 0, 1+f.count(commandServices))
			}
			c.Services = append(c.Services, f.data)
		case commandNotToSelf:
			c.NotToSelf = f.value != 0
		case commandOneWay:
			c.OneWay = f.value != 0
		case commandTimeout:
			c.Timeout = time.Duration(min(f.value, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
		case commandCall:
			c.Call, err = readCall(f.data)
		case commandPayload:
			c.Payload, err = readPayload(f.data)
		case commandHeaders:
			c.Headers = f.data
		case commandFailure:
			c.Failure, err = readFailure(f.data)
		case commandKey:
			c.Key = f.data
		case commandSource:
			c.Source = f.data
		case commandExpected:
			expected = steps.Room()
			*expected, err = readFrame(f.data)
		case commandTopics:
			if c.Topics == nil {
				c.Topics = make([][]byte, 0, 1+f.count(commandTopics))
			}
			c.Topics = append(c.Topics, f.data)
		}
		if err != nil {
			return nil, fmt.Errorf("reading a command: %w", err)
		}
	}
}
