package core

// Dissector is implemented by a [Format] that knows more about its messages than that they are JSON
// or text: it tells who records conversations where to look for what differs from one run to the next.
type Dissector interface {
	// Dissect takes a whole message apart. Any goroutine; nothing is kept of f.
	Dissect(fromServer bool, f Frame) Dissection
}

// Dissection says what a message consists of. The zero value is a message that is content as a whole.
type Dissection struct {
	// Start is where the content begins: what applications have written, up to the message's end. What
	// stands before it is the format's own and the same each time.
	Start int
	// Wide says that the content is UTF-16, little-endian; it is UTF-8 text, or bytes, otherwise.
	Wide bool
	// Key says that the content is a key that opens something.
	Key bool
	// Made and Keys name members of a content that is a JSON object: Made those with an id that the
	// server has made up, Keys those with a key that opens something.
	Made, Keys []string
	// Idle says that the message only keeps the connection open, and is not answered.
	Idle bool
}
