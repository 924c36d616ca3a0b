// Package core is the language between wire formats and the engine, and the
// ports (interfaces) between the parts of the broker.
//
// A codec translates: bytes in, a [Command] out; an [Event] in, bytes out.
// Nothing else in the broker knows a wire format, and no codec knows sockets,
// topic tables or other codecs.
//
//	bytes ──> Codec.Decode ──> Command ──> engine ──> Event ──> Codec.Encode ──> bytes
//
// # Who owns the bytes
//
// Every []byte inside a Command or an Event is borrowed. It is valid until the
// call that received it returns; to keep it longer, copy it ([Command.Clone],
// [Event.Clone]). A codec may therefore let a Command point into the frame that
// it decodes, and the frame into the network's read buffer: a publish crosses
// the broker without a copy until it is encoded for its receivers.
//
// The package imports only the standard library, core/rawjson and google/uuid.
package core
