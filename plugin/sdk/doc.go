// Package sdk makes a codec plugin of a wire format that is written in Go. The author
// implements [core.Format] and [core.Codec], which are the very interfaces of the
// formats that are built in, and calls Serve:
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
// Everything about connections happens on one goroutine, in the order in which it
// happened in the broker. Decode, Encode, Open and EncodeMessage are called there alone.
// They should be quick: all connections wait for them. The methods of a format that
// serves plain HTTP are called on other goroutines.
//
// One thing is different from a format that is built in. There, Sink.Do returns when the
// command has been carried out; here it notes the command down, and the events behind
// it are encoded later, maybe after the next messages of the connection were decoded.
//
// # State
//
// A format whose NewCodec always returns the same value has no state of its connections.
// If its process ends, the broker starts another and goes on as if nothing had happened;
// and it is asked in advance how the usual outcome of a command reads, which saves the
// way there and back. Connections of any other format are closed (1012) when the
// process ends.
//
// # Faults
//
// A panic ends the connection that it is about (1011) and is logged; the process goes on.
//
// What the process logs with log/slog comes out in the broker's log with its level and
// attributes; other lines on stderr and stdout come out as they are.
package sdk
