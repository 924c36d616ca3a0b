// Package plugin runs codecs in separate processes. It is the host's side of the contract
// in codec.proto. It starts a program with hashicorp/go-plugin, asks it to describe itself
// (Inquiry), sends it the frames and events of an endpoint's connections, passes its
// answers to the network (Format, which is a core.RemoteFormat), and restarts it when it
// ends.
//
//	loop ──Decode──┐                                            ┌──> loop: Command, Decoded
//	loop ──Encode──┼─> shard: queue ─> Questions ─> process ─┐  ├──> loop: Encoded
//	any  ─Message──┘                                Answers <─┘──┴──> mailboxes of the audience
//
// # Order
//
// The order follows from one rule: everything about the connections of a shard goes
// through one queue, one stream and one reader, and each of these keeps the order. In
// detail:
//
//   - Frames of one connection are sent in the order in which they were read. Their
//     commands come back in that order and are carried out on the connection's loop.
//   - Events for one connection are sent in the order in which the engine emitted them
//     (Tell, Send and Deliver all ask at once, on whatever goroutine they are called),
//     and come back in that order. With separate calls, or with a stream for each
//     connection beside one for messages, an answer could overtake the message before it.
//   - A message for many is one question. When its frame comes back, it goes into the
//     mailboxes of the loops that have members; later events go into the same mailboxes
//     behind it. A client that subscribes while the message is in flight does not get it,
//     as if it had been in the mailbox all along.
//   - A pong, the answer to a close frame, and a goodbye follow everything that was read
//     before: the network waits until the questions about it are answered, and then again
//     for the events that resulted (core/network/remote.go).
//
// A plugin's codec differs from a built-in one in one way: messages are pipelined, so it
// may decode the next message before it is asked to encode the outcome of the last.
//
// With a command, the plugin may also say what the client reads for the usual outcome (an
// acknowledgement, a pong, mostly nothing). That is what the client is told (outcome.go) if
// no other event of the connection is in flight, which it could overtake. So most messages
// need one round trip, not two.
//
// # Batches
//
// A batch is sent when there is something to ask and fewer than four batches are
// unanswered; new questions meanwhile form the next batch. So a lone question never waits,
// and under load batches grow with the load. There is no timer.
//
// # Bounds
//
// A connection is held when 64 of its messages, or 128 KiB of them, are unanswered, and at
// one message if the shard is congested (4,096 questions or 8 MiB). A connection is closed
// (1013) when 4 MiB of its events are unanswered, or when an event finds 64 MiB or 65,536
// questions in the shard; messages are dropped then and counted. No event loop ever waits
// for a plugin, and publishers of other endpoints do not wait for it at all.
//
// # The client's side
//
// A [ClientFormat] speaks the format as a client, too: to old servers for bridges, and for commands. Each of
// its codecs (speak.go) has a stream of its own and waits for each answer, up to AnswerTimeout. It is a
// [core.RemoteClientCodec]: the end of its process, or an answer that breaks the contract, is its end and that
// of its connection; the client makes another one, in the next process.
//
// # Ends
//
// A process that ends, gives no answer for AnswerTimeout, or answers nonsense is killed
// together with all that it started. The next process starts at once or, if the last one
// lived for less than 5 s, after a pause that grows. recover.go handles the unanswered
// questions. After Grace without a process, the connections are closed (1012), and so are
// new ones, until a process runs again.
//
// # Goroutines
//
// A shard has a supervisor, locked to its own thread because Linux ends a process with the
// thread that started it. While a process runs, there are also a writer and a reader. All
// else happens on the goroutines of the network.
package plugin
