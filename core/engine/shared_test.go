package engine

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
	clusterplaces "github.com/polywire/polywire/internal/cluster/places"
)

// sharing are nodes whose endpoints have their sessions in common.
type sharing struct {
	*wire
	records clustertest.Records
	tables  []*clusterplaces.Table
	sites   []*site

	mu     sync.Mutex
	closed []string // the nodes whose hook was told of a closed session
}

// newSharing returns nodes whose sessions may have so many connections. before is that of the records.
func newSharing(t *testing.T, nodes, limit int, before func(context.Context, bool) error) *sharing {
	s := &sharing{wire: newWire(t, nodes), records: clustertest.Records{Before: before}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	tell := func(to core.NodeID, name string) {
		for i, n := range s.nodes {
			if n.id == to {
				s.tables[i].Look(name)
			}
		}
	}
	for _, n := range s.nodes {
		table := clusterplaces.New(clusterplaces.Options{
			ID: n.id, Reached: func(core.NodeID) bool { return true }, Tell: tell,
			Stats: new(core.ClusterStats), Logger: slog.New(slog.DiscardHandler),
		})
		table.Start(n.engine)
		n.engine.hooks.SessionClosed = func(context.Context, string) {
			s.mu.Lock()
			s.closed = append(s.closed, string(n.id))
			s.mu.Unlock()
		}
		s.tables = append(s.tables, table)
		s.sites = append(s.sites, n.site(core.Endpoint{Sessions: table.Sessions(0), MaxSessionConnections: limit}))
	}
	for _, table := range s.tables {
		running.Go(func() { table.Run(ctx, &s.records) })
	}
	return s
}

// hears waits until a connection has heard something.
func (s *sharing) hears(t *testing.T, l *link, want string) {
	t.Helper()
	heard := ""
	coretest.Eventually(t, "the connection hears "+want, func() bool {
		s.pump()
		heard += l.said()
		return strings.Contains(heard, want)
	})
	wants(t, "in all", heard, want)
}

// restores restores a session, again until there is a place.
func (s *sharing) restores(t *testing.T, l *link, key string) {
	t.Helper()
	coretest.Eventually(t, "the session is restored", func() bool {
		said := l.elsewhere(restore(key))
		if said != "session_opened restore_session #r" && said != "failed restore_session #r session_full" {
			t.Fatalf("restoring: %s", said)
		}
		return strings.HasPrefix(said, "session_opened")
	})
}

// wantPlaces waits until the records say how many places there are in all.
func (s *sharing) wantPlaces(t *testing.T, want ...string) {
	t.Helper()
	var have []string
	coretest.Eventually(t, "the records are "+strings.Join(want, " and "), func() bool {
		have = nil
		for _, v := range s.records.Values() {
			_, found, _ := strings.Cut(v, `"places":`)
			found, _, _ = strings.Cut(found, "\n")
			have = append(have, strings.TrimSuffix(found, "}"))
		}
		slices.Sort(have)
		return slices.Equal(have, want)
	})
}

func (s *sharing) wantClosed(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.closed, want) {
		t.Errorf("the hooks of %q were told that a session was closed, want %q", s.closed, want)
	}
}

