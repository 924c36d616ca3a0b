package core

// Guest is a client of another server, whose connection an event loop serves beside those of its own
// clients. The methods are called on that loop, and must not block. A panic in one of them ends the connection.
type Guest interface {
	// Seated gives the guest its seat. It is the first call.
	Seated(Seat)
	// Received hands over what was read, in order. The bytes are borrowed.
	Received([]byte)
	// Turn was asked for. It comes at the end of a turn of the loop, before the loop writes to its clients.
	Turn()
	// Unseated reports that the connection has ended, and why; nil if the guest has closed it. It is the
	// last call.
	Unseated(err error)
}

// Seat is the place of a guest on an event loop.
type Seat interface {
	// Ask asks for a call of Guest.Turn: for one call, however often it is asked before. Nothing happens
	// after Unseated. Any goroutine; it does not block.
	Ask()
	// Write writes what the connection takes of b at once; n is less than len(b) if it is full. On the loop.
	Write(b []byte) (n int, err error)
	// Pause ends reading until Resume, so that TCP slows the other side down. On the loop.
	Pause()
	// Resume ends Pause. On the loop.
	Resume()
	// Close ends the connection. On the loop.
	Close()
}
