package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// shake makes a handshake with src and returns what the client has seen of the server,
// or the client's or the server's error.
func shake(t *testing.T, src *Source, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	here, there := sockets(t)
	served := make(chan error, 1)
	go func() {
		server := tls.Server(there, src.Config())
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte("x")) // behind it the client has its tickets
		}
		_ = there.Close()
		served <- err
	}()
	c := tls.Client(here, client)
	_, err := c.Read(make([]byte, 1))
	_ = here.Close()
	return c.ConnectionState(), errors.Join(<-served, err)
}

// sockets returns the two ends of a connection.
func sockets(t *testing.T) (here, there net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if here, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if there, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	deadline := coretest.Deadline()
	if err := errors.Join(here.SetDeadline(deadline), there.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	return here, there
}

// served returns the serial number of the certificate that a client gets.
func served(t *testing.T, src *Source, client *tls.Config) string {
	t.Helper()
	state, err := shake(t, src, client)
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].SerialNumber.String()
}

func serial(c tls.Certificate) string { return c.Leaf.SerialNumber.String() }

// newSource makes a source whose log goes to the returned buffer.
func newSource(t *testing.T, s Settings) (*Source, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	src, err := New(s, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return src, &log
}

func TestNamesAndVersions(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	a, b := ca.Issue(nil, "a.test", "*.a.test"), ca.Issue(nil, "b.test")
	certA, keyA := certstest.Write(t, dir, "a", a)
	certB, keyB := certstest.Write(t, dir, "b", b)
	pairs := []Pair{{certA, keyA}, {certB, keyB}}
	src, _ := newSource(t, Settings{Pairs: pairs, MaxVersion: tls.VersionTLS12, Curves: []tls.CurveID{tls.CurveP256}})
	for name, want := range map[string]tls.Certificate{"a.test": a, "x.a.test": a, "b.test": b, "c.test": a, "": a} {
		state, err := shake(t, src, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := state.PeerCertificates[0].Subject.CommonName; got != want.Leaf.Subject.CommonName {
			t.Errorf("%q is shown the certificate of %q", name, got)
		}
		if state.Version != tls.VersionTLS12 || state.CurveID != tls.CurveP256 || state.NegotiatedProtocol != "http/1.1" {
			t.Errorf("%s, curve %v, ALPN %q", tls.VersionName(state.Version), state.CurveID, state.NegotiatedProtocol)
		}
	}
	if _, err := shake(t, src, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}); err == nil {
		t.Error("TLS 1.3 is spoken over max_version")
	}
}

func TestCheck(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "good", ca.Issue(nil, "x"))
	_, otherKey := certstest.Write(t, dir, "other", ca.Issue(nil, "x"))
	authority := certstest.WriteFile(t, dir, "ca.pem", ca.PEM())
	garbage := certstest.WriteFile(t, dir, "garbage.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	missing := filepath.Join(dir, "missing")
	marked := func(name, of string) string {
		text, err := os.ReadFile(of)
		if err != nil {
			t.Fatal(err)
		}
		return certstest.WriteFile(t, dir, name, slices.Concat([]byte("\ufeff"), text)) // as editors of Windows write
	}
	tests := []struct {
		name     string
		settings Settings
		want     []string // setting and text of each fault
	}{
		{"good", Settings{Pairs: []Pair{{cert, key}}, ClientCA: authority}, nil},
		{"good, of Windows", Settings{Pairs: []Pair{{marked("cert.pem", cert), marked("key.pem", key)}}, ClientCA: marked("authority.pem", authority)}, nil},
		{"missing", Settings{Pairs: []Pair{{missing, key}, {cert, missing}}, ClientCA: missing}, []string{
			"certificates.0.cert: stat ", "certificates.1.key: stat ", "client_ca: stat ",
		}},
		{"no file", Settings{Pairs: []Pair{{dir, key}}, ClientCA: os.DevNull}, []string{
			"certificates.0.cert: " + dir + " is no regular file", "client_ca: " + os.DevNull + " is no regular file",
		}},
		{"mismatch", Settings{Pairs: []Pair{{cert, otherKey}}}, []string{"certificates.0.key: tls: private key does not match public key"}},
		{"swapped", Settings{Pairs: []Pair{{key, cert}}}, []string{"certificates.0.cert: it holds no certificate in PEM"}},
		{"no key", Settings{Pairs: []Pair{{cert, authority}}}, []string{"certificates.0.key: tls: found a certificate rather than a key"}},
		{"garbage", Settings{Pairs: []Pair{{garbage, key}}, ClientCA: garbage}, []string{
			"certificates.0.cert: parsing certificate 1: ", "client_ca: parsing certificate 1: ",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(tt.settings)
			if len(tt.want) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no fault")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("faults %q, want %q", lines, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("fault %q, want %q", lines[i], want)
				}
			}
			if f, ok := errors.AsType[*Fault](err); !ok || f.Setting == "" {
				t.Errorf("%v is no Fault", err)
			}
		})
	}
	if err := Check(Settings{Pairs: []Pair{{missing, key}}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v does not say that the file is missing", err)
	}
}

