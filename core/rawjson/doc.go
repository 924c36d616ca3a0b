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
//		// The frame was no JSON object; nothing that was read counts.
//	}
//
// The language is that of encoding/json.Valid, with the same bound on nesting.
// Bytes from 0x80 on are taken as they are inside strings: the frames that come
// here are checked to be UTF-8 already, and whoever reads other bytes checks
// them first.
//
// All functions may be called from any goroutine. Results are sub-slices of the
// arguments unless their comment says otherwise, and live as long as these. What
// is accepted is read without an allocation, except for nesting of more than 64
// levels and for keys written with escapes; an error allocates itself.
package rawjson
