package polywire_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// An operator sees what is heard, owned and answered, and by whom.
func TestLists(t *testing.T) {
	r := run(t, `
endpoints:
  - {name: web, protocol: vws, listen: "127.0.0.1:0", topic_prefix: "in/", options: {allow_send: true}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
services: [{match: "tools/+", url: "http://127.0.0.1:1/"}]
admin: {listen: "127.0.0.1:0"}
`)
	one, _ := speaks(t, "vws", r.urls["web"].URL)
	bot, _ := speaks(t, "wubsub", r.urls["bots"].URL)
	do(t, one, core.Command{Verb: core.Subscribe, Topic: []byte("news")})
	do(t, one, core.Command{Verb: core.Subscribe, Topic: []byte("+"), Pattern: true})
	do(t, bot, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("talk"), Services: [][]byte{[]byte("today")}})
	do(t, bot, core.Command{Verb: core.Subscribe, Topic: []byte("in/news")})
	var topics polywire.TopicList
	// wubsub acknowledges neither.
	coretest.Eventually(t, "all are heard", func() bool {
		return r.v1(t, "GET", "topics", &topics) == http.StatusOK && topics.Total == 2 && topics.Topics[1].Subscribers == 2
	})
	if got := fmt.Sprintf("%+v", topics.Topics); got != "[{Node: Topic:+ Pattern:true Prefix:in/ Subscribers:1 Endpoints:[{Endpoint:web Protocol:vws Subscribers:1}]} "+
		"{Node: Topic:in/news Pattern:false Prefix: Subscribers:2 Endpoints:[{Endpoint:bots Protocol:wubsub Subscribers:1} {Endpoint:web Protocol:vws Subscribers:1}]}]" {
		t.Errorf("%s", got)
	}
	for query, want := range map[string]string{"prefix=in/": "in/news", "name=%2B": "+", "sort=subscribers&limit=1": "in/news", "limit=1": "+", "prefix=other": ""} {
		var some polywire.TopicList
		var names []string
		for r.v1(t, "GET", "topics?"+query, &some); len(names) < len(some.Topics); {
			names = append(names, some.Topics[len(names)].Topic)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("topics?%s: %s, want %s", query, got, want)
		}
	}
	var detail polywire.TopicDetail
	if r.v1(t, "GET", "topics/in/news", &detail); detail.Subscribers != 3 || len(detail.HeardBy) != 2 || detail.HeardBy[0].Topic != "in/news" || !detail.HeardBy[1].Pattern {
		t.Errorf("%+v", detail)
	}
	if r.v1(t, "GET", "topics/other", &detail); detail.Subscribers != 0 || len(detail.HeardBy) != 0 {
		t.Errorf("%+v", detail)
	}

	var channels polywire.ChannelList
	coretest.Eventually(t, "the bot owns its channel", func() bool {
		return r.v1(t, "GET", "channels", &channels) == http.StatusOK && channels.Total == 1
	})
	if c := channels.Channels[0]; c.Channel != "talk" || c.Services != 1 || c.Owner.Endpoint != "bots" || c.Owner.Connection == 0 {
		t.Errorf("%+v", c)
	}
	var services polywire.ServiceList
	r.v1(t, "GET", "services", &services)
	if got := fmt.Sprintf("%d %v %v", services.Total, services.Services[0], services.Services[1]); got != "2 { talk/today owner [{"+fmt.Sprint(channels.Channels[0].Owner.Connection)+" bots }] 1 0 65536 0 0} { tools/+ configured [] 0 0 256 0 0}" {
		t.Errorf("%s: %+v", got, services)
	}
	var endpoints polywire.EndpointList
	r.v1(t, "GET", "endpoints", &endpoints)
	if len(endpoints.Endpoints) != 2 {
		t.Fatalf("%+v", endpoints)
	}
	if e := endpoints.Endpoints[1]; e.Endpoint != "web" || e.Protocol != "vws" || e.Connections != 1 || e.Opened != 1 || e.MessagesIn != 2 || e.URL != r.urls["web"].URL || !strings.Contains(e.URL, e.Listen) {
		t.Errorf("%+v", e)
	}
	var nodes polywire.NodeList
	if r.v1(t, "GET", "nodes", &nodes); len(nodes.Nodes) != 0 || nodes.Connected {
		t.Errorf("%+v", nodes)
	}
}

