package nats

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs"
	"github.com/polywire/polywire/internal/certs/certstest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// saysAll fails the test if an error has not all words.
func saysAll(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %v, want %q", what, err, words)
			return
		}
	}
}

// operator makes accounts and users as nsc does.
type operator struct {
	t    *testing.T
	keys nkeys.KeyPair
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	keys, err := nkeys.CreateOperator()
	if err != nil {
		t.Fatal(err)
	}
	return &operator{t, keys}
}

func publicKey(t *testing.T, k nkeys.KeyPair) string {
	t.Helper()
	key, err := k.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// account returns the keys of an account, and its JWT.
func (o *operator) account(change func(*jwt.AccountClaims)) (keys nkeys.KeyPair, token string) {
	o.t.Helper()
	keys, err := nkeys.CreateAccount()
	if err != nil {
		o.t.Fatal(err)
	}
	c := jwt.NewAccountClaims(publicKey(o.t, keys))
	if change != nil {
		change(c)
	}
	token, err = c.Encode(o.keys)
	if err != nil {
		o.t.Fatal(err)
	}
	return keys, token
}

// user writes the credentials of a user of an account.
func (o *operator) user(account nkeys.KeyPair, change func(*jwt.UserClaims)) (file string) {
	o.t.Helper()
	keys, err := nkeys.CreateUser()
	if err != nil {
		o.t.Fatal(err)
	}
	c := jwt.NewUserClaims(publicKey(o.t, keys))
	if change != nil {
		change(c)
	}
	token, err := c.Encode(account)
	if err != nil {
		o.t.Fatal(err)
	}
	seed, err := keys.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		o.t.Fatal(err)
	}
	return certstest.WriteFile(o.t, o.t.TempDir(), "user.creds", text)
}

// A server of an operator lets in who has credentials of an account; others are told which setting
// is wrong.
func TestCredentials(t *testing.T) {
	o := newOperator(t)
	claims := jwt.NewOperatorClaims(publicKey(t, o.keys))
	token, err := claims.Encode(o.keys)
	if err != nil {
		t.Fatal(err)
	}
	if claims, err = jwt.DecodeOperatorClaims(token); err != nil {
		t.Fatal(err)
	}
	system, systemToken := o.account(nil)
	ours, oursToken := o.account(func(c *jwt.AccountClaims) {
		c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	})
	poor, poorToken := o.account(nil) // without JetStream
	unknown, _ := o.account(nil)
	resolver := new(server.MemAccResolver)
	for keys, token := range map[nkeys.KeyPair]string{system: systemToken, ours: oursToken, poor: poorToken} {
		if err := resolver.Store(publicKey(t, keys), token); err != nil {
			t.Fatal(err)
		}
	}
	srv := startExternal(t, func(o *server.Options) {
		o.TrustedOperators, o.AccountResolver, o.SystemAccount = []*jwt.OperatorClaims{claims}, resolver, publicKey(t, system)
	})
	good := Options{URL: srv.ClientURL(), Credentials: o.user(ours, nil)}
	if err := Check(t.Context(), checkOptions(good)); err != nil {
		t.Errorf("the check: %v", err)
	}
	good.Node = "a"
	b, _ := startNode(t, good, clustertest.NewRecorder("a"))
	defer b.Close()
	healthy(t, b)
	if f := claimNow(t, b, "x"); f.Failed() {
		t.Error(f)
	}
	for name, test := range map[string]struct {
		file  string
		words []string
	}{
		"no credentials":               {"", []string{"cluster.credentials"}},
		"those of another operator":    {o.user(unknown, nil), []string{"cluster.credentials"}},
		"those of the past":            {o.user(ours, func(c *jwt.UserClaims) { c.Expires = time.Now().Add(-time.Hour).Unix() }), []string{"cluster.credentials"}},
		"an account without JetStream": {o.user(poor, nil), []string{"JetStream", "off"}},
		"a user who may say nothing":   {o.user(ours, func(c *jwt.UserClaims) { c.Pub.Deny.Add(">") }), []string{"JetStream"}},
		"a file that is missing":       {"missing.creds", []string{"credentials", "missing.creds"}},
		"a file that is none":          {certstest.WriteFile(t, t.TempDir(), "x", []byte("x")), []string{"credentials", "nsc"}},
	} {
		saysAll(t, name, Check(t.Context(), checkOptions(Options{URL: srv.ClientURL(), Credentials: test.file})), test.words...)
	}
}

