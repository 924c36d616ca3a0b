package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// shownNode is what people are told of the id of a node: what it begins with, which has the name of the node, and a digest
// in place of what nobody can guess. A bridge shows the whole id to the broker that it leads to (core.BridgeHeader), and
// whoever knows it could make that take it for such a bridge; so who may only read does not learn it.
func shownNode(id core.NodeID) string {
	name := string(id)
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		name = name[:i]
	}
	sum := sha256.Sum256([]byte(id))
	return name + "-" + hex.EncodeToString(sum[:4])
}

// nodes serves /v1/nodes.
type nodes struct {
	src   Source
	api   api
	lists *lists
}

func newNodes(src Source, a api, l *lists) *nodes { return &nodes{src: src, api: a, lists: l} }

func (n *nodes) serve(mux *http.ServeMux) {
	n.api.handle(mux, "GET /v1/nodes", Read, "look at nodes", nil, n.list)
}

// Node is a node of the cluster as this one sees it, in the answers of /v1.
type Node struct {
	Node string `json:"node"`
	// Self says that it is the one that answers.
	Self bool `json:"self,omitempty"`
	// Joined is since when this node reaches it.
	Joined *time.Time `json:"joined,omitempty"`
	// Channels and Services are how many its clients have, as this node knows.
	Channels int `json:"channels"`
	Services int `json:"services"`
	// Asking is how many calls of its clients wait for clients of this node, and Asked how many calls of this node wait for
	// it.
	Asking int `json:"asking"`
	Asked  int `json:"asked"`
}

// NodeList is the answer to GET /v1/nodes.
type NodeList struct {
	Nodes []Node `json:"nodes"`
	// Connected says that the engine of the cluster can be reached, and Problem what is wrong; a broker that is alone has
	// neither.
	Connected bool   `json:"connected"`
	Problem   string `json:"problem,omitempty"`
}

func (n *nodes) list(*http.Request, url.Values) (any, error) {
	list := NodeList{Nodes: []Node{}}
	if n.lists.nodes == nil {
		return list, nil
	}
	list.Nodes = append(list.Nodes, Node{Node: n.lists.self(), Self: true})
	for _, one := range n.lists.nodes.Others() {
		list.Nodes = append(list.Nodes, Node{
			Node: shownNode(one.ID), Joined: known(one.Joined), Channels: one.Channels, Services: one.Services, Asking: one.Asking, Asked: one.Asked,
		})
	}
	if c := n.src.Cluster; c != nil {
		list.Connected = c.Stats.Connected.Load()
		if err := c.Health(); err != nil {
			list.Problem = err.Error()
		}
	}
	return list, nil
}
