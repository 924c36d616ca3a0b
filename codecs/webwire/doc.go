// Package webwire is the codec of the webwire 2.0 wire format: signals,
// requests with replies, and sessions, as binary messages (docs/formats/webwire.md),
// and the store that keeps sessions in the original's files.
//
//	client                                          broker
//	                            <── 23 accept-conf  Welcome
//	63 64 65  signal ─────────────────────────────> Publish, not to self     quiet
//	          named $subscribe, $unsubscribe ─────> Subscribe, Unsubscribe   quiet
//	                           <── 63 64 65 signal  Message
//	127 128 129  request ─────────────────────────> Call
//	             named $subscribe, $unsubscribe ──> Subscribe, Unsubscribe
//	                         <── 191 192 193 reply  Answer; Done, empty
//	                             <── 0 error reply  Failed
//	                                 <── 1 2 3 4 5  Failed: shutdown, internal, session
//	                                                unknown, full, off
//	32  restore session ──────────────────────────> RestoreSession
//	                                 <── 192 reply  SessionOpened, as JSON
//	31  close session ────────────────────────────> CloseSession
//	                                 <── 191 reply  Done, empty
//	                        <── 21 session created  SessionOpened by the application
//	                         <── 22 session closed  SessionClosed
//	33  heartbeat                                   nothing
//
// The layouts follow. Every integer is little-endian, and id is eight bytes of the client's
// choice, which come back unchanged:
//
//	63 64 65     type, name length, name, [padding], payload
//	127 128 129  type, id, name length, name, [padding], payload
//	191 192      type, id, payload
//	193          type, id, padding, payload
//	0            type, id, code length, code, message
//	1 to 5       type, id
//	21           type, JSON
//	22, 33       type
//	23           type, 2, 0, read timeout in ms (uint32), buffer size (uint32), sub-protocol
//	31           type, id
//	32           type, id, key
//
// Of three types that belong together the first has a binary payload, the second UTF-8, the
// third UTF-16. A UTF-16 payload begins at an even offset: a zero byte pads a name of odd
// length. The byte is written as zero and ignored when it is read, as in the original.
//
// A message that breaks its layout, and a text message, end the connection. A
// well-formed message of a type that only a server sends is counted and ignored.
//
// A name is the topic or the service, with all but printable ASCII escaped (see the rule in
// name.go). No name means the endpoint's default topic, in both directions: a signal without
// one is published there, a request without one asks the service of that name, and a signal
// on that topic goes out without a name. Apart from the padding and that, signals leave the
// broker as they came in, byte for byte.
package webwire