// A certificate of an authority that is not known is named as that.
func TestWrongAuthority(t *testing.T) {
	ca, other, dir := certstest.NewCA(t, "authority"), certstest.NewCA(t, "other"), t.TempDir()
	srv := startExternal(t, func(o *server.Options) {
		o.TLS, o.TLSTimeout = true, 5
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{ca.Issue(nil, "localhost")}}
	})
	address := strings.Replace(srv.Addr().String(), "127.0.0.1", "localhost", 1)
	right, wrong := certs.Peer{CA: certstest.WriteFile(t, dir, "ca.pem", ca.PEM())}, certs.Peer{CA: certstest.WriteFile(t, dir, "other.pem", other.PEM())}
	for name, o := range map[string]Options{
		"another authority":             {URL: "nats://" + address, TLS: wrong},
		"the authorities of the system": {URL: "tls://" + address},
		"another host":                  {URL: "nats://" + srv.Addr().String(), TLS: right},
	} {
		saysAll(t, name, Check(t.Context(), checkOptions(o)), "cluster.tls", "x509")
		b, _ := startNode(t, Options{Node: "a", URL: o.URL, TLS: o.TLS}, clustertest.NewRecorder("a"))
		unwell(t, b, "cluster.tls", "x509")
		b.Close()
	}
	if err := Check(t.Context(), checkOptions(Options{URL: "nats://" + address, TLS: right})); err != nil {
		t.Errorf("the check of what is right: %v", err)
	}
}

// spy passes connections on, and keeps what it has seen.
type spy struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (s *spy) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.Write(b)
}

func (s *spy) saw(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.seen.Bytes(), []byte(text))
}

// listen returns the address at which s passes connections on to another one.
func (s *spy) listen(t *testing.T, to string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var passing sync.WaitGroup
	pass := func(from, to net.Conn) {
		_, _ = io.Copy(io.MultiWriter(to, s), from)
		_ = from.Close()
		_ = to.Close()
	}
	passing.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			passing.Go(func() { pass(in, out) })
			passing.Go(func() { pass(out, in) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		passing.Wait()
	})
	return ln.Addr().String()
}

