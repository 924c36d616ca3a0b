package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// cluster is Nodes of a test: the lists of the nodes that answer.
type cluster struct {
	self  core.NodeID
	lists map[core.NodeID]*lists
	lost  []core.NodeID // those that do not answer
}

func (c *cluster) Self() core.NodeID { return c.self }

func (c *cluster) Others() (all []NodeInfo) {
	for id := range c.lists {
		if id != c.self {
			all = append(all, NodeInfo{ID: id})
		}
	}
	for _, id := range c.lost {
		all = append(all, NodeInfo{ID: id})
	}
	return all
}

func (c *cluster) Ask(ctx context.Context, id core.NodeID, question []byte) ([]byte, error) {
	if l := c.lists[id]; l != nil {
		return l.answer(ctx, question), nil
	}
	return nil, errors.New("it does not answer")
}

// numbers is a list of which each node has some, with names so long that a node cannot say all of them at once.
func numbers(node string, some ...uint64) kind[uint64] {
	return kind[uint64]{name: "numbers", collect: func(_ context.Context, _ url.Values, add func(place, uint64)) error {
		for _, n := range some {
			at := placeOfName(strings.Repeat("x", maxPlace+1), node)
			at.Key, at.ID = int64(n%7), n
			add(at, n)
		}
		return nil
	}}
}

// Pages of many nodes go on where the one before has ended, also where a node says less than it could; nothing is missing
// or comes twice, and who does not answer is named.
func TestListsOfNodes(t *testing.T) {
	all := make(map[core.NodeID]*lists)
	var want []uint64
	var a kind[uint64]
	for i, id := range []core.NodeID{"a", "b", "c"} {
		var some []uint64
		for n := range uint64(200) {
			some = append(some, 3*n+uint64(i))
		}
		want = append(want, some...)
		all[id] = newLists(&cluster{self: id, lists: all, lost: []core.NodeID{"z", "y"}})
		k := numbers(string(id), some...)
		k.serve(all[id])
		if i == 0 {
			a = k
		}
	}
	for _, limit := range []int{50, 1000} {
		var got []uint64
		for next, pages := "", 0; pages == 0 || next != ""; pages++ {
			some, list, err := a.everywhere(t.Context(), all["a"], url.Values{"limit": {fmt.Sprint(limit)}, "after": {next}})
			if err != nil || list.Total != len(want) || len(some) == 0 || len(some) > limit || !slices.Equal(list.Missing, []string{"y", "z"}) {
				t.Fatalf("%d of %+v: %v", len(some), list, err)
			}
			if got = append(got, some...); len(got) > len(want) {
				break
			}
			next = list.Next
		}
		if !slices.IsSortedFunc(got, func(a, b uint64) int {
			return place{Key: int64(a % 7), ID: a}.compare(place{Key: int64(b % 7), ID: b})
		}) {
			t.Errorf("pages of %d: not sorted: %v", limit, got)
		}
		if slices.Sort(got); len(got) != len(want) {
			t.Errorf("pages of %d: %d, want %d: %v", limit, len(got), len(want), got)
		}
	}
}

// One thing is found at the node that has it. That nobody has it is only known if all answer.
func TestOneOfNodes(t *testing.T) {
	all := make(map[core.NodeID]*lists)
	alone := &cluster{self: "a", lists: all}
	for _, id := range []core.NodeID{"a", "b"} {
		all[id] = newLists(alone)
		all[id].local["thing"] = func(_ context.Context, what string, _ url.Values) (any, error) {
			switch what {
			case string(id):
				return "it is " + what, nil
			case "broken":
				return nil, errors.New("it cannot be looked at")
			}
			return nil, &apiError{http.StatusNotFound, "not_found", "there is no " + what}
		}
	}
	status := func(what string) (string, int) {
		var found string
		err := all["a"].findOne(t.Context(), question{Op: "thing", ID: what}, &found)
		if e, ok := errors.AsType[*apiError](err); ok {
			return found, e.status
		} else if err != nil {
			return found, http.StatusServiceUnavailable
		}
		return found, http.StatusOK
	}
	for what, want := range map[string]int{"a": 200, "b": 200, "c": 404, "broken": 503} {
		if found, got := status(what); got != want || want == 200 && found != "it is "+what {
			t.Errorf("%s: %d %s, want %d", what, got, found, want)
		}
	}
	alone.lost = []core.NodeID{"c"}
	if _, got := status("c"); got != http.StatusServiceUnavailable {
		t.Errorf("with a node that does not answer: %d", got)
	}
	var r reply
	if err := all["a"].askAll(t.Context(), question{Op: "other"})()["b"].read(&r); err == nil {
		t.Error("a node answers what it does not know")
	}
}
