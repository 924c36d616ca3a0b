package network

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// acceptTrouble is how long a failed accept counts: a door that cannot accept tries again each second.
const acceptTrouble = 3 * time.Second

// Listening is whether an endpoint can be reached by new clients.
type Listening struct {
	Endpoint string
	// Err is why it cannot; nil if it can.
	Err error
}

// Listeners returns whether the endpoints can be reached, by name. It looks at the file system for Unix sockets.
func (s *Server) Listeners() []Listening {
	s.mu.Lock()
	doors := make(map[string]*door, len(s.eps))
	for name, ep := range s.eps {
		doors[name] = ep.door
	}
	s.mu.Unlock()
	var list []Listening
	for _, name := range slices.Sorted(maps.Keys(doors)) {
		list = append(list, Listening{name, doors[name].trouble()})
	}
	return list
}

var errNoListener = errors.New("it does not listen")

// trouble returns why no client can come in. Any goroutine.
func (d *door) trouble() error {
	select {
	case <-d.stopped:
		return errNoListener
	default:
	}
	if at := d.failed.Load(); at != 0 && time.Since(d.server.started)-time.Duration(at) < acceptTrouble {
		return errors.New("accepting fails; the log says why")
	}
	addr, ok := d.listener.Addr().(*net.UnixAddr)
	if !ok || addr.Name == "" || strings.HasPrefix(addr.Name, "@") {
		return nil
	}
	info, err := os.Stat(addr.Name)
	switch {
	case err != nil:
		return fmt.Errorf("its socket is gone: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return errors.New("in the place of its socket is another file")
	}
	return nil
}

// Still returns for each event loop how long ago it began its last turn, which it does several times a second unless
// something blocks it. It is nil before Start.
func (s *Server) Still() []time.Duration {
	loops := s.loops.Load()
	if loops == nil {
		return nil
	}
	now := time.Since(s.started)
	list := make([]time.Duration, len(*loops))
	for i, l := range *loops {
		list[i] = now - time.Duration(l.turned.Load())
	}
	return list
}
