// Package clients holds only tests. They build the broker, run it as a process with an endpoint of
// every wire format, and talk to it with third-party WebSocket clients: libraries for Go, libraries
// for Node.js (in the folder node), the one that comes with Java, those for Python and Perl of
// Debian's packages (in the folder debian), all installed by `make clients`, and wscat, with which
// the tests also type the commands of the README.
//
//	broker_test.go    the process of the broker
//	client_test.go    a client, whatever library it is made of
//	libraries_test.go the list of libraries, and those of Go
//	node_test.go      the libraries of Node.js, each client a process
//	debian_test.go    the libraries of Debian's packages, each client a process
//	java_test.go      Java's own client, each a process of one source file
//	formats_test.go   what clients of each format send and receive
//	talk_test.go      every library in every format
//	deflate_test.go   permessage-deflate
//	plugins_test.go   the walk of docs/plugins.md, and the configurations of the plugins
//	readme_test.go    the commands of the README
//	phoenix_test.go   a Phoenix client, through the plugin of examples/plugins/node-phoenix
//	stomp_test.go     STOMP clients, through the plugin of examples/plugins/stomp
package clients
