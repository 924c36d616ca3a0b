package redis

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// What users get wrong is said in words that help.
func TestOptions(t *testing.T) {
	for url, want := range map[string]string{
		"":                                    "want redis://",
		"redis://":                            "want redis://",
		"nats://x:1":                          "want redis://",
		"redis+x://h:1":                       "want redis://",
		"redis+sentinel://h:1":                "master_name",
		"redis://h:1/x":                       "database",
		"redis://:secret@h:x":                 "port",
		"redis://h:1?unknown=1":               "unknown",
		"redis://h:1/2":                       "",
		"rediss://u:p@h:1":                    "",
		"unix:///tmp/x.sock":                  "",
		"redis+sentinel://h:1?master_name=m":  "",
		"rediss+cluster://h:1?addr=h2%3A6379": "",
	} {
		_, err := New(Options{Node: "a", URL: url, Logger: testLog(), Stats: new(core.ClusterStats)})
		if (err == nil) != (want == "") || want != "" && !has(err, want) || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
	for _, o := range []Options{{Node: "a b"}, {Node: "a", Prefix: "a b"}, {Node: "a", OutboxBytes: -1}, {Node: "a", LeaseTTL: 1}} {
		o.URL, o.Logger, o.Stats = "redis://h:1", testLog(), new(core.ClusterStats)
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// A server that wants a password, or lets in whoever may do nothing, is named as what it is.
func TestPasswords(t *testing.T) {
	srv := startRedis(t, strings.Fields("--requirepass secret --user weak on >weak ~* &nothing +@all --user strong on >strong ~{pw}:* &* +@all")...)
	for user, words := range map[string][]string{
		"": {"NOAUTH", "password"}, ":wrong@": {"WRONGPASS", "password"}, "weak:weak@": {"NOPERM", "needs all channels"}, ":secret@": nil, "strong:strong@": nil,
	} {
		url := strings.Replace(srv.url(), "redis://", "redis://"+user, 1)
		err := Check(t.Context(), Options{Node: "a", URL: url, Logger: testLog(), Stats: new(core.ClusterStats)})
		if (err == nil) != (words == nil) || !has(err, words...) && words != nil {
			t.Errorf("Check(%q): %v, want %q", url, err, words)
		}
		b, _ := startNode(t, Options{Node: "a", URL: url}, clustertest.NewRecorder(""))
		if words == nil {
			healthy(t, b)
			gets(t, b, "x")
		} else {
			unwell(t, b, words...)
		}
		b.Close()
	}
	free := startRedis(t)
	url := strings.Replace(free.url(), "redis://", "redis://:secret@", 1)
	if err := Check(t.Context(), Options{Node: "a", URL: url, Logger: testLog(), Stats: new(core.ClusterStats)}); !has(err, "wants no password") {
		t.Errorf("a password that is not wanted: %v", err)
	}
	for url, want := range map[string]string{
		"redis://127.0.0.1:" + strconv.Itoa(coretest.FreePort(t)): "whether the server runs",
		strings.Replace(free.url(), "redis", "rediss", 1):         "",
		strings.Replace(free.url(), "redis", "redis+cluster", 1):  "no Redis Cluster",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := Check(ctx, Options{Node: "a", URL: url, Logger: testLog(), Stats: new(core.ClusterStats)}); err == nil || !has(err, want) {
			t.Errorf("Check(%q): %v, want %q", url, err, want)
		}
		cancel()
	}
}

// Of two nodes of one name one does not join.
func TestTwins(t *testing.T) {
	srv := startRedis(t)
	first, _, _ := join(t, Options{Node: "a", URL: srv.url()})
	coretest.Eventually(t, "the first node is older", func() bool { return first.nodes.Age() > 2*roster.SameAge })
	second, _ := startNode(t, Options{Node: "a", URL: srv.url()}, clustertest.NewRecorder(""))
	defer second.Close()
	unwell(t, second, `"a" too`, "name of its own")
	if err := first.Health(); err != nil {
		t.Errorf("the first node: %v", err)
	}
}

// A Redis that is killed and begins anew with nothing: nobody gets a channel that another node
// still holds for its own, and all else is as before.
func TestForgetful(t *testing.T) {
	srv := startRedis(t)
	line := clustertest.NewCable(t, srv.addr())
	a, aStub, _ := join(t, Options{Node: "a", URL: "redis://" + line.Addr()})
	b, bStub, _ := join(t, Options{Node: "b", URL: srv.url()})
	a.Hear(hear("sync"))
	b.Hear(hear("sync"))
	meet(t, a, b, aStub, bStub)
	gets(t, a, "mine")
	gets(t, b, "yours")
	coretest.Eventually(t, "they know the channels", func() bool { return bStub.Knows("mine") && aStub.Knows("yours") })
	line.Cut(true)
	srv.kill()
	srv.start(t)
	coretest.Eventually(t, "b is there again", func() bool { return b.o.Stats.Connects.Load() > 1 })
	gets(t, b, "mine")
	if a.Holds() {
		t.Errorf("b gets a channel that a holds for its own")
	}
	coretest.Eventually(t, "a is told so", func() bool { return aStub.HasLost("mine") })
	line.Cut(false)
	meet(t, a, b, aStub, bStub)
	healthy(t, a)
	healthy(t, b)
	gets(t, b, "new")
	coretest.Eventually(t, "a knows the new channel", func() bool { return aStub.Knows("new") })
	// All that meet has said has come.
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := len(aStub.Got("sync"))
	b.Publish([]byte("sync"), text("once"), nil)
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(aStub.Got("sync")) - before; n != 1 {
		t.Errorf("after Redis was killed a message comes %d times", n)
	}
}

// A flushed Redis forgets everything while all are connected: who has channels registers them
// again.
func TestFlushed(t *testing.T) {
	srv := startRedis(t)
	a, b, aStub, bStub := pair(t, srv.url())
	gets(t, a, "mine")
	coretest.Eventually(t, "b knows it", func() bool { return bStub.Knows("mine") })
	c := srv.client(t)
	before := revision(t, c)
	c.FlushAll(t.Context())
	coretest.Eventually(t, "it is registered again", func() bool {
		v, _ := c.HGet(t.Context(), "{pw}:owners", "mine").Result()
		return strings.Contains(v, string(a.id))
	})
	if after := revision(t, c); after <= before {
		t.Errorf("a revision after it is %d, before it was %d: a late event can pass for a new one", after, before)
	}
	if f := claimNow(t, b, "mine/x"); f.Code != core.NotOwner {
		t.Errorf("b claims what lies in a's channel: %v", f)
	}
	gets(t, b, "new")
	coretest.Eventually(t, "a knows the new channel", func() bool { return aStub.Knows("new") })
	if len(aStub.Losses()) > 0 {
		t.Errorf("a has lost %q", aStub.Losses())
	}
}

// revision returns the last revision of the register.
func revision(t testing.TB, c *goredis.Client) uint64 {
	t.Helper()
	n, err := c.Get(t.Context(), "{pw}:rev").Uint64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A flushed Redis has forgotten sessions while all are connected: those who have them are told.
func TestSessionsFlushed(t *testing.T) {
	srv := startRedis(t)
	a, b, aStub, bStub := pair(t, srv.url())
	sessions, others := a.Sessions(0), b.Sessions(0)
	coretest.Eventually(t, "there is a session", func() bool {
		_, err := sessions.Create(t.Context(), "key", []byte(`{"user":1}`))
		return err == nil
	})
	if _, err := others.Join(t.Context(), []byte("key"), 0); err != nil {
		t.Fatal(err)
	}
	srv.client(t).FlushAll(t.Context())
	for _, stub := range []*clustertest.Recorder{aStub, bStub} {
		coretest.Eventually(t, "the session has ended", func() bool { return slices.Equal(stub.EndedSessions(), []string{"key"}) })
	}
	if _, err := sessions.Create(t.Context(), "key", nil); err != nil {
		t.Errorf("the key is not free: %v", err)
	}
}

// A server that takes over may have forgotten what events have told already: their revisions are higher
// than those that it has. Claims go on.
func TestLateEvent(t *testing.T) {
	srv := startRedis(t)
	a, b, aStub, bStub := pair(t, srv.url())
	gets(t, a, "mine")
	coretest.Eventually(t, "b knows it", func() bool { return bStub.Knows("mine") })
	c := srv.client(t)
	lease := a.channels.own.Lease()
	late := fmt.Sprintf("%d\nfree\n%s\n%s\n5\nother", revision(t, c)+1000, lease, a.id)
	if err := c.Publish(t.Context(), "pw:channels", late).Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*Backplane{a, b} {
		if err := n.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gets(t, a, "new")
	gets(t, b, "next")
	coretest.Eventually(t, "all is known", func() bool { return bStub.Knows("new") && aStub.Knows("next") })
	if n := len(aStub.Losses()); n > 0 {
		t.Errorf("a has lost %q", aStub.Losses())
	}
}

// Without memory Redis gives no channels, says so, and takes none away.
func TestOutOfMemory(t *testing.T) {
	srv := startRedis(t)
	a, b, aStub, bStub := pair(t, srv.url())
	gets(t, a, "mine")
	c := srv.client(t)
	c.ConfigSet(t.Context(), "maxmemory-policy", "noeviction")
	c.ConfigSet(t.Context(), "maxmemory", "1")
	if f := claimNow(t, b, "other"); f.Code != core.Unreachable || !strings.Contains(f.Text, "memory") {
		t.Errorf("a claim without memory: %v", f)
	}
	unwell(t, b, "maxmemory")
	time.Sleep(defaultLease + time.Second) // the lease is renewed nevertheless
	if len(aStub.Losses()) > 0 {
		t.Errorf("a has lost %q", aStub.Losses())
	}
	reaches(t, a, bStub)
	a.Release("mine")
	coretest.Eventually(t, "a channel is freed", func() bool { return bStub.IsFree("mine") })
	c.ConfigSet(t.Context(), "maxmemory", "0")
	gets(t, b, "other")
	healthy(t, b)
}

// A node that is gone without a word fails a call at once: nobody hears its channel.
func TestNobodyThere(t *testing.T) {
	srv := startRedis(t)
	a, b, aStub, _ := pair(t, srv.url())
	id := core.CallID{6: 0x40, 8: 0x80, 15: 1}
	b.abandon()
	b.cancel = nil // it need not be closed
	if f := a.Ask(b.id, core.Question{Call: id, Service: []byte("x"), Timeout: time.Minute}); f.Failed() {
		t.Skipf("it was missed already: %v", f)
	}
	coretest.Eventually(t, "the call ends", func() bool { return len(aStub.Ends()) == 1 })
	if f := aStub.Ends()[0].Failure; f.Code != core.Gone {
		t.Errorf("it ends with %v", f)
	}
	if aStub.Departures() > 0 {
		t.Log("the node was missed before the answer")
	}
}

// startCluster starts three servers that are one Redis Cluster.
func startCluster(t testing.TB) (all []*process) {
	t.Helper()
	var buses []int
	for range 3 {
		p, bus := &process{port: coretest.FreePort(t)}, coretest.FreePort(t)
		buses = append(buses, bus)
		p.args = []string{
			"--cluster-port", strconv.Itoa(bus),
			"--port", strconv.Itoa(p.port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--loglevel", "warning",
			"--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
		}
		p.start(t)
		t.Cleanup(p.kill)
		all = append(all, p)
	}
	for i, p := range all {
		c := p.client(t)
		if err := c.ClusterAddSlotsRange(t.Context(), i*5461, min((i+1)*5461, 16384)-1).Err(); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if err := c.ClusterAddSlots(t.Context(), 16383).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Do(t.Context(), "cluster", "meet", "127.0.0.1", all[0].port, buses[0]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	coretest.Eventually(t, "the cluster is there", func() bool {
		for _, p := range all {
			info, err := p.client(t).ClusterInfo(t.Context()).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3") {
				return false
			}
		}
		return true
	})
	return all
}

// TestCluster plays the suite on a Cluster of three servers.
func TestCluster(t *testing.T) {
	all := startCluster(t)
	n := 0
	clustertest.Run(t, func(testing.TB) clustertest.Cluster {
		n++
		prefix := fmt.Sprintf("test%d:", n)
		return func(t testing.TB, name string, c core.Cluster) *clustertest.Node {
			b, _ := startNode(t, Options{Node: name, URL: fmt.Sprintf("redis+cluster://%s?addr=%s", all[0].addr(), all[1].addr()), Prefix: prefix}, c)
			return &clustertest.Node{Backplane: b, ID: b.ID(), Kill: b.abandon, Sessions: b.Sessions(0), Aging: b.Sessions, Places: b.Places()}
		}
	}, clustertest.BareTopics)
}

// A server of a Cluster that is asked alone is named as what it is.
func TestClusterAlone(t *testing.T) {
	all := startCluster(t)
	for _, p := range all {
		b, _ := startNode(t, Options{Node: "a", URL: p.url()}, clustertest.NewRecorder(""))
		if c := p.client(t); c.Get(t.Context(), "{pw}:owners").Err() != nil && strings.Contains(c.Get(t.Context(), "{pw}:owners").Err().Error(), "MOVED") {
			unwell(t, b, "MOVED", "redis+cluster")
		}
		b.Close()
	}
}

// Sentinels name the master, and another one when it has died: the nodes go there, and keep their
// channels.
func TestSentinel(t *testing.T) {
	master := startRedis(t)
	replica := startRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.port))
	coretest.Eventually(t, "the replica follows", func() bool {
		info, _ := replica.client(t).Info(t.Context(), "replication").Result()
		return strings.Contains(info, "master_link_status:up")
	})
	sentinel := startSentinel(t, master)
	coretest.Eventually(t, "the sentinel knows the replica", func() bool {
		info, _ := sentinel.client(t).Info(t.Context(), "sentinel").Result()
		return strings.Contains(info, "slaves=1")
	})
	url := "redis+sentinel://" + sentinel.addr() + "?master_name=main"
	if err := Check(t.Context(), Options{Node: "a", URL: url, Logger: testLog(), Stats: new(core.ClusterStats)}); err != nil {
		t.Fatal(err)
	}
	a, b, aStub, bStub := pair(t, url)
	gets(t, a, "mine")
	coretest.Eventually(t, "b knows it", func() bool { return bStub.Knows("mine") })
	master.kill()
	coretest.Eventually(t, "they are at the other server", func() bool { return a.o.Stats.Connects.Load() > 1 && b.o.Stats.Connects.Load() > 1 })
	meet(t, a, b, aStub, bStub)
	gets(t, b, "new")
	coretest.Eventually(t, "a knows the new channel", func() bool { return aStub.Knows("new") })
	if f := claimNow(t, b, "mine"); !f.Failed() && !aStub.HasLost("mine") {
		t.Error("a channel has two owners")
	}
}

// startSentinel starts a sentinel, which alone decides about the master.
func startSentinel(t testing.TB, master *process) *process {
	t.Helper()
	file := t.TempDir() + "/sentinel.conf"
	p := &process{port: coretest.FreePort(t)}
	host, port, err := net.SplitHostPort(master.addr())
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, fmt.Sprintf(`port %d
bind 127.0.0.1
sentinel monitor main %s %s 1
sentinel down-after-milliseconds main 1000
sentinel failover-timeout main 3000
`, p.port, host, port))
	p.args = []string{file, "--sentinel"}
	p.start(t)
	t.Cleanup(p.kill)
	return p
}
