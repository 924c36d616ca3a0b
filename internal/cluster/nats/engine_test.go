package nats

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs"
	"github.com/polywire/polywire/internal/certs/certstest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// A server that restarts is reached again, and all is as before.
func TestServerRestarts(t *testing.T) {
	port, dir := coretest.FreePort(t), t.TempDir()
	begin := func() *server.Server {
		return startExternal(t, func(o *server.Options) { o.Port, o.StoreDir = port, dir })
	}
	srv := begin()
	a, stubA, stats := join(t, srv, "a")
	b, stubB, _ := join(t, srv, "b")
	a.Hear(hear1("sync"))
	b.Hear(hear1("sync"))
	reaches(t, a, stubB)
	reaches(t, b, stubA)
	if f := claimNow(t, a, "x"); f.Failed() {
		t.Fatal(f)
	}
	stopServer(srv)
	unwell(t, a, "NATS")
	a.Publish([]byte("sync"), core.Payload{}, nil)
	if stats.Connected.Load() || stats.Dropped[core.ReasonUnavailable].Load() == 0 {
		t.Errorf("connected: %v, dropped: %d", stats.Connected.Load(), stats.Dropped[core.ReasonUnavailable].Load())
	}
	begin()
	reaches(t, a, stubB)
	reaches(t, b, stubA)
	healthy(t, a)
	if !stats.Connected.Load() || stats.Connects.Load() < 2 || stats.Queued.Load() != 0 {
		t.Errorf("connected: %v, %d times, %d bytes queued", stats.Connected.Load(), stats.Connects.Load(), stats.Queued.Load())
	}
	coretest.Eventually(t, "channels can be owned again", func() bool { return !claimNow(t, b, "y").Failed() })
	if f := claimNow(t, b, "x"); f.Code != core.Taken && !stubA.HasLost("x") {
		t.Errorf("b claims x, which a has: %v", f)
	}
}

// Without an engine a node serves its own clients, says what is wrong, and ends at once.
func TestNoServer(t *testing.T) {
	none := coretest.Leftovers(t)
	o := Options{Node: "a", URL: fmt.Sprintf("nats://127.0.0.1:%d", coretest.FreePort(t))}
	b, stats := startNode(t, o, clustertest.NewRecorder(""))
	b.Hear(hear1("x"))
	b.Serve([]core.Service{{Name: "s", On: true}})
	b.Publish([]byte("x"), core.Payload{}, nil)
	b.Release("nothing")
	b.Cancel("n-x-1", core.CallID{1})
	b.Answer("n-x-1", core.CallID{1}, core.Outcome{})
	unwell(t, b, "connecting to NATS", "cluster.url")
	if stats.Dropped[core.ReasonUnavailable].Load() != 3 {
		t.Errorf("%d messages are counted", stats.Dropped[core.ReasonUnavailable].Load())
	}
	if f := claimNow(t, b, "x"); f.Code != core.Unreachable || !strings.Contains(f.Text, "connecting to NATS") {
		t.Errorf("a claim: %v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f := b.Claim(ctx, core.Claim{Channel: "x"}, nil); f.Code != core.Unreachable {
		t.Errorf("a claim of who does not wait: %v", f)
	}
	b.Close()
	none()
	o.Stats, o.Logger = new(core.ClusterStats), testLog()
	if err := Check(t.Context(), o); err == nil || !strings.Contains(err.Error(), "cluster.url") {
		t.Errorf("the check: %v", err)
	}
}

func checkOptions(o Options) Options {
	o.Node, o.Stats, o.Logger = "a", new(core.ClusterStats), testLog()
	return o
}

func TestWrongPassword(t *testing.T) {
	srv := startExternal(t, func(o *server.Options) { o.Username, o.Password = "u", "right" })
	o := checkOptions(Options{URL: "nats://u:wrong@" + srv.Addr().String()})
	b, _ := startNode(t, o, clustertest.NewRecorder(""))
	defer b.Close()
	unwell(t, b, "cluster.credentials")
	if err := b.Health(); strings.Contains(err.Error(), "wrong@") {
		t.Errorf("the password is told: %v", err)
	}
	if err := Check(t.Context(), o); err == nil || !strings.Contains(err.Error(), "cluster.credentials") {
		t.Errorf("the check: %v", err)
	}
	o.URL = "nats://u:right@" + srv.Addr().String()
	if err := Check(t.Context(), o); err != nil {
		t.Errorf("the check with the right password: %v", err)
	}
}

// Server and node know each other by certificates.
func TestTLS(t *testing.T) {
	ca, dir := certstest.NewCA(t, "authority"), t.TempDir()
	srv := startExternal(t, func(o *server.Options) {
		o.TLS, o.TLSVerify, o.TLSTimeout = true, true, 5
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{ca.Issue(nil, "localhost")}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}
	})
	address := strings.Replace(srv.Addr().String(), "127.0.0.1", "localhost", 1)
	o := checkOptions(Options{URL: "tls://" + address})
	if err := Check(t.Context(), o); err == nil {
		t.Error("a server of an unknown authority is trusted")
	}
	o.TLS.CA = certstest.WriteFile(t, dir, "ca.pem", ca.PEM())
	o.TLS.Cert, o.TLS.Key = certstest.Write(t, dir, "node", ca.Issue(nil, "node"))
	if err := Check(t.Context(), o); err != nil {
		t.Errorf("the check: %v", err)
	}
	b, _ := startNode(t, o, clustertest.NewRecorder(""))
	defer b.Close()
	healthy(t, b)
	o.TLS.Pair = certs.Pair{}
	if err := Check(t.Context(), o); err == nil {
		t.Error("a node without a certificate is let in")
	}
}

