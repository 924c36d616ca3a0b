package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/polywire/polywire/core/coretest"
)

// keyHost is a real server of a key set.
type keyHost struct {
	url     string
	asked   atomic.Int64
	handler atomic.Pointer[http.HandlerFunc]
}

func newKeyHost(t *testing.T, h http.HandlerFunc) *keyHost {
	t.Helper()
	k := &keyHost{}
	k.serve(h)
	k.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		k.asked.Add(1)
		(*k.handler.Load())(w, r)
	}).URL
	return k
}

func (k *keyHost) serve(h http.HandlerFunc) { k.handler.Store(&h) }

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

func status(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }
}

// newRemote returns a method with the keys of a host. It asks again whenever a key is missing,
// however often.
func newRemote(t *testing.T, url string, o JWTOptions) *JWT {
	t.Helper()
	o.JWKS = url
	m := newJWT(t, o)
	m.server.cooldownFor(0)
	return m
}

// cooldownFor changes the time between two fetches, for tests.
func (s *keyServer) cooldownFor(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cooldown = d
}

// rsaSet and token are of the key "one".
func rsaSet(t *testing.T) string {
	return set(t, map[string]any{"one": testKeys()["rsa"].Public()})
}

func TestKeySetOfServer(t *testing.T) {
	keys := testKeys()
	one := bearer(sign(t, "RS256", keys["rsa"], "one", good(nil)))
	two := bearer(sign(t, "RS256", keys["rsa2"], "two", good(nil)))
	host := newKeyHost(t, text(rsaSet(t)))
	m := newRemote(t, host.url, JWTOptions{})
	wantOutcome(t, m, one, Good)
	wantOutcome(t, m, two, Bad)
	wantOutcome(t, m, bearer(sign(t, "RS256", keys["rsa2"], "one", good(nil))), Bad) // the id of another's key
	wantOutcome(t, m, bearer(sign(t, "RS256", keys["rsa"], "", good(nil))), Good)    // no id
	wantOutcome(t, m, bearer(sign(t, "RS256", keys["rsa"], "../one", good(nil))), Bad)
	wantOutcome(t, m, bearer(sign(t, "HS256", []byte(secret), "one", good(nil))), Bad)

	// The issuer rotates: the new key is found when it is first used.
	host.serve(text(set(t, map[string]any{"two": keys["rsa2"].Public()})))
	wantOutcome(t, m, two, Good)
	wantOutcome(t, m, one, Bad)
	// No key is also a set.
	host.serve(text(`{"keys":[]}`))
	wantOutcome(t, m, one, Bad)
	wantOutcome(t, m, two, Bad)
}

// While the server gives no set, the last one is used. What that one cannot decide stays
// undecided.
func TestKeyServerFails(t *testing.T) {
	keys := testKeys()
	known := bearer(sign(t, "RS256", keys["rsa"], "one", good(nil)))
	unknown := bearer(sign(t, "RS256", keys["rsa2"], "two", good(nil)))
	many := make([]string, maxKeys+1)
	for i := range many {
		many[i] = `{"kty":"x"}`
	}
	for name, fails := range map[string]http.HandlerFunc{
		"status 500": status(500),
		"status 404": status(404),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"ends":             func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"garbage":          text("<html>"),
		"another document": text(`{"issuer":"us"}`),
		"no list":          text(`{"keys":null}`),
		"a list":           text(`[]`),
		"too many keys":    text(`{"keys":[` + strings.Join(many, ",") + `]}`),
		"half a document":  text(rsaSet(t)[:100]),
		"1 GB": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[`)
			for range 1 << 10 {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<20)); err != nil {
					return
				}
			}
			_, _ = io.WriteString(w, `]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			// It is down when the broker starts.
			host := newKeyHost(t, fails)
			m := newRemote(t, host.url, JWTOptions{})
			wantOutcome(t, m, known, Unknown)
			// It comes,
			host.serve(text(rsaSet(t)))
			wantOutcome(t, m, known, Good)
			wantOutcome(t, m, unknown, Bad)
			// and goes again.
			host.serve(fails)
			wantOutcome(t, m, unknown, Unknown)
			wantOutcome(t, m, known, Good)
		})
	}
}