// A connection is shown with what it says and hears, and with what it was refused.
func TestTraffic(t *testing.T) {
	r := run(t, "endpoints: [{name: web, protocol: vws, listen: \"127.0.0.1:0\", options: {allow_send: true}}]\nadmin: {listen: \"127.0.0.1:0\"}\n")
	quiet, _ := speaks(t, "vws", r.urls["web"].URL)
	busy, _ := speaks(t, "vws", r.urls["web"].URL)
	do(t, quiet, core.Command{Verb: core.Subscribe, Topic: []byte("a")})
	for range 9 {
		do(t, busy, core.Command{Verb: core.Publish, Topic: []byte("a"), Payload: core.Payload{Kind: core.JSON, Data: []byte(`"text"`)}})
	}
	var list polywire.ConnectionList
	coretest.Eventually(t, "all is counted", func() bool {
		return r.v1(t, "GET", "connections?sort=rate", &list) == http.StatusOK && list.Connections[0].MessagesOut+list.Connections[1].MessagesOut >= 9+10
	})
	if c := list.Connections[0]; c.MessagesIn != 9 || c.BytesIn < 9*6 || c.Rates.MessagesIn <= 0 || c.Rates.Seconds <= 0 || c.Rates.BytesIn < 6*c.Rates.MessagesIn {
		t.Errorf("who publishes: %+v", c)
	}
	if c := list.Connections[1]; c.MessagesIn != 1 || c.MessagesOut < 9 || c.BytesOut < 9*6 {
		t.Errorf("who hears: %+v", c)
	}
	_, err := busy.Do(t.Context(), core.Command{Verb: core.Subscribe, Topic: []byte("$request/x")})
	var one polywire.ConnectionDetail
	r.v1(t, "GET", fmt.Sprintf("connections/%d", list.Connections[0].ID), &one)
	if err == nil || one.LastRefusal == nil || one.LastRefusal.Verb != "subscribe" || one.LastRefusal.Topic != "$request/x" || one.LastRefusal.At.IsZero() {
		t.Errorf("%v: %+v", err, one.LastRefusal)
	}
}

// Pages go on where the one before has ended, whatever names are called.
func TestListPages(t *testing.T) {
	r := run(t, "endpoints: [{name: web, protocol: vws, listen: \"127.0.0.1:0\"}]\nadmin: {listen: \"127.0.0.1:0\"}\n")
	one, _ := speaks(t, "vws", r.urls["web"].URL)
	want := map[string]bool{}
	for _, name := range []string{"a", "a/b", "a:b", "a b", "ä", "a&b=c", "%2F", "a//b", "$x", "z"} {
		do(t, one, core.Command{Verb: core.Subscribe, Topic: []byte(name)})
		want[name] = true
	}
	for _, sort := range []string{"name", "subscribers"} {
		seen := make(map[string]bool)
		for next, pages := "", 0; pages == 0 || next != ""; pages++ {
			var page polywire.TopicList
			if status := r.v1(t, "GET", "topics?limit=3&sort="+sort+"&after="+url.QueryEscape(next), &page); status != http.StatusOK || page.Total != len(want) || pages > len(want) {
				t.Fatalf("%d %+v", status, page)
			}
			for _, one := range page.Topics {
				if seen[one.Topic] || !want[one.Topic] {
					t.Errorf("%s comes twice, or from nowhere", one.Topic)
				}
				seen[one.Topic] = true
			}
			next = page.Next
		}
		if len(seen) != len(want) {
			t.Errorf("sorted by %s there are %v", sort, seen)
		}
	}
}

