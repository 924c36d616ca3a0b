package admin

import (
	"net/http"
	"net/url"
	"time"
)

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
			Node: string(one.ID), Joined: known(one.Joined), Channels: one.Channels, Services: one.Services, Asking: one.Asking, Asked: one.Asked,
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