// Without JetStream all but channels works.
func TestWithoutJetStream(t *testing.T) {
	t.Parallel() // it waits most of the time
	srv := startExternal(t, func(o *server.Options) { o.JetStream = false })
	var nodes []*Backplane
	var stubs []*clustertest.Recorder
	for _, name := range []string{"a", "b"} {
		stub := clustertest.NewRecorder("")
		b, _ := startNode(t, Options{Node: name, URL: srv.ClientURL()}, stub)
		defer b.Close()
		b.Hear(hear1("sync"))
		nodes, stubs = append(nodes, b), append(stubs, stub)
	}
	reaches(t, nodes[0], stubs[1])
	reaches(t, nodes[1], stubs[0])
	unwell(t, nodes[0], "JetStream", "off")
	if err := nodes[0].Health(); !errors.Is(err, roster.ErrNoChannels) {
		t.Errorf("%v is more than that no channel can be owned", err)
	}
	if f := claimNow(t, nodes[0], "x"); f.Code != core.Unreachable || !strings.Contains(f.Text, "JetStream") {
		t.Errorf("a claim: %v", f)
	}
	if err := Check(t.Context(), checkOptions(Options{URL: srv.ClientURL()})); err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("the check: %v", err)
	}
}

// Of two nodes of one name, the second one is refused until the first one has left.
func TestTwins(t *testing.T) {
	t.Parallel() // it waits most of the time
	srv := startExternal(t, nil)
	first, _, _ := join(t, srv, "a")
	coretest.Eventually(t, "the first node is older", func() bool { return first.nodes.Age() > 2*roster.SameAge })
	stub := clustertest.NewRecorder("")
	second, _ := startNode(t, Options{Node: "a", URL: srv.ClientURL()}, stub)
	defer second.Close()
	unwell(t, second, `"a"`, string(first.ID()), "name of its own")
	if f := claimNow(t, second, "x"); f.Code != core.Unreachable {
		t.Errorf("the second one claims: %v", f)
	}
	healthy(t, first)
	if f := claimNow(t, first, "x"); f.Failed() {
		t.Errorf("the first one claims: %v", f)
	}
	first.Close()
	healthy(t, second)
	if f := claimNow(t, second, "x"); f.Failed() {
		t.Errorf("the second one claims when the first one has left: %v", f)
	}
}