// Servers of nodes that have certificates hear each other; who listens in between reads nothing, and
// who has none, or one of another authority, is not let in.
func TestEmbeddedTLS(t *testing.T) {
	ca, other, dir := certstest.NewCA(t, "authority"), certstest.NewCA(t, "other"), t.TempDir()
	peer := func(name string, of *certstest.CA) certs.Peer {
		p := certs.Peer{CA: certstest.WriteFile(t, dir, "ca.pem", ca.PEM())}
		p.Cert, p.Key = certstest.Write(t, dir, name, of.Issue(nil, "127.0.0.1", "localhost"))
		return p
	}
	const secret, told = "the-secret-of-the-routes", "told by one node"
	s := new(spy)
	node := func(name string, tls certs.Peer, routes ...string) (*Backplane, *clustertest.Recorder, string) {
		stub := clustertest.NewRecorder(name)
		listen := fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
		b, _ := startNode(t, Options{Node: name, Embedded: &Embedded{Listen: listen, Routes: routes, Secret: secret, TLS: tls}}, stub)
		t.Cleanup(b.Close)
		b.Hear([]core.Interest{{Name: "sync", On: true}, {Name: "said/#", Pattern: true, On: true}})
		return b, stub, listen
	}
	a, aStub, address := node("a", peer("a", ca))
	way := "nats://" + s.listen(t, address)
	b, bStub, _ := node("b", peer("b", ca), way)
	stranger, strangerStub, _ := node("stranger", peer("stranger", other), way)
	bare, bareStub, _ := node("bare", certs.Peer{}, "nats://"+address) // it shows its secret to anybody
	reaches(t, a, bStub)
	reaches(t, b, aStub)
	a.Publish([]byte("said/x"), core.Payload{Kind: core.Text, Data: []byte(told)}, nil)
	coretest.Eventually(t, "the message comes", func() bool { return len(bStub.Got("said/x")) > 0 })
	if s.saw(told) || s.saw(secret) {
		t.Error("it can be read on the way")
	}
	for _, alone := range []*Backplane{stranger, bare} {
		if n := alone.engine.srv.NumRoutes(); n > 0 {
			t.Errorf("%s has %d routes", alone.o.Node, n)
		}
	}
	if len(strangerStub.Got("said/x"))+len(bareStub.Got("said/x")) > 0 {
		t.Error("who is not let in hears what is said")
	}
	o := checkOptions(Options{Embedded: &Embedded{Listen: address, TLS: certs.Peer{CA: "missing.pem", Pair: certs.Pair{Cert: "x", Key: "y"}}}})
	saysAll(t, "a missing file", Check(t.Context(), o), "embedded.tls", "missing.pem")
	o.Embedded.TLS = certs.Peer{CA: filepath.Join(dir, "ca.pem")}
	saysAll(t, "no certificate", Check(t.Context(), o), "embedded.tls", "cert and key")
}

// small mounts a file system of some bytes, or skips the test.
func small(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	unmount, err := mount(dir, options)
	if err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(unmount)
	return dir
}

// A folder that cannot be written, or is full, is named as that; when there is room again channels can
// be owned again.
func TestStoreDir(t *testing.T) {
	t.Parallel() // it waits most of the time
	dir := small(t, "size=4m")
	b, _ := startNode(t, Options{Node: "a", Embedded: &Embedded{StoreDir: dir}}, clustertest.NewRecorder("a"))
	defer b.Close()
	healthy(t, b)
	if f := claimNow(t, b, "before"); f.Failed() {
		t.Fatal(f)
	}
	filler := filepath.Join(dir, "filler")
	fill := func() {
		f, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return
		}
		defer f.Close()
		for {
			if _, err := f.Write(make([]byte, 512)); err != nil {
				return
			}
		}
	}
	fill()
	services := []string{strings.Repeat("a service of a long name", 2000)}
	coretest.Eventually(t, "a claim is refused", func() bool {
		fill()
		f := b.Claim(t.Context(), core.Claim{Channel: fmt.Sprint("x/", time.Now().UnixNano()), Services: services}, func() core.Failure { return core.Failure{} })
		return f.Code == core.Unreachable && strings.Contains(f.Text, "store_dir") && strings.Contains(f.Text, "no space")
	})
	unwell(t, b, "store_dir", "no space")
	saysAll(t, "the check", Check(t.Context(), checkOptions(Options{Embedded: &Embedded{StoreDir: dir}})), "cluster.embedded.store_dir", "no space")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	healthy(t, b)
	coretest.Eventually(t, "channels can be owned again", func() bool { return !claimNow(t, b, "after").Failed() })
}

// A folder in which nothing can be written is named as that.
func TestReadOnlyStoreDir(t *testing.T) {
	o := checkOptions(Options{Embedded: &Embedded{StoreDir: filepath.Join(small(t, "size=4m,ro"), "data")}})
	saysAll(t, "the check", Check(t.Context(), o), "cluster.embedded.store_dir", "read-only")
	b, _ := startNode(t, o, clustertest.NewRecorder("a"))
	defer b.Close()
	unwell(t, b, "cluster.embedded.store_dir", "read-only")
}

// mount mounts a file system in memory.
func mount(dir, options string) (unmount func(), err error) {
	if err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).Run(); err != nil {
		return nil, err
	}
	return func() { _ = exec.Command("umount", "-l", dir).Run() }, nil
}
