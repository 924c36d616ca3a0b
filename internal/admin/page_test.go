package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
)

// Page after page says what sorting everything says, whatever comes in which order from which node, and keeps no more than
// it shows.
func TestPages(t *testing.T) {
	for round := range uint64(200) {
		random := rand.New(rand.NewPCG(round, 1))
		nodes := make(map[string][]placed[int], 3)
		var want []placed[int]
		for n := range random.IntN(400) {
			// Few keys, so that the others count; in some rounds this node has names so long that few fit on a page.
			at := place{Key: random.Int64N(5) - 2, ID: uint64(random.IntN(3)), Name: fmt.Append(nil, random.IntN(100)), Node: string(rune('a' + random.IntN(3)))}
			if at.size = len(at.Name); round%4 == 0 && at.Node == "a" {
				at.size = random.IntN(pageBytes / 4)
			}
			if !slices.ContainsFunc(want, func(p placed[int]) bool { return p.compare(at) == 0 }) {
				want = append(want, placed[int]{at, n})
				nodes[at.Node] = append(nodes[at.Node], placed[int]{at, n})
			}
		}
		slices.SortFunc(want, func(a, b placed[int]) int { return a.compare(b.place) })
		q := url.Values{"limit": {fmt.Sprint(1 + random.IntN(60))}}
		var got []int
		for pages := 0; ; pages++ {
			var here *page[int]
			for _, node := range []string{"a", "b", "c"} {
				p, err := newPage[int](q)
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range nodes[node] {
					if p.add(one.place, one.One); len(p.found) > p.limit {
						t.Fatalf("round %d: %d elements are kept, and %d shown", round, len(p.found), p.limit)
					}
				}
				p.end()
				if node == "a" {
					here = p
					continue
				}
				// Another node says no sizes, and perhaps less than it could.
				other := remotePage[int]{Total: p.total, More: p.more}
				if n := len(p.found); n > 1 && random.IntN(3) == 0 {
					p.found, other.More = p.found[:1+random.IntN(n-1)], true
				}
				for _, one := range p.found {
					said := *one
					said.size = 0
					other.Found = append(other.Found, said)
				}
				here.join(other)
			}
			next := here.end()
			if here.total != len(want) || len(here.found) > here.limit {
				t.Fatalf("round %d: %d of %d elements, want %d", round, len(here.found), here.total, len(want))
			}
			got = append(got, here.elements()...)
			if next == "" || pages > len(want) {
				break
			}
			q.Set("after", next)
		}
		var all []int
		for _, one := range want {
			all = append(all, one.One)
		}
		if !slices.Equal(got, all) {
			t.Fatalf("round %d, pages of %s: got %v, want %v", round, q.Get("limit"), got, all)
		}
	}
}

// pieces is a client that notes how its answer comes, and may go away.
type pieces struct {
	*httptest.ResponseRecorder
	most, writes int
	leaves       int // behind so many writes; 0 for never
}

func (p *pieces) Write(b []byte) (int, error) {
	if p.writes++; p.writes == p.leaves {
		return 0, errors.New("it has gone")
	}
	p.most = max(p.most, len(b))
	return p.ResponseRecorder.Write(b)
}

// The answer with a page is what it is if it is written at once, but never has more than a piece in memory; nothing is
// written for a client that has gone.
func TestPagesInPieces(t *testing.T) {
	for _, n := range []int{0, 1, listPiece - 1, listPiece, listPiece + 1, maxPage} {
		all := make([]Connection, n)
		for i := range all {
			all[i] = Connection{ID: uint64(i), User: `<"` + strings.Repeat("é", 100), Opened: time.Unix(int64(i), 0).UTC()}
		}
		list := List{Total: 7, Next: "x:1", Missing: []string{"a"}}
		whole, err := json.Marshal(ConnectionList{all, list})
		if err != nil {
			t.Fatal(err)
		}
		to := &pieces{ResponseRecorder: httptest.NewRecorder()}
		answered[Connection]{"connections", all, list}.write(to)
		var got, want any
		if err := json.Unmarshal(whole, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(to.Body.Bytes(), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d elements: %v, %.300s", n, err, to.Body)
		}
		if each := len(whole) / max(n, 1); to.most > 2*listPiece*each || to.Code != http.StatusOK || to.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d elements of about %d bytes: %d bytes at once, %d", n, each, to.most, to.Code)
		}
	}
	gone := &pieces{ResponseRecorder: httptest.NewRecorder(), leaves: 2}
	answered[Connection]{"connections", make([]Connection, maxPage), List{}}.write(gone)
	if gone.writes != 2 || bytes.Contains(gone.Body.Bytes(), []byte("total")) {
		t.Errorf("%d writes", gone.writes)
	}
}

// Lists are made one at a time. A client that goes ends its own, or waits no more.
func TestListsWaitForEachOther(t *testing.T) {
	const clients = 50
	l := newLists(nil)
	walking := make(chan func(), clients) // what lets who walks go
	var beside atomic.Int64
	ended := make(chan error, clients)
	leave := make([]func(), clients)
	for i := range clients {
		ctx, cancel := context.WithCancel(t.Context())
		leave[i] = cancel
		k := kind[int]{name: "things", collect: func(ctx context.Context, _ url.Values, _ func(place, int)) error {
			if n := beside.Add(1); n > 1 {
				t.Errorf("%d walk at once", n)
			}
			defer beside.Add(-1)
			walking <- cancel
			<-ctx.Done()
			return ctx.Err()
		}}
		go func() {
			_, _, err := k.everywhere(ctx, l, nil)
			ended <- err
		}()
	}
	// Half of them walk, one after the other, and go; then the others go too.
	for i := range clients / 2 {
		goes := coretest.Receive(t, "somebody walks", walking)
		goes()
		if err := coretest.Receive(t, "it ends", ended); !errors.Is(err, context.Canceled) {
			t.Errorf("client %d: %v", i, err)
		}
	}
	for _, cancel := range leave {
		cancel()
	}
	for range clients - clients/2 {
		if coretest.Receive(t, "the list of a client that has gone ends", ended) == nil {
			t.Error("a list of nobody is answered")
		}
	}
	if err := l.turns.take(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("when all have gone: %v", err)
	}
}
