package places_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/clustertest"
	"github.com/polywire/polywire/internal/cluster/places"
)

// member is a node of the model's cluster.
type member struct {
	id       core.NodeID
	table    *places.Table
	sessions *places.Sessions
	users    *places.Users
	leave    context.CancelFunc
	ended    []string // the sessions of which it was told that they were ended elsewhere
}

func (m *member) SessionEnded(key string) { m.ended = append(m.ended, key) }

// told is a core.Cluster of which only SessionEnded is called.
type told struct {
	core.Cluster
	*member
}

func (t told) SessionEnded(key string) { t.member.SessionEnded(key) }

// thing is a session, or a user, as it should be.
type thing struct {
	key    string
	user   bool
	exists bool // of a session
	held   map[*member]int
}

func (x *thing) total() (n int) {
	for _, held := range x.held {
		n += held
	}
	return n
}

func (x *thing) String() string {
	var all []string
	for m, n := range x.held {
		all = append(all, fmt.Sprintf("%s: %d", m.id, n))
	}
	slices.Sort(all)
	return fmt.Sprintf("%s (there: %v; %s)", x.key, x.exists, strings.Join(all, ", "))
}

// model drives some nodes, whose places are compared with what they should be.
type model struct {
	t       *testing.T
	random  *rand.Rand
	records clustertest.Records
	members []*member
	things  []*thing
	made    int // members and things so far
	// returned says that places were given back that other nodes may not have heard of yet.
	returned bool
}

func (m *model) join() *member {
	m.made++
	one := &member{id: core.NodeID(fmt.Sprintf("n-%d", m.made))}
	one.table = places.New(places.Options{
		ID: one.id, Reached: func(id core.NodeID) bool { return m.member(id) != nil },
		Tell: func(to core.NodeID, name string) {
			if other := m.member(to); other != nil {
				other.table.Look(name)
			}
		},
		Stats: new(core.ClusterStats), Logger: slog.New(slog.NewTextHandler(m.t.Output(), nil)),
	})
	one.table.Start(told{member: one})
	one.sessions, one.users = one.table.Sessions(0), one.table.Users()
	var ctx context.Context
	ctx, one.leave = context.WithCancel(m.t.Context())
	go one.table.Run(ctx, &m.records)
	return one
}

func (m *model) member(id core.NodeID) *member {
	for _, one := range m.members {
		if one.id == id {
			return one
		}
	}
	return nil
}

func (m *model) make(user bool) *thing {
	m.made++
	return &thing{key: fmt.Sprintf("x%d", m.made), user: user, held: make(map[*member]int)}
}

// settle waits until everything is written that is to be.
func (m *model) settle() {
	time.Sleep(time.Second)
	synctest.Wait()
	m.returned = false
}

func (m *model) step() string {
	at := m.random.IntN(len(m.things))
	x, by := m.things[at], m.members[m.random.IntN(len(m.members))]
	limit := max(1, x.total()+m.random.IntN(3)-1)
	ctx := m.t.Context()
	switch op := m.random.IntN(12); {
	case op == 0:
		m.settle()
		return "settled"
	case op == 1 && len(m.members) > 1:
		m.die(by)
		return fmt.Sprintf("%s dies", by.id)
	case op < 5:
		return m.takes(ctx, by, x, limit)
	case op < 8:
		if x.user {
			by.users.Leave(x.key)
		} else {
			by.sessions.Leave(x.key)
		}
		if x.held[by] > 0 {
			x.held[by]--
			m.returned = true
		}
		return fmt.Sprintf("%s leaves %v", by.id, x)
	case x.user:
		by.users.Take(x.key)
		x.held[by]++
		m.settle() // it is counted a little later
		return fmt.Sprintf("%s takes %v", by.id, x)
	case op < 11:
		return m.closes(ctx, by, x)
	}
	return m.ends(ctx, by, at)
}

// takes takes a place, of a session that is created if it is not there.
func (m *model) takes(ctx context.Context, by *member, x *thing, limit int) string {
	var err error
	var want error
	what := "joins"
	switch {
	case x.user:
		if err = by.users.Join(ctx, x.key, limit); x.total() >= limit {
			want = core.ErrNoPlace
		}
	case !x.exists && m.random.IntN(2) == 0:
		what = "creates"
		_, err = by.sessions.Create(ctx, x.key, []byte(`{"a":1}`))
		x.exists = true
	default:
		_, err = by.sessions.Join(ctx, []byte(x.key), limit)
		switch {
		case !x.exists:
			want = core.Failure{Code: core.SessionUnknown, Text: "there is no such session"}
		case x.total() >= limit:
			want = core.Failure{Code: core.SessionFull, Text: "the session has too many connections"}
		}
	}
	early := err != nil && want == nil && m.returned // a place that was given back is not known to be free yet
	if !errors.Is(err, want) && !early {
		m.t.Fatalf("%s %s %v with limit %d: %v, want %v", by.id, what, x, limit, err, want)
	}
	if err == nil {
		x.held[by]++
	}
	return fmt.Sprintf("%s %s %v with limit %d: %v", by.id, what, x, limit, err)
}

