// Command stomp is a plugin that lets clients of STOMP 1.2 and 1.1 over WebSocket
// (https://stomp.github.io/stomp-specification-1.2.html) talk to those of all other
// formats.
//
//	client                                       broker
//	CONNECT or STOMP ─────────────────────────>  CONNECTED
//	SEND       /topic/NAME ───────────────────>  Publish
//	SEND       /queue/NAME, reply-to ─────────>  Call, one-way without reply-to
//	SEND       /reply-queue/ID ───────────────>  Reply
//	SUBSCRIBE  /topic/NAME, /pattern/PATTERN ─>  Subscribe
//	SUBSCRIBE  /queue/NAME ───────────────────>  Offer: the consumer answers calls
//	UNSUBSCRIBE ──────────────────────────────>  Unsubscribe, Withdraw
//	BEGIN, COMMIT, ABORT ─────────────────────>  what is sent in between, at once
//	ACK, NACK ────────────────────────────────>  taken, without effect
//	DISCONNECT ───────────────────────────────>  Leave
//	               <── MESSAGE  Message, Request, Answer, a call's failure
//	               <── RECEIPT  Done, if the frame asked for it
//	               <── ERROR    Failed; the end of the connection
//
// See README.md for how to run it and what it leaves out.
package main

import "github.com/polywire/polywire/plugin/sdk"

func main() { sdk.Serve(protocol()) }
