package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// apiTimeout bounds what a request of /v1 waits for.
	apiTimeout = 20 * time.Second
	// nodeTimeout bounds what it waits for the answer of another node.
	nodeTimeout = 5 * time.Second
	// nodePage bounds what a node says of a page to another one, in bytes: the engine of the cluster carries it in one
	// message.
	nodePage = 512 << 10
)

// Nodes are this node and the others of its cluster. Any goroutine but those of the event loops.
type Nodes interface {
	// Self is the id of this node, and Others are those that can be reached.
	Self() core.NodeID
	Others() []NodeInfo
	// Ask asks another node, whose [Server.Answer] answers.
	Ask(ctx context.Context, id core.NodeID, question []byte) ([]byte, error)
}

// NodeInfo is another node of the cluster.
type NodeInfo struct {
	ID     core.NodeID
	Joined time.Time // since when this node reaches it
	core.NodeHoldings
}

// lists answers questions about what the broker has, of this node and the others.
type lists struct {
	nodes Nodes              // nil if the broker is alone
	local map[string]localOp // what other nodes may ask, by names
	turns turns              // of requests that walk through all there is of something
}

// localOp answers what another node asks of this one. id is what the question is about, if it is about one thing. It
// returns what can be marshalled as JSON.
type localOp func(ctx context.Context, id string, q url.Values) (any, error)

func newLists(nodes Nodes) *lists {
	return &lists{nodes: nodes, local: make(map[string]localOp), turns: newTurns("others are making lists; try again later")}
}

// self is what is shown of the id of this node; "" if the broker is alone.
func (l *lists) self() string {
	if l.nodes == nil {
		return ""
	}
	return shownNode(l.nodes.Self())
}

// List is what the answers of all lists have.
type List struct {
	// Total is how many match, on all pages.
	Total int `json:"total"`
	// Next is what "after" continues with; empty on the last page.
	Next string `json:"next,omitempty"`
	// Missing are the nodes of the cluster that have not answered.
	Missing []string `json:"missing,omitempty"`
}

const (
	// listPiece is how many elements of a list are written at once, and listPause the pause behind them: so no
	// message of a client waits for all of it.
	listPiece = 64
	listPause = time.Millisecond
)

// answered is a page of a list as an answer, which is written in pieces.
type answered[T any] struct {
	name     string // of the elements
	elements []T
	List
}

func (a answered[T]) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	var text bytes.Buffer
	fmt.Fprintf(&text, "{%q: [", a.name)
	each := json.NewEncoder(&text)
	for i := range a.elements {
		if i > 0 {
			text.WriteByte(',')
		}
		if err := each.Encode(&a.elements[i]); err != nil {
			panic(fmt.Sprintf("writing a list: %v", err)) // it has nothing that JSON cannot say
		}
		if i%listPiece == listPiece-1 {
			if _, err := text.WriteTo(w); err != nil {
				return // the client has gone, and there is nobody to tell
			}
			time.Sleep(listPause)
		}
	}
	text.WriteString("],")
	text.Write(mustMarshal(a.List)[1:])
	text.WriteByte('\n')
	_, _ = text.WriteTo(w) // as above
}

// kind is something that is listed.
type kind[T any] struct {
	name string
	// collect calls add with what this node has, and fill, if it is not nil, completes what is on the page.
	collect func(ctx context.Context, q url.Values, add func(place, T)) error
	fill    func(ctx context.Context, one *T) error
}

// remotePage is a page of another node.
type remotePage[T any] struct {
	Total int         `json:"total"`
	Found []placed[T] `json:"found"`
	More  bool        `json:"more,omitempty"`
}

// serve lets other nodes ask for a list.
func (k kind[T]) serve(l *lists) {
	l.local[k.name] = func(ctx context.Context, _ string, q url.Values) (any, error) {
		p, err := k.here(ctx, l, q)
		if err != nil {
			return nil, err
		}
		answer := remotePage[T]{Total: p.total, More: p.more, Found: []placed[T]{}}
		size := 0
		for i := range p.found {
			data, err := json.Marshal(p.found[i])
			if err != nil {
				return nil, fmt.Errorf("writing a list: %w", err)
			}
			if size += len(data); size > nodePage && i > 0 {
				answer.More = true
				break
			}
			answer.Found = append(answer.Found, *p.found[i])
		}
		return answer, nil
	}
}

// here returns the page of what this node has.
func (k kind[T]) here(ctx context.Context, l *lists, q url.Values) (*page[T], error) {
	p, err := newPage[T](q)
	if err != nil {
		return nil, err
	}
	err = l.turns.take(ctx, func(ctx context.Context) error {
		if err := k.collect(ctx, q, p.add); err != nil {
			return err
		}
		p.end()
		for i := range p.found {
			if k.fill == nil {
				break
			}
			if err := k.fill(ctx, &p.found[i].One); err != nil {
				return err
			}
		}
		return nil
	})
	return p, err
}

