package admin

import (
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultPage = 100
	maxPage     = 1000
	// pageBytes is about how many bytes of names are on a page.
	pageBytes = 4 << 20
)

// place is where something stands in the order of a list: by a number, and then by what tells it from all others.
type place struct {
	Key  int64  `json:"key,omitempty"`
	ID   uint64 `json:"id,omitempty"`
	Name []byte `json:"name,omitempty"` // bytes, because JSON would change a name that is not UTF-8
	Node string `json:"node,omitempty"`

	size int // the bytes of the name, of which Name may be the beginning; 0 if another node has said it
}

// maxPlace bounds the bytes of a name in a place: its text is in URLs, which proxies bound too.
const maxPlace = 1 << 10

// placeOfName returns the place of something that is called so. What a long name begins with, and a digest of it, stand for
// it.
func placeOfName(name, node string) place {
	at := place{Name: []byte(name), Node: node, size: len(name)}
	if len(name) > maxPlace {
		sum := sha256.Sum256(at.Name)
		at.Name = append(at.Name[:maxPlace:maxPlace], sum[:]...)
	}
	return at
}

func (p place) compare(q place) int {
	switch {
	case p.Key != q.Key:
		return cmp.Compare(p.Key, q.Key)
	case p.ID != q.ID:
		return cmp.Compare(p.ID, q.ID)
	}
	return cmp.Or(cmp.Compare(string(p.Name), string(q.Name)), cmp.Compare(p.Node, q.Node))
}

// text is the place in a query.
func (p place) text() string {
	text := fmt.Sprintf("%d:%d", p.Key, p.ID)
	if len(p.Name) > 0 || p.Node != "" {
		text += ":" + base64.RawURLEncoding.EncodeToString(p.Name) + ":" + p.Node
	}
	return text
}

// placeOf reads the text of a place.
func placeOf(text string) (p place, ok bool) {
	parts := strings.SplitN(text, ":", 4)
	if len(parts) == 2 {
		parts = append(parts, "", "")
	}
	if len(parts) != 4 {
		return place{}, false
	}
	var err1, err2, err3 error
	p.Key, err1 = strconv.ParseInt(parts[0], 10, 64)
	p.ID, err2 = strconv.ParseUint(parts[1], 10, 64)
	p.Name, err3 = base64.RawURLEncoding.DecodeString(parts[2])
	p.Node = parts[3]
	return p, err1 == nil && err2 == nil && err3 == nil
}

// placed is something in its place.
type placed[T any] struct {
	place
	One T `json:"one"`
}

// page keeps the elements of one page of a list.
type page[T any] struct {
	limit  int
	after  *place // nil on the first page
	total  int
	found  []*placed[T] // at most the limit
	heaped bool         // found is a heap
	more   bool         // others come behind those that were found
	until  *place       // what comes behind it may be incomplete; nil if nothing is
}

// newPage returns the page that a query asks for.
func newPage[T any](q url.Values) (*page[T], error) {
	p := new(page[T])
	var err error
	if p.limit, err = limitOf(q); err != nil {
		return nil, err
	}
	if text := q.Get("after"); text != "" {
		at, ok := placeOf(text)
		if !ok {
			return nil, invalid("after must be the next of the page before, not %.50q", text)
		}
		p.after = &at
	}
	return p, nil
}

// limitOf returns how many elements a query wants at most.
func limitOf(q url.Values) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, invalid("limit must be a number from 1 to %d, not %.50q", maxPage, text)
	}
	return n, nil
}

// add takes an element into the page, if it may be in it.
func (p *page[T]) add(at place, one T) {
	p.total++
	p.put(placed[T]{at, one})
}

func (p *page[T]) put(one placed[T]) {
	if p.after != nil && one.compare(*p.after) <= 0 {
		return
	}
	if len(p.found) < p.limit {
		fresh := new(placed[T]) // and not one, which would be allocated each time
		*fresh = one
		p.found = append(p.found, fresh)
		return
	}
	if p.more = true; !p.heaped {
		heap.Init(p)
		p.heaped = true
	}
	if last := p.found[0]; one.compare(last.place) < 0 {
		*last = one
		heap.Fix(p, 0)
	}
}

// join takes in the page of another node.
func (p *page[T]) join(other remotePage[T]) {
	p.total += other.Total
	for _, one := range other.Found {
		p.put(one)
	}
	if n := len(other.Found); other.More && n > 0 {
		last := other.Found[n-1].place
		if p.more = true; p.until == nil || last.compare(*p.until) < 0 {
			p.until = &last
		}
	}
}

// A page whose elements are more than fit is a heap, with the last one on top (container/heap).

func (p *page[T]) Len() int           { return len(p.found) }
func (p *page[T]) Less(i, j int) bool { return p.found[i].compare(p.found[j].place) > 0 }
func (p *page[T]) Swap(i, j int)      { p.found[i], p.found[j] = p.found[j], p.found[i] }
func (p *page[T]) Push(any)           { panic("a page takes in with put") }
func (p *page[T]) Pop() any           { panic("a page keeps what it has") }

// end sorts the page, cuts it to its size, and returns what the next one begins after; "" if there is none.
func (p *page[T]) end() (next string) {
	p.heaped = false
	slices.SortFunc(p.found, func(a, b *placed[T]) int { return a.compare(b.place) })
	size := 0
	for i, one := range p.found {
		if size += one.size; i > 0 && (size > pageBytes || p.until != nil && one.compare(*p.until) > 0) {
			p.found, p.more = p.found[:i], true
			last := p.found[i-1].place
			p.until = &last // of other nodes may come what stands behind those that were cut off
			break
		}
	}
	if !p.more || len(p.found) == 0 {
		return ""
	}
	return p.found[len(p.found)-1].text()
}

// elements returns what is on a page that was cut.
func (p *page[T]) elements() []T {
	all := make([]T, 0, len(p.found))
	for _, one := range p.found {
		all = append(all, one.One)
	}
	return all
}
