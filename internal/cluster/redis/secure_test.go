package redis

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs"
	"github.com/polywire/polywire/internal/certs/certstest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

func check(t *testing.T, o Options) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), coretest.Patience)
	defer cancel()
	o.Node, o.Logger, o.Stats = "a", testLog(), new(core.ClusterStats)
	return Check(ctx, o)
}

// Server and node know each other by certificates; who does not says which setting is to be looked at.
func TestTLS(t *testing.T) {
	ca, other, dir := certstest.NewCA(t, "authority"), certstest.NewCA(t, "other"), t.TempDir()
	caFile := certstest.WriteFile(t, dir, "ca.pem", ca.PEM())
	cert, key := certstest.Write(t, dir, "server", ca.Issue(nil, "localhost"))
	secure := strconv.Itoa(coretest.FreePort(t))
	startRedis(t, "--tls-port", secure, "--tls-ca-cert-file", caFile, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "yes")
	url := "rediss://localhost:" + secure
	mine := certs.Peer{CA: caFile}
	mine.Cert, mine.Key = certstest.Write(t, dir, "node", ca.Issue(nil, "node"))
	coretest.Eventually(t, "Redis listens", func() bool { return check(t, Options{URL: url, TLS: mine}) == nil })
	pairs := func(peer certs.Peer, pair certs.Pair) certs.Peer {
		peer.Pair = pair
		return peer
	}
	stranger := mine
	stranger.Cert, stranger.Key = certstest.Write(t, dir, "stranger", other.Issue(nil, "node"))
	wrong := mine
	wrong.CA = certstest.WriteFile(t, dir, "other.pem", other.PEM())
	for name, test := range map[string]struct {
		url   string
		peer  certs.Peer
		words []string
	}{
		"another authority":             {url, wrong, []string{"certificate", "cluster.tls"}},
		"the authorities of the system": {url, pairs(certs.Peer{}, mine.Pair), []string{"certificate", "cluster.tls"}},
		"another host":                  {strings.Replace(url, "localhost", "127.0.0.1", 1), mine, []string{"127.0.0.1", "cluster.tls"}},
		"no certificate":                {url, pairs(mine, certs.Pair{}), []string{"cluster.tls"}},
		// The server's alert may be lost with the connection, on which the node has written by then (TLS 1.3).
		"a certificate of a stranger": {url, stranger, []string{"cluster.tls"}},
		"no TLS":                      {"redis://localhost:" + secure, certs.Peer{}, []string{"rediss"}},
		"files without TLS":           {"redis://localhost:" + secure, mine, []string{"tls", "rediss"}},
		"a missing file":              {url, certs.Peer{CA: "missing.pem"}, []string{"tls", "ca", "missing.pem"}},
	} {
		if err := check(t, Options{URL: test.url, TLS: test.peer}); !has(err, test.words...) {
			t.Errorf("%s: %v, want %q", name, err, test.words)
		}
	}
	b, _ := startNode(t, Options{Node: "w", URL: url, TLS: wrong}, clustertest.NewRecorder("w"))
	defer b.Close()
	unwell(t, b, "certificate", "cluster.tls")
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](b.Health()); !unknown {
		t.Errorf("the reason is lost: %v", b.Health())
	}
	first, firstStub, _ := join(t, Options{Node: "a", URL: url, TLS: mine})
	second, secondStub, _ := join(t, Options{Node: "b", URL: url, TLS: mine})
	first.Hear(hear("sync"))
	second.Hear(hear("sync"))
	meet(t, first, second, firstStub, secondStub)
	gets(t, first, "x")
	coretest.Eventually(t, "the other one knows it", func() bool { return secondStub.Knows("x") })
}

