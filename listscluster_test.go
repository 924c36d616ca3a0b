package polywire_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// Who asks one node sees what all of them have, page by page, and ends what another one has.
func TestListsOfCluster(t *testing.T) {
	for name, joins := range map[string]func(t *testing.T) func(name string) string{"nats": overNATS, "redis": overRedis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listsOfCluster(t, joins(t))
		})
	}
}

func listsOfCluster(t *testing.T, joins func(name string) string) {
	node := func(name, admin string) *running {
		return run(t, fmt.Sprintf(`
endpoints:
  - {name: web, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
admin: {listen: %q}
cluster: %s
`, admin, joins(name)))
	}
	// Nobody but a asks the others. c has no clients: owning a channel needs it, as a majority.
	a, b, _ := node("a", "127.0.0.1:0"), node("b", ""), node("c", "")
	var nodes polywire.NodeList
	coretest.Eventually(t, "the nodes reach each other", func() bool {
		return a.v1(t, "GET", "nodes", &nodes) == http.StatusOK && len(nodes.Nodes) == 3 && nodes.Connected
	})
	if !nodes.Nodes[0].Self || nodes.Nodes[1].Self || nodes.Nodes[1].Joined == nil {
		t.Errorf("%+v", nodes)
	}
	self := nodes.Nodes[0].Node
	const n = 5
	for range n {
		for _, r := range []*running{a, b} {
			c, _ := speaks(t, "vws", r.urls["web"].URL)
			do(t, c, core.Command{Verb: core.Subscribe, Topic: []byte("news")})
		}
	}
	bot, _ := speaks(t, "wubsub", b.urls["bots"].URL)
	var list polywire.ConnectionList
	coretest.Eventually(t, "all are connected", func() bool {
		// b may have learnt of a later than a of b: then it is missing until it has.
		return a.v1(t, "GET", "connections", &list) == http.StatusOK && list.Total == 2*n+1 && len(list.Missing) == 0
	})
	for _, sort := range []string{"id", "oldest", "newest"} {
		seen := make(map[uint64]string)
		for next, pages := "", 0; pages == 0 || next != ""; pages++ {
			var page polywire.ConnectionList
			a.v1(t, "GET", "connections?endpoint=web&limit=3&sort="+sort+"&after="+next, &page)
			if page.Total != 2*n || len(page.Connections) > 3 || pages > 2*n {
				t.Fatalf("sorted by %s: %+v", sort, page)
			}
			for i, c := range page.Connections {
				if _, twice := seen[c.ID]; twice || sort == "oldest" && i > 0 && c.Opened.Before(page.Connections[i-1].Opened) {
					t.Errorf("sorted by %s: %+v", sort, page)
				}
				seen[c.ID] = c.Node
			}
			next = page.Next
		}
		of := make(map[string]int)
		for _, node := range seen {
			of[node]++
		}
		if of[self] != n || len(of) != 2 {
			t.Errorf("sorted by %s there are %v", sort, of)
		}
	}
	var topics polywire.TopicList
	if a.v1(t, "GET", "topics", &topics); topics.Total != 2 || topics.Topics[0].Subscribers != n || topics.Topics[1].Subscribers != n || topics.Topics[0].Node == topics.Topics[1].Node {
		t.Errorf("%+v", topics)
	}
	var topic polywire.TopicDetail
	if a.v1(t, "GET", "topics/news", &topic); topic.Subscribers != 2*n || len(topic.HeardBy) != 2 {
		t.Errorf("%+v", topic)
	}
	var channels polywire.ChannelList
	coretest.Eventually(t, "the bot owns its channel", func() bool {
		// The cluster may not be able to give channels yet.
		do(t, bot, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("talk"), Services: [][]byte{[]byte("today")}})
		return a.v1(t, "GET", "channels", &channels) == http.StatusOK && channels.Total == 1
	})
	var services polywire.ServiceList
	other := channels.Channels[0].Node
	if a.v1(t, "GET", "services", &services); other == self || services.Total != 1 || services.Services[0].Node != other {
		t.Errorf("%+v %+v", channels, services)
	}
	var endpoints polywire.EndpointList
	if a.v1(t, "GET", "endpoints?name=web", &endpoints); endpoints.Total != 3 || endpoints.Endpoints[0].Connections+endpoints.Endpoints[1].Connections+endpoints.Endpoints[2].Connections != 2*n {
		t.Errorf("%+v", endpoints)
	}
	path := fmt.Sprintf("connections/%d", channels.Channels[0].Owner.Connection)
	var one polywire.ConnectionDetail
	if status := a.v1(t, "GET", path, &one); status != http.StatusOK || one.Node != other || !slices.Equal(one.Channels, []string{"talk"}) {
		t.Errorf("%d %+v", status, one)
	}
	var ended polywire.Connection
	if status := a.v1(t, "DELETE", path+"?reason=drain", &ended); status != http.StatusOK || ended.ID != one.ID {
		t.Errorf("%d %+v", status, ended)
	}
	coretest.Eventually(t, "it has ended", func() bool {
		var refused struct{ Error struct{ Code string } }
		return a.v1(t, "GET", path, &refused) == http.StatusNotFound && refused.Error.Code == "not_found"
	})
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	coretest.Eventually(t, "the other one has left", func() bool {
		return a.v1(t, "GET", "nodes", &nodes) == http.StatusOK && len(nodes.Nodes) == 2
	})
	if a.v1(t, "GET", "connections?endpoint=web", &list); list.Total != n || len(list.Missing) > 0 {
		t.Errorf("%+v", list)
	}
}