// A server that does not answer holds up nobody whose key is known.
func TestKeyServerHangs(t *testing.T) {
	keys := testKeys()
	known := bearer(sign(t, "RS256", keys["rsa"], "one", good(nil)))
	unknown := bearer(sign(t, "RS256", keys["rsa2"], "two", good(nil)))
	host := newKeyHost(t, text(rsaSet(t)))
	m := newRemote(t, host.url, JWTOptions{Timeout: patient})
	wantOutcome(t, m, known, Good)
	reached, release := make(chan struct{}, 1), make(chan struct{})
	host.serve(func(w http.ResponseWriter, _ *http.Request) {
		reached <- struct{}{}
		<-release
		w.WriteHeader(500)
	})
	waits := make(chan Finding, 1)
	go func() { waits <- m.Identify(t.Context(), unknown) }()
	select {
	case <-reached:
	case f := <-waits:
		t.Fatalf("did not ask: %v", f.Err)
	}
	wantOutcome(t, m, known, Good)
	select {
	case f := <-waits:
		t.Errorf("did not wait for the answer: %v", f.Err)
	default:
	}
	close(release)
	if f := <-waits; f.Outcome != Unknown {
		t.Errorf("outcome %d (%v)", f.Outcome, f.Err)
	}
	// Nobody waits for ever.
	host.serve(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	m.server.timeout = hasty
	wantOutcome(t, m, unknown, Unknown)
	wantOutcome(t, m, known, Good)
}

// A flood of tokens with made-up key ids causes one request.
func TestUnknownKeysAreRateLimited(t *testing.T) {
	host := newKeyHost(t, text(rsaSet(t)))
	m := newJWT(t, JWTOptions{JWKS: host.url})
	wantOutcome(t, m, bearer(sign(t, "RS256", testKeys()["rsa"], "one", good(nil))), Good)
	before := host.asked.Load()
	flood := func() {
		var wg sync.WaitGroup
		for i := range 50 {
			h := bearer(sign(t, "ES256", testKeys()["p256"], fmt.Sprint("made-up-", i), good(nil)))
			wg.Go(func() {
				if f := m.Identify(t.Context(), h); f.Outcome != Bad {
					t.Errorf("outcome %d (%v)", f.Outcome, f.Err)
				}
			})
		}
		wg.Wait()
	}
	flood()
	if n := host.asked.Load() - before; n != 0 {
		t.Errorf("%d requests within the cooldown", n)
	}
	m.server.mu.Lock()
	m.server.asked = time.Now().Add(-cooldown) // as if the last request were that old
	m.server.mu.Unlock()
	flood()
	if n := host.asked.Load() - before; n != 1 {
		t.Errorf("%d requests after the cooldown, want 1", n)
	}
	// A token of another issuer is no reason to ask either.
	m.server.cooldownFor(0)
	m.options.Issuers = []string{"us"}
	wantOutcome(t, m, bearer(sign(t, "ES256", testKeys()["p256"], "x", good(map[string]any{"iss": "them"}))), Foreign)
	if n := host.asked.Load() - before; n != 1 {
		t.Errorf("asked for the key of another issuer")
	}
}

// A key that is gone from the set is no longer good after the next refresh, even if nobody asks
// for another.
func TestKeySetIsRefreshed(t *testing.T) {
	host := newKeyHost(t, text(rsaSet(t)))
	m := newJWT(t, JWTOptions{JWKS: host.url, Refresh: 20 * time.Millisecond})
	one := bearer(sign(t, "RS256", testKeys()["rsa"], "one", good(nil)))
	wantOutcome(t, m, one, Good)
	host.serve(text(set(t, map[string]any{"two": testKeys()["rsa2"].Public()})))
	coretest.Eventually(t, "the old key is good no more", func() bool { return m.Identify(t.Context(), one).Outcome != Good })
}

// In a set, only public keys for signatures count.
func TestKeysOfASet(t *testing.T) {
	public := func(name string) any { return testKeys()[name].Public() }
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: public("rsa"), KeyID: "enc", Use: "enc"},
		{Key: public("rsa2"), KeyID: "ps", Use: "sig", Algorithm: "PS256"},
		{Key: []byte(secret), KeyID: "oct"},
		{Key: testKeys()["p256"], KeyID: "private"},
	}}
	data := set(t, nil)
	for i, k := range keys.Keys {
		one, err := k.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			one = append([]byte(","), one...)
		}
		data = strings.TrimSuffix(data, "]}") + string(one) + "]}"
	}
	data = strings.TrimSuffix(data, "]}") + `,{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"new"},17]}`
	m := newJWT(t, JWTOptions{JWKS: writeFile(t, "set.json", data), Secret: strings.ToUpper(secret)})
	for _, c := range []struct {
		name, alg, kid string
		key            any
		want           Outcome
	}{
		{"for encryption", "RS256", "enc", testKeys()["rsa"], Bad},
		{"its algorithm", "PS256", "ps", testKeys()["rsa2"], Good},
		{"another algorithm", "RS256", "ps", testKeys()["rsa2"], Bad},
		{"a secret in the set", "HS256", "oct", []byte(secret), Bad},
		{"the public part of a private key", "ES256", "private", testKeys()["p256"], Good},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantOutcome(t, m, bearer(sign(t, c.alg, c.key, c.kid, good(nil))), c.want)
		})
	}
}

