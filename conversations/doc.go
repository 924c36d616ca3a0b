// Package conversations plays end-to-end tests that a person reads as documentation: scripts of
// what WebSocket clients send and receive.
//
//	# A channel's owner publishes; a wsify client hears it.
//	connect owner wubsub
//	connect fan   wsify
//	owner > {"type":"register","channel":"news","data":{"pubsub":{"topics":["today"]}}}
//	fan   > {"command":"join","args":{"channel":"news/today"}}
//	owner > {"type":"ps-pub","channel":"news","topic":"today","data":{"n":9007199254740993}}
//	fan   < {"n":9007199254740993}
//
// [Parse] parses a script, and a [Player] plays it over real sockets against any server. The
// package knows no broker and no wire format.
//
// # Lines
//
// A statement begins in the first column; lines indented under it belong to it. Lines that begin
// with # are comments. A script may begin with the YAML of its broker configuration, between two
// lines of ---. Settings of the whole script come before the first statement that acts:
//
//	timeout 2s       how long an expectation waits; 5s if not said
//	nosync           the server answers no pings: see "Order" below
//	webhook NAME     starts an HTTP server; its URL is ${webhook.NAME}
//
// # Connections
//
//	connect NAME ENDPOINT [on NODE] [path=/x?y=1] [header "Name: value"]... [protocol=a,b] [nopong] [=> 403]
//	dial NAME ENDPOINT
//
// connect upgrades a connection to WebSocket and expects 101, or the status that it names;
// expectations of the answer are indented under it (see "HTTP"). A path that begins with ? is a
// query for the endpoint's own path; one with spaces is quoted. With nopong the player does not
// answer the server's pings. on names the node of a cluster; without it the nodes take turns, if the
// script is played with several. dial only opens the TCP connection.
//
//	NAME > TEXT                 a text message
//	NAME >t BYTES               a text message of any bytes
//	NAME >b BYTES               a binary message
//	NAME >fragments N TEXT      a text message in N frames
//	NAME >ping TEXT             also >pong
//	NAME >close [CODE [REASON]] a close frame
//	NAME >raw BYTES             bytes without a frame around them
//	NAME cut                    ends the TCP connection; "abort" resets it
//
// BYTES are hexadecimal digits, "quoted strings" with Go's escapes, and `plain ones`.
//
//	NAME < PATTERN              a text message
//	NAME <= TEXT                a text message of exactly these bytes
//	NAME <b BYTES               a binary message; * is any run of bytes, $name captures one
//	NAME <ping [PATTERN]        also <pong
//	NAME <close [CODE [REASON]] a close frame with just that; <close * with anything
//	NAME <eof                   the end of the TCP connection; <reset, or <end for either
//	NAME <status CODE           an HTTP answer on a connection that was dialled
//	NAME silence [200ms]        nothing arrives; without a time: nothing before a sync is answered
//	NAME stall                  stops reading, also for syncs; "resume" ends it
//
// A connection's messages are expected in the order in which they come, and all of them: when the
// script ends, an unexpected message is a failure, and so is an unexpected end of the connection.
// Pings of the server are answered and need not be mentioned.
//
// # Patterns and variables
//
// A PATTERN that can be parsed as JSON is compared as JSON: the order of keys and white space do
// not matter, numbers are compared digit by digit. Where a value may stand, * is any value and
// $name captures one; the next $name must be the same. "..." as a member of an object allows other
// members. Any other pattern is compared as text, where * is any text, $name captures some, and \*
// is a star.
//
// Everywhere, ${name} is a captured value as it was written, ${text name} the characters of a
// captured JSON string, ${upper name} and ${undashed name} these in upper case or without dashes,
// ${json name}, ${query name} and ${utf16 name} these as a JSON string, as a part of a URL, or as hexadecimal UTF-16,
// ${repeat N TEXT} a long text, ${i} the count within a repeated statement, and $${ a plain ${. A }
// in an expression is \}.
//
//	repeat 300 owner > {"n":${i}}
//	repeat 10
//	  owner > {"n":${i}}
//	  fan < {"n":${i}}
//
// # Order
//
// Many messages have no answer. Before the player turns to another connection it syncs the one that
// sent last: it sends a ping and awaits its pong; as a server processes the frames of a connection
// in order, everything sent before has been carried out. A connection that wrote raw bytes, closed,
// or said "NAME nosync", is left alone until "sync NAME". "pause 200ms" waits, in recordings, where
// nothing says that the server has noticed something.
//
// # HTTP
//
//	http POST wsify /broadcast?key=x
//	  header Content-Type: application/json
//	  body {"channel":"a","content":1}
//	  => 201
//	  header Access-Control-Allow-Origin: *
//	  no header Vary
//	  no body
//
// Lines after => are expected: "header Name: PATTERN", "no header Name", "body PATTERN" and "no
// body". A header's pattern is compared as text.
//
//	metric NAME{label="value"} >= N
//
// polls the metrics page of the endpoint "admin" until the sum of the series is at least N, or with
// == is N.
//
// # The end
//
//	broker stop
//
// starts to shut down the broker: from here on it refuses calls and new clients, waits for running
// calls, and then says goodbye to every connection.
//
// # Webhooks
//
//	auth answers join 403 [after 100ms]
//	auth answers join drop
//	auth answers join hold
//	auth release
//	auth got {"command":"join",...}
//	auth silence 100ms
//
// A webhook answers a request by the "command" of its JSON body, or by the word "other" if there is
// none: with 200 unless the script says otherwise. drop ends the connection without an answer, hold
// waits for release. Header lines of an answer are indented under it; under got, those that are
// expected.
package conversations