// A session of all nodes: restored elsewhere, bounded and closed over all of them.
func TestSharedSessions(t *testing.T) {
	s := newSharing(t, 2, 2, nil)
	x, y, z := s.sites[0].connect(0), s.sites[1].connect(0), s.sites[1].connect(0)
	key := x.open()
	wants(t, "unknown", y.elsewhere(restore("no")), "failed restore_session #r session_unknown")
	wants(t, "at another node", y.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "what it has", y.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "one too many", z.elsewhere(restore(key)), "failed restore_session #r session_full")
	s.wantPlaces(t, `{"node0":1,"node1":1}`)
	wants(t, "close, not the last", x.elsewhere(closeSession), "done close_session #c")
	wants(t, "the others are told nothing", y.said(), "")
	wants(t, "there is room", z.elsewhere(restore(key)), "session_opened restore_session #r")
	s.wantPlaces(t, `{"node1":2}`)
	wants(t, "close, not the last here", z.elsewhere(closeSession), "done close_session #c")
	s.wantClosed(t)

	other := x.open()
	wants(t, "restoring replaces", y.elsewhere(restore(other)), "session_opened restore_session #r")
	s.wantPlaces(t, "", `{"node0":1,"node1":1}`)
	wants(t, "left by all, and there", x.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "close, the last", x.elsewhere(closeSession), "done close_session #c")
	s.wantClosed(t, "node0")
	wants(t, "it is deleted", z.elsewhere(restore(key)), "failed restore_session #r session_unknown")
	s.wantPlaces(t, `{"node1":1}`)
	y.gone(false)
	s.wantPlaces(t, "")
	wants(t, "still there", x.elsewhere(restore(other)), "session_opened restore_session #r")
	for _, l := range []*link{x, z} {
		l.gone(false)
	}
	for _, n := range s.nodes {
		wantEmpty(t, n.engine)
	}
}

// What the application of one node ends is taken from the connections of all nodes.
func TestSharedSessionEnds(t *testing.T) {
	s := newSharing(t, 2, 0, nil)
	signing(s.nodes[0].world)
	x, x2 := s.sites[0].connect(0), s.sites[0].connect(0)
	y, z := s.sites[1].connect(0), s.sites[1].connect(0)
	begin := func() (key string) {
		key = x.open()
		for _, l := range []*link{x2, y, z} {
			s.restores(t, l, key)
		}
		return key
	}
	key := begin()
	wants(t, "a handler closes", x.outcome("out"), "done call out@7 #r; session_closed; answer out@7 #r =nil")
	for _, l := range []*link{x2, y, z} {
		s.hears(t, l, "session_closed")
	}
	wants(t, "it is not there", y.elsewhere(restore(key)), "failed restore_session #r session_unknown")

	for i, by := range s.nodes {
		key = begin()
		if err := by.engine.CloseSession(t.Context(), key, s.sites[i].Sessions, s.sites[i].Sessions); err != nil {
			t.Errorf("%s: %v", by.id, err)
		}
		for _, l := range []*link{x, x2, y, z} {
			s.hears(t, l, "session_closed")
		}
		if err := by.engine.CloseSession(t.Context(), key, s.sites[i].Sessions); errCode(err) != string(core.SessionUnknown) {
			t.Errorf("%s: what is closed is closed: %v", by.id, err)
		}
	}
	s.wantClosed(t, "node0", "node0", "node1")
	for _, l := range []*link{x, x2, y, z} {
		l.gone(false)
	}
	for _, n := range s.nodes {
		wantEmpty(t, n.engine)
	}
}

// Who leaves while it restores a session leaves no place behind.
func TestSharedSessionOfWhoLeaves(t *testing.T) {
	for _, ended := range []bool{false, true} {
		asked, let := make(chan struct{}), make(chan struct{})
		var gated bool
		var mu sync.Mutex
		s := newSharing(t, 2, 1, func(_ context.Context, write bool) error {
			mu.Lock()
			now := gated && write
			gated = gated && !write
			mu.Unlock()
			if now {
				close(asked)
				<-let
			}
			return nil
		})
		x, y := s.sites[0].connect(0), s.sites[1].connect(0)
		key := x.open()
		x.gone(false)
		s.wantPlaces(t, "")
		mu.Lock()
		gated = true
		mu.Unlock()
		y.message(restore(key))
		<-asked
		y.gone(ended)
		close(let)
		// The place was taken, by now.
		if err := s.tables[1].Written(t.Context()); err != nil {
			t.Error(err)
		}
		s.wantPlaces(t, "")
		s.restores(t, s.sites[0].connect(0), key)
	}
}