// A set with certificates that are broken, or of another key, has good keys. A key that is none
// is left out, and the log names it.
func TestCertificatesOfASet(t *testing.T) {
	var log bytes.Buffer
	member := func(name, value string) func(map[string]any) {
		return func(k map[string]any) {
			var v any
			if err := json.Unmarshal([]byte(value), &v); err != nil {
				t.Fatal(err)
			}
			k[name] = v
		}
	}
	changes := map[string]func(map[string]any){
		"x5c is no base64":     member("x5c", `["?"]`),
		"x5c is no DER":        member("x5c", `["AAAA"]`),
		"x5c is empty":         member("x5c", `[]`),
		"x5c is text":          member("x5c", `"AAAA"`),
		"x5c is null":          member("x5c", `null`),
		"x5t is too short":     member("x5t", `"AA"`),
		"x5t#S256 is too long": member("x5t#S256", `"`+strings.Repeat("A", 100)+`"`),
		"x5u is no address":    member("x5u", `"::"`),
		"broken n":             member("n", `"?"`),
		"no type":              member("kty", `17`),
	}
	var all []any
	for kid, change := range changes {
		one, err := (&jose.JSONWebKey{Key: testKeys()["rsa"].Public(), KeyID: kid}).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var k map[string]any
		if err := json.Unmarshal(one, &k); err != nil {
			t.Fatal(err)
		}
		change(k)
		all = append(all, k)
	}
	data, err := json.Marshal(map[string]any{"keys": all})
	if err != nil {
		t.Fatal(err)
	}
	m := newJWT(t, JWTOptions{JWKS: writeFile(t, "set.json", string(data)), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for kid := range changes {
		t.Run(kid, func(t *testing.T) {
			want := Good
			if kid == "broken n" || kid == "no type" {
				want = Bad
				if !strings.Contains(log.String(), kid) {
					t.Errorf("the log does not name it: %s", log.String())
				}
			}
			wantOutcome(t, m, bearer(sign(t, "RS256", testKeys()["rsa"], kid, good(nil))), want)
		})
	}
}
