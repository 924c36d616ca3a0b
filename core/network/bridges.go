package network

// Bridges are the bridges that lead to and from this broker. Any goroutine; nothing blocks.
type Bridges interface {
	// Join judges the upgrade of a bridge that shows mark in the field [core.BridgeHeader], and returns
	// what the response shows there. The error says why messages would come back by this bridge, and
	// what to do; it has nothing in it that the client has sent.
	Join(conn uint64, mark string) (answer string, err error)
	// Leave undoes Join.
	Leave(conn uint64)
}

// leaveBridge undoes Bridges.Join; a number of 0 has not joined.
func (s *Server) leaveBridge(conn uint64) {
	if conn != 0 {
		s.options.Bridges.Leave(conn)
	}
}
