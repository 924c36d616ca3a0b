package stocking

import "bytes"

// A room name that stands between two commas cannot hold one: there a comma is written %2C.
// So that every name has one spelling and every spelling one name, a % that would read as
// such an escape is written %25:
//
//	topic   a,b    a%2Cb    a%252Cb   100%
//	room    a%2Cb  a%252Cb  a%25252Cb 100%
//
// An escape is thus % followed by any number of "25" and then "2C"; any other % is
// an ordinary character.

// isEscape reports whether b, behind a %, makes it the start of an escape.
func isEscape(b []byte) bool {
	for bytes.HasPrefix(b, []byte("25")) {
		b = b[2:]
	}
	return bytes.HasPrefix(b, []byte("2C"))
}

// appendRoom appends topic as a room name.
func appendRoom(dst, topic []byte) []byte {
	if bytes.IndexByte(topic, ',') < 0 && bytes.IndexByte(topic, '%') < 0 {
		return append(dst, topic...)
	}
	for i, ch := range topic {
		switch {
		case ch == ',':
			dst = append(dst, "%2C"...)
		case ch == '%' && isEscape(topic[i+1:]):
			dst = append(dst, "%25"...)
		default:
			dst = append(dst, ch)
		}
	}
	return dst
}

// unescapeRoom returns the topic of a room name. It returns room itself where
// nothing is escaped.
func unescapeRoom(room []byte) []byte {
	if !bytes.Contains(room, []byte("2C")) {
		return room
	}
	topic := make([]byte, 0, len(room))
	for i := 0; i < len(room); i++ {
		switch {
		case room[i] != '%' || !isEscape(room[i+1:]):
			topic = append(topic, room[i])
		case room[i+1] == '2' && room[i+2] == 'C':
			topic = append(topic, ',')
			i += 2
		default:
			topic = append(topic, '%')
			i += 2
		}
	}
	return topic
}
