package bridge

import (
	"fmt"
	"testing"

	"github.com/polywire/polywire/core"
)

// bridgeOf returns a connection of a bridge.
func bridgeOf(name string) *server {
	return &server{bridge: &Bridge{o: Options{Endpoint: &core.Endpoint{Name: name}}}}
}

// Of two brokers that connect to each other, in whatever order the steps of both happen, one stays
// connected, and the other is refused for as long as it does; both would go round and round.
func TestNeighboursOfEachOther(t *testing.T) {
	for _, marks := range [][2]string{{"a", "b"}, {"b", "a"}} {
		// Of each attempt, the upgrade is judged there, and then its response is heard here.
		for _, order := range [][]int{{0, 0, 1, 1}, {0, 1, 0, 1}, {0, 1, 1, 0}, {1, 0, 0, 1}, {1, 0, 1, 0}, {1, 1, 0, 0}} {
			t.Run(fmt.Sprint(marks, order), func(t *testing.T) {
				brokers := [2]*Neighbours{NewNeighbours(marks[0]), NewNeighbours(marks[1])}
				links := [2]*server{bridgeOf("one"), bridgeOf("two")}
				var answers [2]string
				var failed [2]error
				step := func(i int) {
					switch other := brokers[1-i]; {
					case failed[i] != nil:
					case answers[i] == "":
						answers[i], failed[i] = other.Join(uint64(i), brokers[i].Mark())
					default:
						if failed[i] = brokers[i].reached(links[i], answers[i]); failed[i] != nil {
							brokers[i].left(links[i])
							other.Leave(uint64(i))
						}
					}
				}
				for _, i := range order {
					step(i)
				}
				if (failed[0] == nil) == (failed[1] == nil) {
					t.Fatalf("one of the two stays connected; got %v and %v", failed[0], failed[1])
				}
				loser := 0
				if failed[0] == nil {
					loser = 1
				}
				winner := 1 - loser
				for range 2 {
					if _, err := brokers[winner].Join(7, brokers[loser].Mark()); err == nil {
						t.Fatal("who was refused is let in while the other is connected")
					}
				}
				brokers[winner].left(links[winner])
				brokers[loser].Leave(uint64(winner))
				answer, err := brokers[winner].Join(8, brokers[loser].Mark())
				if err != nil {
					t.Fatalf("when the other has left: %v", err)
				}
				if err := brokers[loser].reached(links[loser], answer); err != nil {
					t.Fatalf("when the other has left: %v", err)
				}
			})
		}
	}
}

// Brokers that do not lead to each other, and clients that say they are one of them, keep nobody away.
func TestNeighboursOfOthers(t *testing.T) {
	a, b, c := NewNeighbours("a"), NewNeighbours("b"), NewNeighbours("c")
	toB, again, toC := bridgeOf("b"), bridgeOf("b"), bridgeOf("c")
	for i, s := range []*server{toB, again, toC} {
		other := []*Neighbours{b, b, c}[i]
		answer, err := other.Join(uint64(i), a.Mark())
		if err != nil {
			t.Fatal(err)
		}
		// Who asks for an id learns no mark, by which alone it would be taken for that broker.
		if _, err := a.Join(uint64(10+i), answer); err != nil {
			t.Fatal(err)
		}
		if err := a.reached(s, answer); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Join(5, b.Mark()); err != nil {
		t.Error(err)
	}
	if _, err := a.Join(6, a.Mark()); err == nil {
		t.Error("a bridge may lead to its own broker")
	}
	node := NewNeighbours("d")
	node.NodeJoined(a.Mark())
	if _, err := node.Join(8, a.Mark()); err == nil {
		t.Error("a bridge may lead to another node of its cluster")
	}
	// One of two connections to a broker leaves: the other is still one.
	a.left(again)
	if _, err := a.Join(7, b.Mark()); err == nil {
		t.Error("a broker may lead here that a bridge leads to")
	}
}
