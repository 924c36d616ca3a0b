package contract

import (
	"fmt"
	"time"

	"github.com/polywire/polywire/core"
)

// Fields of Event.
const (
	eventKind     field = 1
	eventVerb     field = 2
	eventRef      field = 3
	eventTopic    field = 4
	eventAs       field = 5
	eventCall     field = 6
	eventOneWay   field = 7
	eventPayload  field = 8
	eventHeaders  field = 9
	eventUnheard  field = 10
	eventFailure  field = 11
	eventSession  field = 12
	eventReason   field = 13
	sessionKey    field = 1
	sessionMade   field = 2
	sessionLookup field = 3
	sessionInfo   field = 4
)

func appendEvent(dst []byte, num field, ev *core.Event) []byte {
	dst, start := begin(dst, num, len(ev.Payload.Data))
	dst = appendNumber(dst, eventKind, numberOf(ev.Kind))
	dst = appendNumber(dst, eventVerb, ev.Verb)
	dst = appendBytes(dst, eventRef, ev.Ref)
	dst = appendBytes(dst, eventTopic, ev.Topic)
	dst = appendNumber(dst, eventAs, ev.As)
	dst = appendCall(dst, eventCall, ev.Call)
	dst = appendBool(dst, eventOneWay, ev.OneWay)
	dst = appendPayload(dst, eventPayload, &ev.Payload)
	dst = appendBytes(dst, eventHeaders, ev.Headers)
	dst = appendBool(dst, eventUnheard, ev.Unheard)
	dst = appendFailure(dst, eventFailure, ev.Failure)
	if ev.Kind == core.SessionOpened {
		dst = appendSession(dst, ev.Session)
	}
	if ev.Kind == core.Goodbye {
		dst = appendString(dst, eventReason, ev.Reason.String())
	}
	return end(dst, start)
}

func appendSession(dst []byte, s core.Session) []byte {
	dst, start := begin(dst, eventSession, 0)
	dst = appendString(dst, sessionKey, s.Key)
	dst = appendString(dst, sessionMade, s.Created.Format(time.RFC3339Nano))
	dst = appendString(dst, sessionLookup, s.LastLookup.Format(time.RFC3339Nano))
	dst = appendBytes(dst, sessionInfo, s.Info)
	return end(dst, start)
}

// readEvent reads an event into ev. It is not known if its kind is of a version to come.
func readEvent(b []byte, ev *core.Event) (known bool, err error) {
	*ev, known = core.Event{}, true
	f := fields{rest: b}
	for {
		if !f.next() {
			return known, f.err
		}
		numeric := f.num <= eventVerb || f.num == eventAs || f.num == eventOneWay || f.num == eventUnheard
		if err := f.typed(!numeric); err != nil {
			return false, fmt.Errorf("reading an event: %w", err)
		}
		switch f.num {
		case eventKind:
			ev.Kind, known = eventOf(f.value)
		case eventVerb:
			ev.Verb = core.Verb(f.value)
		case eventRef:
			ev.Ref = f.data
		case eventTopic:
			ev.Topic = f.data
		case eventAs:
			ev.As = uint32(f.value)
		case eventCall:
			ev.Call, err = readCall(f.data)
		case eventOneWay:
			ev.OneWay = f.value != 0
		case eventPayload:
			ev.Payload, err = readPayload(f.data)
		case eventHeaders:
			ev.Headers = f.data
		case eventUnheard:
			ev.Unheard = f.value != 0
		case eventFailure:
			ev.Failure, err = readFailure(f.data)
		case eventSession:
			ev.Session, err = readSession(f.data)
		case eventReason:
			ev.Reason, _ = ReasonOf(string(f.data))
		}
		if err != nil {
			return false, fmt.Errorf("reading an event: %w", err)
		}
	}
}

func readSession(b []byte) (s core.Session, err error) {
	f := fields{rest: b}
	for {
		if !f.next() {
			return s, f.err
		}
		switch f.num {
		case sessionKey:
			s.Key = string(f.data)
		case sessionMade:
			s.Created, err = time.Parse(time.RFC3339Nano, string(f.data))
		case sessionLookup:
			s.LastLookup, err = time.Parse(time.RFC3339Nano, string(f.data))
		case sessionInfo:
			s.Info = f.data
		}
		if err != nil {
			return s, fmt.Errorf("reading a session: %w", err)
		}
	}
}
