package core

import "context"

// Handler answers calls inside the process. It runs off the event loops, may block, and
// owns what is in c. ctx ends when nobody waits for the answer any more. A returned
// [Failure] reaches the caller as it is; any other error reaches it as Internal, without
// details.
type Handler func(ctx context.Context, c Invocation) (Payload, error)

// Interceptor wraps a handler in another: it runs code before and after it calls next. It
// need not call next, and may call it with another Invocation.
type Interceptor func(next Handler) Handler

// Invocation is one call as a handler sees it: the question and its caller.
type Invocation struct {
	// Service is the service as the client knows it: without the topic prefix of
	// its endpoint.
	Service string
	// Payload is the question.
	Payload Payload
	// OneWay: the caller wants no answer; an error is only counted.
	OneWay bool

	// Endpoint and Protocol are the labels of the caller's endpoint.
	Endpoint, Protocol string
	// Identity is who the caller is; nil if it was not authenticated.
	Identity *Identity
	// Connection is the number of the caller's connection.
	Connection uint64
	// Trace is the trace context that the caller sent with the call, else the one it
	// connected with; zero if there is none.
	Trace Trace
	// Recorded: Trace is the context of a span that the broker records for this handler, within the caller's.
	Recorded bool
	// Session is the key of the session that the caller had when it called, empty
	// if it had none.
	Session string
	// Caller is the connection itself.
	Caller Caller
}

// Caller lets a handler act on the connection that calls. When a method returns, its
// effect is complete and the client has been told, and so before the answer. The
// methods are called from within the handler, or from goroutines that it waits for;
// after the call has ended they fail with Gone. They may block.
type Caller interface {
	// Client returns the connection as hooks see it. It never fails, and the result
	// may be kept.
	Client() Client
	// OpenSession makes a session for the connection; info is its information, JSON
	// or nil, and is copied. It fails with SessionsOff, with SessionExists if the
	// connection has a session already, with Gone if it has left, or with the error
	// of the session store; then no session is made.
	OpenSession(info []byte) (Session, error)
	// CloseSession ends the session of the connection: all connections of the
	// session are told, and nobody can restore it. Without a session it does
	// nothing. It fails with SessionsOff, with Gone, or with the error of the
	// session store.
	CloseSession() error
}
