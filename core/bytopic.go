package core

import "bytes"

// CallRef returns the ref of a call by topic, to which its caller publishes; nil if topic is none, or has no ref. It
// may be too long, and the service may be missing: such a call is refused, but its caller has to hear of that.
func CallRef(topic []byte) []byte {
	rest, found := bytes.CutPrefix(topic, []byte(CallTopic))
	if ref, _, _ := bytes.Cut(rest, []byte("/")); found && len(ref) > 0 {
		return ref
	}
	return nil
}

// AnsweredCall returns the id of the call that a message to topic answers, or says the failure of. ok is false if topic is none
// of these.
func AnsweredCall(topic []byte) (id CallID, ok bool) {
	for _, prefix := range []string{ReplyTopic, ErrorTopic} {
		if text, found := bytes.CutPrefix(topic, []byte(prefix)); found {
			return ParseCallID(text)
		}
	}
	return CallID{}, false
}

// RequestByTopic returns the request of a call to who serves it by topic; the nil id is that of a call
// which wants no answer.
func RequestByTopic(id CallID, service []byte, payload Payload) Event {
	topic := append(append(id.Append([]byte(RequestTopic)), '/'), service...)
	return Event{Kind: Message, Topic: topic, Call: id, OneWay: id == CallID{}, Payload: payload}
}

// AnswerByTopic returns the answer to a call by topic.
func AnswerByTopic(ref []byte, payload Payload) Event {
	return Event{Kind: Message, Topic: append([]byte(ReplyTopic), ref...), Payload: payload}
}

// FailureByTopic returns the failure of a call by topic.
func FailureByTopic(ref []byte, f Failure) Event {
	return Event{Kind: Message, Topic: append([]byte(ErrorTopic), ref...), Payload: failurePayload(f)}
}

// OfferLostByTopic tells who serves by topic that it offers a service no longer.
func OfferLostByTopic(service []byte, why Failure) Event {
	return Event{Kind: Message, Topic: append([]byte(ServeTopic), service...), Payload: failurePayload(why)}
}

func failurePayload(f Failure) Payload { return Payload{Kind: JSON, Data: AppendFailure(nil, f)} }
