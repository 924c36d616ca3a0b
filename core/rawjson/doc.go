// Package rawjson reads and writes JSON text without building values: a strict
// RFC 8259 scanner that allocates nothing.
//
// The broker carries JSON payloads as their authors wrote them, so it never
// needs the values themselves: it must know that a text is JSON, where a member
// begins and ends, and what a string says. [Check] answers the first question,
// [Members] and [Elements] the second, [Unquote] and [AppendQuote] the third.
//
//	m := rawjson.Object(frame)
//	for m.Next() {
//		if m.KeyIs("channel") {
//			channel = m.Value()
//		}
//	}
//	if m.Err() != nil {
//		// The frame was not a JSON object; discard what was read.
//	}
//
// It accepts the same texts as encoding/json.Valid, with the same bound on nesting.
// Inside strings it accepts bytes from 0x80 on without a check: frames are checked
// to be UTF-8 before they come here. Callers with other bytes must check them
// first.
//
// All functions may be called from any goroutine. Results are sub-slices of the
// arguments unless their comment says otherwise, and live as long as these. Valid
// texts are read without an allocation, except for nesting of more than 64
// levels and for keys written with escapes; an error allocates itself.
package rawjson
