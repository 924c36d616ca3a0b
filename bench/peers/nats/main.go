// Command nats is a peer of the benchmark: nats-server as it is. It listens for
// WebSockets without TLS and for nothing else, unless flags say so, and sends no
// PING to clients that have just come; all other settings are its defaults.
//
// With -client it listens for clients over TCP too, with -cluster for other
// servers, to which -routes leads it, and with -store it has JetStream.
//
// The first line on standard output is the address that it listens on for
// WebSockets.
package main

import (
	"cmp"
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
	client := flag.String("client", "", "address to listen on for clients over TCP")
	cluster := flag.String("cluster", "", "address to listen on for other servers")
	routes := flag.String("routes", "", "addresses of other servers, nats://host:port, with commas between several")
	store := flag.String("store", "", "folder of JetStream")
	flag.Parse()
	if err := run(*listen, *client, *cluster, *routes, *store); err != nil {
		log.Fatal(err)
	}
}

// run serves until the process is ended.
func run(listen, client, cluster, routes, store string) error {
	o := &server.Options{
		NoSigs:                true,
		DisableShortFirstPing: true,
		Websocket:             server.WebsocketOpts{NoTLS: true},
		Routes:                server.RoutesFromStr(routes),
		JetStream:             store != "",
		StoreDir:              store,
		DontListen:            client == "" && cluster == "", // it would keep routes from listening, too
	}
	var err error
	if o.Websocket.Host, o.Websocket.Port, err = address("listen", listen); err != nil {
		return err
	}
	if o.Host, o.Port, err = address("client", cmp.Or(client, "127.0.0.1:0")); err != nil {
		return err
	}
	if cluster != "" {
		o.Cluster.Name = "bench"
		if o.Cluster.Host, o.Cluster.Port, err = address("cluster", cluster); err != nil {
			return err
		}
	}
	s, err := server.NewServer(o)
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

// address reads the address that a flag has.
func address(name, text string) (host string, port int, err error) {
	host, number, err := net.SplitHostPort(text)
	if err == nil {
		port, err = strconv.Atoi(number)
	}
	if err != nil {
		return "", 0, fmt.Errorf("reading -%s: %w", name, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}