func TestExpired(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	old := ca.Issue(certstest.Expired, "old.test")
	cert, key := certstest.Write(t, dir, "old", old)
	src, log := newSource(t, Settings{Pairs: []Pair{{cert, key}}})
	if !strings.Contains(log.String(), "certificate has expired") || !strings.Contains(log.String(), "old.test") {
		t.Errorf("log %q", log)
	}
	if got := src.Certificates(); len(got) != 1 || got[0].File != cert || !got[0].Expires.Equal(old.Leaf.NotAfter) {
		t.Errorf("certificates %+v", got)
	}
}

// TestSwap shows how files change and what follows.
func TestSwap(t *testing.T) {
	ca := certstest.NewCA(t, "ca")
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "x"}
	first, second := ca.Issue(nil, "x"), ca.Issue(nil, "x")
	cert1, key1 := certstest.PEM(t, first)
	cert2, key2 := certstest.PEM(t, second)
	tests := []struct {
		name   string
		change func(t *testing.T, dir string)
		swaps  bool
		log    string
	}{
		{"written over", func(t *testing.T, dir string) {
			certstest.WriteFile(t, dir, "data/x.pem", cert2)
			certstest.WriteFile(t, dir, "data/x.key", key2)
		}, true, "certificate is swapped"},
		{"renamed into place", func(t *testing.T, dir string) {
			for name, data := range map[string][]byte{"x.pem": cert2, "x.key": key2} {
				if err := os.Rename(certstest.WriteFile(t, dir, "new", data), filepath.Join(dir, "data", name)); err != nil {
					t.Fatal(err)
				}
			}
		}, true, "certificate is swapped"},
		{"symbolic link swapped", func(t *testing.T, dir string) {
			next := filepath.Join(dir, "..2")
			if err := os.Mkdir(next, 0o700); err != nil {
				t.Fatal(err)
			}
			certstest.WriteFile(t, next, "x.pem", cert2)
			certstest.WriteFile(t, next, "x.key", key2)
			link := filepath.Join(dir, "tmp")
			if err := errors.Join(os.Symlink(next, link), os.Rename(link, filepath.Join(dir, "data"))); err != nil {
				t.Fatal(err)
			}
		}, true, "certificate is swapped"},
		{"certificate without its key", func(t *testing.T, dir string) {
			certstest.WriteFile(t, dir, "data/x.pem", cert2)
		}, false, "its key: tls: private key does not match"},
		{"half a certificate", func(t *testing.T, dir string) {
			certstest.WriteFile(t, dir, "data/x.pem", cert2[:len(cert2)/2])
			certstest.WriteFile(t, dir, "data/x.key", key2)
		}, false, "it holds no certificate"},
		{"removed", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "data/x.key")); err != nil {
				t.Fatal(err)
			}
		}, false, "no such file"},
		{"touched", func(t *testing.T, dir string) { certstest.WriteFile(t, dir, "data/x.pem", cert1) }, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			real := filepath.Join(dir, "..1")
			if err := errors.Join(os.Mkdir(real, 0o700), os.Symlink(real, filepath.Join(dir, "data"))); err != nil {
				t.Fatal(err)
			}
			cert := certstest.WriteFile(t, dir, "data/x.pem", cert1)
			key := certstest.WriteFile(t, dir, "data/x.key", key1)
			src, log := newSource(t, Settings{Pairs: []Pair{{cert, key}}})
			src.look()
			tt.change(t, dir)
			src.look()
			if got := served(t, src, client); got != serial(first) {
				t.Error("swapped at the first look at the change: it may be half written")
			}
			for range 3 {
				src.look()
			}
			want := first
			if tt.swaps {
				want = second
			}
			if got := served(t, src, client); got != serial(want) {
				t.Error("the other certificate is served")
			}
			if n := strings.Count(log.String(), "\n"); tt.log == "" && n != 0 || tt.log != "" && (n != 1 || !strings.Contains(log.String(), tt.log)) {
				t.Errorf("log %q, want one line with %q", log, tt.log)
			}
			// Whatever was wrong: what is right in the end is taken.
			certstest.WriteFile(t, dir, "data/x.pem", cert2)
			certstest.WriteFile(t, dir, "data/x.key", key2)
			src.look()
			src.look()
			if got := served(t, src, client); got != serial(second) {
				t.Error("the right pair is not served in the end")
			}
		})
	}
}

