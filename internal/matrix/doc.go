// Package matrix tells what clients of one format can carry to clients of another, and what is lost.
//
// There is no list of what formats can do that somebody could forget to change: the formats are asked. What
// a client of one format says, as its [core.ClientCodec] writes it, is decoded by its endpoint's codec,
// encoded by the codec of the receiver's endpoint, and read by the receiver's ClientCodec:
//
//	ClientCodec.Say ──> Codec.Decode ──> Codec.Encode ──> ClientCodec.Hear
//
// So the matrix is that of the endpoints as they are configured. It does not regard who may do what (access
// lists, authorizers, owners of channels), nor limits of the broker other than the sizes of messages. A
// format whose client's side is not known here, such as a plugin's, is not known.
package matrix
