// Package wubsub is the codec of the wubsub wire format: publish/subscribe on
// channels with an owner, and requests that the owner answers, as JSON objects
// in text messages (docs/formats/wubsub.md).
//
//	client                                      broker
//	register channel, data.restpie.methods ──>  Offer, exclusive          quiet
//	ps-sub   channel, topic ─────────────────>  Subscribe                 quiet
//	ps-pub   channel, topic, data ───────────>  Publish, as owner         quiet, or error
//	                               <── ps-recv  Message
//	pie-do   channel, topic, data ───────────>  Call
//	                               <── pie-ack  Done: data=true, reqid
//	                                            Failed before it was taken: data=false
//	                              <── pie-recv  Answer
//	                                 <── error  Failed after it was taken
//	                               <── pie-req  Request
//	pie-resp channel, topic, reqid, data ────>  Reply                     quiet
//
// There is no greeting, no unsubscribe and no goodbye. A message that cannot be read gets no
// answer: it is counted and ignored.
//
// Channel c and topic t are the broker's topic "c/t", or "c" if t is empty. A
// command's As is the length of the channel, which is all it takes to give a
// client its own channel and topic back.
package wubsub