// A user who may not do all that a node does is named as that, before anything is lost.
func TestRights(t *testing.T) {
	users := map[string]string{
		"nokeys":      "~other:* &* +@all",
		"notopics":    "~{pw}:* &pw:* +@all",
		"nochannels":  "~{pw}:* &polywire/* +@all",
		"noscripts":   "~{pw}:* &* +@all -@scripting",
		"nopublish":   "~{pw}:* &* +@all -publish",
		"nosubscribe": "~{pw}:* &* +@all -subscribe",
		"noinfo":      "~{pw}:* &* +@all -info",
	}
	var args []string
	for user, rights := range users {
		args = append(args, strings.Fields(fmt.Sprintf("--user %s on >%s %s", user, user, rights))...)
	}
	srv := startRedis(t, args...)
	for user := range users {
		url := strings.Replace(srv.url(), "redis://", fmt.Sprintf("redis://%s:%s@", user, user), 1)
		if err := check(t, Options{URL: url}); !has(err, "NOPERM", "cluster.url", "all channels and commands") || strings.Contains(err.Error(), user+"@") {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// A server that is too old is named as that; one of which the version is not known is tried.
func TestVersions(t *testing.T) {
	i := parseInfo("# Server\r\nredis_version:4.0.14\r\nrun_id:abc\r\nuptime_in_seconds:7\r\n")
	if i.run != "abc" || i.up != 6*time.Second || !has(i.check(minMajor), "4.0.14", "version 5") || parseInfo("redis_version:6.2.1\n").check(minShardedMajor) == nil {
		t.Errorf("%+v: %v", i, i.check(minMajor))
	}
	for _, text := range []string{"redis_version:5.0.0\n", "redis_version:255.255.255\n", "redis_version:x\n", ""} {
		if err := parseInfo(text).check(minMajor); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	srv := startRedis(t)
	text, err := srv.client(t).Info(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	if i := parseInfo(text); i.major < minMajor || i.run == "" || i.check(minMajor) != nil {
		t.Errorf("the real one: %+v", i)
	}
}

// What nodes of a Redis Cluster say to each other is sharded: it reaches no other process than the one
// that has their keys, and a call to who is gone without a word fails at once.
func TestSharded(t *testing.T) {
	all := startCluster(t)
	url := fmt.Sprintf("redis+cluster://%s?addr=%s", all[0].addr(), all[1].addr())
	if err := check(t, Options{URL: url}); err != nil {
		t.Errorf("the check: %v", err)
	}
	a, b, aStub, bStub := pair(t, url)
	gets(t, a, "x")
	coretest.Eventually(t, "b knows it", func() bool { return bStub.Knows("x") })
	with := 0
	for _, p := range all {
		c := p.client(t)
		plain, err := c.PubSubChannels(t.Context(), "*pw*").Result()
		if err != nil || len(plain) > 0 {
			t.Errorf("plain channels of nodes: %q, %v", plain, err)
		}
		shards, err := c.PubSubShardChannels(t.Context(), "{pw}:*").Result()
		if err != nil {
			t.Error(err)
		}
		if len(shards) > 0 {
			with++
		}
		if n := len(shards); n != 0 && n != 4 { // nodes, channels, and an inbox of each
			t.Errorf("sharded channels: %q", shards)
		}
	}
	if with != 1 {
		t.Errorf("%d processes have the channels of the nodes", with)
	}
	// What somebody publishes on channels of the same names reaches no node.
	before := refusals(a.o.Stats)
	a.Hear(hearAll())
	for _, channel := range []string{"pw:nodes", "{pw}:nodes", "pw:channels"} {
		if err := all[0].client(t).Publish(t.Context(), channel, "garbage").Err(); err != nil {
			t.Error(err)
		}
	}
	reserved := a.o.Stats.Dropped[core.ReasonReserved].Load()
	a.Publish([]byte("{pw}:nodes"), text("garbage"), nil)
	if a.o.Stats.Dropped[core.ReasonReserved].Load() != reserved+1 {
		t.Error("a topic of the name of a sharded channel is passed on")
	}
	reaches(t, b, aStub)
	if n := refusals(a.o.Stats); n != before || len(aStub.GotAll("pw:")) > 0 || len(aStub.GotAll("{pw}:")) > 0 {
		t.Errorf("%d are refused, of %d before; %v", n, before, aStub.GotAll(""))
	}
	b.abandon()
	b.cancel = nil // it need not be closed
	id := core.CallID{6: 0x40, 8: 0x80, 15: 1}
	if f := a.Ask(b.id, core.Question{Call: id, Service: []byte("x"), Timeout: time.Minute}); f.Failed() {
		t.Skipf("it was missed already: %v", f)
	}
	coretest.Eventually(t, "the call ends", func() bool { return len(aStub.Ends()) == 1 })
	if f := aStub.Ends()[0].Failure; f.Code != core.Gone {
		t.Errorf("it ends with %v", f)
	}
}
