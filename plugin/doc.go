// Package plugin runs codecs in processes of their own. It is the host's side of the
// contract in codec.proto: it starts a program with hashicorp/go-plugin, asks it what it
// is (Inquiry), hands it the frames and events of an endpoint's connections and their
// answers to the network (Format, which is a core.RemoteFormat), and starts it again
// when it ends.
//
//	loop ──Decode──┐                                            ┌──> loop: Command, Decoded
//	loop ──Encode──┼─> shard: queue ─> Questions ─> process ─┐  ├──> loop: Encoded
//	any  ─Message──┘                                Answers <─┘──┴──> mailboxes of the audience
//
// # Order
//
// What must not overtake what is decided by one sentence: everything about the
// connections of a shard goes through one queue, one stream and one reader, and each of
// these keeps the order. In detail:
//
//   - Frames of one connection are asked in the order in which they were read; their
//     commands come back in that order and are carried out on the connection's loop.
//   - Events for one connection are asked in the order in which the engine told them
//     (Tell, Send and Deliver all ask right away, on whatever goroutine they are called),
//     and come back in that order. With separate calls, or a stream for each
//     connection beside one for messages, an answer could overtake the message before it.
//   - A message for many is one question. When its frame comes back it goes into the
//     mailboxes of the loops that have members; events behind it go into the same
//     mailboxes behind it. Who subscribes while the message is away does not get it, as
//     if it had been in the mailbox all the time.
//   - A pong, the answer to a close frame, and a goodbye come behind all that was read
//     before: the network waits until the questions about it are answered, and then
//     once more for the events that came of it (core/network/remote.go).
//
// One thing the codec of a plugin sees otherwise than a built-in one: messages are on
// their way while those before them are, so it may decode the next before it is
// asked to encode what came of the last.
//
// What the client reads for the usual outcome of a command (an acknowledgement, a pong,
// mostly nothing) the plugin may say with the command itself, and that is what the client
// is told (outcome.go) if no other event of the connection is away, which it could
// overtake. So most messages need one way there and back, and not two.
//
// # Batches
//
// A batch is sent when there is something to ask and fewer than four are unanswered;
// what is asked in the meantime is the next batch. So a lone question waits for nobody,
// and under load batches are as big as the load makes them. There is no timer.
//
// # Bounds
//
// A connection with 64 messages or 128 KiB of them unanswered is held, or with one if the
// shard is congested (4,096 questions or 8 MiB). A connection with 4 MiB of unanswered
// events is closed (1013), and so is one whose event finds 64 MiB or 65,536 questions in
// the shard; messages are dropped then and counted. Nobody ever waits for a plugin on an
// event loop, and publishers of other endpoints do not wait for it at all.
//
// # Ends
//
// A process that ends, gives no answer for AnswerTimeout, or answers nonsense is killed
// with all that it started, and the next one is started, at once or, if it lived for
// less than 5 s, after a pause that grows. recover.go says what becomes of what it has
// not answered. After Grace without a process the connections are closed (1012), and new
// ones as well, until a process lives again.
//
// # Goroutines
//
// A shard has a supervisor, which is locked to its thread, as Linux ends a process with
// the thread that started it; and while a process lives a writer and a reader. All else
// happens on the goroutines of the network.
package plugin
