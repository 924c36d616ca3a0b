// Package wsify is the wire format of wsify: bare JSON messages on channels,
// and an HTTP door to publish through (docs/formats/wsify.md).
//
// A client sends {"command": string, "args": object} in text or binary frames:
//
//	join       args.channel                  Subscribe
//	leave      args.channel                  Unsubscribe
//	broadcast  args.channel, args.content    Publish
//
// Nothing is ever answered. A member of a channel reads the JSON text of the
// content and nothing else, one text frame for each message. Every message,
// also one of an unknown command, is shown to the endpoint's authorizer.
//
// The original repeats or merges messages that it cannot read, takes each fragment for a
// message, and joins a channel twice. This format does not: each message is taken by itself,
// and what cannot be read is counted and ignored.
package wsify