// What is larger than the server takes is counted, and a call ends.
func TestTooLarge(t *testing.T) {
	srv := startExternal(t, func(o *server.Options) { o.MaxPayload = 1000 })
	a, stubA, stats := join(t, srv, "a")
	b, stubB, _ := join(t, srv, "b")
	b.Hear(hear1("sync"))
	reaches(t, a, stubB)
	big := core.Payload{Kind: core.Binary, Data: make([]byte, 1001)}
	a.Publish([]byte("sync"), big, nil)
	a.Publish([]byte(strings.Repeat("x", 2000)), core.Payload{}, nil)
	a.Hear(hear1(strings.Repeat("x", 2000)))
	a.Serve([]core.Service{{Name: strings.Repeat("x", 2000), On: true}})
	if n := stats.Dropped[core.ReasonTooLarge].Load(); n != 4 {
		t.Errorf("%d are counted, want 4", n)
	}
	b.Serve([]core.Service{{Name: "s", On: true}})
	coretest.Eventually(t, "a knows b", func() bool { return stubA.Serves("s") })
	if f := a.Ask(b.ID(), core.Question{Call: core.CallID{1}, Service: []byte("s"), Payload: big}); f.Code != core.Invalid {
		t.Errorf("a large call: %v", f)
	}
	stubB.AnswerBy(func(from core.NodeID, q core.Question) { b.Answer(from, q.Call, core.Outcome{Answer: big}) })
	if f := a.Ask(b.ID(), core.Question{Call: core.CallID{1}, Service: []byte("s")}); f.Failed() {
		t.Fatal(f)
	}
	coretest.Eventually(t, "a large answer is a failure", func() bool {
		ends := stubA.Ends()
		return len(ends) == 1 && ends[0].Failure.Code == core.Internal
	})
	if f := claimNow(t, a, strings.Repeat("x", 2000)); f.Code != core.Invalid {
		t.Errorf("a claim of a long name: %v", f)
	}
}

// A taken port, a folder that cannot be written: a clear error, and no end of the process.
func TestEmbeddedFaults(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	free := fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
	routes := []string{fmt.Sprintf("nats://127.0.0.1:%d", coretest.FreePort(t))}
	for _, c := range []struct {
		name  string
		e     Embedded
		words []string
	}{
		{"a taken route port", Embedded{Listen: ln.Addr().String(), Routes: routes}, []string{"cluster.embedded.listen", "address already in use"}},
		{"a taken client port", Embedded{Client: ln.Addr().String()}, []string{"cluster.embedded.client", "address already in use"}},
		{"a folder that is a file", Embedded{StoreDir: file}, []string{"cluster.embedded.store_dir", "not a directory"}},
		{"a folder in a file", Embedded{Listen: free, Routes: routes, StoreDir: filepath.Join(file, "x")}, []string{"cluster.embedded.store_dir", "not a directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := checkOptions(Options{Embedded: &c.e})
			b, _ := startNode(t, o, clustertest.NewRecorder(""))
			defer b.Close()
			unwell(t, b, c.words...)
			err := Check(t.Context(), o)
			for _, w := range c.words {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("the check: %v", err)
				}
			}
		})
	}
	if err := Check(t.Context(), checkOptions(Options{Embedded: &Embedded{Listen: free, Routes: routes, StoreDir: t.TempDir()}})); err != nil {
		t.Errorf("the check of what is right: %v", err)
	}
}

// What JetStream says becomes what a user can do about it.
func TestExplanations(t *testing.T) {
	for words, err := range map[string]error{
		"no room":    &jetstream.APIError{Code: 503, ErrorCode: 10023},
		"a majority": &jetstream.APIError{Code: 503, ErrorCode: 10008},
		"that have":  &jetstream.APIError{Code: 500, ErrorCode: 10118},
		"is off":     jetstream.ErrJetStreamNotEnabled,
		"must run":   context.DeadlineExceeded,
		"2.11":       jetstream.ErrLimitMarkerTTLNotSupported,
		"else":       errors.New("something else"),
	} {
		if got := explainJetStream(err); !strings.Contains(got.Error(), words) || !errors.Is(got, err) || !errors.Is(got, roster.ErrNoChannels) {
			t.Errorf("%v is told as %v", err, got)
		}
	}
	for words, err := range map[string]error{
		"credentials": natsgo.ErrAuthorization, "runs": natsgo.ErrNoServers, "tls": natsgo.ErrSecureConnRequired, "x": errors.New("x"),
	} {
		if got := explainConnect(err); !strings.Contains(got.Error(), words) || !errors.Is(got, err) {
			t.Errorf("%v is told as %v", err, got)
		}
	}
}

// What the server finds out only when it starts does not end the process either.
func TestServerLogIsNotFatal(t *testing.T) {
	l := &serverLog{log: testLog()}
	l.Fatalf("no port %d", 5)
	l.Fatalf("later")
	if err := l.fatal(); err == nil || err.Error() != "no port 5" {
		t.Errorf("noted: %v", err)
	}
	if l.duplicate() {
		t.Error("a twin from nothing")
	}
	l.Errorf("%s - Remote server has a duplicate name: %q", "x", "a")
	if !l.duplicate() {
		t.Error("no twin")
	}
}