// everywhere returns the page of what all nodes have.
func (k kind[T]) everywhere(ctx context.Context, l *lists, q url.Values) ([]T, List, error) {
	asked := l.askAll(ctx, question{Op: k.name, Query: q})
	p, err := k.here(ctx, l, q)
	if err != nil {
		return nil, List{}, err
	}
	var missing []string
	for node, a := range asked() {
		var other remotePage[T]
		if err := a.read(&other); err != nil {
			missing = append(missing, node)
			continue
		}
		p.join(other)
	}
	slices.Sort(missing)
	next := p.end()
	return p.elements(), List{Total: p.total, Next: next, Missing: missing}, nil
}

// question is what a node asks another one, and reply what that says.
type question struct {
	Op    string     `json:"op"`
	ID    string     `json:"id,omitempty"`
	Query url.Values `json:"query,omitempty"`
}

type reply struct {
	Result json.RawMessage `json:"result,omitempty"`
	Status int             `json:"status,omitempty"`
	Error  *apiError       `json:"error,omitempty"`

	err error // why there is none
}

// read reads the result of a reply.
func (r reply) read(result any) error {
	switch {
	case r.err != nil:
		return r.err
	case r.Error != nil:
		return &apiError{r.Status, r.Error.Code, r.Error.Message}
	}
	if err := json.Unmarshal(r.Result, result); err != nil {
		return fmt.Errorf("reading what another node says: %w", err)
	}
	return nil
}

// askAll asks all other nodes at once. The function that it returns waits for their replies, by what is shown of the ids of the nodes.
func (l *lists) askAll(ctx context.Context, q question) (replies func() map[string]reply) {
	if l.nodes == nil {
		return func() map[string]reply { return nil }
	}
	data, err := json.Marshal(q)
	if err != nil {
		panic(fmt.Sprintf("writing a question: %v", err)) // it has nothing that JSON cannot say
	}
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	var mu sync.Mutex
	all := make(map[string]reply)
	var asking sync.WaitGroup
	for _, node := range l.nodes.Others() {
		asking.Go(func() {
			var r reply
			text, err := l.nodes.Ask(ctx, node.ID, data)
			if err == nil {
				err = json.Unmarshal(text, &r)
			}
			r.err = err
			mu.Lock()
			defer mu.Unlock()
			all[shownNode(node.ID)] = r
		})
	}
	return func() map[string]reply {
		defer cancel()
		asking.Wait()
		return all
	}
}

// answer answers what another node asks.
func (l *lists) answer(ctx context.Context, text []byte) []byte {
	var q question
	var r reply
	result, err := func() (any, error) {
		if err := json.Unmarshal(text, &q); err != nil {
			return nil, invalid("the question cannot be read")
		}
		op := l.local[q.Op]
		if op == nil {
			return nil, &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("%.50q is nothing that this node can be asked", q.Op)}
		}
		return op(ctx, q.ID, q.Query)
	}()
	if err == nil {
		r.Result, err = json.Marshal(result)
	}
	if err != nil {
		e, ok := errors.AsType[*apiError](err)
		if !ok {
			e = &apiError{http.StatusServiceUnavailable, "unavailable", err.Error()}
		}
		r = reply{Status: e.status, Error: e}
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil // which makes no sense to who has asked
	}
	return data
}

// findOne does something with one thing here, or if it is not here at the node that has it. result is what the reply is
// read into.
func (l *lists) findOne(ctx context.Context, q question, result any) error {
	here, err := l.local[q.Op](ctx, q.ID, q.Query)
	if err == nil {
		return (reply{Result: mustMarshal(here)}).read(result)
	}
	if e, ok := errors.AsType[*apiError](err); !ok || e.status != http.StatusNotFound {
		return err
	}
	var missing []string
	for node, r := range l.askAll(ctx, q)() {
		other := r.read(result)
		e, ok := errors.AsType[*apiError](other)
		switch {
		case other == nil:
			return nil
		case !ok:
			missing = append(missing, node)
		case e.status != http.StatusNotFound:
			return other
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("%s; not asked were nodes that do not answer: %s", err.Error(), strings.Join(missing, ", "))
	}
	return err
}

func mustMarshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("writing an answer: %v", err)) // it has nothing that JSON cannot say
	}
	return data
}

// named returns which names a query asks for.
func named(q url.Values) func(name string) bool {
	exact, prefix := q.Get("name"), q.Get("prefix")
	return func(name string) bool { return (exact == "" || name == exact) && strings.HasPrefix(name, prefix) }
}
