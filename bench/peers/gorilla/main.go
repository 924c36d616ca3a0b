// Command gorilla is a peer of the benchmark: one broadcast topic on
// gorilla/websocket, in the shape of that library's chat example. A hub
// goroutine owns the set of subscribers; every connection has a reading
// goroutine and a writing goroutine with a bounded channel between hub and
// writer.
//
// It differs from the example in two points, both in its favour or neutral: a
// message is framed once for all ([websocket.PreparedMessage]), and each message
// stays a WebSocket message of its own (the example glues waiting messages
// together with line feeds, which changes what a client receives).
//
// A client of /sub receives what any client of /pub sends. The first line on
// standard output is the address that it listens on.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// sendQueue is how many messages wait for one writer, as in the chat example.
const sendQueue = 256

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	cert := flag.String("cert", "", "certificate; with it the server speaks TLS")
	key := flag.String("key", "", "key of the certificate")
	flag.Parse()
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ln.Addr())
	h := newHub()
	go h.run()
	http.HandleFunc("/sub", h.subscribe)
	http.HandleFunc("/pub", h.publish)
	if *cert != "" {
		log.Fatal(http.ServeTLS(ln, nil, *cert, *key))
	}
	log.Fatal(http.Serve(ln, nil))
}

// hub hands each published message to every subscriber.
type hub struct {
	upgrader   websocket.Upgrader
	register   chan *subscriber
	unregister chan *subscriber
	broadcast  chan []byte
	// Owned by run.
	subscribers map[*subscriber]struct{}
}

// subscriber is one connection that receives. Its channel is closed by the hub alone.
type subscriber struct {
	conn *websocket.Conn
	send chan *websocket.PreparedMessage
}

func newHub() *hub {
	return &hub{
		upgrader:    websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024},
		register:    make(chan *subscriber),
		unregister:  make(chan *subscriber),
		broadcast:   make(chan []byte, sendQueue),
		subscribers: make(map[*subscriber]struct{}),
	}
}

func (h *hub) run() {
	for {
		select {
		case s := <-h.register:
			h.subscribers[s] = struct{}{}
		case s := <-h.unregister:
			h.remove(s)
		case message := <-h.broadcast:
			prepared, err := websocket.NewPreparedMessage(websocket.TextMessage, message)
			if err != nil {
				log.Print("preparing message: ", err)
				continue
			}
			for s := range h.subscribers {
				select {
				case s.send <- prepared:
				default:
					h.remove(s)
				}
			}
		}
	}
}

// remove ends a subscriber; a second call does nothing.
func (h *hub) remove(s *subscriber) {
	if _, ok := h.subscribers[s]; ok {
		delete(h.subscribers, s)
		close(s.send)
	}
}

func (h *hub) subscribe(w http.ResponseWriter, r *http.Request) {
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	s := &subscriber{conn: conn, send: make(chan *websocket.PreparedMessage, sendQueue)}
	h.register <- s
	go s.write()
	go func() {
		defer func() { h.unregister <- s }()
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}()
}

func (s *subscriber) write() {
	defer s.conn.Close()
	for message := range s.send {
		if err := s.conn.WritePreparedMessage(message); err != nil {
			return
		}
	}
}

func (h *hub) publish(w http.ResponseWriter, r *http.Request) {
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		h.broadcast <- message
	}
}