// One embedded node alone has everything.
func TestEmbeddedAlone(t *testing.T) {
	none := coretest.Leftovers(t, "github.com/nats-io/nats-server/v2/server.(*ipQueue", "github.com/nats-io/nats-server/v2/server.init")
	b, stats := startNode(t, Options{Node: "a", Embedded: &Embedded{StoreDir: t.TempDir()}}, clustertest.NewRecorder(""))
	healthy(t, b)
	if f := claimNow(t, b, "x"); f.Failed() {
		t.Error(f)
	}
	if !stats.Connected.Load() {
		t.Error("not connected")
	}
	b.Close()
	none()
}

// A node that was killed and starts again, with its old folder, gets its channels when the
// lease of before has ended.
func TestEmbeddedRestarts(t *testing.T) {
	t.Parallel() // it waits most of the time
	o := Options{Node: "a", Embedded: &Embedded{StoreDir: t.TempDir()}, LeaseTTL: 3 * time.Second}
	for range 3 {
		b, _ := startNode(t, o, clustertest.NewRecorder(""))
		coretest.Eventually(t, "the node owns its channel", func() bool { return !claimNow(t, b, "x", "s").Failed() })
		b.abandon()
	}
}

// Two embedded nodes: alone, one has topics and no channels, and says why. With both there is a
// majority.
func TestMajority(t *testing.T) {
	t.Parallel() // it waits most of the time
	ports := []string{fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))}
	node := func(i int) (*Backplane, *clustertest.Recorder) {
		stub := clustertest.NewRecorder("")
		b, _ := startNode(t, Options{Node: string(rune('a' + i)), Embedded: &Embedded{
			Listen: ports[i], Routes: []string{"nats://" + ports[1-i]}, StoreDir: t.TempDir(),
		}}, stub)
		b.Hear(hear1("sync"))
		return b, stub
	}
	var nodes [2]*Backplane
	var stubs [2]*clustertest.Recorder
	nodes[0], stubs[0] = node(0)
	unwell(t, nodes[0], "majority")
	if f := claimNow(t, nodes[0], "x"); f.Code != core.Unreachable || !strings.Contains(f.Text, "majority") {
		t.Errorf("a claim without a majority: %v", f)
	}
	nodes[1], stubs[1] = node(1)
	reaches(t, nodes[0], stubs[1])
	reaches(t, nodes[1], stubs[0])
	for i, b := range nodes {
		defer b.Close()
		healthy(t, b)
		channel := fmt.Sprint("of/", i)
		coretest.Eventually(t, "channels can be owned", func() bool { return !claimNow(t, b, channel).Failed() })
		coretest.Eventually(t, "the other one knows it", func() bool { return stubs[1-i].Knows(channel) })
	}
	// One of the two has the bucket. Without it the other one has no channels.
	host := 0
	if nodes[1].engine.srv.JetStreamIsStreamLeader("$G", "KV_pw_channels") {
		host = 1
	}
	other, stub := nodes[1-host], stubs[1-host]
	nodes[host].Close()
	coretest.Eventually(t, "the other one has lost its channel", func() bool { return stub.HasLost(fmt.Sprint("of/", 1-host)) })
	unwell(t, other, "JetStream", "majority")
	if f := claimNow(t, other, "y"); f.Code != core.Unreachable || !strings.Contains(f.Text, "majority") {
		t.Errorf("a claim without a majority: %v", f)
	}
}

