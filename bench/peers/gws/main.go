// Command gws is a peer of the benchmark: one broadcast topic on lxzan/gws,
// with that library's own [gws.Broadcaster], which frames a message once and
// writes it from a short-lived goroutine for each connection that is not
// writing already.
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
	"sync"

	"github.com/lxzan/gws"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ln.Addr())
	h := &hub{subscribers: make(map[*gws.Conn]struct{})}
	sub := gws.NewUpgrader(&receiver{hub: h}, nil)
	pub := gws.NewUpgrader(&sender{hub: h}, nil)
	http.HandleFunc("/sub", serve(sub))
	http.HandleFunc("/pub", serve(pub))
	log.Fatal(http.Serve(ln, nil))
}

// serve upgrades and leaves reading to a new goroutine, so that the memory that net/http keeps for
// the request can be freed (as the library's README does).
func serve(u *gws.Upgrader) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := u.Upgrade(w, r)
		if err != nil {
			return
		}
		go conn.ReadLoop()
	}
}

// hub is the set of subscribers.
type hub struct {
	mu sync.RWMutex
	// Guarded by mu.
	subscribers map[*gws.Conn]struct{}
}

func (h *hub) broadcast(message []byte) {
	b := gws.NewBroadcaster(gws.OpcodeText, message)
	defer b.Close()
	h.mu.RLock()
	defer h.mu.RUnlock()
	for conn := range h.subscribers {
		if err := b.Broadcast(conn); err != nil {
			log.Print("broadcasting: ", err)
		}
	}
}

// receiver handles the connections of /sub.
type receiver struct {
	gws.BuiltinEventHandler
	hub *hub
}

func (r *receiver) OnOpen(conn *gws.Conn) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	r.hub.subscribers[conn] = struct{}{}
}

func (r *receiver) OnClose(conn *gws.Conn, _ error) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	delete(r.hub.subscribers, conn)
}

// sender handles the connections of /pub.
type sender struct {
	gws.BuiltinEventHandler
	hub *hub
}

func (s *sender) OnMessage(_ *gws.Conn, message *gws.Message) {
	defer message.Close()
	s.hub.broadcast(message.Bytes())
}
