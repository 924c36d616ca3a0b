package polywire_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// v1 asks the admin API, and reads the answer into result.
func (r *running) v1(t *testing.T, method, path string, result any) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(r.AdminURL(), "/metrics")+"/v1/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, body := asDescribed(t, request, nil)
	if err := json.Unmarshal(body, result); err != nil {
		t.Fatalf("%s %s: %d %q: %v", method, path, response.StatusCode, body, err)
	}
	return response.StatusCode
}

// An operator finds connections of all formats by what they are, page by page, sees what one has, and ends it.
func TestConnections(t *testing.T) {
	r := run(t, `
endpoints:
  - {name: web, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
`)
	const n = 7
	for range n {
		speaks(t, "vws", r.urls["web"].URL)
	}
	bot, _ := speaks(t, "wubsub", r.urls["bots"].URL)
	do(t, bot, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("news"), Services: [][]byte{[]byte("today")}})
	do(t, bot, core.Command{Verb: core.Subscribe, Topic: []byte("chat")})
	list := func(query string) (all polywire.ConnectionList) {
		t.Helper()
		if status := r.v1(t, "GET", "connections?"+query, &all); status != http.StatusOK {
			t.Fatalf("%s: %d", query, status)
		}
		return all
	}
	if all := list(""); all.Total != n+1 || len(all.Connections) != n+1 || all.Next != "" {
		t.Fatalf("%+v", all)
	}
	for _, sort := range []string{"id", "queued", "idle", "oldest", "newest", "rate", "busy"} {
		// None of them says anything, so that nothing but idle changes from page to page.
		seen := make(map[uint64]bool)
		for next, pages := "", 0; pages == 0 || next != ""; pages++ {
			page := list("endpoint=web&limit=3&sort=" + sort + "&after=" + next)
			if page.Total != n || len(page.Connections) > 3 || pages > n {
				t.Fatalf("sorted by %s: %+v", sort, page)
			}
			for _, c := range page.Connections {
				if c.Endpoint != "web" || c.Protocol != "vws" || seen[c.ID] && sort != "idle" {
					t.Errorf("sorted by %s: %+v", sort, c)
				}
				seen[c.ID] = true
			}
			next = page.Next
		}
		if len(seen) != n && sort != "idle" {
			t.Errorf("sorted by %s there are %d", sort, len(seen))
		}
	}
	// A subscription of wubsub is not acknowledged.
	coretest.Eventually(t, "the bot hears its topic", func() bool { return list("topic=chat").Total == 1 })
	bots := list("protocol=wubsub").Connections
	if len(bots) != 1 {
		t.Fatalf("%+v", bots)
	}
	at := bots[0].Remote
	for query, want := range map[string]int{
		"address=" + at: 1, "address=127.0.0.1": n + 1, "address=127.0.0.0/8": n + 1, "address=::ffff:127.0.0.1": n + 1, "address=10.0.0.0/8": 0,
		"user=ann": 0, "topic=chat": 1, "topic=news/today": 0, "topic=chat&protocol=vws": 0, "endpoint=web&protocol=wubsub": 0,
	} {
		if got := list(query).Total; got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}

	path := fmt.Sprintf("connections/%d", bots[0].ID)
	var one polywire.ConnectionDetail
	// A registration of wubsub is not acknowledged.
	coretest.Eventually(t, "the bot owns its channel", func() bool {
		return r.v1(t, "GET", path, &one) == http.StatusOK && len(one.Channels) == 1 && len(one.Topics) == 1
	})
	if one.Remote != at || one.Channels[0] != "news" || one.Topics[0] != "chat" {
		t.Errorf("%+v", one)
	}
	var ended polywire.Connection
	if status := r.v1(t, "DELETE", path+"?reason=drain", &ended); status != http.StatusOK || ended.Remote != at {
		t.Errorf("%d %+v", status, ended)
	}
	coretest.Eventually(t, "it is counted with its reason", func() bool {
		_, page := get(t, r.AdminURL())
		return strings.Contains(page, `polywire_connections_closed_total{endpoint="bots",protocol="wubsub",reason="drain"} 1`)
	})
	var closed polywire.ClosedList
	coretest.Eventually(t, "it is among those that have ended", func() bool {
		return r.v1(t, "GET", "connections/closed?reason=drain&endpoint=bots&address="+at, &closed) == http.StatusOK && closed.Total == 1
	})
	if one := closed.Connections[0]; one.ID != bots[0].ID || one.Remote != at || one.Reason != "drain" || one.Closed.Before(one.Opened) {
		t.Errorf("%+v", one)
	}
	if r.v1(t, "GET", "connections/closed?endpoint=web", &closed); closed.Total != 0 {
		t.Errorf("of the others have ended %+v", closed)
	}
}

// What cannot be answered says why.
func TestConnectionsRefused(t *testing.T) {
	r := run(t, `
endpoints: [{name: web, protocol: vws, listen: "127.0.0.1:0"}]
admin: {listen: "127.0.0.1:0"}
bridges: [{name: old, protocol: vws, url: "ws://127.0.0.1:1/", hear: [a]}]
`)
	for request, want := range map[string]string{
		"GET connections?endpoint=x":        `404 not_found there is no endpoint "x"`,
		"GET connections?sort=x":            "400 invalid sort must be id, queued, idle, oldest, newest, rate or busy",
		"GET connections?limit=0":           "400 invalid limit must be a number from 1 to 1000",
		"GET connections?limit=1001":        "400 invalid limit must be a number from 1 to 1000",
		"GET connections?after=x":           "400 invalid after must be the next of the page before",
		"GET connections?address=x":         "400 invalid address must be an address, a network",
		"GET connections?name=x":            `400 invalid "name" is no parameter of /v1/connections; there are: endpoint, protocol,`,
		"GET connections/closed?limit=x":    "400 invalid limit must be a number from 1 to 1000",
		"GET connections/closed?address=x":  "400 invalid address must be an address, a network",
		"GET connections/7?name=x":          `400 invalid "name" is no parameter of /v1/connections/7, which has none`,
		"GET connections?topic=x&topic=y":   "400 invalid topic is given more than once",
		"GET connections?endpoint=old":      `404 not_found there is no endpoint "old"`,
		"GET connections?user=x&user=y":     "400 invalid user is given more than once",
		"GET connections/x":                 `400 invalid "x" is no number of a connection`,
		"GET connections/7":                 "404 not_found there is no connection 7; it may have ended",
		"DELETE connections/7":              "404 not_found there is no connection 7; it may have ended",
		"GET connections/0":                 "404 not_found there is no connection 0; it may have ended",
		"DELETE connections/0":              "404 not_found there is no connection 0; it may have ended",
		"DELETE connections/7?reason=other": `400 invalid "other" is no reason`,
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
	// A bridge is no endpoint that something could be done on behalf of, so there is only one.
	if got := r.post(t, "publish?topic=a", "", "x"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("without an endpoint: %s", got)
	}
	if got := r.post(t, "publish?topic=a&endpoint=old", "", "x"); got != `404 not_found: there is no endpoint "old"` {
		t.Errorf("on behalf of a bridge: %s", got)
	}
}