// closes gives a place of a session back, and ends the session with the last one.
func (m *model) closes(ctx context.Context, by *member, x *thing) string {
	if m.returned {
		m.settle()
	}
	last, err := by.sessions.Close(ctx, x.key)
	want := false
	if x.held[by] > 0 {
		x.held[by]--
		want = x.total() == 0
		x.exists = !want
	}
	if err != nil || last != want {
		m.t.Fatalf("%s closes %v: %v, %v, want %v", by.id, x, last, err, want)
	}
	return fmt.Sprintf("%s closes %v", by.id, x)
}

// ends ends a session for all, who are told, and begins with another one.
func (m *model) ends(ctx context.Context, by *member, at int) string {
	x := m.things[at]
	m.settle()
	known, err := by.sessions.End(ctx, x.key)
	m.settle()
	if err != nil || known != x.exists {
		m.t.Fatalf("%s ends %v: %v, %v", by.id, x, known, err)
	}
	for _, one := range m.members {
		want := 0
		if one != by && x.held[one] > 0 {
			want = 1
		}
		if n := countOf(one.ended, x.key); n != want {
			m.t.Fatalf("%s ends %v: %s was told %d times", by.id, x, one.id, n)
		}
	}
	m.things[at] = m.make(false)
	return fmt.Sprintf("%s ends %v", by.id, x)
}

func countOf(all []string, key string) (n int) {
	for _, one := range all {
		if one == key {
			n++
		}
	}
	return n
}

// die ends a node, whose places are free then, and another one comes.
func (m *model) die(one *member) {
	m.settle()
	one.leave()
	m.members = slices.DeleteFunc(m.members, func(other *member) bool { return other == one })
	for _, x := range m.things {
		delete(x.held, one)
	}
	m.members = append(m.members, m.join())
	time.Sleep(10 * time.Second) // so long nodes count that a new one has not heard yet
	m.settle()
}

// check compares how many places each session and user has in the cluster.
func (m *model) check(did []string) {
	m.settle()
	for _, x := range m.things {
		if x.user || !x.exists {
			continue
		}
		// One more is refused exactly at the limit.
		by := m.members[m.random.IntN(len(m.members))]
		if n := x.total(); n > 0 {
			if _, err := by.sessions.Join(m.t.Context(), []byte(x.key), n); err == nil {
				m.t.Fatalf("%v has fewer places than that\n%s", x, strings.Join(did, "\n"))
			}
		}
		if _, err := by.sessions.Join(m.t.Context(), []byte(x.key), x.total()+1); err != nil {
			m.t.Fatalf("%v has more places than that: %v\n%s", x, err, strings.Join(did, "\n"))
		}
		by.sessions.Leave(x.key)
	}
	m.settle()
	records := 0
	for _, x := range m.things {
		if x.exists || x.user && x.total() > 0 {
			records++
		}
	}
	// Of users of whom only nodes had places that have died there may be more, until their time is up.
	if n := len(m.records.Values()); n < records {
		m.t.Fatalf("%d records for %d sessions and users\n%s", n, records, strings.Join(did, "\n"))
	}
}

// Nodes that take places and give them back, end sessions, die and come agree about who has how many.
func TestPlacesOfNodes(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			m := &model{t: t, random: rand.New(rand.NewPCG(seed, 0))}
			for range 3 {
				m.members = append(m.members, m.join())
			}
			time.Sleep(10 * time.Second)
			for i := range 5 {
				m.things = append(m.things, m.make(i > 2))
			}
			var did []string
			defer func() {
				if t.Failed() {
					t.Logf("seed %d:\n%s", seed, strings.Join(did, "\n"))
				}
			}()
			for i := range 150 {
				did = append(did, m.step())
				if i%20 == 19 {
					m.check(did)
				}
			}
			for _, one := range m.members {
				one.leave()
			}
			synctest.Wait()
		})
	}
}