// A cluster of three that begins with two can own channels after a while. When the third one
// comes, the bucket is replicated, and nobody loses anything.
func TestGrowth(t *testing.T) {
	t.Parallel() // it waits most of the time
	options := embeddedOptions(t)
	nodes, stubs := map[string]*Backplane{}, map[string]*clustertest.Recorder{}
	begin := func(name string) {
		stubs[name] = clustertest.NewRecorder("")
		nodes[name], _ = startNode(t, options[name], stubs[name])
		t.Cleanup(nodes[name].Close)
	}
	begin("a")
	begin("b")
	for _, name := range []string{"a", "b"} {
		coretest.Eventually(t, name+" owns a channel", func() bool { return !claimNow(t, nodes[name], "of/"+name).Failed() })
	}
	begin("c")
	coretest.Eventually(t, "c owns a channel", func() bool { return !claimNow(t, nodes["c"], "of/c").Failed() })
	nc := dialEmbedded(t, nodes["a"])
	coretest.Eventually(t, "the bucket is replicated", func() bool {
		js, err := nc.JetStream()
		if err != nil {
			return false
		}
		info, err := js.StreamInfo("KV_pw_channels")
		return err == nil && info.Config.Replicas == replicas && info.Cluster != nil && len(info.Cluster.Replicas) == replicas-1
	})
	coretest.Eventually(t, "a channel can be owned", func() bool { return !claimNow(t, nodes["b"], "more").Failed() })
	for name, stub := range stubs {
		for other := range stubs {
			if other != name {
				coretest.Eventually(t, name+" knows the channel of "+other, func() bool { return stub.Knows("of/" + other) })
			}
		}
		if stub.HasLost("of/" + name) {
			t.Errorf("%s has lost its channel", name)
		}
	}
}

// The servers of a cluster refuse one whose name is taken: it says so, and the others are well.
func TestEmbeddedTwins(t *testing.T) {
	t.Parallel() // it waits most of the time
	options := embeddedOptions(t)
	var nodes []*Backplane
	for _, name := range []string{"a", "b", "c"} {
		o := options[name]
		if o.Node == "c" {
			o.Node = "a"
			coretest.Eventually(t, "the others are older", func() bool { return nodes[1].nodes.Age() > 2*roster.SameAge })
		}
		b, _ := startNode(t, o, clustertest.NewRecorder(""))
		defer b.Close()
		if name != "c" {
			nodes = append(nodes, b)
			coretest.Eventually(t, "its server runs", func() bool { return b.o.Stats.Connected.Load() })
			continue
		}
		unwell(t, b, `called "a" too`, "name of its own")
	}
	for _, b := range nodes {
		healthy(t, b)
	}
}

func TestOutbox(t *testing.T) {
	stats := new(core.ClusterStats)
	var unsent []core.CallID
	o := newOutbox(1000, stats, func(_ core.NodeID, id core.CallID) { unsent = append(unsent, id) })
	put := func(size int, id core.CallID) error {
		return o.put(outgoing{publish: true, call: id}, func(dst []byte) []byte { return append(dst, "s"...) }, make([]byte, size))
	}
	if err := put(1, core.CallID{}); !errors.Is(err, errAway) {
		t.Errorf("without a connection: %v", err)
	}
	o.open = true
	if err := put(2000, core.CallID{1}); err != nil {
		t.Errorf("one that is larger than the bound: %v", err)
	}
	if err := put(1, core.CallID{}); !errors.Is(err, errFull) {
		t.Errorf("over the bound: %v", err)
	}
	o.maxPayload.Store(100)
	if err := put(101, core.CallID{}); !errors.Is(err, errTooLarge) {
		t.Errorf("larger than the server takes: %v", err)
	}
	if n := stats.Queued.Load(); n != 2001+messageOverhead {
		t.Errorf("%d bytes are queued", n)
	}
	for _, r := range []core.Reason{core.ReasonUnavailable, core.ReasonOverload, core.ReasonTooLarge} {
		if n := stats.Dropped[r].Load(); n != 1 {
			t.Errorf("%s is counted %d times", r, n)
		}
	}
	// The connection ends: what waits is dropped, and calls end.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	items, bytes := o.take(nil, nil)
	o.write(ctx, nil, "", items, bytes)
	if len(unsent) != 1 || unsent[0] != (core.CallID{1}) || stats.Queued.Load() != 0 || stats.Dropped[core.ReasonUnavailable].Load() != 2 {
		t.Errorf("unsent: %v, queued: %d, dropped: %d", unsent, stats.Queued.Load(), stats.Dropped[core.ReasonUnavailable].Load())
	}
}