// An operator closes a session, and its connections are told; its key is not shown.
func TestSessionsList(t *testing.T) {
	r := run(t, "endpoints: [{name: mobile, protocol: webwire, listen: \"127.0.0.1:0\", options: {sessions: {store: memory}}}]\nadmin: {listen: \"127.0.0.1:0\"}\n")
	keys := make(chan string, 1)
	r.Otherwise(func(_ context.Context, in core.Invocation) (core.Payload, error) {
		s, err := in.Caller.OpenSession(nil)
		keys <- s.Key
		return core.Payload{}, err
	})
	m := r.mobile(t)
	m.say(requestBinary + id + "\x05login")
	m.hears(sessionCreated)
	key := coretest.Receive(t, "the key", keys)
	var list polywire.SessionList
	if r.v1(t, "GET", "sessions?endpoint=mobile", &list); list.Total != 1 {
		t.Fatalf("%+v", list)
	}
	one := list.Sessions[0]
	if one.Endpoint != "mobile" || one.Places != 1 || len(one.Connections) != 1 || one.Created == nil || strings.Contains(fmt.Sprint(one), key) {
		t.Errorf("%+v", one)
	}
	if sum := sha256.Sum256([]byte(key)); one.ID != hex.EncodeToString(sum[:])[:24] {
		t.Errorf("%s is no beginning of the digest of its key", one.ID)
	}
	var same, ended polywire.Session
	if r.v1(t, "GET", "sessions/"+one.ID, &same); fmt.Sprint(same.Connections, same.ID) != fmt.Sprint(one.Connections, one.ID) {
		t.Errorf("%+v, want %+v", same, one)
	}
	if status := r.v1(t, "DELETE", "sessions/"+one.ID, &ended); status != http.StatusOK || ended.ID != one.ID {
		t.Errorf("%d %+v", status, ended)
	}
	for got := ""; !strings.HasPrefix(got, sessionClosed); {
		got = m.read()
	}
	if r.v1(t, "GET", "sessions", &list); list.Total != 0 {
		t.Errorf("it is there still: %+v", list)
	}
}