// TestBrokenPairKeepsNobodyBack: each of several pairs is swapped independently.
func TestBrokenPairKeepsNobodyBack(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	certA, keyA := certstest.Write(t, dir, "a", ca.Issue(nil, "a"))
	b := ca.Issue(nil, "b")
	certB, keyB := certstest.Write(t, dir, "b", b)
	src, _ := newSource(t, Settings{Pairs: []Pair{{certB, keyB}, {certA, keyA}}})
	certstest.WriteFile(t, dir, "b.pem", []byte("broken"))
	renewed := ca.Issue(nil, "a")
	certstest.Write(t, dir, "a", renewed)
	src.look()
	src.look()
	for name, want := range map[string]tls.Certificate{"a": renewed, "b": b} {
		if got := served(t, src, &tls.Config{RootCAs: ca.Pool(), ServerName: name}); got != serial(want) {
			t.Errorf("%s is served another certificate", name)
		}
	}
}

// TestAuthoritiesSwap: clients of an authority that is gone cannot come back, not even with an
// old session; the others resume theirs.
func TestAuthoritiesSwap(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	old, next := certstest.NewCA(t, "old"), certstest.NewCA(t, "next")
	cert, key := certstest.Write(t, dir, "x", ca.Issue(nil, "x"))
	authorities := certstest.WriteFile(t, dir, "ca.pem", append(old.PEM(), next.PEM()...))
	src, log := newSource(t, Settings{Pairs: []Pair{{cert, key}}, ClientCA: authorities, ClientAuth: tls.RequireAndVerifyClientCert})
	client := func(c tls.Certificate) *tls.Config {
		return &tls.Config{
			RootCAs: ca.Pool(), ServerName: "x", Certificates: []tls.Certificate{c}, ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}
	}
	leaver, stayer := client(old.Issue(nil, "leaver")), client(next.Issue(nil, "stayer"))
	served(t, src, leaver)
	served(t, src, stayer)
	certstest.WriteFile(t, dir, "ca.pem", next.PEM())
	src.look()
	src.look()
	if !strings.Contains(log.String(), "authorities of client certificates are swapped") {
		t.Fatalf("log %q", log)
	}
	if state, err := shake(t, src, stayer); err != nil || !state.DidResume {
		t.Errorf("who stays: resumed %v, %v", state.DidResume, err)
	}
	if _, err := shake(t, src, leaver); err == nil {
		t.Error("a session of an authority that is gone was resumed")
	}
	leaver.ClientSessionCache = nil
	if _, err := shake(t, src, leaver); err == nil {
		t.Error("a client of an authority that is gone was let in")
	}
	certstest.WriteFile(t, dir, "ca.pem", []byte("broken"))
	src.look()
	src.look()
	if _, err := shake(t, src, stayer); err != nil {
		t.Error("a broken file of authorities was taken:", err)
	}
}

func TestReplace(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	first, second := ca.Issue(nil, "x"), ca.Issue(nil, "x")
	cert1, key1 := certstest.Write(t, dir, "1", first)
	cert2, key2 := certstest.Write(t, dir, "2", second)
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "x"}
	src, _ := newSource(t, Settings{Pairs: []Pair{{cert1, key1}}})
	config := src.Config()
	if err := src.Replace(Settings{Pairs: []Pair{{cert2, key1}}}); err == nil || served(t, src, client) != serial(first) {
		t.Errorf("a broken pair: %v", err)
	}
	if err := src.Replace(Settings{Pairs: []Pair{{cert2, key2}}, MinVersion: tls.VersionTLS13}); err != nil || served(t, src, client) != serial(second) {
		t.Errorf("a good pair: %v", err)
	}
	if src.Config() != config {
		t.Error("the listener would need another configuration")
	}
}

// TestWatch: only the clock is not real.
func TestWatch(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "x", ca.Issue(func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Hour) }, "x"))
	src, _ := newSource(t, Settings{Pairs: []Pair{{cert, key}}})
	renewed := ca.Issue(nil, "x")
	certstest.Write(t, dir, "x", renewed)
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			src.Watch(t.Context())
		}()
		time.Sleep(3 * interval)
		synctest.Wait()
		if got := src.Certificates()[0].Expires; !got.Equal(renewed.Leaf.NotAfter) {
			t.Errorf("the certificate in use expires at %s", got)
		}
	})
}