func TestOptions(t *testing.T) {
	right := Options{Node: "a", URL: "nats://localhost:4222,nats://u:p@other:4222", Logger: testLog(), Stats: new(core.ClusterStats)}
	if _, err := New(right); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"node:":      func(o *Options) { o.Node = "a b" },
		"node: \"\"": func(o *Options) { o.Node = "" },
		"either":     func(o *Options) { o.URL = "" },
		"either url": func(o *Options) { o.Embedded = new(Embedded) },
		"prefix":     func(o *Options) { o.Prefix = "a.b" },
		"lease":      func(o *Options) { o.LeaseTTL = time.Second },
		"outbox":     func(o *Options) { o.OutboxBytes = -1 },
		"url: unk":   func(o *Options) { o.URL = "http://x:1" },
		"url: want":  func(o *Options) { o.URL = "localhost" },
		"creden":     func(o *Options) { o.Credentials = "/nowhere/x.creds" },
		"tls: ca":    func(o *Options) { o.TLS.CA = "/nowhere/ca.pem" },
		"listen":     func(o *Options) { o.URL, o.Embedded = "", &Embedded{Listen: "nowhere"} },
		"client":     func(o *Options) { o.URL, o.Embedded = "", &Embedded{Client: "x:0"} },
		"routes w":   func(o *Options) { o.URL, o.Embedded = "", &Embedded{Routes: []string{"nats://x:1"}} },
		"must name":  func(o *Options) { o.URL, o.Embedded = "", &Embedded{Listen: "x:1", StoreDir: "y"} },
		"routes:":    func(o *Options) { o.URL, o.Embedded = "", &Embedded{Listen: "x:1", Routes: []string{"x"}} },
		"logger":     func(o *Options) { o.Logger = nil },
	} {
		o := right
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	secret := right
	secret.URL = "nats://user:secret@ho st:4222"
	if _, err := New(secret); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong address with a password: %v", err)
	}
}

// childNode is set for a process that is a node of TestKilledLeader.
const childNode = "POLYWIRE_TEST_CHILD"

// TestChild is the process that TestKilledLeader kills.
func TestChild(t *testing.T) {
	spec := os.Getenv(childNode)
	if spec == "" {
		t.Skip("it is run by TestKilledLeader")
	}
	parts := strings.Split(spec, ",")
	b, _ := startNode(t, Options{Node: "c", Embedded: &Embedded{Listen: parts[0], StoreDir: parts[1], Routes: parts[2:]}, LeaseTTL: replicatedLease}, clustertest.NewRecorder(""))
	healthy(t, b)
	time.Sleep(time.Hour)
}

// When the process dies that leads the bucket, the channels of the other nodes stay their own
// while a new leader is elected.
func TestKilledLeader(t *testing.T) {
	t.Parallel() // it waits most of the time
	options := embeddedOptions(t)
	nodes, stubs := map[string]*Backplane{}, map[string]*clustertest.Recorder{}
	for _, name := range []string{"a", "b"} {
		o := options[name]
		o.LeaseTTL = replicatedLease
		stubs[name] = clustertest.NewRecorder("")
		nodes[name], _ = startNode(t, o, stubs[name])
		defer nodes[name].Close()
	}
	c := options["c"].Embedded
	child := exec.Command(os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), childNode+"="+strings.Join(append([]string{c.Listen, c.StoreDir}, c.Routes...), ","))
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	defer func() {
		if !killed {
			_ = child.Process.Kill()
			_ = child.Wait()
		}
	}()
	for name, b := range nodes {
		healthy(t, b)
		coretest.Eventually(t, name+" owns a channel", func() bool { return !claimNow(t, b, "of/"+name).Failed() })
		coretest.Eventually(t, name+" knows the others", func() bool { return b.o.Stats.Nodes.Load() == 2 })
	}
	const stream = "KV_pw_channels"
	coretest.Eventually(t, "the bucket is led by the process", func() bool {
		for _, b := range nodes {
			srv := b.engine.srv
			if srv.JetStreamIsStreamLeader("$G", stream) {
				_ = srv.JetStreamStepdownStream("$G", stream)
				return false
			}
		}
		info, err := dialEmbedded(t, nodes["a"]).JetStream()
		if err != nil {
			return false
		}
		s, err := info.StreamInfo(stream)
		return err == nil && s.Config.Replicas == replicas && s.Cluster != nil && s.Cluster.Leader == "c"
	})
	began := time.Now()
	_ = child.Process.Kill()
	_ = child.Wait()
	killed = true
	coretest.Eventually(t, "b gets a channel again", func() bool { return !claimNow(t, nodes["b"], "after").Failed() })
	t.Logf("channels can be claimed again after %v", time.Since(began))
	coretest.Eventually(t, "a knows it", func() bool { return stubs["a"].Knows("after") })
	for name, stub := range stubs {
		if stub.HasLost("of/" + name) {
			t.Errorf("%s has lost its channel", name)
		}
	}
}
