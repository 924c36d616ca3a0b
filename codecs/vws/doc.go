// Package vws is the codec of Vinculum WebSockets: publish/subscribe with
// patterns, as JSON objects with one-letter keys in text messages (docs/formats/vws.md,
// after PROTOCOL.md of github.com/tsarna/vinculum-vws at 8777bc0, v0.11.0).
//
//	client                                  broker
//	{"k":"s","t":PATTERN,"i":ID} ───────>   Subscribe
//	{"k":"u","t":PATTERN,"i":ID} ───────>   Unsubscribe
//	{"k":"U","i":ID} ───────────────────>   UnsubscribeAll
//	{"t":TOPIC,"d":DATA,"i":ID,"h":{}} ─>   Publish, if allow_send lets it
//	{"k":"a","i":ID} ───────────────────>   Ping
//	               <── {"k":"a","i":ID}     Done, Pong
//	    <── {"k":"n","i":ID,"e":"TEXT"}     Failed
//	<── {"d":DATA,"t":"TOPIC","h":{…}}      Message
//
// There is no greeting, and nothing that a client writes ends its connection:
// what cannot be read is answered with a nack. Requests without an id, or with
// the id null, are answered without the key i; events without an id are never
// answered, not even refused ones. Text and binary messages are taken alike.
//
// A command's Ref is the id as the client wrote it, any JSON value. The Ref null
// stands for a request without an id, and an empty Ref for what is not answered.
//
// The broker's topics and patterns are those of this format. Data, ids and
// headers go through as they were written, so that no number is rounded and none
// is too big, where the original takes every number for a 64-bit float. Headers
// of an event are passed on to those who receive it; answers have none.
package vws
