package core

// Tracer records what the broker does as spans of traces. Its methods, and those of its spans, do not block.
// Any goroutine.
type Tracer interface {
	// Begin begins the span of an operation. It returns nil if that is not recorded: because the trace
	// that it belongs to is not, or, if it belongs to none, by chance. op is borrowed.
	Begin(op Operation) Span
}

// Span is one operation within a trace. Its methods are called by one goroutine at a time.
type Span interface {
	// Trace returns the context of what happens within the span.
	Trace() Trace
	// End ends the span with a failure; the zero Failure is none. It is called once.
	End(f Failure)
}

// Act is what an operation does.
type Act uint8

// The acts.
const (
	// Publishing takes a message of a client, the program or an operator, and gives it to all who hear it.
	Publishing Act = iota
	// Delivering encodes a message for one endpoint and queues it for its receivers.
	Delivering
	// Calling takes a call and ends with its outcome.
	Calling
	// Answering is the part of a call in which a Go handler or an HTTP server answers.
	Answering
)

// Operation is what a span is about.
type Operation struct {
	Act Act
	// Parent is the context that the operation is within; zero if it begins a trace.
	Parent Trace
	// Endpoint is that of the client: who publishes or calls, or who receives. It is nil for Answering.
	Endpoint *Endpoint
	// Connection is the number of the client that publishes or calls; 0 if it is no connection.
	Connection uint64
	// Topic is what is published or called, without the topic prefix.
	Topic []byte
	// Size is that of the payload in bytes.
	Size int
}
