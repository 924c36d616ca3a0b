package shadow

import "strings"

const (
	// maxIDs bounds the ids that are remembered; beyond it the oldest are forgotten.
	maxIDs = 200_000
	// maxID is the longest text that counts as an id, in bytes.
	maxID = 512
)

// ids say which id of the shadow stands for which of the old server. Owned by the comparer.
type ids struct {
	max int
	// news has the shadow's id for one of the old server; "" while it is not known. Ids that clients
	// have made up stand for themselves.
	news map[string]string
	olds map[string]string
	// order are the keys of news, the oldest first from gone on.
	order []string
	gone  int
}

func newIDs(max int) *ids {
	return &ids{max: max, news: make(map[string]string), olds: make(map[string]string)}
}

// add remembers an id of the old server that is not known yet.
func (x *ids) add(old, fresh string) {
	old = strings.Clone(old)
	x.news[old] = fresh
	if fresh != "" {
		x.olds[fresh] = old
	}
	x.order = append(x.order, old)
	for len(x.news) > x.max {
		oldest := x.order[x.gone]
		x.gone++
		if other := x.news[oldest]; other != "" {
			delete(x.olds, other)
		}
		delete(x.news, oldest)
	}
	if x.gone > x.max {
		x.order = append(x.order[:0:0], x.order[x.gone:]...)
		x.gone = 0
	}
}

// made is told what the old server has written.
func (x *ids) made(all []string) {
	for _, id := range all {
		if _, known := x.news[id]; !known {
			x.add(id, "")
		}
	}
}

// said is told an id that a client has written. It returns the shadow's id for it; false if that has to come
// yet.
func (x *ids) said(id string) (fresh string, known bool) {
	fresh, ok := x.news[id]
	if !ok {
		x.add(id, strings.Clone(id))
		return id, true
	}
	return fresh, fresh != ""
}

// same reports whether the shadow's ids may stand for those of the old server.
func (x *ids) same(old, fresh []string) bool {
	if len(old) != len(fresh) {
		return false
	}
	for i, o := range old {
		f := fresh[i]
		if known := x.news[o]; known != "" {
			if known != f {
				return false
			}
			continue
		}
		if _, taken := x.olds[f]; taken {
			return false
		}
		for j := range i {
			if (old[j] == o) != (fresh[j] == f) {
				return false
			}
		}
	}
	return true
}

// join makes the shadow's ids stand for those of the old server, which same has allowed.
func (x *ids) join(old, fresh []string) {
	for i, o := range old {
		known, there := x.news[o]
		switch {
		case known != "":
			continue
		case there:
			f := strings.Clone(fresh[i])
			x.news[o], x.olds[f] = f, o
		default:
			x.add(o, strings.Clone(fresh[i]))
		}
	}
}
