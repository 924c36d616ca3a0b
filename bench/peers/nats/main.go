// Command nats is a peer of the benchmark: nats-server as it is, for calls
// between WebSocket clients. It listens for WebSockets without TLS and for
// nothing else, and sends no PING to clients that have just come; all other
// settings are its defaults.
//
// The first line on standard output is the address that it listens on.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTimeout is how long the server may take until it listens.
const startTimeout = 5 * time.Second

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	if err := run(*listen); err != nil {
		log.Fatal(err)
	}
}

// run serves until the process is ended.
func run(listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("reading -listen: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("reading -listen: %w", err)
	}
	if number == 0 {
		number = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{
		DontListen:            true,
		NoSigs:                true,
		DisableShortFirstPing: true,
		Websocket:             server.WebsocketOpts{Host: host, Port: number, NoTLS: true},
	})
	if err != nil {
		return fmt.Errorf("making the server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		return errors.New("the server does not listen in time")
	}
	u, err := url.Parse(s.WebsocketURL())
	if err != nil {
		return fmt.Errorf("reading the server's address: %w", err)
	}
	fmt.Println(u.Host)
	s.WaitForShutdown()
	return nil
}
