package nats

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// naive is the log as it stands, and who owns what by looking through all of it.
type naive struct {
	channels map[string]event
	leases   map[string]event
}

func (n *naive) owner(channel string) (core.NodeID, bool) {
	c, ok := n.channels[channel]
	if !ok {
		return "", false
	}
	l, ok := n.leases[leaseKeys+c.channel.Lease]
	return c.channel.Node, ok && l.lease.Node == c.channel.Node
}

func (n *naive) conflict(channel string, by core.NodeID) bool {
	for other := range n.channels {
		node, owned := n.owner(other)
		if owned && (other == channel || node != by && (strings.HasPrefix(other, channel+"/") || strings.HasPrefix(channel, other+"/"))) {
			return true
		}
	}
	return false
}

// TestView plays random logs against a naive reading of them. Entries come as they may: also
// such as no node of ours writes.
func TestView(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		v, n := newView(), &naive{channels: map[string]event{}, leases: map[string]event{}}
		owned := map[string]uint64{} // what the changes say
		names := []string{"", "a", "a/b", "a/b/c", "a/", "ab", "/", "b", "b/a", "//"}
		for rev := uint64(1); rev < 300; rev++ {
			e := event{rev: rev}
			lease := fmt.Sprint("l", r.IntN(4))
			if r.IntN(3) > 0 {
				channel := names[r.IntN(len(names))]
				e.key = channelKey(channel)
				if r.IntN(3) > 0 {
					e.channel = &claimRecord{Node: core.NodeID(fmt.Sprint("n", r.IntN(3))), Lease: lease}
					n.channels[channel] = e
				} else {
					delete(n.channels, channel)
				}
			} else {
				e.key = leaseKeys + lease
				if r.IntN(3) > 0 {
					e.lease = &leaseRecord{Node: core.NodeID(fmt.Sprint("n", r.IntN(3)))}
					n.leases[e.key] = e
				} else {
					delete(n.leases, e.key)
				}
			}
			for _, c := range v.apply(e) {
				if c.Owned {
					owned[c.Channel] = c.Rev
				} else if owned[c.Channel] != c.Rev {
					t.Fatalf("seed %d: %q of %d is freed, but %d is known", seed, c.Channel, c.Rev, owned[c.Channel])
				} else {
					delete(owned, c.Channel)
				}
			}
			for _, name := range names {
				_, isOwned := n.owner(name)
				if _, told := owned[name]; told != isOwned {
					t.Fatalf("seed %d, position %d: %q is owned: %v, told: %v", seed, rev, name, isOwned, told)
				}
				for _, by := range []core.NodeID{"n0", "n1"} {
					if got, want := v.conflict(name, by) != nil, n.conflict(name, by); got != want {
						t.Fatalf("seed %d, position %d: a claim of %q by %s is in conflict: %v, want %v", seed, rev, name, by, got, want)
					}
				}
			}
		}
		// Who reads what is left of the log comes to the same.
		var rest []event
		for _, m := range []map[string]event{n.channels, n.leases} {
			for _, e := range m {
				rest = append(rest, e)
			}
		}
		slices.SortFunc(rest, func(a, b event) int { return int(a.rev) - int(b.rev) })
		late := newView()
		for _, e := range rest {
			late.apply(e)
		}
		if d := difference(v, late); len(d) > 0 {
			t.Fatalf("seed %d: who reads later comes to something else: %v", seed, d)
		}
		if len(late.within) != len(v.within) || len(late.byLease) != len(v.byLease) {
			t.Fatalf("seed %d: something is left over: %v and %v, %v and %v", seed, v.within, late.within, v.byLease, late.byLease)
		}
	}
}

func TestDifference(t *testing.T) {
	from, to := newView(), newView()
	lease := func(v *view, rev uint64, id string, node core.NodeID) {
		v.apply(event{rev: rev, key: leaseKeys + id, lease: &leaseRecord{Node: node}})
	}
	claim := func(v *view, rev uint64, channel, lease string, node core.NodeID) {
		v.apply(event{rev: rev, key: channelKey(channel), channel: &claimRecord{Node: node, Lease: lease}})
	}
	for _, v := range []*view{from, to} {
		lease(v, 1, "x", "n1")
		claim(v, 2, "same", "x", "n1")
	}
	claim(from, 3, "freed", "x", "n1")
	claim(from, 4, "changed", "x", "n1")
	lease(to, 5, "y", "n2")
	claim(to, 6, "changed", "y", "n2")
	claim(to, 7, "new", "y", "n2")
	claim(to, 8, "nobody's", "z", "n3")
	var got []string
	for _, c := range difference(from, to) {
		got = append(got, fmt.Sprint(c.Channel, c.Owned, c.Node))
	}
	if want := []string{"freedfalsen1", "changedfalsen1", "changedtruen2", "newtruen2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestForeignRecords(t *testing.T) {
	for key, values := range map[string][]string{
		"c.a":     {"", "x", "[]", `{"node":"","lease":"l"}`, `{"node":"a b","lease":"l"}`, `{"node":"n","lease":""}`, `{"node":"n","lease":"l","services":["b","a"]}`},
		"lease.l": {"", `{"node":"*"}`, `{}`},
		"name.x":  {`{"node":"n"}`},
		"c.=z":    {`{"node":"n","lease":"l"}`},
	} {
		for _, value := range values {
			if e, err := decodeEvent(1, key, []byte(value)); err == nil || e.channel != nil || e.lease != nil {
				t.Errorf("%s with %q: %+v, %v", key, value, e, err)
			}
		}
	}
	value, _ := json.Marshal(claimRecord{Node: "n", Lease: "l", Claim: 7, Services: []string{"", "a"}})
	if e, err := decodeEvent(1, "c.a", value); err != nil || e.channel == nil || e.channel.Claim != 7 {
		t.Errorf("%s: %+v, %v", value, e, err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("c.a", []byte(`{"node":"n","lease":"l","claim":1,"services":["a"]}`))
	f.Add("lease.l", []byte(`{"node":"n","name":"a"}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		e, err := decodeEvent(1, key, value)
		if (err == nil) != (e.channel != nil || e.lease != nil) {
			t.Errorf("%+v, %v", e, err)
		}
		newView().apply(e)
	})
}
