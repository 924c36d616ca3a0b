package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Claims say of every channel whose the names below it are, as one who looks at each
// name says it, whatever is added and removed.
func TestClaimsModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	owners := []owner{new(peer), new(peer), new(peer)}
	levels := []string{"", "a", "b", "a-", "a0", "a.", "\x00", "\xff", "ä"}
	name := func() string {
		parts := make([]string, 1+r.IntN(4))
		for i := range parts {
			parts[i] = levels[r.IntN(len(levels))]
		}
		return strings.Join(parts, "/")
	}
	seen := map[string]int{}
	for range 100 {
		var c claims
		model := map[string]owner{}
		for range 1 + r.IntN(200) {
			n := name()
			switch r.IntN(4) {
			case 0:
				delete(model, n)
				c.set(n, nil)
			case 1:
				model[n] = several
				c.set(n, several)
			default:
				// Mostly of one, else all is of several.
				model[n] = owners[r.IntN(100)/49]
				c.set(n, model[n])
			}
			channel := name()
			var want owner
			for other, holder := range model {
				if strings.HasPrefix(other, channel+"/") {
					want = both(want, holder)
				}
			}
			if got := c.below(channel); got != want {
				t.Fatalf("below %q: %p, want %p, of %d names", channel, got, want, len(model))
			}
			switch want {
			case nil:
				seen["nobody"]++
			case several:
				seen["several"]++
			default:
				seen["one"]++
			}
		}
		for n := range model {
			c.set(n, nil)
		}
		if c.root != nil {
			t.Fatal("claims are left")
		}
	}
	if seen["nobody"] < 1000 || seen["one"] < 500 || seen["several"] < 1000 {
		t.Errorf("the test tests little: %v", seen)
	}
}

// The treap is not deep, in whatever order names come: so what a claim costs hardly grows
// with the number of others.
func TestClaimsAreNotDeep(t *testing.T) {
	for _, order := range []string{"ascending", "descending"} {
		var c claims
		const n = 50_000
		for i := range n {
			if order == "descending" {
				i = n - i
			}
			c.set(fmt.Sprintf("c/%08d", i), several)
		}
		// 40 or so; a list would be 50,000.
		if d := c.root.depth(); d > 200 {
			t.Errorf("%s: %d levels", order, d)
		}
	}
}

func (c *claim) depth() int {
	if c == nil {
		return 0
	}
	return 1 + max(c.left.depth(), c.right.depth())
}
