// Package upstream answers calls by asking HTTP servers, as the configuration's
// services say.
//
// A call is a POST of its payload; the request's header says who calls:
//
//	Content-Type          application/json, text/plain; charset=utf-8 or application/octet-stream
//	Polywire-Service      the service
//	Polywire-Endpoint     the caller's endpoint
//	Polywire-Protocol     the caller's wire format
//	Polywire-Connection   the number of the caller's connection
//	Polywire-Session      the key of the caller's session, if it has one
//	Idempotency-Key       new for each call; the same when a call is asked once more, because
//	                      it met a connection that the server had just closed
//	traceparent           W3C Trace Context: a span of its own within the caller's trace,
//	tracestate            if it sent one with the call or its upgrade, else a new trace
//
// What the answer means:
//
//	2xx                              the body is the answer; 204 is an empty one
//	other, Polywire-Error-Code: C    the answerer's own failure C; the body is its text
//	other                            an internal failure; the client is told no details,
//	                                 the log the cause and the trace
//
// The Content-Type of the body says its kind: JSON, text (also charset=utf-16, utf-16le and
// utf-16be, for formats that speak it), or else bytes.
//
// A server that gives no answer five times in a row, or answers with 500 and above, is left
// alone for five seconds. No other answer counts against it, for it may be about what a
// single client asked.
//
// A 2xx with Polywire-Session-Open: JSON opens a session with that information, and
// one with Polywire-Session-Close: 1 closes the caller's session, before the answer.
package upstream