// Sessions whose clients are away are listed too, page by page, each once however many endpoints have their store, and
// closed.
func TestSessionsWithoutConnections(t *testing.T) {
	// Endpoints may have the same folder; each has a memory of its own.
	for store, same := range map[string]bool{"{store: memory}": false, "{store: file, dir: " + t.TempDir() + "}": true} {
		r := run(t, fmt.Sprintf(`
endpoints:
  - {name: mobile, protocol: webwire, listen: "127.0.0.1:0", options: {sessions: %s}}
  - {name: desk, protocol: webwire, listen: "127.0.0.1:0", options: {sessions: %[1]s}}
  - {name: other, protocol: webwire, listen: "127.0.0.1:0", options: {sessions: {store: file, dir: %s}}}
admin: {listen: "127.0.0.1:0"}
`, store, t.TempDir()))
		keys := make(chan string, 1)
		r.Otherwise(func(_ context.Context, in core.Invocation) (core.Payload, error) {
			s, err := in.Caller.OpenSession(nil)
			keys <- s.Key
			return core.Payload{}, err
		})
		list := func(query string) (all polywire.SessionList) {
			t.Helper()
			if status := r.v1(t, "GET", "sessions?"+query, &all); status != http.StatusOK {
				t.Fatalf("%s: %d", query, status)
			}
			return all
		}
		const n = 5
		var last string
		for range n {
			m := r.mobile(t)
			m.say(requestBinary + id + "\x05login")
			m.hears(sessionCreated)
			last = coretest.Receive(t, "the key", keys)
			if err := m.client.conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
		stays := r.mobile(t)
		stays.say(requestBinary + id + "\x05login")
		stays.hears(sessionCreated)
		coretest.Receive(t, "the key", keys)
		coretest.Eventually(t, "the clients have left", func() bool { return list("connected=true").Total == 1 })
		seen := make(map[string]bool)
		for next, pages := "", 0; pages == 0 || next != ""; pages++ {
			page := list("limit=2&after=" + url.QueryEscape(next))
			if page.Total != n+1 || len(page.Sessions) > 2 || pages > n {
				t.Fatalf("%s: %+v", store, page)
			}
			for _, one := range page.Sessions {
				if seen[one.ID] || one.Created == nil || one.LastLookup == nil || len(one.Connections) != one.Places {
					t.Errorf("%s: %+v", store, one)
				}
				seen[one.ID] = true
			}
			next = page.Next
		}
		atDesk := 0
		if same {
			atDesk = n
		}
		for query, want := range map[string]int{"connected=false": n, "endpoint=mobile": n + 1, "endpoint=desk&connected=false": atDesk, "endpoint=desk&connected=true": 0, "endpoint=other": 0, "endpoint=nowhere": 0} {
			if got := list(query); got.Total != want || len(got.Sessions) != want {
				t.Errorf("%s: %s: %+v, want %d", store, query, got, want)
			}
		}
		sum := sha256.Sum256([]byte(last))
		path := "sessions/" + hex.EncodeToString(sum[:])[:24]
		var one, ended polywire.Session
		if status := r.v1(t, "GET", path, &one); status != http.StatusOK || one.Places != 0 || one.LastLookup == nil || strings.Contains(fmt.Sprintf("%+v", one), last) {
			t.Errorf("%s: %d %+v", store, status, one)
		}
		if status := r.v1(t, "DELETE", path, &ended); status != http.StatusOK || ended.ID != one.ID {
			t.Errorf("%s: %d %+v", store, status, ended)
		}
		var refused struct{ Error struct{ Code string } }
		if status := r.v1(t, "GET", path, &refused); status != http.StatusNotFound || list("").Total != n {
			t.Errorf("%s: it is there still: %d", store, status)
		}
	}
}

// What cannot be answered says why.
func TestListsRefused(t *testing.T) {
	r := run(t, "endpoints: [{name: web, protocol: vws, listen: \"127.0.0.1:0\"}]\nadmin: {listen: \"127.0.0.1:0\"}\n")
	for request, want := range map[string]string{
		"GET topics?sort=x":        "400 invalid sort must be name or subscribers",
		"GET services?sort=x":      "400 invalid sort must be name or pending",
		"GET topics?after=x":       "400 invalid after must be the next of the page before",
		"GET topics?after=1:2:3:":  "400 invalid after must be the next of the page before",
		"GET channels?limit=0":     "400 invalid limit must be a number from 1 to 1000",
		"GET nodes?limit=1":        `400 invalid "limit" is no parameter of /v1/nodes, which has none`,
		"GET sessions?connected=x": `400 invalid connected must be true or false`,
		"GET sessions/x":           `404 not_found there is no session "x"`,
		"DELETE sessions/x":        `404 not_found there is no session "x"`,
	} {
		method, path, _ := strings.Cut(request, " ")
		var refused struct {
			Error struct{ Code, Message string }
		}
		status := r.v1(t, method, path, &refused)
		if got := fmt.Sprintf("%d %s %s", status, refused.Error.Code, refused.Error.Message); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s\nwant %s", request, got, want)
		}
	}
}

// What formats lose between each other is that of the configuration in force.
func TestMatrixOfBroker(t *testing.T) {
	const web = "endpoints:\n  - {name: web, protocol: wsify, listen: \"127.0.0.1:0\"}\n"
	const admin = "admin: {listen: \"127.0.0.1:0\"}\n"
	r := run(t, web+admin)
	asked := func() (pairs []string) {
		t.Helper()
		var m struct {
			Pairs []struct {
				From, To string
				Cells    []struct{ Property, Outcome string }
			}
		}
		if status := r.v1(t, "GET", "matrix", &m); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		for _, p := range m.Pairs {
			pair := p.From + " to " + p.To
			for _, c := range p.Cells {
				if c.Property == "message.topic" {
					pair += ": topic " + c.Outcome
				}
			}
			pairs = append(pairs, pair)
		}
		return pairs
	}
	if got, want := asked(), []string{"wsify to wsify: topic lost"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	cfg := load(t, web+"  - {name: old, protocol: wubsub, listen: \"127.0.0.1:0\"}\n"+admin)
	if _, err := r.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	want := []string{"wsify to wsify: topic lost", "wsify to wubsub: topic whole", "wubsub to wsify: topic lost", "wubsub to wubsub: topic whole"}
	if got := asked(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
