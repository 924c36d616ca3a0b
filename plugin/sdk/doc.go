// Package sdk makes codec plugins of wire formats written in Go. The author implements
// [core.Format] and [core.Codec], the same interfaces that the built-in formats implement,
// and calls Serve:
//
//	func main() {
//		sdk.Serve(core.Protocol{
//			Name: "csv",
//			New:  func(any, int) (core.Format, error) { return format{}, nil },
//		})
//	}
//
// # Order and goroutines
//
// Everything about connections runs on one goroutine, in the order in which it happened in
// the broker. Decode, Encode, Open and EncodeMessage are called only there. They should be
// fast: all connections wait for them. The methods of a format that serves plain HTTP are
// called on other goroutines.
//
// One thing differs from a built-in format. There, Sink.Do returns when the command has
// been carried out. Here it records the command, and the events that follow are encoded
// later, maybe after the next messages of the connection were decoded.
//
// # Events
//
// The events are those of [core.EventKind]. A format has words for some of them; for all
// others Encode returns [core.NoFrame], which is also right for kinds that are added later.
// An event of a broker that is newer than this package is answered with nothing, and Encode
// is not called.
//
// # The client's side
//
// A format that is a [core.ClientFormat] too lets the broker speak to servers as a client of it. Each
// connection to a server has a codec and a goroutine of its own, so NewClientCodec is called on several; a
// panic ends the connection. A codec that is a [core.ClientOpener] speaks first.
//
// # State
//
// A format whose NewCodec always returns the same value has no per-connection state. If
// its process ends, the broker starts another and goes on as if nothing had happened. The
// format is also asked in advance to encode the usual outcome of a command, which saves a
// round trip. Connections of any other format are closed (1012) when the process ends.
//
// # Faults
//
// A panic ends the connection that it is about (1011) and is logged; the process goes on.
//
// What the process logs with log/slog comes out in the broker's log with its level and
// attributes; other lines on stderr and stdout come out as they are.
package sdk
