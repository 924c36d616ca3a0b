package admin

import "fmt"

// Bridge is a bridge to an old server.
type Bridge struct {
	// Name is that of its counters.
	Name string
	// Health returns why the old server cannot be reached; nil if it can.
	Health func() error
	// Standby returns the node of the cluster that runs the bridge instead of this one; empty if none does.
	Standby func() string
}

// readiness returns the answer to /readyz. A node that has not been part of the cluster yet is not
// ready. One that has lost the others is: its clients talk with each other, and if all nodes have
// lost the engine, none would be ready. Nor does a broker serve its clients less because an old server is
// away.
func (s *Source) readiness() (text string, ready bool) {
	if !s.Ready() {
		return "not ready", false
	}
	text = "ok"
	if s.Cluster != nil {
		err := s.Cluster.Health()
		if err != nil && s.Cluster.Stats.Connects.Load() == 0 {
			return fmt.Sprintf("not ready: joining the cluster: %v", err), false
		}
		if err != nil {
			text += fmt.Sprintf(", but for the cluster: %v", err)
		}
	}
	for _, b := range s.Bridges() {
		if node := b.Standby(); node != "" {
			text += fmt.Sprintf(", standing by for the bridge %s, which node %s runs", b.Name, node)
		} else if err := b.Health(); err != nil {
			text += fmt.Sprintf(", but for the bridge %s: %v", b.Name, err)
		}
	}
	return text, true
}
